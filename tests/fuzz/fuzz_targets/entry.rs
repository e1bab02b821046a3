//! libFuzzer's way into `sluicegate_fuzz::entry`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::entry(data);
});
