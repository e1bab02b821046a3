//! The gateway daemon: configuration, storage, wiring, and the command `sluicegate`.
//!
//! Guarantees: the only crate of the gateway with an executor, sockets, files, clocks and randomness; it performs what
//! the protocol crates ask for, in order: persist, then send. Does not: decide anything that a protocol crate could.
//!
//! - storage: [`disk`], [`files`] (leaves), [`store`] (openings, anchors, outbox), [`recorder`] (both, in order)
//! - the running gateway: [`keeper`] (the thread that owns the storage, at its [`desk`]), [`anchorer`] (ledger),
//!   [`channels`] (payments), [`meter`] (which readings drive), [`socket`] (local programs), [`gateway`] (wiring)
//! - the field: [`field`] (what all transports share), [`devices`], [`intake`] (readings), [`senml`], [`coap`], [`mqtt`],
//!   [`net`] (datagrams, DTLS sessions)
//! - other gateways: [`peers`] (connections over TLS)
//! - the command: [`cli`], [`feed`], [`prove`], [`verify`], [`report`] (exit codes)

pub mod anchorer;
pub mod channels;
pub mod cli;
pub mod clock;
pub mod coap;
pub mod config;
pub mod credentials;
pub mod desk;
pub mod devices;
pub mod disk;
pub mod effects;
mod error;
pub mod feed;
pub mod field;
pub mod files;
pub mod gateway;
pub mod identity;
pub mod intake;
pub mod keeper;
pub mod meter;
pub mod mqtt;
pub mod net;
pub mod peers;
pub mod prove;
pub mod recorder;
pub mod report;
pub mod senml;
pub mod setup;
pub mod socket;
pub mod store;
#[cfg(test)]
mod testing;
pub mod time;
pub mod verify;
pub mod wire;

pub use error::Error;
