//! States that devices tell of their resources: logged when they changed, and told to who observes them.
//!
//! Guarantees: the newest state of a resource gets into the log, and each change of it in its order as long as there are
//! not too many; a state that is already the newest in the log adds nothing, through restarts. Bounded: so many resources
//! and so many leaves a second for each device. Does not: keep through a crash what a device tells that is far beyond its
//! allowance, because others would wait for it; the device tells it again or retains it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    rc::Rc,
    time::Duration,
};

use sluicegate_coap::Allowance;
use tokio::sync::Notify;

use super::{
    Registry,
    changes::Changes,
    commands::submit,
    record::{Observed, Record},
    twin,
};
use crate::{
    clock::Clock,
    keeper::{Keeper, Refusal},
};

/// Most resources of a device whose state is known.
const MAX_RESOURCES: usize = 32;

/// Most changes of a resource that wait; one more takes the place of the newest.
const MAX_WAITING: usize = 8;

/// Longest state that is kept, in characters.
const MAX_STATE: usize = 256;

/// Changes of a device that are logged a second on average, and at once: the states of all its resources.
const CHANGES: (u32, u32) = (4, 40);

/// Pause before changes that had to wait are looked at again.
const SETTLE: Duration = Duration::from_millis(250);

/// Longest wait for a device's allowance: whoever acknowledges in order must not wait longer for one device.
const PATIENCE: Duration = Duration::from_secs(1);

/// The states of all devices; clones share them.
#[derive(Clone)]
pub struct States {
    keeper: Keeper,
    registry: Registry,
    changes: Changes,
    clock: Clock,
    known: Rc<Table>,
}

#[derive(Default)]
struct Table {
    devices: RefCell<BTreeMap<String, Known>>,
    /// Something that waited was logged or gave way.
    settled: Notify,
}

struct Known {
    allowance: Allowance,
    resources: BTreeMap<String, Resource>,
}

#[derive(Default)]
struct Resource {
    /// The newest one in the log.
    logged: Option<String>,
    /// Those that are not yet, with their numbers, oldest first.
    waiting: VecDeque<(u64, String)>,
    /// The number of the newest one.
    newest: u64,
    /// Somebody takes care of what waits.
    busy: bool,
    /// What waits does so for the device's allowance.
    starved: bool,
}

/// What becomes of a state.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It is the newest in the log, or is not taken.
    Settled,
    /// It waits under this number.
    Waits(u64),
    /// The same, and the caller has to see that it is taken care of.
    First(u64),
}

impl States {
    /// Knows nothing yet; the log does.
    pub fn new(keeper: Keeper, registry: Registry, changes: Changes, clock: Clock) -> Self {
        Self { keeper, registry, changes, clock, known: Rc::default() }
    }

    /// A device told the state of a resource. Resolves when it is logged, or gave way to a newer one that waits, or has
    /// waited long for the device's allowance.
    pub async fn observe(&self, device: &str, resource: &str, value: &str) {
        self.learn(device).await;
        let value: String = value.chars().take(MAX_STATE).collect();
        let number = match self.known.want(device, resource, &value) {
            Fate::Settled => return,
            Fate::Waits(number) => number,
            Fate::First(number) => {
                let (states, device) = (self.clone(), device.to_owned());
                let resource = resource.to_owned();
                tokio::task::spawn_local(async move { states.log_all(&device, &resource).await });
                number
            }
        };
        self.known.until_settled(device, resource, number).await;
    }

    /// Logs what waits until nothing does.
    async fn log_all(&self, device: &str, resource: &str) {
        loop {
            let went_on = self.log_next(device, resource).await;
            self.known.settled.notify_waiters();
            if self.known.rests(device, resource) {
                return;
            }
            if !went_on {
                tokio::time::sleep(SETTLE).await;
            }
        }
    }

    /// Learns from the log what the newest states of a device are, once.
    async fn learn(&self, device: &str) {
        if self.known.devices.borrow().contains_key(device) {
            return;
        }
        let name = device.to_owned();
        let twin = self.keeper.call(move |desk, _| twin::derive(desk, &name)).await;
        let known = twin.and_then(Result::ok).map(|twin| twin.state).unwrap_or_default();
        let logged =
            |state: twin::State| Resource { logged: Some(state.value), ..Resource::default() };
        let resources = known.into_iter().filter(|(_, state)| state.unit.is_none());
        let resources = resources.take(MAX_RESOURCES).map(|(name, state)| (name, logged(state)));
        let allowance = Allowance::new(CHANGES.0, CHANGES.1, self.now_ms());
        let mut known = self.known.devices.borrow_mut();
        known.retain(|device, _| self.registry.get(device).is_some());
        if let Entry::Vacant(entry) = known.entry(device.to_owned()) {
            entry.insert(Known { allowance, resources: resources.collect() });
        }
    }

    /// Logs the oldest one that waits, if the device's allowance lasts; whether there may be more to do at once.
    async fn log_next(&self, device: &str, resource: &str) -> bool {
        let Some((number, value)) = self.known.due(device, resource, self.now_ms()) else {
            return false;
        };
        let observed = Observed { resource: resource.to_owned(), value: value.clone() };
        let record = Record::Observed(observed);
        match submit(&self.keeper, &self.registry, device, &record).await {
            Ok(_) => {
                self.changes.tell(device, resource, &value);
                self.known.logged(device, resource, number, value);
                true
            }
            // It would be refused again.
            Err(Refusal::Rule(rule)) => {
                tracing::warn!(%rule, device, resource, "a state can't be logged");
                self.known.give_up(device, resource);
                false
            }
            Err(Refusal::Busy | Refusal::Store) => {
                if self.registry.get(device).is_none() {
                    self.known.give_up(device, resource);
                }
                false
            }
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().monotonic_ms
    }
}

impl Table {
    /// Notes a state.
    fn want(&self, device: &str, resource: &str, value: &str) -> Fate {
        let mut states = self.devices.borrow_mut();
        let Some(known) = states.get_mut(device) else { return Fate::Settled };
        if known.resources.len() >= MAX_RESOURCES && !known.resources.contains_key(resource) {
            return Fate::Settled;
        }
        let resource = known.resources.entry(resource.to_owned()).or_default();
        match resource.waiting.back() {
            Some((number, newest)) if newest == value => return Fate::Waits(*number),
            None if resource.logged.as_deref() == Some(value) => return Fate::Settled,
            _ => {}
        }
        if resource.waiting.len() >= MAX_WAITING {
            resource.waiting.pop_back();
            self.settled.notify_waiters();
        }
        resource.newest += 1;
        resource.waiting.push_back((resource.newest, value.to_owned()));
        match std::mem::replace(&mut resource.busy, true) {
            true => Fate::Waits(resource.newest),
            false => Fate::First(resource.newest),
        }
    }

    /// What is to be logged now; without allowance all but the newest give way.
    fn due(&self, device: &str, resource: &str, now_ms: u64) -> Option<(u64, String)> {
        let mut states = self.devices.borrow_mut();
        let known = states.get_mut(device)?;
        let resource = known.resources.get_mut(resource)?;
        let logged = &resource.logged;
        while resource.waiting.pop_front_if(|(_, value)| logged.as_ref() == Some(value)).is_some() {
        }
        let next = resource.waiting.front().cloned()?;
        resource.starved = known.allowance.take(now_ms).is_err();
        if resource.starved {
            let older = resource.waiting.len() - 1;
            resource.waiting.drain(..older);
            return None;
        }
        Some(next)
    }

    fn logged(&self, device: &str, resource: &str, number: u64, value: String) {
        self.with(device, resource, |resource| {
            resource.waiting.retain(|(other, _)| *other != number);
            resource.logged = Some(value);
        });
    }

    fn give_up(&self, device: &str, resource: &str) {
        self.with(device, resource, |resource| resource.waiting.clear());
    }

    /// Whether nothing is left to do; then nobody takes care any more.
    fn rests(&self, device: &str, resource: &str) -> bool {
        let rests = self.with(device, resource, |resource| {
            resource.busy = !resource.waiting.is_empty();
            !resource.busy
        });
        rests.unwrap_or(true)
    }

    async fn until_settled(&self, device: &str, resource: &str, number: u64) {
        let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
        let mut is_over = false;
        loop {
            let settled = self.settled.notified();
            let waits = self.with(device, resource, |resource| {
                let waits = resource.waiting.iter().any(|(other, _)| *other == number);
                waits && !(is_over && resource.starved)
            });
            if waits != Some(true) {
                return;
            }
            tokio::select! {
                () = settled => {}
                () = &mut patience, if !is_over => is_over = true,
            }
        }
    }

    fn with<T>(
        &self,
        device: &str,
        resource: &str,
        change: impl FnOnce(&mut Resource) -> T,
    ) -> Option<T> {
        let mut states = self.devices.borrow_mut();
        states.get_mut(device)?.resources.get_mut(resource).map(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Parts, Place, run};

    const VALVE: &str = "[[device]]\nname = \"valve-1\"\n";

    fn states() -> Table {
        let states = Table::default();
        let allowance = Allowance::new(1, 2, 0);
        let known = Known { allowance, resources: BTreeMap::new() };
        states.devices.borrow_mut().insert("valve-1".to_owned(), known);
        states
    }

    fn due(states: &Table, now_ms: u64) -> Option<String> {
        let (number, value) = states.due("valve-1", "valve", now_ms)?;
        states.logged("valve-1", "valve", number, value.clone());
        Some(value)
    }

    fn open(parts: &Parts) -> States {
        let (keeper, registry) = (parts.keeper.clone(), parts.registry.clone());
        States::new(keeper, registry, parts.changes.clone(), parts.clock)
    }

    async fn told(parts: &Parts) -> Vec<String> {
        let records = parts.records("valve-1").await.into_iter();
        let value = |record| match record {
            Record::Observed(observed) => observed.value,
            other => panic!("{other:?}"),
        };
        records.map(value).collect()
    }

    #[test]
    fn only_a_change_is_logged() {
        let states = states();
        assert_eq!(states.want("valve-1", "valve", "open"), Fate::First(1));
        assert_eq!(due(&states, 0).as_deref(), Some("open"));
        assert!(states.rests("valve-1", "valve"));
        assert_eq!(states.want("valve-1", "valve", "open"), Fate::Settled, "nothing changed");
        assert_eq!(states.want("valve-1", "valve", "closed"), Fate::First(2));
        assert_eq!(states.want("stranger", "valve", "open"), Fate::Settled);
    }

    #[test]
    fn too_many_changes_end_in_the_newest_state() {
        let states = states();
        assert_eq!(states.want("valve-1", "valve", "a"), Fate::First(1));
        for (value, number) in [("b", 2), ("c", 3), ("d", 4)] {
            assert_eq!(states.want("valve-1", "valve", value), Fate::Waits(number));
        }
        assert_eq!([0, 0, 0].map(|now| due(&states, now).is_some()), [true, true, false]);
        assert!(!states.rests("valve-1", "valve"));
        assert_eq!(due(&states, 1_000).as_deref(), Some("d"), "c gave way");
        assert!(states.rests("valve-1", "valve"));
        for value in 0..100 {
            states.want("valve-1", "valve", &value.to_string());
        }
        let waiting = states.with("valve-1", "valve", |resource| resource.waiting.clone()).unwrap();
        assert_eq!((waiting.len(), waiting.back().unwrap().1.as_str()), (MAX_WAITING, "99"));
    }

    #[test]
    fn the_resources_of_a_device_are_bounded() {
        let states = states();
        for number in 0..MAX_RESOURCES {
            assert_eq!(states.want("valve-1", &format!("r{number}"), "x"), Fate::First(1));
        }
        assert_eq!(states.want("valve-1", "one-more", "x"), Fate::Settled);
    }

    #[test]
    fn each_change_is_in_the_log_when_it_is_answered() {
        let place = Place::new(VALVE);
        run(async {
            let parts = place.open();
            let states = open(&parts);
            states.observe("valve-1", "valve", "unknown").await;
            let mut under_way = Vec::new();
            for value in ["open", "closed"] {
                let states = states.clone();
                let told = async move { states.observe("valve-1", "valve", value).await };
                under_way.push(tokio::task::spawn_local(told));
                tokio::task::yield_now().await;
            }
            states.observe("valve-1", "valve", "open").await;
            assert_eq!(told(&parts).await, ["unknown", "open", "closed", "open"]);
            for told in under_way {
                told.await.unwrap();
            }
            parts.close();
        });
    }

    #[test]
    fn who_is_far_beyond_its_allowance_keeps_nobody_waiting() {
        let place = Place::new(VALVE);
        run(async {
            let parts = place.open();
            let states = open(&parts);
            let begun = tokio::time::Instant::now();
            for value in 0..u64::from(CHANGES.1) + 2 {
                states.observe("valve-1", "valve", &value.to_string()).await;
            }
            assert!(begun.elapsed() < 4 * PATIENCE, "{:?}", begun.elapsed());
            parts.close();
        });
    }

    #[test]
    fn a_state_that_can_t_be_logged_is_not_answered() {
        let place = Place::new(VALVE);
        run(async {
            let parts = place.open();
            let states = open(&parts);
            states.observe("valve-1", "valve", "open").await;
            parts.close();
            let told = states.observe("valve-1", "valve", "closed");
            assert!(tokio::time::timeout(2 * PATIENCE, told).await.is_err());
        });
    }
}
