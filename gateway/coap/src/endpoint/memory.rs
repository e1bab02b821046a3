//! What is held, and who has to go when there is no room.
//!
//! Guarantees: the bytes of all peers are counted, and neither a peer nor those that are not verified nor all together
//! hold more than the settings allow; no request that waits for its answer is dropped for bytes; a peer that goes leaves
//! nothing behind, and its requests and observations end with an output. Does not: count the size of the tables, which is
//! bounded by their entries.

use std::hash::BuildHasher;

use super::{
    Endpoint, ObservationId, Output, Peer, RequestId,
    exchanges::{Exchange, Reply, Stage},
    peers::State,
    timers::Timer,
    transmit::{AMPLIFICATION, Owner},
};
use crate::{
    Allowance, Failure,
    hash::Sip,
    message::{self, Kind, Message},
};

/// More bytes than these are never owed to a peer of unproven address.
const MOST_CREDIT: usize = 16 * 1024;

impl<P: Peer> Endpoint<P> {
    /// A datagram came from this peer. Gives nothing if the peer is not known and must not be added,
    /// or can't be.
    pub(super) fn heard(
        &mut self,
        now: u64,
        key: P,
        verified: bool,
        length: usize,
        add: bool,
    ) -> Option<u64> {
        let known = self.peers.find(&key);
        let id = match known {
            Some(id) => {
                self.peers.touch(now, id, verified);
                id
            }
            None if add => self.admit(now, key, verified)?,
            None => return None,
        };
        let state = self.peers.get_mut(id)?;
        if !state.is_trusted() {
            let credit = state.credit.saturating_add(AMPLIFICATION * length);
            state.credit = credit.min(MOST_CREDIT);
        }
        Some(id)
    }

    /// Adds a peer; another may have to go.
    pub(super) fn admit(&mut self, now: u64, key: P, verified: bool) -> Option<u64> {
        if let Some(victim) = self.peers.victim(verified).ok()? {
            self.drop_peer(victim, Failure::Evicted);
        }
        let allowance = Allowance::new(self.settings.rate, self.settings.burst, now);
        let id = self.peers.insert(now, key, verified, allowance);
        let [high, low, ..] = self.fresh.bytes();
        self.peers.get_mut(id)?.next_id = u16::from_be_bytes([high, low]);
        Some(id)
    }

    /// The peer is not silent: what waits for that goes on.
    pub(super) fn resume(&mut self, now: u64, peer: u64) {
        let Some(state) = self.peers.get_mut(peer) else { return };
        if state.probed_until > 0 {
            state.probed_until = 0;
            self.timers.clear(Timer::Probe(peer));
        }
        if !state.waiting.is_empty() {
            self.pump(now, peer);
        }
    }

    /// Removes a peer and all that is held for it.
    pub(super) fn drop_peer(&mut self, id: u64, failure: Failure) {
        let Some(state) = self.peers.remove(id) else { return };
        self.timers.clear(Timer::Probe(id));
        self.timers.clear(Timer::Transfers(id));
        for transmission in state.in_flight {
            self.timers.clear(Timer::Transmission(transmission));
            self.transmissions.remove(transmission);
        }
        for exchange in state.exchanges {
            self.exchanges.remove(exchange);
        }
        for observation in state.observations {
            self.observations.remove(observation);
            let observation = ObservationId(observation);
            self.outputs.push_back(Output::ObservationEnded { observation });
        }
        for call in state.calls {
            self.forget_call(call);
            let result = Err(failure);
            self.outputs.push_back(Output::Response { id: RequestId(call), result });
        }
    }

    /// When a peer that was heard then is silent for too long.
    pub(super) const fn silent_at(&self, seen: u64) -> u64 {
        seen.saturating_add(self.settings.peer_timeout)
    }

    /// Drops the peers that are silent for too long and hold nothing of importance.
    pub(super) fn drop_silent(&mut self, now: u64) {
        let silent = |endpoint: &Self| {
            let mut oldest = endpoint.peers.oldest();
            let found = oldest.find(|(_, state)| endpoint.silent_at(state.seen) <= now);
            found.map(|(id, state)| (id, state.verified))
        };
        while let Some((id, verified)) = silent(self) {
            self.expire_observations(now, id);
            if self.peers.get(id).is_some_and(State::is_idle) {
                self.drop_peer(id, Failure::Evicted);
            } else {
                self.peers.touch(now, id, verified);
            }
        }
    }

    /// Sets bytes aside for a peer. What peers hold that are not verified goes first, then, for a verified one,
    /// answers of long ago; a request that waits for its answer stays.
    pub(super) fn reserve(&mut self, peer: u64, bytes: usize) -> bool {
        let Some(state) = self.peers.get(peer) else { return false };
        if state.bytes.saturating_add(bytes) > self.settings.bytes_per_peer {
            return false;
        }
        let verified = state.verified;
        // Nobody goes for what would not fit anyway.
        if bytes > self.settings.bytes || !verified && bytes > self.settings.unverified_bytes {
            return false;
        }
        while !self.has_room(verified, bytes) {
            if let Some(reply) = self.exchanges.oldest_reply(false) {
                self.remove_exchange(reply);
            } else if let Some(least) = self.peers.least(peer) {
                self.drop_peer(least, Failure::Evicted);
            } else if verified && let Some(reply) = self.exchanges.oldest_reply(true) {
                self.remove_exchange(reply);
            } else {
                return false;
            }
        }
        self.peers.hold(peer, bytes);
        true
    }

    const fn has_room(&self, verified: bool, bytes: usize) -> bool {
        let strangers = self.peers.held_by_unverified().saturating_add(bytes);
        self.peers.held().saturating_add(bytes) <= self.settings.bytes
            && (verified || strangers <= self.settings.unverified_bytes)
    }

    /// Gives bytes back.
    pub(super) fn release(&mut self, peer: u64, bytes: usize) {
        self.peers.give_back(peer, bytes);
    }

    /// Takes note of a message, so that a repetition is known; older ones may have to go.
    pub(super) fn remember(
        &mut self,
        now: u64,
        peer: u64,
        message: &Message<'_>,
        stage: Stage,
    ) -> u64 {
        while self.exchanges.len() >= self.settings.exchanges.max(1) {
            let Some(oldest) = self.exchanges.oldest() else { break };
            self.remove_exchange(oldest);
        }
        self.make_room(peer);
        let Message { kind, id, token, .. } = *message;
        let lifetime = match kind {
            Kind::Con => self.settings.exchange_lifetime,
            _ => self.settings.non_lifetime,
        };
        let acknowledge = now.saturating_add(self.settings.ack_delay);
        let exchange = Exchange { peer, kind, id, token, stage };
        let id = self.exchanges.insert(exchange, now.saturating_add(lifetime), acknowledge);
        if let Some(state) = self.peers.get_mut(peer) {
            state.exchanges.push_back(id);
        }
        id
    }

    /// Forgets the oldest finished exchange of a peer that has too many.
    fn make_room(&mut self, peer: u64) {
        let Some(state) = self.peers.get(peer) else { return };
        if state.exchanges.len() >= self.settings.exchanges_per_peer.max(1) {
            let is_done = |id: &&u64| self.exchanges.get(**id).is_none_or(Exchange::is_done);
            let oldest = state.exchanges.iter().find(is_done).or(state.exchanges.front());
            if let Some(oldest) = oldest.copied() {
                self.remove_exchange(oldest);
            }
        }
    }

    /// Forgets an exchange.
    pub(super) fn remove_exchange(&mut self, id: u64) {
        let Some(exchange) = self.exchanges.remove(id) else { return };
        self.release(exchange.peer, exchange.bytes());
        if let Some(state) = self.peers.get_mut(exchange.peer) {
            if state.exchanges.front() == Some(&id) {
                state.exchanges.pop_front();
            } else {
                state.exchanges.retain(|other| *other != id);
            }
            state.pending = state.pending.saturating_sub(usize::from(!exchange.is_done()));
        }
        if let Stage::Asked(pending) | Stage::Acknowledged(pending) = exchange.stage
            && let Some(observation) = pending.observation
        {
            self.abandon_observation(observation);
        }
    }

    /// Whether a message was there before; it then gets what it got, if that is known.
    ///
    /// A message with the ID of another, but with another token, is of a peer that began again.
    pub(super) fn is_repetition(&mut self, peer: u64, message: &Message<'_>) -> bool {
        let Some(id) = self.exchanges.find(peer, message.id) else { return false };
        let Some(exchange) = self.exchanges.get(id) else { return false };
        if exchange.token != message.token {
            self.remove_exchange(id);
            return false;
        }
        let again = match &exchange.stage {
            Stage::Acknowledged(_) | Stage::Done(Reply::Ack) => {
                message::empty(Kind::Ack, message.id).to_vec()
            }
            Stage::Done(Reply::Bytes(bytes)) => bytes.to_vec(),
            Stage::Asked(_) | Stage::Done(Reply::Nothing) => return true,
        };
        if message.kind == Kind::Con {
            self.send(peer, Owner::Nobody, again);
        }
        true
    }

    /// The application takes its time: the request is acknowledged.
    pub(super) fn acknowledge(&mut self, id: u64) {
        let Some(exchange) = self.exchanges.get_mut(id) else { return };
        exchange.stage = match std::mem::replace(&mut exchange.stage, Stage::Done(Reply::Nothing)) {
            Stage::Asked(pending) => Stage::Acknowledged(pending),
            other => {
                exchange.stage = other;
                return;
            }
        };
        let (peer, message) = (exchange.peer, exchange.id);
        self.send(peer, Owner::Nobody, message::empty(Kind::Ack, message).to_vec());
    }

    /// The same number for the same peer, even if it was forgotten meanwhile.
    pub(super) fn fingerprint(&self, peer: u64) -> u64 {
        self.peers.get(peer).map_or(0, |state| self.peers.fingerprint(&state.key))
    }

    pub(super) fn hasher(&self) -> Sip {
        self.hash.build_hasher()
    }
}
