//! The one error type of this crate.
//!
//! [`Error::Mqtt`] and [`Error::Channel`] blame the peer, [`Error::Record`] the storage, the others the caller.

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A topic or payload that is not of the form that the gateway publishes.
    #[error("MQTT message is malformed: {0}")]
    Mqtt(&'static str),
    /// A request is under way; one at a time (RFC 7252 §4.7).
    #[error("a request is under way")]
    Busy,
    /// A message or a signature of a channel that breaks a rule.
    #[error(transparent)]
    Channel(#[from] sluicegate_protocol::Error),
    /// There is no room for more of them.
    #[error("there is no room for more {0}")]
    Full(&'static str),
    /// A record in the storage that is empty, torn or not the one that belongs there.
    #[error("the record can't be used: {0}")]
    Record(&'static str),
    /// Nothing was signed in this channel yet.
    #[error("the channel is not known")]
    UnknownChannel,
    /// The queue of readings is full.
    #[error("the queue of readings is full")]
    QueueFull,
    /// Something is longer than the room for it.
    #[error("{0} is too long")]
    TooLong(&'static str),
    /// A message that does not fit into the buffer that is to take it.
    #[error("the message does not fit into its buffer")]
    BufferFull,
}
