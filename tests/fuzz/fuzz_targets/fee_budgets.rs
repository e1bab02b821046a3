//! libFuzzer's way into `sluicegate_fuzz::fee_budgets`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::fee_budgets(data);
});
