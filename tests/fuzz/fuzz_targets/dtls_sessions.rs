//! libFuzzer's way into `sluicegate_fuzz::dtls_sessions`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::dtls_sessions(data);
});
