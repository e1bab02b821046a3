//! Why a connection did not come to be, or ended.
//!
//! Guarantees: the text holds nothing that the peer sent beyond a fingerprint, and no secret; it may be logged.

use std::io;

use sluicegate_channels as channels;

/// Why a connection did not come to be, or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The peer's proof of its wire address fails.
    #[error("its proof of its wire address fails: {0}")]
    Authentication(&'static str),
    /// We close it.
    #[error("{0}")]
    Closing(String),
    /// The peer closed it.
    #[error("the peer closed the connection")]
    Closed,
    /// The network failed, or TLS refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer took too long.
    #[error("no {0} in time")]
    Late(&'static str),
    /// A message breaks the encoding.
    #[error(transparent)]
    Message(channels::Error),
    /// The certificate has no RSA key.
    #[error("its certificate has no RSA key, and wire_key is not set")]
    NoKey,
    /// A message says that it is from or for somebody else.
    #[error("a message with another sender or recipient than the connection's")]
    Routing,
    /// We can't sign or use our key.
    #[error(transparent)]
    Own(#[from] crate::Error),
    /// The certificate is in no entry, any more.
    #[error("its certificate is not in the address book")]
    Unknown,
}
