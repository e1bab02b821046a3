//! The intake: the one way of a reading into the log, for CoAP, MQTT and the local socket.
//!
//! Guarantees: what is refused here costs its sender only, is named with a CoAP code and a reason, and touches neither log
//! nor store (I7); what is accepted is durable and logged before the answer (I1, I4). Does not: find out who the device is;
//! the transports do, before they call.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use sluicegate_coap::Allowance;
use sluicegate_notary::log::{Acknowledgement, Submission};
use sluicegate_protocol::coap::Code;
use tokio::sync::Notify;

use crate::{
    clock::Clock,
    devices::{
        Registry,
        changes::Changes,
        contacts::{Contact, Contacts, Transport},
    },
    keeper::{Keeper, Refusal},
    senml,
};

/// Why a reading was not logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The rule, as the response code of CoAP (RFC 7252 §12.1.2); MQTT says it as text.
    pub code: Code,
    /// For a person.
    pub reason: String,
    /// The device may send the same reading again after so many seconds; never if absent.
    pub retry_after_s: Option<u32>,
}

/// A reading as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The device, as its transport proved it.
    pub device: String,
    /// The device's own counter.
    pub seq: Option<u64>,
    /// CoAP content format.
    pub format: u16,
    /// The bytes.
    pub payload: Vec<u8>,
}

/// Takes readings; clones share everything.
#[derive(Clone)]
pub struct Intake {
    keeper: Keeper,
    registry: Registry,
    contacts: Contacts,
    changes: Changes,
    clock: Clock,
    max_payload: usize,
    /// Of each device, with its rate.
    allowances: Rc<RefCell<BTreeMap<String, (u32, Allowance)>>>,
    listener: Rc<Listener>,
}

/// Who wants to know that readings of some devices are in the log, to look there.
#[derive(Default)]
struct Listener {
    devices: RefCell<BTreeSet<String>>,
    woken: Rc<Notify>,
}

/// Seconds' worth of readings that may come at once, as after an outage.
const BURST_S: u32 = 10;

impl Intake {
    /// For these devices.
    pub fn new(
        keeper: Keeper,
        registry: Registry,
        contacts: Contacts,
        changes: Changes,
        clock: Clock,
        max_payload: usize,
    ) -> Self {
        let (allowances, listener) = (Rc::default(), Rc::default());
        Self { keeper, registry, contacts, changes, clock, max_payload, allowances, listener }
    }

    /// Logs a reading of a device that came over `transport`; from the local socket if there is none, which has no rate.
    pub async fn take(
        &self,
        arrival: Arrival,
        transport: Option<Transport>,
    ) -> Result<Acknowledgement, Rejection> {
        let Some(enrolled) = self.registry.get(&arrival.device) else {
            let reason = format!("no device {:?} is enrolled", arrival.device);
            return Err(never(Code::UNAUTHORIZED, reason));
        };
        if let Some(transport) = transport {
            self.note_contact(&arrival.device, transport);
            self.spend(&arrival.device, enrolled.device.readings_per_second)?;
        }
        let (found, limit) = (arrival.payload.len(), self.max_payload);
        if found > limit {
            let reason = format!("the payload has {found} bytes, {limit} are allowed");
            return Err(never(Code::REQUEST_ENTITY_TOO_LARGE, reason));
        }
        senml::check(arrival.format, &arrival.payload)?;
        let Arrival { device, seq, format, payload } = arrival;
        let class = enrolled.device.class.clone();
        let news = match self.changes.is_observed(&device) {
            true => senml::newest(format, &payload),
            false => Vec::new(),
        };
        let name = device.clone();
        let submission = Submission { ticket: 0, device, class, seq, format, payload };
        let found = self.keeper.submit(submission).await?;
        if !found.repeated {
            news.iter().for_each(|(what, value, _)| {
                self.changes.tell(&name, senml::resource(&name, what), value);
            });
            if self.listener.devices.borrow().contains(&name) {
                self.listener.woken.notify_one();
            }
        }
        Ok(found)
    }

    /// Is notified when a new reading of one of these devices is in the log, from now on.
    pub fn listen(&self, devices: BTreeSet<String>) -> Rc<Notify> {
        *self.listener.devices.borrow_mut() = devices;
        Rc::clone(&self.listener.woken)
    }

    /// Longest payload that is taken, in bytes.
    pub const fn max_payload(&self) -> usize {
        self.max_payload
    }

    /// A device spoke.
    pub fn note_contact(&self, device: &str, transport: Transport) {
        let now = self.clock.now();
        let contact = Contact { transport, wall_ms: now.wall.ms, monotonic_ms: now.monotonic_ms };
        self.contacts.seen(device, contact);
    }

    /// Forgets the allowances of devices that are gone.
    pub fn retain(&self) {
        self.allowances.borrow_mut().retain(|device, _| self.registry.get(device).is_some());
    }

    /// Takes one of a device's allowance, for a reading or for a question to the store, which costs as much.
    pub(crate) fn spend(&self, device: &str, per_second: u32) -> Result<(), Rejection> {
        let now_ms = self.clock.now().monotonic_ms;
        let burst = per_second.saturating_mul(BURST_S);
        let mut spent = self.allowances.borrow_mut();
        // A new rate, after a reload, begins with a full allowance.
        let (rate, allowance) = spent
            .entry(device.to_owned())
            .or_insert_with(|| (per_second, Allowance::new(per_second, burst, now_ms)));
        if *rate != per_second {
            (*rate, *allowance) = (per_second, Allowance::new(per_second, burst, now_ms));
        }
        allowance.take(now_ms).map_err(|_| too_fast(per_second))
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        use sluicegate_notary::Error::{SequenceReused, TooLong};
        let reason = refusal.to_string();
        match refusal {
            Refusal::Busy | Refusal::Rule(sluicegate_notary::Error::Busy { .. }) => {
                Self { code: Code::SERVICE_UNAVAILABLE, reason, retry_after_s: Some(2) }
            }
            Refusal::Store => {
                Self { code: Code::SERVICE_UNAVAILABLE, reason, retry_after_s: Some(5) }
            }
            Refusal::Rule(SequenceReused { .. }) => never(Code::CONFLICT, reason),
            Refusal::Rule(TooLong { .. }) => never(Code::REQUEST_ENTITY_TOO_LARGE, reason),
            Refusal::Rule(_) => never(Code::BAD_REQUEST, reason),
        }
    }
}

fn too_fast(per_second: u32) -> Rejection {
    let reason = format!("more than {per_second} readings and questions a second");
    Rejection { code: Code::TOO_MANY_REQUESTS, reason, retry_after_s: Some(2) }
}

/// The same bytes will be refused again.
pub(crate) const fn never(code: Code, reason: String) -> Rejection {
    Rejection { code, reason, retry_after_s: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Place, run};

    const DEVICES: &str = "[[device]]\nname = \"meter-1\"\n\
        [[device]]\nname = \"slow-1\"\nreadings_per_second = 1\n";

    fn arrival(device: &str, seq: u64, value: u64) -> Arrival {
        let payload = format!(r#"[{{"n":"power","v":{value}}}]"#).into_bytes();
        Arrival { device: device.to_owned(), seq: Some(seq), format: 110, payload }
    }

    #[test]
    fn what_is_wrong_gets_its_code_and_reaches_nothing() {
        let place = Place::new(DEVICES);
        run(async {
            let parts = place.open();
            let coap = Some(Transport::Coap);
            let good = arrival("meter-1", 1, 5);
            let first = parts.intake.take(good.clone(), coap).await.unwrap();
            let before = parts.size().await;
            let repeat = parts.intake.take(good.clone(), coap).await.unwrap();
            assert_eq!((repeat.index, repeat.repeated), (first.index, true));
            let large = format!(r#"[{{"n":"x","vs":"{}"}}]"#, "x".repeat(2_000)).into_bytes();
            let two = br#"[{"n":"power","v":1},{"n":"power"}]"#.to_vec();
            for (wrong, code, named) in [
                (arrival("stranger", 1, 5), Code::UNAUTHORIZED, "stranger"),
                (Arrival { format: 0, ..good.clone() }, Code::UNSUPPORTED_CONTENT_FORMAT, "110"),
                (
                    Arrival { format: 65_100, ..good.clone() },
                    Code::UNSUPPORTED_CONTENT_FORMAT,
                    "110",
                ),
                (Arrival { payload: two, ..good.clone() }, Code::BAD_REQUEST, "record 1"),
                (
                    Arrival { payload: large, ..good.clone() },
                    Code::REQUEST_ENTITY_TOO_LARGE,
                    "2000",
                ),
                (arrival("meter-1", 1, 6), Code::CONFLICT, "1"),
            ] {
                let refused = parts.intake.take(wrong, coap).await.unwrap_err();
                assert!(refused.code == code && refused.reason.contains(named), "{refused:?}");
                assert_eq!(refused.retry_after_s, None);
            }
            assert_eq!(parts.size().await, before);
            assert!(parts.contacts.newest("stranger").is_none());
            parts.close();
        });
    }

    #[test]
    fn who_observes_a_resource_is_told_of_new_readings() {
        let place = Place::new(DEVICES);
        run(async {
            let parts = place.open();
            let observed = ("meter-1".to_owned(), "power".to_owned());
            parts.changes.observe(observed.clone());
            for value in [7, 8] {
                let payload = format!(r#"[{{"bn":"meter-1/","n":"power","v":{value}}}]"#);
                let arrival =
                    Arrival { payload: payload.into_bytes(), ..arrival("meter-1", value, 0) };
                parts.intake.take(arrival, None).await.unwrap();
                let news = parts.changes.next().await;
                assert_eq!(news[&observed].bytes, value.to_string().as_bytes());
            }
            parts.close();
        });
    }

    #[test]
    fn a_device_that_is_too_fast_waits_and_nobody_else_does() {
        let place = Place::new(DEVICES);
        run(async {
            let parts = place.open();
            let coap = Some(Transport::Coap);
            for seq in 0..10 {
                parts.intake.take(arrival("slow-1", seq, 1), coap).await.unwrap();
            }
            let refused = parts.intake.take(arrival("slow-1", 10, 1), coap).await.unwrap_err();
            assert_eq!((refused.code, refused.retry_after_s), (Code::TOO_MANY_REQUESTS, Some(2)));
            parts.intake.take(arrival("meter-1", 1, 1), coap).await.unwrap();
            parts.intake.take(arrival("slow-1", 10, 1), None).await.unwrap();
            parts.close();
        });
    }
}
