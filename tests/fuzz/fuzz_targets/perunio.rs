//! libFuzzer's way into `sluicegate_fuzz::perunio`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::perunio(data);
});
