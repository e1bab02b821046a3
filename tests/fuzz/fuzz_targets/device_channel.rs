//! libFuzzer's way into `sluicegate_fuzz::device_channel`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::device_channel(data);
});
