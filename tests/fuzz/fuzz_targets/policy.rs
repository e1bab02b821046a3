//! libFuzzer's way into `sluicegate_fuzz::policy`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::policy(data);
});
