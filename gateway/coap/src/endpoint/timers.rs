//! Deadlines: a few of each object in a [`Timers`] table, very many of equal length in a [`Fifo`].
//!
//! Guarantees: a timer has one deadline; setting it again moves it. A queue holds at most twice as
//! many deadlines as there are live objects, and some. Does not: know what is due.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::hash::Keyed;

/// What may be due, with the identifier of the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A request or observation of ours.
    Call(u64),
    /// Messages that wait because the peer is silent.
    Probe(u64),
    /// Block-wise transfers of a peer.
    Transfers(u64),
    /// A confirmable message without acknowledgement.
    Transmission(u64),
}

/// Deadlines that are moved and cleared.
#[derive(Debug)]
pub(super) struct Timers {
    order: BTreeSet<(u64, Timer)>,
    set: HashMap<Timer, u64, Keyed>,
}

impl Timers {
    pub(super) fn new(hash: Keyed) -> Self {
        Self { order: BTreeSet::new(), set: HashMap::with_hasher(hash) }
    }

    pub(super) fn set(&mut self, timer: Timer, deadline: u64) {
        self.clear(timer);
        self.order.insert((deadline, timer));
        self.set.insert(timer, deadline);
    }

    pub(super) fn clear(&mut self, timer: Timer) {
        if let Some(deadline) = self.set.remove(&timer) {
            self.order.remove(&(deadline, timer));
        }
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.order.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out a timer that is due.
    pub(super) fn due(&mut self, now: u64) -> Option<Timer> {
        let (deadline, timer) = *self.order.first()?;
        (deadline <= now).then(|| {
            self.clear(timer);
            timer
        })
    }
}

/// Deadlines of objects that all live equally long, in order; some may be of objects gone since.
#[derive(Debug, Default)]
pub(super) struct Fifo {
    queue: VecDeque<(u64, u64)>,
    /// How many were left when it was last cleared of objects that are gone.
    left: usize,
}

impl Fifo {
    /// Adds an object; `live` says which objects are still there.
    pub(super) fn push(&mut self, deadline: u64, id: u64, live: impl Fn(u64) -> bool) {
        if self.queue.len() > 2 * self.left + 64 {
            self.queue.retain(|(_, id)| live(*id));
            self.left = self.queue.len();
        }
        self.queue.push_back((deadline, id));
    }

    pub(super) fn next(&self) -> Option<u64> {
        self.queue.front().map(|(deadline, _)| *deadline)
    }

    /// Deadline and place of the oldest object that is wanted.
    pub(super) fn find(&self, wanted: impl Fn(u64) -> bool) -> Option<(u64, usize)> {
        let place = self.queue.iter().position(|(_, id)| wanted(*id))?;
        self.queue.get(place).map(|(deadline, _)| (*deadline, place))
    }

    /// Takes out the object at a place.
    pub(super) fn take(&mut self, place: usize) -> Option<u64> {
        self.queue.remove(place).map(|(_, id)| id)
    }

    /// Takes out the oldest object if it is due.
    pub(super) fn due(&mut self, now: u64) -> Option<u64> {
        self.queue.pop_front_if(|(deadline, _)| *deadline <= now).map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_has_one_deadline() {
        let mut timers = Timers::new(Keyed::new([0, 0]));
        timers.set(Timer::Call(1), 10);
        timers.set(Timer::Call(1), 30);
        timers.set(Timer::Probe(1), 20);
        assert_eq!((timers.next(), timers.due(15)), (Some(20), None));
        assert_eq!(timers.due(30), Some(Timer::Probe(1)));
        timers.clear(Timer::Call(1));
        assert_eq!((timers.next(), timers.due(99)), (None, None));
    }

    #[test]
    fn a_queue_forgets_objects_that_are_gone() {
        let mut queue = Fifo::default();
        (0..10_000).for_each(|id| queue.push(id, id, |live| live == id - 1));
        assert!(queue.queue.len() < 100, "{}", queue.queue.len());
    }
}
