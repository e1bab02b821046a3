//! Peers: who is known, who was silent longest, what each one holds and may still do.
//!
//! Guarantees: never more peers than allowed. A newcomer takes the place of the peer that was silent
//! longest among those that the caller did not verify; verified ones are replaced only by verified
//! ones. Does not: end what a peer that has to go still holds; the endpoint does.

use std::{
    collections::{HashMap, VecDeque},
    hash::BuildHasher,
};

use super::{
    Peer,
    blocks::{Representation, Upload},
    slab::Slab,
    transmit::Outgoing,
};
use crate::{allowance::Allowance, hash::Keyed};

/// What is held for one peer.
#[derive(Debug)]
pub(super) struct State<P> {
    pub(super) key: P,
    /// The caller vouches for its address.
    pub(super) verified: bool,
    /// It has shown that it reads what is sent to its address: by an Echo, or the token of a
    /// request of ours.
    pub(super) proven: bool,
    /// When it was last heard.
    pub(super) seen: u64,
    /// Bytes that may be sent to it while it is neither verified nor proven.
    pub(super) credit: usize,
    pub(super) allowance: Allowance,
    /// The message ID of the next message to it.
    pub(super) next_id: u16,
    /// Until then it is silent, and nothing more is sent that it does not acknowledge.
    pub(super) probed_until: u64,
    /// Exchanges, the oldest first.
    pub(super) exchanges: VecDeque<u64>,
    /// How many of them wait for the application.
    pub(super) pending: usize,
    pub(super) uploads: Vec<Upload>,
    pub(super) representations: Vec<Representation>,
    pub(super) observations: Vec<u64>,
    pub(super) calls: Vec<u64>,
    pub(super) waiting: VecDeque<Outgoing>,
    pub(super) in_flight: Vec<u64>,
    /// Bytes held for it.
    pub(super) bytes: usize,
    newer: Option<u64>,
    older: Option<u64>,
}

impl<P> State<P> {
    /// Whether its address is known to be its own.
    pub(super) const fn is_trusted(&self) -> bool {
        self.verified || self.proven
    }

    /// Whether it may be dropped without a loss for anyone.
    pub(super) fn is_idle(&self) -> bool {
        self.observations.is_empty()
            && self.calls.is_empty()
            && self.in_flight.is_empty()
            && self.waiting.is_empty()
    }

    /// A message ID for the next message.
    pub(super) const fn take_id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }
}

/// The ends of a list of peers: newest and oldest.
#[derive(Debug, Default)]
struct Ends {
    newest: Option<u64>,
    oldest: Option<u64>,
}

/// All peers.
#[derive(Debug)]
pub(super) struct Peers<P> {
    states: Slab<State<P>>,
    by_key: HashMap<P, u64, Keyed>,
    /// Those that the caller did not verify, and those that it did.
    lists: [Ends; 2],
    /// Bytes that those hold, and these.
    held: [usize; 2],
    hash: Keyed,
    limit: usize,
}

impl<P: Peer> Peers<P> {
    pub(super) fn new(limit: usize, hash: Keyed) -> Self {
        let lists = [Ends::default(), Ends::default()];
        Self {
            states: Slab::new(),
            by_key: HashMap::with_hasher(hash),
            lists,
            held: [0; 2],
            hash,
            limit,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn find(&self, key: &P) -> Option<u64> {
        self.by_key.get(key).copied()
    }

    pub(super) fn get(&self, id: u64) -> Option<&State<P>> {
        self.states.get(id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut State<P>> {
        self.states.get_mut(id)
    }

    /// The same for a peer that has to be there; a peer that isn't gives a number of its own.
    pub(super) fn fingerprint(&self, key: &P) -> u64 {
        self.hash.hash_one(key)
    }

    /// Who has to go before a newcomer comes in; `Err` if nobody will.
    pub(super) fn victim(&self, verified: bool) -> Result<Option<u64>, ()> {
        if self.len() < self.limit {
            return Ok(None);
        }
        let verified = self.lists[1].oldest.filter(|_| verified);
        self.lists[0].oldest.or(verified).map(Some).ok_or(())
    }

    /// The silent longest that isn't verified and holds bytes, other than this one.
    pub(super) fn least(&self, other: u64) -> Option<u64> {
        let own = self.states.get(other).filter(|state| !state.verified);
        if self.held[0] <= own.map_or(0, |state| state.bytes) {
            return None;
        }
        let newer = |id: &u64| self.states.get(*id)?.newer;
        let holds = |id: &u64| self.states.get(*id).is_some_and(|state| state.bytes > 0);
        std::iter::successors(self.lists[0].oldest, newer).find(|id| *id != other && holds(id))
    }

    /// Bytes held for all.
    pub(super) const fn held(&self) -> usize {
        self.held[0] + self.held[1]
    }

    /// Bytes held for those that aren't verified.
    pub(super) const fn held_by_unverified(&self) -> usize {
        self.held[0]
    }

    /// Counts bytes that are held for a peer.
    pub(super) fn hold(&mut self, id: u64, bytes: usize) {
        if let Some(state) = self.states.get_mut(id) {
            state.bytes += bytes;
            self.held[usize::from(state.verified)] += bytes;
        }
    }

    /// Counts bytes that are no longer held.
    pub(super) fn give_back(&mut self, id: u64, bytes: usize) {
        if let Some(state) = self.states.get_mut(id) {
            let bytes = bytes.min(state.bytes);
            state.bytes -= bytes;
            self.held[usize::from(state.verified)] -= bytes;
        }
    }

    /// Adds a peer; there is room.
    pub(super) fn insert(&mut self, now: u64, key: P, verified: bool, allowance: Allowance) -> u64 {
        let state = State {
            key,
            verified,
            proven: false,
            seen: now,
            credit: 0,
            allowance,
            next_id: 0,
            probed_until: 0,
            exchanges: VecDeque::new(),
            pending: 0,
            uploads: Vec::new(),
            representations: Vec::new(),
            observations: Vec::new(),
            calls: Vec::new(),
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            bytes: 0,
            newer: None,
            older: None,
        };
        let id = self.states.insert(state);
        self.by_key.insert(key, id);
        self.link(id, verified);
        id
    }

    /// Removes a peer, with what it holds.
    pub(super) fn remove(&mut self, id: u64) -> Option<State<P>> {
        self.unlink(id);
        let state = self.states.remove(id)?;
        self.by_key.remove(&state.key);
        self.held[usize::from(state.verified)] -= state.bytes;
        Some(state)
    }

    /// The peer was heard now.
    pub(super) fn touch(&mut self, now: u64, id: u64, verified: bool) {
        let Some(state) = self.states.get_mut(id) else { return };
        state.seen = now;
        if state.newer.is_some() || state.verified != verified {
            self.unlink(id);
            if let Some(state) = self.states.get_mut(id) {
                self.held[usize::from(state.verified)] -= state.bytes;
                self.held[usize::from(verified)] += state.bytes;
                state.verified = verified;
            }
            self.link(id, verified);
        }
    }

    /// The peer of each list that was silent longest.
    pub(super) fn oldest(&self) -> impl Iterator<Item = (u64, &State<P>)> {
        let ids = self.lists.iter().filter_map(|list| list.oldest);
        ids.filter_map(|id| Some((id, self.states.get(id)?)))
    }

    fn link(&mut self, id: u64, verified: bool) {
        let list = &mut self.lists[usize::from(verified)];
        let second = list.newest.replace(id);
        list.oldest.get_or_insert(id);
        if let Some(state) = second.and_then(|second| self.states.get_mut(second)) {
            state.newer = Some(id);
        }
        if let Some(state) = self.states.get_mut(id) {
            (state.newer, state.older) = (None, second);
        }
    }

    fn unlink(&mut self, id: u64) {
        let Some(state) = self.states.get(id) else { return };
        let (newer, older, verified) = (state.newer, state.older, state.verified);
        match newer.and_then(|newer| self.states.get_mut(newer)) {
            Some(state) => state.older = older,
            None => self.lists[usize::from(verified)].newest = older,
        }
        match older.and_then(|older| self.states.get_mut(older)) {
            Some(state) => state.newer = newer,
            None => self.lists[usize::from(verified)].oldest = newer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(limit: usize) -> Peers<u32> {
        Peers::new(limit, Keyed::new([0, 0]))
    }

    #[test]
    fn the_silent_longest_goes_first_and_the_verified_stay() {
        let mut peers = peers(3);
        let [a, b, c] = [(1, false), (2, true), (3, false)]
            .map(|(key, verified)| peers.insert(0, key, verified, Allowance::new(1, 1, 0)));
        assert_eq!(peers.victim(false), Ok(Some(a)));
        peers.touch(1, a, false);
        assert_eq!((peers.victim(true), peers.least(c)), (Ok(Some(c)), None));
        peers.hold(a, 9);
        assert_eq!((peers.least(b), peers.least(c), peers.least(a)), (Some(a), Some(a), None));
        peers.give_back(a, 9);
        peers.remove(c);
        assert_eq!(peers.victim(false), Ok(None));
        peers.touch(2, a, true);
        peers.insert(2, 4, true, Allowance::new(1, 1, 2));
        assert_eq!((peers.victim(false), peers.victim(true)), (Err(()), Ok(Some(b))));
    }
}
