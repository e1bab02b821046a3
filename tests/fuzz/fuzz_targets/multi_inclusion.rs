//! libFuzzer's way into `sluicegate_fuzz::multi_inclusion`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::multi_inclusion(data);
});
