//! Messages: what the payloads on our topics look like.
//!
//! Guarantees: what goes out is one line of JSON; what comes in is bounded and no input panics. Does not: read
//! readings; [`crate::senml`] does.

use rumqttc::v5::mqttbytes::v5::Publish;
use serde::{Deserialize, Serialize};
use sluicegate_protocol::coap::Code;

use crate::{
    devices::record::Command,
    intake::{Rejection, never},
};

/// Content formats of SenML (RFC 8428 §12.3.1).
const JSON: u16 = 110;
const CBOR: u16 = 112;

/// Longest answer to a command, in bytes.
const MAX_RESULT: usize = 2_048;

/// Longest state of a resource, in bytes.
const MAX_STATE: usize = 512;

/// Longest reason of a refusal, in characters.
const MAX_REASON: usize = 256;

/// What a device said became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which command.
    pub id: u64,
    /// It was carried out.
    pub ok: bool,
    /// The state afterwards, or why it was not carried out.
    pub detail: String,
}

/// The content format of a reading: what MQTT 5 says it is; without that, what its first byte looks like.
pub(super) fn format_of(publish: &Publish) -> Result<u16, Rejection> {
    let properties = publish.properties.as_ref();
    let Some(told) = properties.and_then(|properties| properties.content_type.as_deref()) else {
        let first = publish.payload.first();
        let is_text = first.is_some_and(|byte| b"[ \t\r\n".contains(byte));
        return Ok(if is_text { JSON } else { CBOR });
    };
    let plain = told.split(';').next().unwrap_or_default().trim();
    if plain.eq_ignore_ascii_case("application/senml+json") {
        return Ok(JSON);
    }
    if plain.eq_ignore_ascii_case("application/senml+cbor") {
        return Ok(CBOR);
    }
    let told: String = told.chars().take(64).collect();
    let types = "neither application/senml+json nor application/senml+cbor";
    Err(never(Code::UNSUPPORTED_CONTENT_FORMAT, format!("content type {told:?} is {types}")))
}

/// A reading is logged.
pub(super) fn acknowledged(seq: Option<u64>, index: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Acknowledged {
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        index: u64,
    }
    json(&Acknowledged { seq, index })
}

/// A reading is not logged.
pub(super) fn refused(seq: Option<u64>, rejection: &Rejection) -> Vec<u8> {
    #[derive(Serialize)]
    struct Refused {
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        error: String,
        reason: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
    }
    let reason = rejection.reason.chars().take(MAX_REASON).collect();
    let (error, retry_after) = (rejection.code.to_string(), rejection.retry_after_s);
    json(&Refused { seq, error, reason, retry_after })
}

/// A command; `until` counts in seconds since the Unix epoch, and is passed by less than one when it is rounded.
pub(super) fn command(command: &Command) -> Vec<u8> {
    #[derive(Serialize)]
    struct Act<'a> {
        id: u64,
        value: &'a str,
        until: u64,
    }
    json(&Act { id: command.id, value: &command.value, until: command.until_ms / 1_000 })
}

/// Reads a device's answer to a command.
pub fn result(payload: &[u8]) -> Option<Outcome> {
    #[derive(Deserialize)]
    struct Told {
        id: u64,
        ok: bool,
        value: Option<serde_json::Value>,
        reason: Option<String>,
    }
    if payload.len() > MAX_RESULT {
        return None;
    }
    let Told { id, ok, value, reason } = serde_json::from_slice(payload).ok()?;
    let value = value.map(|value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    });
    let detail = if ok { value.or(reason) } else { reason.or(value) };
    Some(Outcome { id, ok, detail: detail.unwrap_or_default() })
}

/// Reads the state of a resource.
pub(super) fn state(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok()?;
    (text.len() <= MAX_STATE && !text.chars().any(char::is_control)).then_some(text)
}

/// These types have no map keys that could fail.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::{QoS, v5::PublishProperties};

    use super::*;

    fn publish(payload: &[u8], content_type: Option<&str>) -> Publish {
        let content_type = content_type.map(str::to_owned);
        let properties = PublishProperties { content_type, ..PublishProperties::default() };
        Publish::new("t", QoS::AtLeastOnce, payload.to_vec(), Some(properties))
    }

    #[test]
    fn a_content_type_wins_over_the_first_byte() {
        assert_eq!(format_of(&publish(b"[{}]", None)), Ok(JSON));
        assert_eq!(format_of(&publish(b" \n[", None)), Ok(JSON));
        assert_eq!(format_of(&publish(&[0x81, 0xa1], None)), Ok(CBOR));
        assert_eq!(format_of(&publish(b"", None)), Ok(CBOR));
        assert_eq!(format_of(&publish(b"[", Some("application/senml+cbor"))), Ok(CBOR));
        assert_eq!(format_of(&publish(b"", Some("Application/SenML+JSON; v=1"))), Ok(JSON));
        let refused = format_of(&publish(b"[]", Some("text/plain"))).unwrap_err();
        assert_eq!(refused.code, Code::UNSUPPORTED_CONTENT_FORMAT);
        assert!(refused.reason.contains("text/plain"), "{}", refused.reason);
    }

    #[test]
    fn answers_are_short_json() {
        assert_eq!(acknowledged(Some(7), 42), br#"{"seq":7,"index":42}"#);
        assert_eq!(acknowledged(None, 42), br#"{"index":42}"#);
        let rejection = never(Code::BAD_REQUEST, "record 3: \"x\"".to_owned());
        let text = br#"{"seq":7,"error":"4.00","reason":"record 3: \"x\""}"#;
        assert_eq!(refused(Some(7), &rejection), text);
        let slow =
            Rejection { retry_after_s: Some(2), ..never(Code::TOO_MANY_REQUESTS, "r".into()) };
        assert_eq!(refused(None, &slow), br#"{"error":"4.29","reason":"r","retry_after":2}"#);
    }

    #[test]
    fn a_command_says_until_when_in_seconds() {
        let order = Command {
            id: 1,
            resource: "valve".to_owned(),
            value: "open".to_owned(),
            until_ms: 1_795_180_000_999,
        };
        assert_eq!(command(&order), br#"{"id":1,"value":"open","until":1795180000}"#);
    }

    #[test]
    fn results_are_read_or_refused() {
        let told = result(br#"{"id":1,"ok":true,"value":"open"}"#).unwrap();
        assert_eq!(told, Outcome { id: 1, ok: true, detail: "open".to_owned() });
        let told = result(br#"{"id":2,"ok":false,"reason":"stuck","at":3}"#).unwrap();
        assert_eq!(told, Outcome { id: 2, ok: false, detail: "stuck".to_owned() });
        assert_eq!(result(br#"{"id":3,"ok":true,"value":12}"#).unwrap().detail, "12");
        for bad in ["", "1", "[]", r#"{"id":-1,"ok":true}"#, r#"{"id":1}"#, "{\"id\":1,\"ok\":1}"] {
            assert_eq!(result(bad.as_bytes()), None, "{bad}");
        }
        let long = format!(r#"{{"id":1,"ok":true,"value":"{}"}}"#, "x".repeat(MAX_RESULT));
        assert_eq!(result(long.as_bytes()), None);
    }

    #[test]
    fn a_state_is_a_short_text() {
        assert_eq!(state(b"open"), Some("open"));
        assert_eq!(state(b""), Some(""));
        assert_eq!(state(b"\xff"), None);
        assert_eq!(state(b"a\nb"), None);
        assert_eq!(state(&[b'a'; MAX_STATE + 1]), None);
    }
}
