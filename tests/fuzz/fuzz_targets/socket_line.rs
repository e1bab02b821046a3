//! libFuzzer's way into `sluicegate_fuzz::socket_line`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::socket_line(data);
});
