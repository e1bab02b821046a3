//! libFuzzer's way into `sluicegate_fuzz::checkpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::checkpoint(data);
});
