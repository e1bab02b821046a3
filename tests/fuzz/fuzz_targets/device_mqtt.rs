//! libFuzzer's way into `sluicegate_fuzz::device_mqtt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::device_mqtt(data);
});
