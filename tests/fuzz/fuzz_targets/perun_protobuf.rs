//! libFuzzer's way into `sluicegate_fuzz::perun_protobuf`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::perun_protobuf(data);
});
