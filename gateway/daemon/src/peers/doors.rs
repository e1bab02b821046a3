//! How many handshakes are begun, and by whom.
//!
//! Guarantees: an address has a bucket of its own and a bounded number of handshakes under way, and all strangers
//! together have one bucket and one bound: whatever they do, an address that a known peer came from before, or that the
//! address book names, is served. What is remembered of addresses is bounded. Does not: read a clock or a socket.
//! A stranger behind the address of a known peer shares its bucket.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    rc::Rc,
};

use sluicegate_coap::Allowance;

use super::Limits;

/// Strange addresses whose pace is remembered.
const MAX_STRANGERS: usize = 1_024;

/// Addresses of known peers that are remembered.
const MAX_KNOWN: usize = 256;

/// Who may begin a handshake.
pub(super) struct Doors {
    limits: Limits,
    inside: RefCell<Inside>,
}

struct Inside {
    /// Handshakes under way, by network.
    under_way: BTreeMap<IpAddr, usize>,
    strangers: Paces,
    all_strangers: Allowance,
    known: Paces,
}

/// Buckets, the least recently used of which makes room.
struct Paces {
    most: usize,
    each: (u32, u32),
    of: BTreeMap<IpAddr, (Allowance, u64)>,
}

/// A handshake under way.
pub(super) struct Place(Rc<Doors>, IpAddr);

impl Doors {
    pub(super) fn new(limits: Limits) -> Rc<Self> {
        let (each_second, at_once) = limits.handshakes;
        let paces = |most| Paces { most, each: limits.handshakes_each, of: BTreeMap::new() };
        let inside = Inside {
            under_way: BTreeMap::new(),
            strangers: paces(MAX_STRANGERS),
            all_strangers: Allowance::new(each_second, at_once, 0),
            known: paces(MAX_KNOWN),
        };
        Rc::new(Self { limits, inside: RefCell::new(inside) })
    }

    /// Begins a handshake, if it may; `named` are addresses of the address book.
    pub(super) fn enter(
        self: &Rc<Self>,
        from: IpAddr,
        named: &BTreeSet<IpAddr>,
        now_ms: u64,
    ) -> Option<Place> {
        let mut inside = self.inside.borrow_mut();
        let is_named = named.contains(&from.to_canonical());
        let from = network(from);
        let is_known = is_named || inside.known.of.contains_key(&from);
        let may = inside.has_room(from, is_known, &self.limits)
            && inside.is_in_pace(from, is_known, now_ms);
        may.then(|| {
            *inside.under_way.entry(from).or_default() += 1;
            Place(Rc::clone(self), from)
        })
    }

    /// A known peer came from there.
    pub(super) fn know(&self, from: IpAddr, now_ms: u64) {
        let mut inside = self.inside.borrow_mut();
        inside.known.of(network(from), now_ms);
    }
}

impl Inside {
    fn has_room(&self, from: IpAddr, is_known: bool, limits: &Limits) -> bool {
        let own = self.under_way.get(&from).copied().unwrap_or(0);
        let strange = self.under_way.iter().filter(|(from, _)| !self.known.of.contains_key(from));
        let strange: usize = strange.map(|(_, count)| count).sum();
        own < limits.half_open_each && (is_known || strange < limits.half_open)
    }

    fn is_in_pace(&mut self, from: IpAddr, is_known: bool, now_ms: u64) -> bool {
        if is_known {
            return self.known.of(from, now_ms).take(now_ms).is_ok();
        }
        let is_own = self.strangers.of(from, now_ms).take(now_ms).is_ok();
        is_own && self.all_strangers.take(now_ms).is_ok()
    }
}

impl Paces {
    fn of(&mut self, from: IpAddr, now_ms: u64) -> &mut Allowance {
        if !self.of.contains_key(&from) && self.of.len() >= self.most {
            let oldest = self.of.iter().min_by_key(|(_, (_, used))| *used).map(|(from, _)| *from);
            oldest.map(|from| self.of.remove(&from));
        }
        let (each_second, at_once) = self.each;
        let new = || (Allowance::new(each_second, at_once, now_ms), now_ms);
        let (allowance, used) = self.of.entry(from).or_insert_with(new);
        *used = now_ms;
        allowance
    }
}

/// What one sender can have as many addresses as it likes of: with IPv6, the first half.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((address.to_bits() >> 64 << 64).to_be_bytes()),
        address @ IpAddr::V4(_) => address,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.0.inside.borrow_mut();
        let left = inside.under_way.get(&self.1).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => drop(inside.under_way.remove(&self.1)),
            left => drop(inside.under_way.insert(self.1, left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    fn doors() -> Rc<Doors> {
        let limits = Limits { half_open: 4, half_open_each: 2, ..Limits::default() };
        Doors::new(Limits { handshakes: (10, 20), handshakes_each: (2, 5), ..limits })
    }

    /// Handshakes that this address begins at once, one after the other.
    fn begun(doors: &Rc<Doors>, from: IpAddr, now_ms: u64) -> usize {
        (0..50).filter(|_| doors.enter(from, &BTreeSet::new(), now_ms).is_some()).count()
    }

    #[test]
    fn one_stranger_leaves_the_bucket_to_others() {
        let doors = doors();
        assert_eq!(begun(&doors, address(1), 0), 5, "its own bucket is empty");
        assert_eq!(begun(&doors, address(2), 0), 5);
        assert_eq!(begun(&doors, address(1), 1_000), 2);
    }

    #[test]
    fn many_strangers_do_not_keep_a_known_peer_out() {
        let (doors, named) = (doors(), BTreeSet::from([address(8)]));
        doors.know(address(7), 0);
        let all: usize = (100..200).map(|number| begun(&doors, address(number), 0)).sum();
        assert_eq!(all, 20, "the bucket of all strangers");
        let _waiting: Vec<_> =
            (100..120).flat_map(|number| doors.enter(address(number), &named, 1_000)).collect();
        assert_eq!(_waiting.len(), 4, "and what may be under way");
        assert_eq!(begun(&doors, address(7), 1_000), 5, "it was here before");
        assert!(doors.enter(address(8), &named, 1_000).is_some(), "the address book has it");
        assert_eq!(begun(&doors, address(9), 1_000), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let doors = doors();
        for number in 0..5_000 {
            drop(doors.enter(address(number), &BTreeSet::new(), u64::from(number)));
            doors.know(address(100_000 + number), u64::from(number));
        }
        let inside = doors.inside.borrow();
        assert_eq!((inside.strangers.of.len(), inside.known.of.len()), (MAX_STRANGERS, MAX_KNOWN));
    }
}
