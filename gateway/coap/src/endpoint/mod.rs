//! The endpoint: datagrams, calls and `now` in, ordered effects out.
//!
//! Methods come in four families. Input: [`Endpoint::receive`], [`Endpoint::handle_timeout`].
//! Commands: [`Endpoint::respond`], [`Endpoint::notify`], [`Endpoint::request`],
//! [`Endpoint::observe`], [`Endpoint::cancel`], [`Endpoint::forget`]. Work out: [`Endpoint::poll`],
//! to be called until it gives nothing after every input and command. Questions:
//! [`Endpoint::next_timeout`], [`Endpoint::usage`].
//!
//! `now` is monotonic and never goes back, in milliseconds.

use std::{collections::VecDeque, fmt::Debug, hash::Hash};

use crate::{Error, Failure, Request, Response, Settings};

/// A peer's key, chosen by the caller: an address, or a DTLS session.
pub trait Peer: Copy + Eq + Hash + Ord + Debug {}

impl<P: Copy + Eq + Hash + Ord + Debug> Peer for P {}

/// A request of a peer that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(u64);

/// A peer's observation of a resource of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObservationId(u64);

/// A request of ours, or our observation of a peer's resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(u64);

/// An effect, to be performed in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output<P> {
    /// A datagram for a peer.
    Send {
        /// To whom.
        peer: P,
        /// What.
        datagram: Vec<u8>,
    },
    /// A whole request: answer it with [`Endpoint::respond`].
    Request {
        /// What to answer.
        exchange: ExchangeId,
        /// Who asks.
        peer: P,
        /// What it wants.
        request: Request,
        /// The peer wants to be told about changes: it is, once the answer is a 2.xx.
        observe: Option<ObservationId>,
    },
    /// The answer to a request of ours, or why there is none. The last output for this request,
    /// unless it observes and the answer is a 2.xx.
    Response {
        /// The request.
        id: RequestId,
        /// Its answer.
        result: Result<Response, Failure>,
    },
    /// A later state of a resource that we observe.
    Notification {
        /// The observation.
        id: RequestId,
        /// The state.
        response: Response,
    },
    /// A peer no longer observes.
    ObservationEnded {
        /// The observation.
        observation: ObservationId,
    },
}

/// What an endpoint holds at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Peers.
    pub peers: usize,
    /// Bytes of bodies, stored answers and waiting messages.
    pub bytes: usize,
    /// Exchanges whose repetitions are recognised.
    pub exchanges: usize,
    /// Observations by peers.
    pub observations: usize,
    /// Requests and observations of ours.
    pub requests: usize,
}

/// A CoAP endpoint, client and server in one.
#[derive(Debug)]
pub struct Endpoint<P> {
    settings: Settings,
    outputs: VecDeque<Output<P>>,
}

impl<P: Peer> Endpoint<P> {
    /// An endpoint without peers. All randomness comes from `seed`, which must be secret and
    /// different at each start.
    pub fn new(settings: Settings, seed: [u8; 32]) -> Self {
        let _ = seed;
        Self { settings, outputs: VecDeque::new() }
    }

    /// One datagram in. `verified`: the address of the peer is proven, by DTLS say.
    pub fn receive(&mut self, now: u64, peer: P, verified: bool, datagram: &[u8]) {
        let _ = (now, peer, verified, datagram);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: u64) {
        let _ = now;
    }

    /// When [`Endpoint::handle_timeout`] has to be called at the latest; may be earlier than needed.
    pub fn next_timeout(&self) -> Option<u64> {
        None
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// Answers a request. Nothing happens if the peer or the exchange is gone.
    pub fn respond(&mut self, now: u64, exchange: ExchangeId, response: Response) {
        let _ = (now, exchange, response);
    }

    /// Tells an observer the new state; anything but 2.xx ends the observation.
    pub fn notify(&mut self, now: u64, observation: ObservationId, response: Response) {
        let _ = (now, observation, response);
    }

    /// Sends a request. Fails if there are too many, or its payload is too large.
    pub fn request(&mut self, now: u64, peer: P, request: Request) -> Result<RequestId, Error> {
        let _ = (now, peer, request);
        Err(Error::TooMany { what: "requests", limit: self.settings.requests })
    }

    /// Sends a GET or FETCH and goes on listening to changes until [`Endpoint::cancel`].
    pub fn observe(&mut self, now: u64, peer: P, request: Request) -> Result<RequestId, Error> {
        self.request(now, peer, request)
    }

    /// Takes back a request, ends an observation; no output for it comes any more.
    pub fn cancel(&mut self, now: u64, id: RequestId) {
        let _ = (now, id);
    }

    /// The peer is gone: drops its state, fails our requests to it, ends its observations.
    pub fn forget(&mut self, peer: P) {
        let _ = peer;
    }

    /// What it holds.
    pub fn usage(&self) -> Usage {
        Usage::default()
    }
}
