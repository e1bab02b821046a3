//! libFuzzer's way into `sluicegate_fuzz::coap_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::coap_message(data);
});
