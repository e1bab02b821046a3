//! libFuzzer's way into `sluicegate_fuzz::senml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::senml(data);
});
