//! libFuzzer's way into `sluicegate_fuzz::configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::configuration(data);
});
