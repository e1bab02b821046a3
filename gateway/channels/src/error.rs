//! What can be wrong, and whose fault it is.

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message of the peer breaks the encoding; the peer's fault, and its connection is closed.
    #[error("the peer's message can't be read: {0}")]
    Malformed(&'static str),
    /// A value breaks a rule of channels; the fault of who made it.
    #[error(transparent)]
    Protocol(#[from] sluicegate_protocol::Error),
}
