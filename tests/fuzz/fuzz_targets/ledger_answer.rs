//! libFuzzer's way into `sluicegate_fuzz::ledger_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::ledger_answer(data);
});
