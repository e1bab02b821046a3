//! The ledger port: what the gateway asks of a ledger, in the same words for all of them.
//!
//! Guarantees: no executor, socket, file, clock or randomness of its own; amounts are checked integers; a decoder
//! accepts exactly one encoding of a value and never panics. Does not: know any ledger; each backend does.
//!
//! - [`port`]: the capabilities that a backend implements, and their values
//! - [`channels`]: the capability of payment channels, and its values
//! - [`request`]: what the gateway wants from a ledger
//! - [`evidence`]: the proof that an anchor or a block is on the embedded ledger
//! - [`fees`]: the two fee budgets
//! - [`outbox`]: the durable state machine that every transaction goes through
//! - [`conformance`]: the rules that every backend is run against
//! - [`cbor`]: strict decoding and the encodings of shared values
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cbor;
pub mod channels;
pub mod conformance;
mod error;
pub mod evidence;
pub mod fees;
pub mod outbox;
pub mod port;
pub mod request;

pub use channels::{
    ChannelAsset, Channels, Claim, Conclusion, Deposit, Dispute, MAX_SUBS, Movement, Payout, Phase,
    Progression, Registration, SignedState, Terms, Withdrawal,
};
pub use error::{Error, Remedy};
pub use evidence::{AnchorEvidence, AnchorFacts, BlockEvidence, BlockFacts};
pub use fees::{Budgets, Class, Limits};
pub use outbox::Outbox;
pub use port::{
    Account, AccountId, AnchorRecord, Anchors, Asset, BlockRef, Cursor, Description, Event,
    EventKind, EventPage, Fee, Finality, Head, Landed, Ledger, LedgerId, Reply, Signed, Status,
    TransactionId, Unsigned,
};
pub use request::Request;
