//! The notary: an append-only Merkle log of readings, its checkpoints, its proofs, and their verification.
//!
//! Guarantees: sans-io. Bytes, records and `now` go in, ordered effects come out; so every crash and every
//! interleaving is a list of inputs. `no_std`, so that a browser runs the same verifier as the command line.
//! Does not: own files, sockets, clocks or randomness; the daemon performs what this crate asks for, in order.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod anchoring;
pub mod bundle;
mod cbor;
pub mod entry;
mod error;
pub mod log;
pub mod policy;
pub mod proof;
pub mod tile;
pub mod tlog_proof;
pub mod verify;
#[cfg(all(target_arch = "wasm32", target_os = "none"))]
mod wasm;

pub use error::Error;
