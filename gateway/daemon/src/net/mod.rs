//! The way of datagrams between devices and the CoAP endpoint: UDP, and DTLS 1.2 with a key per device.
//!
//! - [`udp`]: a socket that receives and sends in batches; the only part with a socket
//! - [`psk`]: who is enrolled with which key
//! - [`dtls`]: the sessions, without a socket and without a clock: datagrams and `now` in, datagrams and events out
//!
//! One task owns both: what [`udp::Udp`] receives goes to [`dtls::Sessions::receive`], and every output is polled and
//! sent before the next batch. Without DTLS (`security = "none"`) the datagrams are CoAP messages themselves.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

pub mod dtls;
pub mod psk;
pub mod udp;

/// Between which addresses a datagram travels.
///
/// An IPv4 address is always written as one, also on a socket for both families, and flow labels are 0, so two paths
/// that lead to the same place are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// The other side.
    pub peer: SocketAddr,
    /// The address of this machine that the other side speaks to, where the system told it: answers leave from it.
    pub local: Option<IpAddr>,
}

impl Path {
    /// A path to `peer` from whatever address the system chooses.
    pub const fn to(peer: SocketAddr) -> Self {
        Self { peer, local: None }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.local {
            Some(local) => write!(f, "{} (at {local})", self.peer),
            None => write!(f, "{}", self.peer),
        }
    }
}

/// A datagram to send.
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram {
    /// Where it goes, and from where.
    pub path: Path,
    /// What it carries.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes to {:?}", self.bytes.len(), self.path)
    }
}
