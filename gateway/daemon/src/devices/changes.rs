//! Changes of devices' states, for those who observe them.
//!
//! Guarantees: memory is bounded by what is observed; a newer state replaces one that was not told yet; nothing is kept for
//! a device that nobody observes. Does not: hold states; the log does.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use sluicegate_coap::format;
use tokio::sync::Notify;

/// A device's resource.
pub type Place = (String, String);

/// A state, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Its content format.
    pub format: u16,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

#[derive(Default)]
struct Inner {
    /// How many observe each place.
    observed: RefCell<BTreeMap<Place, usize>>,
    /// New states that were not told yet.
    news: RefCell<BTreeMap<Place, State>>,
    woken: Notify,
}

/// Who observes what; clones share it.
#[derive(Clone, Default)]
pub struct Changes(Rc<Inner>);

impl Changes {
    /// One more observes a place.
    pub fn observe(&self, place: Place) {
        *self.0.observed.borrow_mut().entry(place).or_default() += 1;
    }

    /// One less observes a place.
    pub fn leave(&self, place: &Place) {
        let mut observed = self.0.observed.borrow_mut();
        let left = observed.get_mut(place).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            observed.remove(place);
            self.0.news.borrow_mut().remove(place);
        }
    }

    /// Whether anybody observes a resource of this device.
    pub fn is_observed(&self, device: &str) -> bool {
        let observed = self.0.observed.borrow();
        let mut from = observed.range((device.to_owned(), String::new())..);
        from.next().is_some_and(|((name, _), _)| name == device)
    }

    /// A resource has this state now.
    pub fn tell(&self, device: &str, resource: &str, value: &str) {
        let state = State { format: format::TEXT, bytes: value.as_bytes().to_vec() };
        self.put((device.to_owned(), resource.to_owned()), || Some(state));
    }

    /// A place has this state now; it is made only if somebody observes it.
    pub fn put(&self, place: Place, state: impl FnOnce() -> Option<State>) {
        if self.0.observed.borrow().contains_key(&place)
            && let Some(state) = state()
        {
            self.0.news.borrow_mut().insert(place, state);
            self.0.woken.notify_one();
        }
    }

    /// What changed since the last call; waits for it. For one waiter.
    pub async fn next(&self) -> BTreeMap<Place, State> {
        loop {
            let news = self.0.news.take();
            if !news.is_empty() {
                return news;
            }
            self.0.woken.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::run;

    fn place(resource: &str) -> Place {
        ("valve-1".to_owned(), resource.to_owned())
    }

    #[test]
    fn only_the_newest_state_of_what_is_observed_is_told() {
        let changes = Changes::default();
        changes.tell("valve-1", "valve", "nobody listens");
        changes.observe(place("valve"));
        changes.observe(place("valve"));
        assert!(changes.is_observed("valve-1") && !changes.is_observed("valve-11"));
        changes.tell("valve-1", "power", "1");
        changes.tell("valve-1", "valve", "open");
        changes.tell("valve-1", "valve", "closed");
        let news = run(changes.next());
        let closed = State { format: format::TEXT, bytes: b"closed".to_vec() };
        assert_eq!(news.into_iter().collect::<Vec<_>>(), [(place("valve"), closed)]);
        changes.leave(&place("valve"));
        assert!(changes.is_observed("valve-1"), "another one listens");
        changes.tell("valve-1", "valve", "open");
        changes.leave(&place("valve"));
        assert!(!changes.is_observed("valve-1") && changes.0.news.borrow().is_empty());
    }
}
