//! libFuzzer's way into `sluicegate_fuzz::coap_endpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::coap_endpoint(data);
});
