//! Topics: the strict parser of what comes in, and the names of what goes out.
//!
//! Guarantees: a topic that parses names a device and a resource that the rest of the gateway accepts, and is the only
//! spelling of what it means; no input panics. Does not: know who is enrolled. The device is the topic's `<ep>`: the
//! broker's access list holds each device to its own topics. Fuzz target: `mqtt_topic`.

use crate::config::MAX_NAME;

/// Before the device's name in every topic.
const ROOT: &str = "sluicegate/";

/// What the gateway subscribes to: readings, results of commands, states.
pub(super) const FILTERS: [&str; 3] =
    ["sluicegate/+/readings/#", "sluicegate/+/act/#", "sluicegate/+/state/#"];

/// Longest path of a resource, in bytes.
const MAX_RESOURCE: usize = 64;

/// A topic on which a device speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Topic<'a> {
    /// The device's endpoint name.
    pub device: &'a str,
    /// What it says.
    pub kind: Kind<'a>,
}

/// What a device says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind<'a> {
    /// `readings/<seq>` or `readings`: a reading, with its sequence number if there is one.
    Reading(Option<u64>),
    /// `act/<resource>/result`: what became of a command.
    Result(&'a str),
    /// `state/<resource>`: the state of a resource.
    State(&'a str),
}

/// Reads a topic on which a device may speak; `None` for every other.
pub fn parse(topic: &[u8]) -> Option<Topic<'_>> {
    let text = std::str::from_utf8(topic).ok()?.strip_prefix(ROOT)?;
    let (device, rest) = text.split_once('/')?;
    if !is_device(device) {
        return None;
    }
    let kind = match rest.split_once('/') {
        None => (rest == "readings").then_some(Kind::Reading(None))?,
        Some(("readings", seq)) => Kind::Reading(Some(number(seq)?)),
        Some(("act", path)) => Kind::Result(resource(path.strip_suffix("/result")?)?),
        Some(("state", path)) => Kind::State(resource(path)?),
        Some(_) => return None,
    };
    Some(Topic { device, kind })
}

/// Where a device reads what became of its readings.
pub fn ack(device: &str) -> String {
    format!("{ROOT}{device}/readings/ack")
}

/// Where a device reads commands to one of its resources.
pub fn act(device: &str, resource: &str) -> String {
    format!("{ROOT}{device}/act/{resource}")
}

fn is_device(name: &str) -> bool {
    let valid = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    (1..=MAX_NAME).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(valid)
}

/// A decimal number without sign and leading zeros.
fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn resource(path: &str) -> Option<&str> {
    let valid = |c: u8| c.is_ascii_alphanumeric() || b"-_./".contains(&c);
    let whole = path.len() <= MAX_RESOURCE && path.split('/').all(|part| !part.is_empty());
    (whole && path.bytes().all(valid)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(topic: &str) -> Option<Kind<'_>> {
        let parsed = parse(topic.as_bytes())?;
        assert_eq!(parsed.device, "meter-1", "{topic}");
        Some(parsed.kind)
    }

    #[test]
    fn what_a_device_says_is_read() {
        assert_eq!(kind("sluicegate/meter-1/readings"), Some(Kind::Reading(None)));
        assert_eq!(kind("sluicegate/meter-1/readings/0"), Some(Kind::Reading(Some(0))));
        let most = format!("sluicegate/meter-1/readings/{}", u64::MAX);
        assert_eq!(kind(&most), Some(Kind::Reading(Some(u64::MAX))));
        assert_eq!(kind("sluicegate/meter-1/act/valve/result"), Some(Kind::Result("valve")));
        assert_eq!(kind("sluicegate/meter-1/act/a/result/result"), Some(Kind::Result("a/result")));
        assert_eq!(kind("sluicegate/meter-1/state/3/valve"), Some(Kind::State("3/valve")));
    }

    #[test]
    fn everything_else_is_nothing() {
        let long_resource = format!("sluicegate/meter-1/state/{}", "r".repeat(65));
        let long_device = format!("sluicegate/{}/readings", "d".repeat(33));
        for topic in [
            "",
            "sluicegate",
            "sluicegate/",
            "sluicegate/meter-1",
            "sluicegate/meter-1/",
            "sluicegate//readings",
            "sluicegate/.meter/readings",
            "sluicegate/meter 1/readings",
            "sluicegate/m\u{e9}ter/readings",
            "Sluicegate/meter-1/readings",
            "/sluicegate/meter-1/readings",
            "sluicegate/meter-1/readings/",
            "sluicegate/meter-1/readings/ack",
            "sluicegate/meter-1/readings/+7",
            "sluicegate/meter-1/readings/07",
            "sluicegate/meter-1/readings/00",
            "sluicegate/meter-1/readings/7/8",
            "sluicegate/meter-1/readings/18446744073709551616",
            "sluicegate/meter-1/act/valve",
            "sluicegate/meter-1/act/result",
            "sluicegate/meter-1/act//result",
            "sluicegate/meter-1/state",
            "sluicegate/meter-1/state/",
            "sluicegate/meter-1/state/a//b",
            "sluicegate/meter-1/state/a b",
            "sluicegate/meter-1/state/a\0",
            "sluicegate/meter-1/other/a",
            &long_resource,
            &long_device,
        ] {
            assert_eq!(parse(topic.as_bytes()), None, "{topic:?}");
        }
        assert_eq!(parse(b"sluicegate/\xff/readings"), None);
    }

    #[test]
    fn the_gateways_own_topics_are_not_a_devices() {
        assert_eq!(parse(ack("meter-1").as_bytes()), None);
        assert_eq!(parse(act("meter-1", "valve").as_bytes()), None);
    }
}
