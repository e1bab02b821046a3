//! libFuzzer's way into `sluicegate_fuzz::verifier_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::verifier_key(data);
});
