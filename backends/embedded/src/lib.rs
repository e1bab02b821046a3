//! The embedded ledger: the gateway's default, with nothing installed, and the model the others are compared with.
//!
//! Blocks of signed transactions in a file of its own with one owner process, which serves other gateways on a local
//! socket. Its heads are signed: it is trusted by whoever accepts its key, and proves order and integrity, not time.
//!
//! Guarantees: a transaction is on disk before it is answered, a block before it is shown; two signed heads never
//! contradict each other, through any crash. Does not: know what an anchored digest means, or keep keys.
//!
//! - [`client`]: [`Client`] and [`Embedded`], which implement the port over the socket and in process
//! - [`transaction`]: what an account signs
//! - [`anchors`]: digests on the ledger and their evidence
//! - `channels`, [`asset`]: payment channels, and the ledger's money as they name it
//! - [`owner`]: the one process that owns the file; clock and faults
//! - [`server`]: the local socket
//! - [`wire`]: the messages on it
//! - [`chain`]: the state machine of blocks, accounts and events
//! - [`pace`]: ledger time, which never steps
//! - `books`, `adjudicator`, `holdings`: the rules of channels and money, with the way back
//! - [`record`], [`disk`]: the file
//!
//! Order of use: [`Owner::open`], then [`server::serve`] or [`owner::drive`] with [`Embedded::new`]; elsewhere
//! [`Client::new`]. Shown by: `tests/`.
#![forbid(unsafe_code)]

mod adjudicator;
pub mod anchors;
pub mod asset;
mod books;
pub mod chain;
mod channels;
pub mod client;
pub mod disk;
mod error;
mod holdings;
pub mod owner;
pub mod pace;
pub mod record;
pub mod server;
mod socket;
mod state;
pub mod transaction;
mod tree;
mod undo;
pub mod wire;

pub use chain::{Chain, Settings};
pub use client::{Backend, Client, Embedded};
pub use error::Error;
pub use owner::{Clock, Faults, ManualClock, Owner, SystemClock};
pub use socket::Remote;
