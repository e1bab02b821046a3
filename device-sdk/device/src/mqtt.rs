//! Topics and payloads of a device behind an MQTT broker; the MQTT client is the caller's.
//!
//! | topic | from | payload |
//! |---|---|---|
//! | `sluicegate/<ep>/readings/<seq>` | device | a SenML pack |
//! | `sluicegate/<ep>/readings/ack` | gateway | `{"seq":7,"index":42}` or `{"seq":7,"error":"4.00","reason":"…"}` |
//! | `sluicegate/<ep>/act/<resource>` | gateway | `{"id":1,"value":"open","until":1795180000}` |
//! | `sluicegate/<ep>/act/<resource>/result` | device | `{"id":1,"ok":true,"value":"open"}` |
//!
//! Guarantees: what is parsed is strict JSON with the members above, each once and of its type;
//! others are passed. Does not: speak MQTT.

use core::fmt::{self, Write};

use sluicegate_protocol::{
    json::{Object, Value},
    senml::Text,
};

use crate::{
    Bytes, Error,
    actuator::{Command, MAX_VALUE, Outcome},
    coap::Code,
};

/// The room for a topic: an endpoint name has at most 32 bytes, a resource 32.
pub const MAX_TOPIC: usize = 96;

/// The room for the result of a command.
pub const MAX_RESULT: usize = 6 * MAX_VALUE + 64;

/// The topic of a reading.
pub fn reading_topic(endpoint_name: &str, seq: u64) -> Result<Bytes<MAX_TOPIC>, Error> {
    topic(format_args!("sluicegate/{endpoint_name}/readings/{seq}"))
}

/// The topic to subscribe to for acknowledgements.
pub fn ack_topic(endpoint_name: &str) -> Result<Bytes<MAX_TOPIC>, Error> {
    topic(format_args!("sluicegate/{endpoint_name}/readings/ack"))
}

/// The filter to subscribe to for commands to all resources.
pub fn act_filter(endpoint_name: &str) -> Result<Bytes<MAX_TOPIC>, Error> {
    topic(format_args!("sluicegate/{endpoint_name}/act/+"))
}

/// The topic of a command's result.
pub fn result_topic(endpoint_name: &str, resource: &str) -> Result<Bytes<MAX_TOPIC>, Error> {
    topic(format_args!("sluicegate/{endpoint_name}/act/{resource}/result"))
}

/// The resource in the topic of a command; `None` for any other topic.
pub fn act_resource<'a>(endpoint_name: &str, topic: &'a str) -> Option<&'a str> {
    let rest = topic.strip_prefix("sluicegate/")?.strip_prefix(endpoint_name)?;
    let resource = rest.strip_prefix("/act/")?;
    (!resource.is_empty() && !resource.contains('/')).then_some(resource)
}

/// The gateway's word on a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack<'a> {
    /// It is in the log.
    Logged {
        /// Its sequence number.
        seq: u64,
        /// Its place in the log.
        index: u64,
    },
    /// It was not taken.
    Refused {
        /// Its sequence number.
        seq: u64,
        /// Why, as a CoAP code; 4.29 and 5.xx pass.
        code: Code,
        /// Why in words.
        reason: Option<Text<'a>>,
    },
}

/// Reads an acknowledgement.
pub fn parse_ack(payload: &[u8]) -> Result<Ack<'_>, Error> {
    let [seq, index, error, reason] = members(payload, ["seq", "index", "error", "reason"])?;
    let seq = number(seq)?.ok_or(Error::Mqtt("no seq"))?;
    match (number(index)?, text(error)?) {
        (Some(index), None) => Ok(Ack::Logged { seq, index }),
        (None, Some(error)) => Ok(Ack::Refused { seq, code: code(error)?, reason: text(reason)? }),
        _ => Err(Error::Mqtt("neither index nor error, or both")),
    }
}

/// Reads a command.
pub fn parse_command(payload: &[u8]) -> Result<Command, Error> {
    let [id, until, given] = members(payload, ["id", "until", "value"])?;
    let mut value = Bytes::EMPTY;
    match given.ok_or(Error::Mqtt("no value"))? {
        Value::Bool(given) => value.push(if given { b"true" } else { b"false" })?,
        Value::Number(digits) => value.push(digits.as_bytes())?,
        Value::Other => return Err(Error::Mqtt("a value that is neither text nor number")),
        Value::Text(text) => {
            write!(value, "{text}").map_err(|_| Error::TooLong("the value"))?;
        }
    }
    let id = number(id)?.ok_or(Error::Mqtt("no id"))?;
    Ok(Command { id: Some(id), until: number(until)?, value })
}

/// Writes the result of a command.
pub fn result(id: u64, outcome: &Outcome) -> Bytes<MAX_RESULT> {
    let mut out = Bytes::EMPTY;
    let written = write_result(id, outcome, &mut out);
    // The longest value is 64 characters, 6 bytes each as an escape.
    debug_assert!(written.is_ok());
    out
}

fn write_result(id: u64, outcome: &Outcome, out: &mut Bytes<MAX_RESULT>) -> fmt::Result {
    let (ok, name) = if outcome.is_done() { (true, "value") } else { (false, "reason") };
    write!(out, "{{\"id\":{id},\"ok\":{ok},\"{name}\":\"")?;
    for char in outcome.value.as_str().chars() {
        match char {
            '"' | '\\' => write!(out, "\\{char}")?,
            '\0'..' ' => write!(out, "\\u{:04x}", u32::from(char))?,
            char => out.write_char(char)?,
        }
    }
    out.write_str("\"}")
}

fn topic(text: fmt::Arguments<'_>) -> Result<Bytes<MAX_TOPIC>, Error> {
    let mut topic = Bytes::EMPTY;
    topic.write_fmt(text).map_err(|_| Error::TooLong("the topic"))?;
    Ok(topic)
}

/// The members with these names.
fn members<'a, const N: usize>(
    payload: &'a [u8],
    names: [&str; N],
) -> Result<[Option<Value<'a>>; N], Error> {
    let mut found = [None; N];
    let not_json = |_| Error::Mqtt("not a JSON object");
    let mut object = Object::parse(payload).map_err(not_json)?;
    while let Some((key, value)) = object.next_member().map_err(not_json)? {
        let Some(place) = names.iter().position(|name| key == **name) else { continue };
        let before = found.get_mut(place).and_then(|place| place.replace(value));
        if before.is_some() {
            return Err(Error::Mqtt("a member twice"));
        }
    }
    Ok(found)
}

fn number(value: Option<Value<'_>>) -> Result<Option<u64>, Error> {
    let digits = match value {
        None => return Ok(None),
        Some(Value::Number(digits)) => digits,
        Some(_) => return Err(Error::Mqtt("not a number")),
    };
    digits.parse().map(Some).map_err(|_| Error::Mqtt("not a number of 64 bits"))
}

fn text(value: Option<Value<'_>>) -> Result<Option<Text<'_>>, Error> {
    match value {
        None => Ok(None),
        Some(Value::Text(text)) => Ok(Some(text)),
        Some(_) => Err(Error::Mqtt("not a text")),
    }
}

/// `4.00`.
fn code(text: Text<'_>) -> Result<Code, Error> {
    let mut chars = text.chars();
    let mut digit = |limit| {
        let digit = chars.next().and_then(|char| char.to_digit(10));
        digit.and_then(|digit| u8::try_from(digit).ok()).filter(|digit| *digit < limit)
    };
    let class = digit(8);
    let dot = chars.next() == Some('.');
    let mut digit = || chars.next().and_then(|char| u8::try_from(char.to_digit(10)?).ok());
    let detail = digit().zip(digit()).map(|(tens, ones)| tens * 10 + ones);
    let ends = chars.next().is_none();
    let code = class.zip(detail.filter(|detail| *detail < 32));
    let code = code.map(|(class, detail)| Code(class << 5 | detail)).filter(|_| dot && ends);
    code.filter(|code| matches!(code.class(), 4 | 5)).ok_or(Error::Mqtt("not an error code"))
}
