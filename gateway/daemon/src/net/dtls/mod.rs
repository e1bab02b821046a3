//! The DTLS 1.2 sessions with devices (RFC 6347, RFC 4279), around `dimpl`, which does the handshake and the records.
//!
//! Guarantees: only who holds an enrolled key opens a session, and its identity says which device speaks. Nothing is
//! kept for an address that did not return a cookie. A handshake on the address of an open session leaves that session
//! alone until it is complete; then the new one replaces it, and a device has one session at a time, the newest.
//! Sessions are bounded in number. Does not: own a socket or a clock, or resume sessions; `dimpl` has no connection
//! identifiers, so a device whose address changes begins a new handshake.
//!
//! Call [`Sessions::receive`], [`Sessions::send`], [`Sessions::close`] or [`Sessions::handle_timeout`], then
//! [`Sessions::poll_output`] until it is empty, then wait until [`Sessions::next_timeout`].

mod cookie;
mod link;
mod record;
mod sessions;

use std::{fmt, time::Duration};

pub use self::sessions::Sessions;
use super::{Datagram, Path, psk::Identity};

/// The bounds of the table.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most handshakes under way, all devices together; about 5 KB each.
    pub half_open: usize,
    /// Most open sessions; about 7 KB each. The one that was quiet for longest makes room.
    pub established: usize,
    /// Longest UDP payload to send, in bytes.
    pub mtu: usize,
    /// A handshake that is not complete after this is forgotten.
    pub handshake: Duration,
    /// First pause before a flight is sent again; doubles.
    pub retransmit: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            half_open: 512,
            established: 4096,
            // IPv6's smallest MTU without its header and UDP's.
            mtu: 1280 - 40 - 8,
            handshake: Duration::from_secs(20),
            retransmit: Duration::from_secs(1),
        }
    }
}

/// Names a session; never used again in the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

#[cfg(test)]
impl SessionId {
    pub(crate) const fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// What the table wants done, in order.
#[derive(Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram.
    Send(Datagram),
    /// A device has proved that it holds its key.
    Opened {
        /// The new session.
        session: SessionId,
        /// The device.
        identity: Identity,
        /// Where it is.
        path: Path,
    },
    /// A device said something, once.
    Data {
        /// Through which session.
        session: SessionId,
        /// What.
        plaintext: Vec<u8>,
    },
    /// A session that was opened is over.
    Closed {
        /// Which.
        session: SessionId,
        /// Why.
        reason: Closed,
    },
}

impl fmt::Debug for Output {
    /// Without what was said, which may be a one-time password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(datagram) => write!(f, "send {datagram:?}"),
            Self::Opened { session, identity, path } => {
                write!(f, "{session:?} opened by {identity:?} at {path:?}")
            }
            Self::Data { session, plaintext } => {
                write!(f, "{} bytes in {session:?}", plaintext.len())
            }
            Self::Closed { session, reason } => write!(f, "{session:?} closed: {reason:?}"),
        }
    }
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closed {
    /// The device said good-bye.
    ByPeer,
    /// [`Sessions::close`].
    ByUs,
    /// The device is no longer enrolled, or has another key.
    NotEnrolled,
    /// The device, or another one at its address, has a newer session.
    Replaced,
    /// The session was quiet for longest when another one needed its place.
    Evicted,
    /// An authenticated fatal alert, or an error of the session itself.
    Failed,
}

/// Why a message is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The session is not open, or no longer.
    Closed,
    /// It does not fit in one record, see [`Sessions::max_plaintext`].
    TooLong,
}
