//! Targets for `sluicegate-daemon`: its files, its configuration, its socket, MQTT topics, and what feeds it.

use std::path::Path;

use sluicegate_daemon::{
    config::Config,
    feed, files,
    mqtt::{
        message,
        topic::{self, Kind},
    },
    senml,
    wire::Request,
};

/// The tail of a log, `index of its first entry (8 bytes) ‖ tail`: what is read of it is what was written, and what
/// follows is no record.
pub fn log_tail(data: &[u8]) -> bool {
    let Some((first, tail)) = data.split_first_chunk() else { return false };
    let first = u64::from_be_bytes(*first);
    let entries = files::parse_records(first, tail);
    let written = files::records(first, &entries).expect("an entry that was read can be written");
    let rest = tail.strip_prefix(&written[..]).expect("entries have one encoding");
    if let Some(next) = first.checked_add(entries.len() as u64) {
        assert!(files::parse_records(next, rest).is_empty(), "it stopped too early");
    }
    !entries.is_empty()
}

/// A configuration file: what is accepted keeps the rules that the gateway relies on.
pub fn configuration(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(config) = Config::parse(text, Path::new("/etc/sluicegate")) else { return false };
    assert!(config.log.commit_delay.0 <= 1_000);
    for device in &config.devices {
        let same = config.devices.iter().filter(|other| other.name == device.name);
        assert_eq!(same.count(), 1, "a device is there twice");
    }
    true
}

/// A line on the gateway's socket, and the payload of a reading: another round gives the same request.
pub fn socket_line(data: &[u8]) -> bool {
    let Ok(request) = Request::parse(data) else { return false };
    let line = serde_json::to_vec(&request).expect("a request can be written");
    assert_eq!(Request::parse(&line).as_ref(), Ok(&request));
    if let Request::Reading(reading) = &request {
        let _ = senml::check(reading.format, reading.payload.as_bytes());
    }
    true
}

/// A CSV file of readings: what comes out of each row is a reading that the gateway takes.
pub fn feed_rows(data: &[u8]) -> bool {
    let mut accepted = false;
    for reading in feed::parse(data) {
        let Ok(reading) = reading else { return false };
        let found = senml::check(reading.format, reading.payload.as_bytes());
        assert_eq!(found, Ok(()), "{}", reading.payload);
        accepted = true;
    }
    accepted
}

/// An MQTT topic and, after a line feed, a payload: a topic that is taken is the only spelling of what it means, and a
/// result is read or refused.
pub fn mqtt_topic(data: &[u8]) -> bool {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (name, rest) = data.split_at(end);
    let Some(topic::Topic { device, kind }) = topic::parse(name) else { return false };
    let path = match kind {
        Kind::Reading(None) => "readings".to_owned(),
        Kind::Reading(Some(seq)) => format!("readings/{seq}"),
        Kind::Result(resource) => format!("act/{resource}/result"),
        Kind::State(resource) => format!("state/{resource}"),
    };
    assert_eq!(format!("sluicegate/{device}/{path}").as_bytes(), name);
    assert!(topic::parse(topic::ack(device).as_bytes()).is_none(), "an answer is no reading");
    let _ = message::result(rest.get(1..).unwrap_or_default());
    true
}
