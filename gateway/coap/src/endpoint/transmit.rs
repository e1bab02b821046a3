//! Messages of ours on their way (RFC 7252 §4.2, §4.3, §4.7): repetition, NSTART, PROBING_RATE, and
//! the limit for peers that have not proven their address (RFC 9175 §2.4).
//!
//! Guarantees: at most NSTART confirmable messages are in flight to a peer, the others wait in order;
//! a peer that is neither verified nor proven never gets more than three times the bytes that came
//! from it, unless the caller itself sends it a request. Does not: wait for responses; [`super::client`]
//! does.

use super::{Endpoint, Output, Peer, peers::State, timers::Timer};
use crate::{
    Failure,
    message::{self, Kind},
};

/// Bytes that a peer of unproven address may get for each byte received.
pub(super) const AMPLIFICATION: usize = 3;

/// For whom a message is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A request of ours.
    Call(u64),
    /// A response, or the end of an observation: nobody asks what became of it.
    Nobody,
    /// A notification.
    Observation(u64),
}

/// A message that waits for its turn; its message ID is set when it is sent.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) owner: Owner,
    pub(super) kind: Kind,
    pub(super) datagram: Vec<u8>,
}

/// A confirmable message in flight.
#[derive(Debug)]
pub(super) struct Transmission {
    peer: u64,
    id: u16,
    owner: Owner,
    datagram: Vec<u8>,
    repetitions: u32,
    timeout: u64,
    /// When it was sent last.
    sent: u64,
}

impl<P: Peer> Endpoint<P> {
    /// Puts a message at the end of the peer's queue. Gives it back to nobody if there is no room:
    /// false.
    pub(super) fn enqueue(&mut self, now: u64, peer: u64, outgoing: Outgoing) -> bool {
        let Some(state) = self.peers.get(peer) else { return false };
        let full = state.waiting.len() >= self.settings.waiting_per_peer;
        if full || !self.reserve(peer, outgoing.datagram.len()) {
            return false;
        }
        if let Some(state) = self.peers.get_mut(peer) {
            state.waiting.push_back(outgoing);
        }
        self.pump(now, peer);
        true
    }

    /// Sends what may be sent.
    pub(super) fn pump(&mut self, now: u64, peer: u64) {
        while let Some(state) = self.peers.get_mut(peer) {
            let Some(next) = state.waiting.front() else { return };
            if next.kind == Kind::Con && state.in_flight.len() >= self.settings.nstart.max(1) {
                return;
            }
            if next.kind == Kind::Non && now < state.probed_until {
                return self.timers.set(Timer::Probe(peer), state.probed_until);
            }
            let Some(next) = state.waiting.pop_front() else { return };
            let id = state.take_id();
            self.launch(now, peer, id, next);
        }
    }

    fn launch(&mut self, now: u64, peer: u64, id: u16, outgoing: Outgoing) {
        let Outgoing { owner, kind, mut datagram } = outgoing;
        message::readdress(&mut datagram, kind, id);
        self.sent_as(owner, id);
        if kind != Kind::Con {
            self.release(peer, datagram.len());
            return self.send_unacknowledged(now, peer, owner, datagram);
        }
        self.send(peer, owner, datagram.clone());
        let timeout = self.fresh.jitter(self.settings.ack_timeout);
        let transmission =
            Transmission { peer, id, owner, datagram, repetitions: 0, timeout, sent: now };
        let transmission = self.transmissions.insert(transmission);
        if let Some(state) = self.peers.get_mut(peer) {
            state.in_flight.push(transmission);
        }
        self.timers.set(Timer::Transmission(transmission), now.saturating_add(timeout));
    }

    /// A peer that keeps silent gets such messages at PROBING_RATE only.
    fn send_unacknowledged(&mut self, now: u64, peer: u64, owner: Owner, datagram: Vec<u8>) {
        let rate = u64::from(self.settings.probing_rate.max(1));
        if let Some(state) = self.peers.get_mut(peer) {
            let pause = (datagram.len() as u64).saturating_mul(1000) / rate;
            state.probed_until = state.probed_until.max(now).saturating_add(pause);
        }
        self.send(peer, owner, datagram);
    }

    /// Sends a datagram, unless the peer may not get so much.
    pub(super) fn send(&mut self, peer: u64, owner: Owner, datagram: Vec<u8>) {
        let Some(state) = self.peers.get_mut(peer) else { return };
        if !state.is_trusted() && !matches!(owner, Owner::Call(_)) {
            let Some(rest) = state.credit.checked_sub(datagram.len()) else { return };
            state.credit = rest;
        }
        let peer = state.key;
        self.outputs.push_back(Output::Send { peer, datagram });
    }

    /// No acknowledgement came in time.
    pub(super) fn transmission_due(&mut self, now: u64, id: u64) {
        let max = self.settings.max_retransmit;
        let Some(transmission) = self.transmissions.get_mut(id) else { return };
        let (peer, owner) = (transmission.peer, transmission.owner);
        if transmission.repetitions >= max {
            self.end_transmission(id);
            self.failed(now, owner, Failure::Timeout);
            return self.pump(now, peer);
        }
        (transmission.repetitions, transmission.sent) = (transmission.repetitions + 1, now);
        transmission.timeout = transmission.timeout.saturating_mul(2);
        let deadline = now.saturating_add(transmission.timeout);
        self.supersede(peer, id, owner);
        let Some(transmission) = self.transmissions.get(id) else { return };
        let datagram = transmission.datagram.clone();
        self.send(peer, owner, datagram);
        self.timers.set(Timer::Transmission(id), deadline);
    }

    /// The peer is awake: what it has not acknowledged goes out once more, unless it was sent within ACK_TIMEOUT. The
    /// repetitions that are due count as before.
    pub(super) fn repeat_unacknowledged(&mut self, now: u64, peer: u64) {
        let Some(state) = self.peers.get(peer) else { return };
        let pause = self.settings.ack_timeout;
        for id in state.in_flight.clone() {
            let Some(found) = self.transmissions.get_mut(id) else { continue };
            if now.saturating_sub(found.sent) >= pause {
                found.sent = now;
                let (owner, datagram) = (found.owner, found.datagram.clone());
                self.send(peer, owner, datagram);
            }
        }
    }

    /// A notification whose state is outdated is repeated with the newer state (RFC 7641 §4.5.2).
    fn supersede(&mut self, peer: u64, transmission: u64, owner: Owner) {
        let Some(state) = self.peers.get_mut(peer) else { return };
        let newer = |next: &Outgoing| next.owner == owner;
        let is_notification = matches!(owner, Owner::Observation(_));
        let Some(place) = state.waiting.iter().position(newer).filter(|_| is_notification) else {
            return;
        };
        let Some(mut outgoing) = state.waiting.remove(place) else { return };
        let id = state.take_id();
        message::readdress(&mut outgoing.datagram, Kind::Con, id);
        if let Some(transmission) = self.transmissions.get_mut(transmission) {
            let old = std::mem::replace(&mut transmission.datagram, outgoing.datagram);
            transmission.id = id;
            self.release(peer, old.len());
        }
    }

    /// Whether a peer's message ID is that of a message in flight, and for whom it was sent; it is
    /// no longer in flight then.
    fn take_in_flight(&mut self, peer: u64, id: u16) -> Option<Owner> {
        let state = self.peers.get(peer)?;
        let is_it = |found: &&u64| self.transmissions.get(**found).is_some_and(|it| it.id == id);
        let found = *state.in_flight.iter().find(is_it)?;
        self.end_transmission(found)
    }

    pub(super) fn end_transmission(&mut self, id: u64) -> Option<Owner> {
        let transmission = self.transmissions.remove(id)?;
        self.timers.clear(Timer::Transmission(id));
        if let Some(state) = self.peers.get_mut(transmission.peer) {
            state.in_flight.retain(|other| *other != id);
        }
        self.release(transmission.peer, transmission.datagram.len());
        Some(transmission.owner)
    }

    /// The peer acknowledged a message, with or without a response in it.
    pub(super) fn acknowledged(&mut self, now: u64, peer: u64, id: u16) -> Option<Owner> {
        let owner = self.take_in_flight(peer, id)?;
        match owner {
            Owner::Call(call) => self.call_acknowledged(now, call),
            Owner::Observation(observation) => self.observer_lives(now, observation),
            Owner::Nobody => {}
        }
        Some(owner)
    }

    /// The peer rejected a message.
    pub(super) fn rejected(&mut self, now: u64, peer: u64, id: u16) {
        let owner = self.take_in_flight(peer, id);
        if let Some(owner) = owner.or_else(|| self.owner_of_unconfirmed(peer, id)) {
            self.failed(now, owner, Failure::Reset);
        }
        self.pump(now, peer);
    }

    fn failed(&mut self, now: u64, owner: Owner, failure: Failure) {
        match owner {
            Owner::Call(call) => self.fail_call(now, call, failure),
            Owner::Observation(observation) => self.end_observation(observation),
            Owner::Nobody => {}
        }
    }

    /// For whom a non-confirmable message with this ID was sent lately.
    fn owner_of_unconfirmed(&self, peer: u64, id: u16) -> Option<Owner> {
        let State { observations, calls, .. } = self.peers.get(peer)?;
        let observation = observations.iter().find(|observation| {
            self.observations.get(**observation).is_some_and(|it| it.ids.contains(&Some(id)))
        });
        let call = calls
            .iter()
            .find(|call| self.calls.get(**call).is_some_and(|it| it.last_id == Some(id)));
        let observation = observation.map(|id| Owner::Observation(*id));
        observation.or(call.map(|id| Owner::Call(*id)))
    }

    /// Remembers the message ID of a message, for a reset.
    fn sent_as(&mut self, owner: Owner, id: u16) {
        match owner {
            Owner::Call(call) => {
                if let Some(call) = self.calls.get_mut(call) {
                    call.last_id = Some(id);
                }
            }
            Owner::Observation(observation) => {
                if let Some(observation) = self.observations.get_mut(observation) {
                    observation.ids.rotate_right(1);
                    observation.ids[0] = Some(id);
                }
            }
            Owner::Nobody => {}
        }
    }

    /// Takes back the messages of an owner that are not acknowledged yet.
    pub(super) fn withdraw(&mut self, now: u64, peer: u64, owner: Owner) {
        let Some(state) = self.peers.get_mut(peer) else { return };
        let mut bytes = 0;
        state.waiting.retain(|waiting| {
            let keep = waiting.owner != owner;
            bytes += if keep { 0 } else { waiting.datagram.len() };
            keep
        });
        let mine = |id: &&u64| self.transmissions.get(**id).is_some_and(|it| it.owner == owner);
        let ended: Vec<_> = state.in_flight.iter().filter(mine).copied().collect();
        self.release(peer, bytes);
        ended.into_iter().for_each(|id| {
            self.end_transmission(id);
        });
        self.pump(now, peer);
    }
}
