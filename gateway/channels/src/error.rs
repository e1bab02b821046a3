//! What can be wrong, and whose fault it is.

use crate::wire::Unsupported;

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The store holds something else than what was written; it is set aside, and the channel is restored from the peer
    /// and the ledger.
    #[error("{0} can't be read: the store is damaged")]
    Damaged(&'static str),
    /// A message of the peer breaks the encoding; the peer's fault, and its connection is closed.
    #[error("the peer's message can't be read: {0}")]
    Malformed(&'static str),
    /// A message of the peer is whole, but holds more than this crate does; it can be refused, and the connection stays.
    #[error(transparent)]
    Unsupported(Box<Unsupported>),
    /// A message of ours that has no encoding, or one that no peer would take; a bug here.
    #[error("the message can't be sent: {0}")]
    Unsendable(&'static str),
    /// A value breaks a rule of channels; the fault of who made it.
    #[error(transparent)]
    Protocol(#[from] sluicegate_protocol::Error),
}
