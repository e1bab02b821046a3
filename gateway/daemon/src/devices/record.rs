//! What the gateway itself writes into a device's part of the log: commands, results, observed states, notes.
//!
//! Guarantees: each is a leaf like a reading, with a content format of its own from the experimental range (RFC 7252
//! §12.3), which a device can't send; the payload is JSON that needs no other source to be understood.
//! Does not: count in the device's sequence numbers.

use serde::{Deserialize, Serialize};

/// Content format of a command.
pub const COMMAND: u16 = 65_100;

/// Content format of what became of a command.
pub const RESULT: u16 = 65_101;

/// Content format of an observed state.
pub const OBSERVED: u16 = 65_102;

/// Content format of an administrator's note.
pub const NOTE: u16 = 65_103;

/// One of the gateway's own records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Record {
    /// The gateway was told to tell the device something.
    Command(Command),
    /// An administrator's note, as after maintenance.
    Note(Note),
    /// The device told the state of one of its resources.
    Observed(Observed),
    /// What became of a command.
    Result(Outcome),
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Names it for ever; the device acts once on it.
    pub id: u64,
    /// The resource that is written, without a leading slash.
    pub resource: String,
    /// What is written.
    pub value: String,
    /// It must not be carried out later than this, in wall-clock milliseconds.
    pub until_ms: u64,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which command.
    pub id: u64,
    /// Its resource.
    pub resource: String,
    /// The device carried it out.
    pub ok: bool,
    /// What the device answered, or why it was not carried out.
    pub detail: String,
}

/// A state that a device told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The resource.
    pub resource: String,
    /// Its state.
    pub value: String,
}

/// An administrator's note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What happened.
    pub text: String,
}

impl Record {
    /// The content format under which it is logged.
    pub const fn format(&self) -> u16 {
        match self {
            Self::Command(_) => COMMAND,
            Self::Note(_) => NOTE,
            Self::Observed(_) => OBSERVED,
            Self::Result(_) => RESULT,
        }
    }

    /// The payload.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a payload of which the log says that it is one of these: no reading of a device is, for a SenML pack is a list.
    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        serde_json::from_slice(payload).ok()
    }

    /// Reads a payload of one of these formats; `None` for another format or a damaged payload.
    pub fn decode(format: u16, payload: &[u8]) -> Option<Self> {
        Self::parse(payload).filter(|record| record.format() == format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_only_under_its_format() {
        let text = |text: &str| text.to_owned();
        let (resource, value) = (text("valve"), text("\"open\"\n"));
        let detail = text("4.04 gone");
        let all = [
            Record::Command(Command { id: 7, resource: resource.clone(), value, until_ms: 9 }),
            Record::Result(Outcome { id: 7, resource: resource.clone(), ok: false, detail }),
            Record::Observed(Observed { resource, value: text("ö") }),
            Record::Note(Note { text: text("seal replaced") }),
        ];
        for record in &all {
            let bytes = record.encode();
            assert_eq!(Record::decode(record.format(), &bytes).as_ref(), Some(record));
            assert_eq!(Record::decode(110, &bytes), None);
            assert_eq!(Record::decode(record.format(), &bytes[1..]), None);
        }
        assert_eq!(Record::decode(NOTE, &all[0].encode()), None);
        assert_eq!(Record::decode(NOTE, br#"[{"n":"power","v":1}]"#), None);
    }
}
