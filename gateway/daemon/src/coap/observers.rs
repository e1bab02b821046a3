//! Devices that observe the state of devices at `/devices/<ep>/<resource>`, or their channels (RFC 7641).
//!
//! Guarantees: bounded by the endpoint's observations; a place is watched as long as somebody observes it.

use std::collections::{BTreeMap, HashMap};

use sluicegate_coap::{Code, Endpoint, ObservationId, Response};

use super::Link;
use crate::devices::changes::{Changes, Place, State};

/// Who observes which place.
pub(super) struct Observers {
    changes: Changes,
    /// The place, and who reads it.
    places: HashMap<ObservationId, (Place, String)>,
}

impl Observers {
    pub(super) fn new(changes: Changes) -> Self {
        Self { changes, places: HashMap::new() }
    }

    /// An observation was asked for; it counts from now on, so that no change is missed.
    pub(super) fn begin(&mut self, observation: ObservationId, place: Place, reader: String) {
        self.changes.observe(place.clone());
        if let Some((earlier, _)) = self.places.insert(observation, (place, reader)) {
            self.changes.leave(&earlier);
        }
    }

    /// The answer is known: without success there is no observation.
    pub(super) fn confirm(&mut self, observation: ObservationId, success: bool) {
        if !success {
            self.end(observation);
        }
    }

    pub(super) fn end(&mut self, observation: ObservationId) {
        if let Some((place, _)) = self.places.remove(&observation) {
            self.changes.leave(&place);
        }
    }

    /// Ends the observations that the registry no longer allows.
    pub(super) fn retain(
        &self,
        endpoint: &mut Endpoint<Link>,
        now: u64,
        may_read: impl Fn(&str, &str) -> bool,
    ) {
        for (observation, ((name, _), reader)) in &self.places {
            if !may_read(reader, name) {
                endpoint.notify(now, *observation, Response::new(Code::FORBIDDEN));
            }
        }
    }

    /// Tells everybody who observes a place that changed.
    pub(super) fn notify(
        &self,
        endpoint: &mut Endpoint<Link>,
        now: u64,
        news: &BTreeMap<Place, State>,
    ) {
        for (observation, (place, _)) in &self.places {
            if let Some(State { format, bytes }) = news.get(place) {
                endpoint.notify(now, *observation, Response::content(*format, bytes.as_slice()));
            }
        }
    }
}
