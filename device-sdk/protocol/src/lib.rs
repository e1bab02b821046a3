//! What devices, gateways and verifiers share, so that one of them can check another.
//!
//! Guarantees: `no_std`, no allocation, no input that panics; every decoder accepts exactly one encoding of a
//! value, except that of SenML, whose encodings are many, and that of numbers in CoAP options, which may have
//! leading zeros. Does not: read clocks, files or sockets, draw random numbers, or know any ledger.
//!
//! - [`digest`]: SHA-256 and the [`Digest`] type
//! - [`merkle`]: RFC 6962 hashes, the growing edge of a tree, inclusion and consistency
//! - [`note`]: C2SP signed notes, verifier keys, witness cosignatures
//! - [`checkpoint`]: C2SP tlog-checkpoint bodies and the digest that is anchored
//! - [`commitment`]: salted commitments and pseudonyms that log entries carry
//! - [`json`]: single objects of strict JSON
//! - [`channel`]: Perun channels, their encodings, hashes and signatures
//! - [`coap`]: the message format of RFC 7252
//! - [`senml`]: readings, RFC 8428 in JSON and CBOR
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod channel;
pub mod checkpoint;
pub mod coap;
pub mod commitment;
pub mod digest;
mod error;
pub mod json;
pub mod merkle;
pub mod note;
pub mod senml;

pub use checkpoint::Checkpoint;
pub use digest::{Digest, sha256};
pub use ed25519_dalek::{SigningKey, VerifyingKey};
pub use error::Error;
