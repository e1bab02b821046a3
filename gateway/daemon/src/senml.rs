//! SenML packs as the gateway sees them: accepted or refused, and their newest values.
//!
//! Guarantees: a pack that is accepted here can be read by everybody who follows RFC 8428; the reason of a refusal names
//! the record. Does not: change a byte; the log holds what the device sent.

use std::collections::BTreeMap;

use sluicegate_protocol::senml::{Format, Pack, Record, Value};

use crate::intake::{Code, Rejection, never};

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
        return Err(never(Code::UnsupportedFormat, reason));
    };
    match Pack::parse(known, payload) {
        Ok(_) => Ok(()),
        Err(error) => Err(never(Code::BadRequest, error.to_string())),
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
