//! libFuzzer's way into `sluicegate_fuzz::channel_record`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::channel_record(data);
});
