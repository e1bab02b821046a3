//! The notary: an append-only Merkle log of readings, its checkpoints, its proofs, and their verification.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod entry;
mod error;

pub use error::Error;
