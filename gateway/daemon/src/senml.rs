//! SenML packs as the gateway sees them: accepted or refused, and their newest values.
//!
//! Guarantees: a pack that is accepted here can be read by everybody who follows RFC 8428; the reason of a refusal names
//! the record. Does not: change a byte; the log holds what the device sent.

use std::collections::BTreeMap;

use sluicegate_protocol::{
    coap::Code,
    senml::{Format, Pack, Record, Value},
};

use crate::intake::{Rejection, never};

/// Most names of one pack that are told of.
const MAX_NAMES: usize = 64;

/// Longest name that is told of, in characters.
const MAX_NAME: usize = 128;

/// Longest value that is told, in characters.
const MAX_VALUE: usize = 256;

/// Whether a payload may be logged.
pub fn check(format: u16, payload: &[u8]) -> Result<(), Rejection> {
    let Some(known) = Format::from_content_format(format) else {
        let reason = format!("content format {format} is neither 110 nor 112 (SenML JSON, CBOR)");
        return Err(never(Code::UNSUPPORTED_CONTENT_FORMAT, reason));
    };
    match Pack::parse(known, payload) {
        Ok(_) => Ok(()),
        Err(error) => Err(never(Code::BAD_REQUEST, error.to_string())),
    }
}

/// Name, value as text and unit of the newest record of each name.
pub fn newest(format: u16, payload: &[u8]) -> Vec<(String, String, Option<String>)> {
    let known = Format::from_content_format(format);
    let Some(Ok(pack)) = known.map(|format| Pack::parse(format, payload)) else {
        return Vec::new();
    };
    let mut newest: BTreeMap<String, Record<'_>> = BTreeMap::new();
    for record in pack.records() {
        let name: String = record.name.chars().take(MAX_NAME + 1).collect();
        if name.len() > MAX_NAME {
            continue;
        }
        match newest.get(&name) {
            Some(known) if record.time < known.time => {}
            None if newest.len() >= MAX_NAMES => {}
            _ => drop(newest.insert(name, record)),
        }
    }
    let told = newest.into_iter().filter_map(|(name, record)| {
        let unit = record.unit.map(|unit| unit.chars().collect());
        Some((name, text(&record)?, unit))
    });
    told.collect()
}

/// The resource of a device that a SenML name means: `valve` where the device `pump-1` names it `pump-1/valve` or
/// `pump-1:valve`, so that a reading and a command speak of the same thing.
pub fn resource<'a>(device: &str, name: &'a str) -> &'a str {
    let rest = name.strip_prefix(device).and_then(|rest| rest.strip_prefix(['/', ':']));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(name)
}

fn text(record: &Record<'_>) -> Option<String> {
    match record.value? {
        Value::Bool(value) => Some(value.to_string()),
        Value::Data(data) => {
            Some(data.bytes().take(MAX_VALUE / 2).map(|byte| format!("{byte:02x}")).collect())
        }
        Value::Number(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.chars().take(MAX_VALUE).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_record_of_each_name_is_told() {
        let pack = br#"[{"bn":"m/","bt":1795132800,"n":"power","u":"W","v":1,"t":60},
            {"n":"power","u":"W","v":2.50,"t":0},{"n":"on","vb":true},{"n":"why","vs":"test"},
            {"n":"sum","s":1}]"#;
        let told: Vec<_> = newest(110, pack);
        let told: Vec<_> =
            told.iter().map(|(name, value, unit)| (&**name, &**value, unit.as_deref())).collect();
        assert_eq!(
            told,
            [("m/on", "true", None), ("m/power", "1", Some("W")), ("m/why", "test", None)]
        );
    }

    #[test]
    fn what_is_told_is_bounded() {
        let records: Vec<_> =
            (0..100).map(|n| format!(r#"{{"n":"n{n}","vs":"{}"}}"#, "x".repeat(999))).collect();
        let told = newest(110, format!("[{}]", records.join(",")).as_bytes());
        assert_eq!(told.len(), MAX_NAMES);
        assert!(told.iter().all(|(_, value, _)| value.len() == MAX_VALUE));
        let long = format!(r#"[{{"n":"{}","v":1}}]"#, "n".repeat(129));
        assert!(newest(110, long.as_bytes()).is_empty());
        assert!(newest(0, b"[]").is_empty() && newest(110, b"{").is_empty());
    }

    #[test]
    fn a_name_below_the_device_is_its_resource() {
        for (name, resource_of) in [
            ("pump-1/valve", "valve"),
            ("pump-1:valve", "valve"),
            ("pump-12/valve", "pump-12/valve"),
            ("valve", "valve"),
            ("pump-1/", "pump-1/"),
        ] {
            assert_eq!(resource("pump-1", name), resource_of);
        }
    }
}
