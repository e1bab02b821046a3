//! libFuzzer's way into `sluicegate_fuzz::log_tail`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::log_tail(data);
});
