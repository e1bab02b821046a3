//! libFuzzer's way into `sluicegate_fuzz::tlog_proof`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::tlog_proof(data);
});
