//! Peers that observe resources of ours (RFC 7641 §4).
//!
//! Guarantees: an observer is a peer with a token, for one target; its notifications carry a sequence
//! number that grows with time; one that resets or does not acknowledge is dropped; each is asked
//! to acknowledge at least every [`crate::Settings::confirm_observer`], and one that the caller does not vouch for ends
//! after [`crate::Settings::observer_timeout`] without a sign of interest. A newer state takes the place of one that waits.
//! Does not: know resources; the application notifies each observation.

use super::{
    Endpoint, ObservationId, Output, Peer,
    transmit::{Outgoing, Owner},
};
use crate::{
    Response,
    block::Block,
    message::{Kind, Token},
    option,
};

/// One observation.
#[derive(Debug)]
pub(super) struct Observation {
    peer: u64,
    token: Token,
    /// Hash of what is observed.
    key: u64,
    /// The block size that the observer asked for.
    block: Option<Block>,
    /// Whether the first answer was sent.
    active: bool,
    sequence: u32,
    /// When the observer last acknowledged or asked.
    confirmed: u64,
    /// Message IDs of the last notifications, for a reset.
    pub(super) ids: [Option<u16>; 4],
}

impl<P: Peer> Endpoint<P> {
    /// Tells an observer the new state; anything but 2.xx ends the observation.
    pub fn notify(&mut self, now: u64, observation: ObservationId, mut response: Response) {
        let ObservationId(id) = observation;
        let Some(found) = self.observations.get(id).filter(|found| found.active) else { return };
        let (peer, key, token, block) = (found.peer, found.key, found.token, found.block);
        let success = response.code.is_success();
        let confirmable = !success || self.must_confirm(now, id, peer);
        let (range, block) = self.cut(now, peer, key, block, &mut response);
        let mut extra = Vec::with_capacity(2);
        if success {
            extra.push((option::OBSERVE, self.next_sequence(now, id)));
        }
        extra.extend(block.map(|block| (option::BLOCK2, block.encode())));
        let kind = if confirmable { Kind::Con } else { Kind::Non };
        let datagram = Self::compose(kind, 0, token, &response, &extra, range);
        if !success {
            self.end_observation(id);
            self.enqueue(now, peer, Outgoing { owner: Owner::Nobody, kind, datagram });
        } else if !self.replace_waiting(peer, id, &datagram) {
            let owner = Owner::Observation(id);
            if !self.enqueue(now, peer, Outgoing { owner, kind, datagram }) {
                // An observer that misses a state must not believe that it has the last one.
                self.end_observation(id);
            }
        }
    }

    /// Takes note of an observer; none if there are too many.
    pub(super) fn observe_begins(
        &mut self,
        now: u64,
        peer: u64,
        token: Token,
        key: u64,
        block: Option<Block>,
    ) -> Option<u64> {
        if let Some(id) = self.observation_of(peer, token) {
            let found = self.observations.get_mut(id)?;
            if found.key == key {
                (found.block, found.confirmed) = (block, now);
                return Some(id);
            }
            self.end_observation(id);
        }
        let state = self.peers.get_mut(peer)?;
        let full = state.observations.len() >= self.settings.observations_per_peer;
        if full || self.observations.len() >= self.settings.observations {
            return None;
        }
        let (sequence, confirmed, ids) = (sequence_at(now), now, [None; 4]);
        let new = Observation { peer, token, key, block, active: false, sequence, confirmed, ids };
        let id = self.observations.insert(new);
        state.observations.push(id);
        Some(id)
    }

    /// The observer takes its observation back.
    pub(super) fn observe_ends(&mut self, peer: u64, token: Token, key: u64) {
        if let Some(id) = self.observation_of(peer, token)
            && self.observations.get(id).is_some_and(|found| found.key == key)
        {
            self.end_observation(id);
        }
    }

    /// The first answer is a success: the observation holds. Gives its sequence number.
    pub(super) fn observe_accepted(&mut self, now: u64, id: u64) -> Option<u32> {
        self.observations.get_mut(id)?.active = true;
        Some(self.next_sequence(now, id))
    }

    /// Ends the observations of a silent peer that were not confirmed for long.
    pub(super) fn expire_observations(&mut self, now: u64, peer: u64) {
        let Some(state) = self.peers.get(peer).filter(|state| !state.verified) else { return };
        let limit = self.settings.observer_timeout;
        let is_old = |id: &&u64| {
            let found = self.observations.get(**id);
            found.is_none_or(|found| now.saturating_sub(found.confirmed) >= limit)
        };
        let old: Vec<u64> = state.observations.iter().filter(is_old).copied().collect();
        old.into_iter().for_each(|id| self.end_observation(id));
    }

    /// Ends an observation and says so.
    pub(super) fn end_observation(&mut self, id: u64) {
        let Some(found) = self.observations.remove(id) else { return };
        let mut bytes = 0;
        if let Some(state) = self.peers.get_mut(found.peer) {
            state.observations.retain(|other| *other != id);
            state.waiting.retain(|waiting| {
                let keep = waiting.owner != Owner::Observation(id);
                bytes += if keep { 0 } else { waiting.datagram.len() };
                keep
            });
        }
        self.release(found.peer, bytes);
        self.outputs.push_back(Output::ObservationEnded { observation: ObservationId(id) });
    }

    /// Ends an observation that was never answered.
    pub(super) fn abandon_observation(&mut self, id: u64) {
        if self.observations.get(id).is_some_and(|found| !found.active) {
            self.end_observation(id);
        }
    }

    pub(super) fn observer_lives(&mut self, now: u64, id: u64) {
        if let Some(found) = self.observations.get_mut(id) {
            found.confirmed = now;
        }
    }

    fn observation_of(&self, peer: u64, token: Token) -> Option<u64> {
        let state = self.peers.get(peer)?;
        let is_it = |id: &&u64| self.observations.get(**id).is_some_and(|it| it.token == token);
        state.observations.iter().find(is_it).copied()
    }

    /// Whether the observer has to show that it is there: for long it did not, it is silent, or its
    /// last notification is not acknowledged.
    fn must_confirm(&self, now: u64, id: u64, peer: u64) -> bool {
        let Some(state) = self.peers.get(peer) else { return true };
        let interval = match state.verified {
            true => self.settings.confirm_observer,
            false => self.settings.confirm_observer.min(self.settings.observer_timeout / 2),
        };
        let due = self
            .observations
            .get(id)
            .is_none_or(|found| now.saturating_sub(found.confirmed) >= interval);
        due || now < state.probed_until || !state.in_flight.is_empty()
    }

    /// Puts a newer state in the place of one that waits, if one does.
    fn replace_waiting(&mut self, peer: u64, id: u64, datagram: &[u8]) -> bool {
        let owner = Owner::Observation(id);
        let Some(state) = self.peers.get_mut(peer) else { return false };
        let Some(place) = state.waiting.iter().position(|waiting| waiting.owner == owner) else {
            return false;
        };
        let Some(old) = state.waiting.get(place).map(|waiting| waiting.datagram.len()) else {
            return false;
        };
        self.release(peer, old);
        let room = self.reserve(peer, datagram.len());
        let Some(state) = self.peers.get_mut(peer) else { return false };
        if !room {
            state.waiting.remove(place);
            return false;
        }
        if let Some(waiting) = state.waiting.get_mut(place) {
            (waiting.kind, waiting.datagram) = (Kind::Con, datagram.to_vec());
        }
        true
    }

    fn next_sequence(&mut self, now: u64, id: u64) -> u32 {
        let Some(found) = self.observations.get_mut(id) else { return 0 };
        let (last, time) = (found.sequence, sequence_at(now));
        let ahead = time.wrapping_sub(last) & 0xff_ffff;
        let grows = ahead != 0 && ahead < 1 << 23;
        found.sequence = if grows { time } else { (last + 1) & 0xff_ffff };
        found.sequence
    }
}

/// The sequence number of this time: milliseconds, 24 bits. What is 2^23 of them apart is also more
/// than 128 seconds apart, so the order is never in doubt (RFC 7641 §3.4).
fn sequence_at(now: u64) -> u32 {
    let [.., a, b, c] = now.to_be_bytes();
    u32::from_be_bytes([0, a, b, c])
}
