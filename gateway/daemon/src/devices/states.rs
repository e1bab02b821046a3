//! States that devices tell of their resources: logged when they changed, and told to who observes them.
//!
//! Guarantees: the newest state of a resource gets into the log, each change of it as long as there are not too many; a
//! state that is already the newest in the log adds nothing, through restarts. Bounded: so many resources and so many
//! leaves a second for each device. Does not: keep a state that waits for the device's allowance through a crash; its
//! device tells it again or retains it.

use std::{
    cell::RefCell,
    collections::{BTreeMap, btree_map::Entry},
    rc::Rc,
    time::Duration,
};

use super::{
    Registry,
    changes::Changes,
    commands::log,
    record::{Observed, Record},
    twin,
};
use crate::{allowance::Allowance, clock::Clock, keeper::Keeper};

/// Most resources of a device whose state is known.
const MAX_RESOURCES: usize = 32;

/// Longest state that is kept, in characters.
const MAX_STATE: usize = 256;

/// Changes of a device that are logged a second on average, and at once.
const CHANGES: (u32, u32) = (2, 20);

/// Pause before changes that had to wait are looked at again.
const SETTLE: Duration = Duration::from_millis(500);

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
struct Table(RefCell<BTreeMap<String, Known>>);

struct Known {
    allowance: Allowance,
    resources: BTreeMap<String, Resource>,
}

#[derive(Default)]
struct Resource {
    /// The newest one in the log.
    logged: Option<String>,
    /// The newest one that is not.
    wanted: Option<String>,
    /// Somebody takes care of what is wanted.
    busy: bool,
}

impl States {
    /// Knows nothing yet; the log does.
    pub fn new(keeper: Keeper, registry: Registry, changes: Changes, clock: Clock) -> Self {
        Self { keeper, registry, changes, clock, known: Rc::default() }
    }

    /// A device told the state of a resource. Resolves when it is logged, or waits for the device's allowance.
    pub async fn observe(&self, device: &str, resource: &str, value: &str) {
        self.learn(device).await;
        let value: String = value.chars().take(MAX_STATE).collect();
        if !self.known.want(device, resource, &value) {
            return;
        }
        self.log_wanted(device, resource).await;
        if self.known.rests(device, resource) {
            return;
        }
        let (states, device, resource) = (self.clone(), device.to_owned(), resource.to_owned());
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(SETTLE).await;
                states.log_wanted(&device, &resource).await;
                if states.known.rests(&device, &resource) {
                    return;
                }
            }
        });
    }

    /// Learns from the log what the newest states of a device are, once.
    async fn learn(&self, device: &str) {
        if self.known.0.borrow().contains_key(device) {
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
        let mut known = self.known.0.borrow_mut();
        known.retain(|device, _| self.registry.get(device).is_some());
        if let Entry::Vacant(entry) = known.entry(device.to_owned()) {
            entry.insert(Known { allowance, resources: resources.collect() });
        }
    }

    /// Logs what is wanted, if it is a change and the device's allowance lasts.
    async fn log_wanted(&self, device: &str, resource: &str) {
        let Some(value) = self.known.due(device, resource, self.now_ms()) else { return };
        let observed = Observed { resource: resource.to_owned(), value: value.clone() };
        let record = Record::Observed(observed);
        if log(&self.keeper, &self.registry, device, &record).await.is_some() {
            self.changes.tell(device, resource, &value);
            self.known.with(device, resource, |resource| {
                resource.wanted.take_if(|wanted| *wanted == value);
                resource.logged = Some(value);
            });
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().monotonic_ms
    }
}

impl Table {
    /// Notes a state; whether the caller has to take care of it.
    fn want(&self, device: &str, resource: &str, value: &str) -> bool {
        let mut states = self.0.borrow_mut();
        let Some(known) = states.get_mut(device) else { return false };
        if known.resources.len() >= MAX_RESOURCES && !known.resources.contains_key(resource) {
            return false;
        }
        let resource = known.resources.entry(resource.to_owned()).or_default();
        if resource.logged.as_deref() == Some(value) && resource.wanted.is_none() {
            return false;
        }
        resource.wanted = Some(value.to_owned());
        !std::mem::replace(&mut resource.busy, true)
    }

    /// What is to be logged now.
    fn due(&self, device: &str, resource: &str, now_ms: u64) -> Option<String> {
        let mut states = self.0.borrow_mut();
        let known = states.get_mut(device)?;
        let resource = known.resources.get_mut(resource)?;
        if resource.wanted == resource.logged {
            resource.wanted = None;
        }
        let value = resource.wanted.clone()?;
        known.allowance.take(now_ms).then_some(value)
    }

    /// Whether nothing is left to do; then nobody takes care any more.
    fn rests(&self, device: &str, resource: &str) -> bool {
        let rests = self.with(device, resource, |resource| {
            resource.busy = resource.wanted.is_some();
            !resource.busy
        });
        rests.unwrap_or(true)
    }

    fn with<T>(
        &self,
        device: &str,
        resource: &str,
        change: impl FnOnce(&mut Resource) -> T,
    ) -> Option<T> {
        let mut states = self.0.borrow_mut();
        states.get_mut(device)?.resources.get_mut(resource).map(change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> Table {
        let states = Table::default();
        let allowance = Allowance::new(1, 2, 0);
        let known = Known { allowance, resources: BTreeMap::new() };
        states.0.borrow_mut().insert("valve-1".to_owned(), known);
        states
    }

    fn log(states: &Table, value: &str) {
        states.with("valve-1", "valve", |resource| {
            resource.wanted.take_if(|wanted| wanted == value);
            resource.logged = Some(value.to_owned());
        });
    }

    #[test]
    fn only_a_change_is_logged() {
        let states = states();
        assert!(states.want("valve-1", "valve", "open"));
        assert_eq!(states.due("valve-1", "valve", 0).as_deref(), Some("open"));
        log(&states, "open");
        assert!(states.rests("valve-1", "valve"));
        assert!(!states.want("valve-1", "valve", "open"), "nothing changed");
        assert!(states.want("valve-1", "valve", "closed"));
        assert!(!states.want("stranger", "valve", "open"));
    }

    #[test]
    fn too_many_changes_end_in_the_newest_state() {
        let states = states();
        for (value, is_first) in [("a", true), ("b", false), ("c", false)] {
            assert_eq!(states.want("valve-1", "valve", value), is_first);
        }
        assert_eq!(states.due("valve-1", "valve", 0).as_deref(), Some("c"));
        log(&states, "c");
        assert!(states.rests("valve-1", "valve"));
        assert!(states.want("valve-1", "valve", "d"));
        assert_eq!(states.due("valve-1", "valve", 0).as_deref(), Some("d"));
        assert_eq!(states.due("valve-1", "valve", 0), None, "the allowance is used up");
        assert!(!states.rests("valve-1", "valve"));
        assert_eq!(states.due("valve-1", "valve", 1_000).as_deref(), Some("d"));
    }

    #[test]
    fn a_change_back_while_it_is_logged_is_not_lost() {
        let states = states();
        states.want("valve-1", "valve", "open");
        log(&states, "open");
        assert!(states.rests("valve-1", "valve"));
        assert!(states.want("valve-1", "valve", "closed"));
        states.due("valve-1", "valve", 0).unwrap();
        assert!(!states.want("valve-1", "valve", "open"), "somebody is at it");
        log(&states, "closed");
        assert!(!states.rests("valve-1", "valve"));
        assert_eq!(states.due("valve-1", "valve", 2_000).as_deref(), Some("open"));
    }

    #[test]
    fn the_resources_of_a_device_are_bounded() {
        let states = states();
        for number in 0..MAX_RESOURCES {
            assert!(states.want("valve-1", &format!("r{number}"), "x"));
        }
        assert!(!states.want("valve-1", "one-more", "x"));
    }
}
