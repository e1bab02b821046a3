//! libFuzzer's way into `sluicegate_fuzz::transaction`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::transaction(data);
});
