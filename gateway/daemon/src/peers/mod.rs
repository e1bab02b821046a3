//! Connections with other gateways and go-perun nodes; the only place with their sockets.
//!
//! Guarantees: a connection is with the peer whose certificate the administrator entered, in both directions, and a
//! message that comes over it is from that peer and for us (P6); there is at most one connection with a peer, and what
//! two connections bring never mixes: [`PeerEvent::Lost`] comes before the next [`PeerEvent::Connected`]. What a peer or
//! a stranger sends costs only its connection: handshakes, their number and pace, bytes a second, the largest message,
//! and what waits for a slow reader are bounded (I7). Does not: keep or repeat a message: what a connection lost is sent
//! again by the protocol above, which hears of every connection. Does not judge what messages say.
//!
//! - [`identity`], `certificate`: who we are; [`book`]: who the peers are; `tls`: only these
//! - `listener`, `doors`, `dialer`: how connections come to be; `auth`: go-perun's proof over a fresh one
//! - `hub`: which connection counts; `link`: a connection from there on; `inbox`: messages out of its bytes
//!
//! Order of calls: [`Peers::start`] within a `LocalSet`; events from the receiver, messages through the handle;
//! [`PeersHandle::stop`] at the end. A receiver that is not read makes all peers wait. Shown by `peers/tests.rs`;
//! `perun-interop` §1.1 to §1.3.

mod auth;
pub mod book;
mod certificate;
mod dialer;
mod doors;
mod fault;
mod hub;
pub mod identity;
mod inbox;
mod link;
mod listener;
#[cfg(test)]
mod tests;
mod tls;

use std::{net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use sluicegate_channels::wire::{AddressMap, Envelope, Message};
use tokio::{net::TcpListener, sync::mpsc};

pub(crate) use self::book::Book;
use self::{hub::Hub, identity::Identity};
use crate::{
    Error,
    config::{Channels, Config},
};

/// Events that wait for the node; beyond them, peers do.
const EVENTS: usize = 64;

/// What there is to know at the start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who we are.
    pub identity: Arc<Identity>,
    /// Where peers connect to.
    pub listen: Option<SocketAddr>,
    /// Who they are.
    pub book: Book,
    /// How much they may.
    pub limits: Limits,
}

/// How much peers and strangers may.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Handshakes under way with strangers.
    pub half_open: usize,
    /// From one address, also a known peer's.
    pub half_open_each: usize,
    /// Handshakes that all strangers begin a second on average, and at once: each costs an RSA signature.
    pub handshakes: (u32, u32),
    /// The same from one address, also a known peer's.
    pub handshakes_each: (u32, u32),
    /// How long a handshake may take, go-perun's proof included; and the making of a connection before it.
    pub handshake: Duration,
    /// How long a message may take from its first byte to its last, in either direction.
    pub whole: Duration,
    /// Bytes that a peer may send a second.
    pub bytes_per_second: u64,
    /// Messages that wait for a slow reader; beyond them its connection is closed.
    pub queue: usize,
    /// First and longest pause before a peer is tried again.
    pub pause: (Duration, Duration),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open: 16,
            half_open_each: 4,
            handshakes: (20, 40),
            handshakes_each: (4, 16),
            handshake: Duration::from_secs(10),
            whole: Duration::from_secs(30),
            bytes_per_second: 16 << 20,
            queue: 64,
            pause: (Duration::from_millis(500), Duration::from_secs(60)),
        }
    }
}

/// What peers do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// A connection stands and is authenticated; the peer has this address on the wire.
    Connected(String, AddressMap),
    /// The connection is gone.
    Lost(String),
    /// A message; sender and recipient are those of the connection.
    Message(String, Envelope),
}

/// The way to the connections.
#[derive(Clone)]
pub struct PeersHandle(Rc<Hub>);

/// The connections' task.
#[derive(Debug)]
pub struct Peers;

impl Settings {
    /// Of a configuration with `[channels]`; makes our key if there is none.
    pub fn load(config: &Config, channels: &Channels) -> Result<Self, Error> {
        Ok(Self {
            identity: Identity::load(config, channels)?,
            listen: channels.listen,
            // The configuration was checked when it was read.
            book: Book::new(&config.peers).map_err(Error::Usage)?,
            limits: Limits::default(),
        })
    }
}

impl Peers {
    /// Begins to listen and to connect, within a `LocalSet`.
    pub async fn start(
        settings: Settings,
    ) -> Result<(PeersHandle, mpsc::Receiver<PeerEvent>), Error> {
        let Settings { identity, listen, book, limits } = settings;
        let socket = match listen {
            None => None,
            Some(address) => Some(bind(address).await?),
        };
        let local = socket.as_ref().and_then(|socket| socket.local_addr().ok());
        let (events, receiver) = mpsc::channel(EVENTS);
        let hub = Hub::new(identity, limits, events, local)?;
        hub.reload(book)?;
        if let Some(socket) = socket {
            let task = tokio::task::spawn_local(listener::run(Rc::clone(&hub), socket));
            hub.owns(task.abort_handle());
        }
        Ok((PeersHandle(hub), receiver))
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let what = format!("listening for peers at {address}");
    TcpListener::bind(address).await.map_err(|source| Error::Network { what, source })
}

impl PeersHandle {
    /// Our address on the wire.
    pub fn address(&self) -> &AddressMap {
        self.0.identity.address()
    }

    /// Where peers connect to.
    pub fn listens(&self) -> Option<SocketAddr> {
        self.0.local
    }

    /// Hands a message to the peer's connection; whether there is one. A peer that takes too little too long loses it.
    pub fn send(&self, peer: &str, message: Message) -> bool {
        self.0.send(peer, message)
    }

    /// Closes the peer's connection.
    pub fn disconnect(&self, peer: &str, reason: &str) {
        self.0.close(peer, reason);
    }

    /// The peers that are connected.
    pub fn connected(&self) -> Vec<String> {
        self.0.connected()
    }

    /// Takes another address book; who is not in it any more, or is another, loses the connection.
    pub fn reload(&self, book: Book) -> Result<(), Error> {
        self.0.reload(book)
    }

    /// Ends all connections; waits a moment until the peers were told.
    pub async fn stop(&self) {
        self.0.stop().await;
    }
}
