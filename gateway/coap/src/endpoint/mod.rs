//! The endpoint: datagrams, calls and `now` in, ordered effects out.
//!
//! Methods come in four families. Input: [`Endpoint::receive`], [`Endpoint::handle_timeout`].
//! Commands: [`Endpoint::respond`], [`Endpoint::accept`], [`Endpoint::notify`], [`Endpoint::request`],
//! [`Endpoint::observe`], [`Endpoint::cancel`], [`Endpoint::awake`], [`Endpoint::forget`]. Work out: [`Endpoint::poll`],
//! to be called until it gives nothing after every input and command. Questions:
//! [`Endpoint::next_timeout`], [`Endpoint::usage`].
//!
//! `now` is monotonic and never goes back, in milliseconds.

mod blocks;
mod client;
mod exchanges;
mod extras;
mod memory;
mod observers;
mod peers;
mod server;
mod slab;
mod timers;
mod transmit;

use std::{
    collections::{HashMap, VecDeque},
    fmt::Debug,
    hash::Hash,
};

use client::{Call, Heard};
use exchanges::{Exchanges, Reply, Stage};
use extras::Extras;
use observers::Observation;
use peers::Peers;
use slab::Slab;
use timers::{Timer, Timers};
use transmit::{Owner, Transmission};

use crate::{
    Code, Failure, Options, Request, Response, Settings,
    block::Block,
    fresh::Fresh,
    hash::Keyed,
    message::{self, Kind, Malformed, Message, Token},
    option,
};

/// Bytes of a datagram that are left for header and options beside a block.
const ROOM_FOR_OPTIONS: usize = 128;

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
    /// A whole request: answer it with [`Endpoint::respond`] or [`Endpoint::accept`].
    Request {
        /// What to answer.
        exchange: ExchangeId,
        /// Who asks.
        peer: P,
        /// What it wants.
        request: Request,
        /// The peer wants to be told about changes: [`Endpoint::accept`] promises it.
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
    /// Exponent of the largest block that fits into a datagram with its options.
    block: u8,
    hash: Keyed,
    fresh: Fresh,
    peers: Peers<P>,
    exchanges: Exchanges,
    observations: Slab<Observation>,
    calls: Slab<Call>,
    /// Which request of ours a token belongs to.
    tokens: HashMap<(u64, Token), u64, Keyed>,
    transmissions: Slab<Transmission>,
    timers: Timers,
    outputs: VecDeque<Output<P>>,
}

impl<P: Peer> Endpoint<P> {
    /// An endpoint without peers. All randomness comes from `seed`, which must be secret and
    /// different at each start.
    pub fn new(settings: Settings, seed: [u8; 32]) -> Self {
        let mut fresh = Fresh::new(seed);
        let hash = Keyed::new([fresh.number(), fresh.number()]);
        let fits = |exponent: &u8| (16 << exponent) + ROOM_FOR_OPTIONS <= settings.datagram;
        Self {
            block: (0..=settings.block.min(6)).rev().find(fits).unwrap_or(0),
            hash,
            fresh,
            peers: Peers::new(settings.peers.max(1), hash),
            exchanges: Exchanges::new(hash),
            observations: Slab::new(),
            calls: Slab::new(),
            tokens: HashMap::with_hasher(hash),
            transmissions: Slab::new(),
            timers: Timers::new(hash),
            outputs: VecDeque::new(),
            settings,
        }
    }

    /// One datagram in. `verified`: the address of the peer is proven, by DTLS say.
    pub fn receive(&mut self, now: u64, peer: P, verified: bool, datagram: &[u8]) {
        if datagram.len() > self.settings.datagram {
            return self.too_long(peer, datagram);
        }
        let message = match message::parse(datagram) {
            Ok(message) => message,
            Err(Malformed::Format { kind: Kind::Con, id }) => return self.reset(peer, id),
            Err(_) => return,
        };
        let is_request = !message.code.is_response() && message.code != Code::EMPTY;
        match message.kind {
            Kind::Con if message.code == Code::EMPTY => self.reset(peer, message.id),
            Kind::Con | Kind::Non if is_request => {
                if let Some(id) = self.heard(now, peer, verified, datagram.len(), true) {
                    self.request_arrived(now, id, &message);
                    self.resume(now, id);
                }
            }
            _ if is_request || message.kind == Kind::Rst && message.code != Code::EMPTY => {}
            _ => match self.heard(now, peer, verified, datagram.len(), false) {
                Some(id) => {
                    self.answer_arrived(now, id, &message);
                    self.resume(now, id);
                }
                None if message.kind == Kind::Con => self.reset(peer, message.id),
                None => {}
            },
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: u64) {
        while let Some(id) = self.exchanges.ended(now) {
            self.remove_exchange(id);
        }
        while let Some(id) = self.exchanges.unacknowledged(now) {
            self.acknowledge(id);
        }
        while let Some(timer) = self.timers.due(now) {
            match timer {
                Timer::Call(id) => self.call_due(now, id),
                Timer::Probe(peer) => self.pump(now, peer),
                Timer::Transfers(peer) => self.transfers_due(now, peer),
                Timer::Transmission(id) => self.transmission_due(now, id),
            }
        }
        self.drop_silent(now);
    }

    /// When [`Endpoint::handle_timeout`] has to be called at the latest; may be earlier than needed.
    pub fn next_timeout(&self) -> Option<u64> {
        let silent = self.peers.oldest().map(|(_, state)| self.silent_at(state.seen)).min();
        [self.exchanges.next(), self.timers.next(), silent].into_iter().flatten().min()
    }

    /// The next effect.
    pub fn poll(&mut self) -> Option<Output<P>> {
        self.outputs.pop_front()
    }

    /// The peer is gone: drops its state, fails our requests to it, ends its observations.
    pub fn forget(&mut self, peer: P) {
        if let Some(id) = self.peers.find(&peer) {
            self.drop_peer(id, Failure::Forgotten);
        }
    }

    /// What it holds.
    pub fn usage(&self) -> Usage {
        Usage {
            peers: self.peers.len(),
            bytes: self.peers.held(),
            exchanges: self.exchanges.len(),
            observations: self.observations.len(),
            requests: self.calls.len(),
        }
    }

    /// An acknowledgement, a reset or a response came.
    fn answer_arrived(&mut self, now: u64, peer: u64, message: &Message<'_>) {
        match (message.kind, message.code) {
            (Kind::Rst, _) => self.rejected(now, peer, message.id),
            (Kind::Ack, Code::EMPTY) => {
                self.acknowledged(now, peer, message.id);
            }
            (Kind::Ack, _) => {
                let owner = self.acknowledged(now, peer, message.id);
                let call = self.call_of(peer, message.token);
                if let Some(call) = call.filter(|call| owner == Some(Owner::Call(*call))) {
                    self.response_arrived(now, peer, call, message);
                }
            }
            (_, Code::EMPTY) => {}
            _ if self.is_repetition(peer, message) => {}
            (kind, _) => match self.call_of(peer, message.token) {
                Some(call) => self.response_arrived(now, peer, call, message),
                None => {
                    let observes = message.options().any(|(number, _)| number == option::OBSERVE);
                    if kind == Kind::Con || observes {
                        self.reject(peer, message.id);
                    }
                }
            },
        }
    }

    /// A response to a request of ours.
    fn response_arrived(&mut self, now: u64, peer: u64, call: u64, message: &Message<'_>) {
        let Ok(mut options) = Options::accept(message.options().as_bytes()) else {
            if message.kind == Kind::Con {
                self.reject(peer, message.id);
            }
            return self.fail_call(now, call, Failure::BadOption);
        };
        if message.kind == Kind::Con {
            self.remember(now, peer, message, Stage::Done(Reply::Ack));
            self.send(peer, Owner::Nobody, message::empty(Kind::Ack, message.id).to_vec());
        }
        if let Some(state) = self.peers.get_mut(peer) {
            state.proven = true;
        }
        let extras = Extras::take(&mut options);
        let Message { token, code, payload, .. } = *message;
        self.answered(now, call, Heard { token, code, options, extras, payload });
    }

    /// Tells who asks with too long a message to send its body in blocks (RFC 7959 §2.9.3), and keeps nothing: the answer is
    /// shorter than the message.
    fn too_long(&mut self, peer: P, datagram: &[u8]) {
        let Ok(Message { kind, code, id, token, .. }) = Message::parse(datagram) else { return };
        let kind = match kind {
            Kind::Con => Kind::Ack,
            Kind::Non => Kind::Non,
            Kind::Ack | Kind::Rst => return,
        };
        if code.is_response() || code == Code::EMPTY {
            return;
        }
        let [high, low, ..] = self.fresh.bytes();
        let id = if kind == Kind::Ack { id } else { u16::from_be_bytes([high, low]) };
        let hint = Block { number: 0, more: false, exponent: self.block };
        let response = Response::new(Code::REQUEST_ENTITY_TOO_LARGE);
        let extra = [(option::BLOCK1, hint.encode())];
        let datagram = Self::compose(kind, id, token, &response, &extra, 0..0);
        self.outputs.push_back(Output::Send { peer, datagram });
    }

    fn reject(&mut self, peer: u64, id: u16) {
        self.send(peer, Owner::Nobody, message::empty(Kind::Rst, id).to_vec());
    }

    /// Rejects a message of a peer that nothing is kept for; it is not shorter than the reset.
    fn reset(&mut self, peer: P, id: u16) {
        let datagram = message::empty(Kind::Rst, id).to_vec();
        self.outputs.push_back(Output::Send { peer, datagram });
    }
}
