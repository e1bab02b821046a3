//! libFuzzer's way into `sluicegate_fuzz::tile_path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    sluicegate_fuzz::tile_path(data);
});
