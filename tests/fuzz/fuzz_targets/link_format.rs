//! libFuzzer's way into `sluicegate_fuzz::link_format`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::link_format(data);
});
