//! libFuzzer's way into `sluicegate_fuzz::feed_rows`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::feed_rows(data);
});
