//! Two gateways, a ledger and the network between them, driven by a script.
//!
//! Guarantees: a script gives the same history on every machine; nothing sleeps; what is checked is checked after each
//! event (I1, I2) and at the end (I3, money to the unit). Does not: know how a gateway decides anything; it runs the
//! node of `gateway/channels` and the chain of `backends/embedded` with real keys and real bytes.
//!
//! - [`script`]: the events, their text, and how a seed becomes a script
//! - [`world`]: what an event does
//! - [`gateway`]: a node with its disk, its outbox and its connection
//! - [`ledger`]: the chain on a disk in memory
//! - [`check`]: what must hold
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "all of it is a test")]

pub mod check;
pub mod gateway;
pub mod ledger;
pub mod random;
pub mod script;
pub mod world;

pub use script::{Event, Script};
pub use world::{World, run};
