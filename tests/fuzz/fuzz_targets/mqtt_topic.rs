//! libFuzzer's way into `sluicegate_fuzz::mqtt_topic`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::mqtt_topic(data);
});
