//! The verifier as a WebAssembly module without imports: what a browser runs.
//!
//! Guarantees: the module can reach nothing outside of its own memory; it says what [`crate::verify`] says on the
//! command line, byte for byte. Does not: exist in any other build.
//!
//! Order of calls, as in `wasm/verifier.js`: [`allocate`] a place for the file and one for the policy and fill them,
//! [`verify`], read the length (four bytes, little endian) and as many bytes of JSON, [`release`] all three.
#![allow(unsafe_code)]

use alloc::{boxed::Box, vec, vec::Vec};
use core::{panic::PanicInfo, ptr, slice};

use dlmalloc::GlobalDlmalloc;

use crate::verify::verify_to_json;

#[global_allocator]
static ALLOCATOR: GlobalDlmalloc = GlobalDlmalloc;

#[panic_handler]
fn abort(_: &PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// A place of `length` zero bytes, to be given back to [`release`] with the same length.
#[unsafe(no_mangle)]
extern "C" fn allocate(length: usize) -> *mut u8 {
    Box::into_raw(vec![0_u8; length].into_boxed_slice()).cast()
}

/// Gives back a place.
///
/// # Safety
/// `place` comes from [`allocate`] with this length, or from [`verify`] with four more than the length in front of the
/// JSON, and was not given back before.
#[unsafe(no_mangle)]
unsafe extern "C" fn release(place: *mut u8, length: usize) {
    // SAFETY: by the caller's promise this is the box that `allocate` or `verify` leaked.
    drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(place, length)) });
}

/// The report on a file under a policy: the length of the JSON, and the JSON.
///
/// # Safety
/// Both places come from [`allocate`] with these lengths and were not given back.
#[unsafe(no_mangle)]
unsafe extern "C" fn verify(
    file: *const u8,
    file_length: usize,
    policy: *const u8,
    policy_length: usize,
) -> *mut u8 {
    // SAFETY: by the caller's promise both are whole boxes of initialised bytes, which nobody else uses during the
    // call: a module without threads runs one call at a time.
    let (file, policy) = unsafe {
        (slice::from_raw_parts(file, file_length), slice::from_raw_parts(policy, policy_length))
    };
    let json = verify_to_json(file, policy);
    // The memory of the module ends at 4 GiB, so the length fits.
    let length = u32::try_from(json.len()).unwrap_or(0);
    let mut out = Vec::with_capacity(json.len() + 4);
    out.extend(length.to_le_bytes());
    out.extend(json.bytes());
    Box::into_raw(out.into_boxed_slice()).cast()
}
