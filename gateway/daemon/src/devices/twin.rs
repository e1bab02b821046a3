//! A device's digital twin: what is known of it, derived from its part of the log.
//!
//! Guarantees: nothing is kept besides the log and the commands, so the twin can't contradict them; the work is bounded.
//! Does not: ask the device.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluicegate_notary::entry::{Body, Entry};

use super::{
    Enrolled,
    contacts::{Contact, Transport},
    record::{self, Record},
};
use crate::{
    Error,
    config::{Device, Security},
    desk::Desk,
    senml,
    store::{commands::StoredCommand, recent::Recent},
};

/// Newest leaves of the device that are looked at.
const DEPTH: u32 = 500;

/// Most gaps, notes and commands that are told.
const TOLD: usize = 10;

/// What is known of a device. Times are wall-clock milliseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Twin {
    /// Its name.
    pub device: String,
    /// It is enrolled now.
    pub enrolled: bool,
    /// Its retention class.
    pub class: Option<String>,
    /// How it proves over CoAP who it is: `psk` or `none`.
    pub security: Option<String>,
    /// Its newest sign of life since the gateway's start, and how it came.
    pub contact: Option<(u64, String)>,
    /// When its newest leaf was logged.
    pub newest_ms: Option<u64>,
    /// Its highest sequence number.
    pub highest_seq: Option<u64>,
    /// Sequence numbers that never came, as first and last, newest first.
    pub gaps: Vec<(u64, u64)>,
    /// The newest state of each of its resources.
    pub state: BTreeMap<String, State>,
    /// The newest notes, newest first.
    pub notes: Vec<(u64, String)>,
    /// The newest commands, newest first.
    pub commands: Vec<Told>,
}

/// The newest state of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// As text.
    pub value: String,
    /// Its unit, if it is a measurement.
    pub unit: Option<String>,
    /// When it was logged.
    pub since_ms: u64,
    /// Index of its leaf.
    pub index: u64,
}

/// A command as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its id.
    pub id: u64,
    /// The resource that is written.
    pub resource: String,
    /// What is written.
    pub value: String,
    /// When it was made.
    pub made_ms: u64,
    /// `waiting`, `done: …` or `failed: …`.
    pub state: String,
}

impl Twin {
    /// With what the running gateway knows besides the log.
    #[must_use]
    pub fn with(self, enrolled: Option<&Enrolled>, contact: Option<Contact>) -> Self {
        let device = enrolled.map(|enrolled| &enrolled.device);
        let security = |device: &Device| match device.security {
            Security::None => "none".to_owned(),
            Security::Psk => "psk".to_owned(),
        };
        let transport = |contact: Contact| match contact.transport {
            Transport::Coap => "CoAP".to_owned(),
            Transport::Mqtt => "MQTT".to_owned(),
        };
        Self {
            enrolled: device.is_some(),
            class: device.map(|device| device.class.clone()),
            security: device.map(security),
            contact: contact.map(|contact| (contact.wall_ms, transport(contact))),
            ..self
        }
    }
}

/// Newest leaves of the device among which one of the gateway's own records is looked for.
const SEARCHED: u32 = 200;

/// Most resources whose state is told.
const MAX_STATES: usize = 256;

/// The gateway's own records among the newest leaves of a device, newest first, with the indices of their leaves: what a
/// crash or a failed store left uncertain is looked up here before it is logged again.
pub(crate) fn own_records(desk: &Desk, device: &str) -> Result<Vec<(u64, Record)>, Error> {
    let recent = desk.recorder.store().recent(device, SEARCHED)?;
    let own = recent.into_iter().filter(|row| row.log == desk.recorder.open_log().number);
    let own = own.filter_map(|row| Some((row.index, Record::parse(row.payload.as_deref()?)?)));
    Ok(own.collect())
}

/// Derives what is known of a device.
pub fn derive(desk: &Desk, device: &str) -> Result<Twin, Error> {
    let store = desk.recorder.store();
    let recent = store.recent(device, DEPTH)?;
    let mut twin = Twin {
        device: device.to_owned(),
        highest_seq: store.newest_seq(device)?,
        gaps: store.gaps(device, TOLD)?,
        commands: store.commands_of(device, 10)?.into_iter().map(told).collect(),
        ..Twin::default()
    };
    let mut earlier = BTreeMap::new();
    for row in recent {
        let files = match row.log == desk.recorder.open_log().number {
            true => Some(desk.recorder.files()),
            false => {
                let open = || desk.recorder.earlier_files(row.log).ok();
                earlier.entry(row.log).or_insert_with(open).as_ref()
            }
        };
        let entry = files.and_then(|files| files.entry(row.index).ok());
        if let Some(Ok(entry)) = entry.map(|bytes| Entry::decode(&bytes)) {
            learn(&mut twin, &entry, &row);
        }
    }
    Ok(twin)
}

/// Newest rows come first, so the first word on a resource stays.
fn learn(twin: &mut Twin, entry: &Entry, row: &Recent) {
    let Entry { time, body: Body::Reading(reading) } = entry else { return };
    twin.newest_ms = twin.newest_ms.max(Some(time.ms));
    let Some(payload) = &row.payload else { return };
    let state = |value: String, unit| State { value, unit, since_ms: time.ms, index: row.index };
    match Record::decode(reading.format, payload) {
        Some(Record::Note(note)) if twin.notes.len() < TOLD => {
            twin.notes.push((time.ms, note.text));
        }
        Some(Record::Observed(record::Observed { resource, value })) => {
            learn_state(twin, resource, state(value, None));
        }
        Some(_) => {}
        None => {
            for (name, value, unit) in senml::newest(reading.format, payload) {
                let name = senml::resource(&twin.device, &name).to_owned();
                learn_state(twin, name, state(value, unit));
            }
        }
    }
}

fn learn_state(twin: &mut Twin, resource: String, state: State) {
    if twin.state.len() < MAX_STATES {
        twin.state.entry(resource).or_insert(state);
    }
}

fn told(row: StoredCommand) -> Told {
    let state = match row.ended {
        None => "waiting".to_owned(),
        Some((_, true, detail)) => format!("done: {detail}"),
        Some((_, false, detail)) => format!("failed: {detail}"),
    };
    let record::Command { id, resource, value, .. } = row.command;
    Told { id, resource, value, made_ms: row.made_ms, state }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        devices::{commands::log, contacts::Contact},
        intake::Arrival,
        testing::{Place, run},
    };

    #[test]
    fn it_is_what_the_log_says() {
        let place = Place::new("[[device]]\nname = \"pump-1\"\nclass = \"billing\"\n");
        run(async {
            let parts = place.open();
            for (seq, value) in [(1, 10), (2, 11), (5, 14), (9, 18)] {
                let payload = format!(r#"[{{"bn":"pump-1/","n":"flow","u":"m3/h","v":{value}}}]"#);
                let (device, payload) = ("pump-1".to_owned(), payload.into_bytes());
                let arrival = Arrival { device, seq: Some(seq), format: 110, payload };
                parts.intake.take(arrival, None).await.unwrap();
            }
            for value in ["closed", "open"] {
                let (resource, value) = ("valve".to_owned(), value.to_owned());
                let record = Record::Observed(record::Observed { resource, value });
                log(&parts.keeper, &parts.registry, "pump-1", &record).await.unwrap();
            }
            let note = Record::Note(record::Note { text: "seal replaced".to_owned() });
            log(&parts.keeper, &parts.registry, "pump-1", &note).await.unwrap();
            let twin = parts.keeper.call(|desk, _| derive(desk, "pump-1").unwrap()).await.unwrap();
            assert_eq!((twin.highest_seq, twin.gaps.as_slice()), (Some(9), &[(6, 8), (3, 4)][..]));
            let flow = &twin.state["flow"];
            assert_eq!((flow.value.as_str(), flow.unit.as_deref()), ("18", Some("m3/h")));
            assert_eq!((twin.state["valve"].value.as_str(), twin.state.len()), ("open", 2));
            assert_eq!(twin.notes[0].1, "seal replaced");
            let contact = Contact { transport: Transport::Mqtt, wall_ms: 3, monotonic_ms: 1 };
            let twin = twin.with(parts.registry.get("pump-1").as_deref(), Some(contact));
            assert_eq!(
                (twin.contact, twin.class.as_deref()),
                (Some((3, "MQTT".to_owned())), Some("billing"))
            );
            let nobody =
                parts.keeper.call(|desk, _| derive(desk, "nobody").unwrap()).await.unwrap();
            assert_eq!(nobody, Twin { device: "nobody".to_owned(), ..Twin::default() });
            parts.close();
        });
    }
}
