//! libFuzzer's way into `sluicegate_fuzz::anchor_evidence`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::anchor_evidence(data);
});
