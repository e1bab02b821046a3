//! The gateway daemon: configuration, storage, wiring, and the command `sluicegate`.
//!
//! Guarantees: the only crate of the gateway with an executor, sockets, files, clocks and randomness; it performs what
//! the protocol crates ask for, in order: persist, then send. Does not: decide anything that a protocol crate could.
//!
//! - storage: [`disk`], [`files`] (leaves), [`store`] (openings, anchors, outbox), [`recorder`] (both, in order)

pub mod clock;
pub mod disk;
pub mod effects;
mod error;
pub mod files;
pub mod identity;
pub mod recorder;
pub mod store;

pub use error::Error;
