//! The local socket's language: one JSON object a line, in both directions.
//!
//! Guarantees: unknown fields and overlong lines are refused; a refused line costs its sender an error line, or the
//! connection when it is not JSON at all. Answers to readings carry device and sequence number and may overtake others.
//!
//! ```text
//! → {"reading":{"device":"meter-1","seq":7,"format":110,"payload":"[{\"n\":\"power\",\"v\":1}]"}}
//! ← {"logged":{"device":"meter-1","seq":7,"index":42,"repeated":false}}
//! ← {"refused":{"device":"meter-1","seq":7,"reason":"…","retry":true}}
//! → "status"   ← {"status":{…}}   → "meters"   ← {"meters":[{…}]}
//! → {"prove":{"device":"meter-1","which":{"seq":7},"form":"sgp"}}   ← {"proof":{"file":"<base64>","notice":null}}
//! → {"act":{"device":"valve-1","resource":"valve","value":"open","valid_ms":60000,"wait_ms":5000}}
//! ← {"acted":{"id":17,"outcome":{"id":17,"resource":"valve","ok":true,"detail":"open"}}}
//! → {"show":"valve-1"}   ← {"twin":{…}}   → {"note":{"device":"valve-1","text":"seal replaced"}}   ← {"noted":42}
//! → {"channel":"list"}   ← {"channels":[{…}]}
//! → {"channel":{"pay":{"channel":"6f1c…","amount":"7"}}}   ← "done"
//! ← {"error":"…"}
//! ```

use serde::{Deserialize, Serialize};

use crate::{
    channels::{Summary, Terms},
    devices::{record::Outcome, twin::Twin},
    meter,
    prove::Question,
};

/// Longest line of a request, in bytes.
pub const MAX_LINE: usize = 512 * 1024;

/// From a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Tell a device to do something.
    Act(Act),
    /// Payment channels.
    Channel(ChannelRequest),
    /// How do metered payments stand?
    Meters,
    /// Write a note into a device's part of the log.
    Note(Note),
    /// Build a proof.
    Prove(Question),
    /// Log a reading.
    Reading(Reading),
    /// What is known of a device?
    Show(String),
    /// How is the gateway?
    Status,
}

/// What is asked of the payment channels; a channel is named by hexadecimal digits, amounts are base units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelRequest {
    /// End a channel together with the peer.
    Close(String),
    /// Settle a channel on the ledger.
    Dispute(String),
    /// All channels.
    List,
    /// Propose a channel.
    Open(OpenChannel),
    /// Pay in a channel.
    Pay(PayChannel),
    /// One channel.
    Show(String),
    /// What devices have to know that sign for themselves.
    Terms,
}

/// A channel to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenChannel {
    /// The peer's name.
    pub peer: String,
    /// The device whose channel it is.
    pub device: String,
    /// What we bring.
    pub own: String,
    /// What the peer brings.
    pub theirs: String,
    /// How long a dispute can be answered, in seconds.
    pub challenge: Option<u64>,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayChannel {
    /// The channel.
    pub channel: String,
    /// How much.
    pub amount: String,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Act {
    /// An enrolled device.
    pub device: String,
    /// The resource to write.
    pub resource: String,
    /// What to write.
    pub value: String,
    /// How long the command may be carried out.
    pub valid_ms: u64,
    /// How long to wait for its outcome before the answer comes without it.
    pub wait_ms: u64,
}

/// A note, as after maintenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// An enrolled device.
    pub device: String,
    /// What happened.
    pub text: String,
}

impl Request {
    /// Reads a line without its end.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| error.to_string())
    }
}

/// A reading as its feeder sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// An enrolled device.
    pub device: String,
    /// The device's own counter.
    pub seq: Option<u64>,
    /// CoAP content format of the payload: 110 for SenML JSON.
    pub format: u16,
    /// The payload, as text.
    pub payload: String,
}

/// To a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// A command is under way, or ended.
    Acted(Acted),
    /// Payment channels.
    Channels(Vec<Summary>),
    /// It is done, or it is under way and goes on by itself.
    Done,
    /// The request made no sense or failed.
    Error(String),
    /// The reading is in the log.
    Logged(Logged),
    /// Metered payments.
    Meters(Vec<meter::Summary>),
    /// The note is in the log, at this index.
    Noted(u64),
    /// The channel that begins.
    Opened(String),
    /// A proof.
    Proof(Proof),
    /// The reading is not in the log.
    Refused(Refused),
    /// How the gateway is.
    Status(Box<Status>),
    /// What devices have to know that sign for themselves.
    Terms(Terms),
    /// What is known of a device.
    Twin(Box<Twin>),
}

/// A command is under way, or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Names the command.
    pub id: u64,
    /// What became of it, if that is known already.
    pub outcome: Option<Outcome>,
}

/// A proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The file, in base64.
    pub file: String,
    /// What the asker should know about it.
    pub notice: Option<String>,
}

/// A reading is in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// Whose.
    pub device: String,
    /// Its sequence number.
    pub seq: Option<u64>,
    /// Index of its leaf.
    pub index: u64,
    /// It was there before.
    pub repeated: bool,
}

/// A reading is not in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Whose.
    pub device: String,
    /// Its sequence number.
    pub seq: Option<u64>,
    /// Why.
    pub reason: String,
    /// Whether it may be sent again.
    pub retry: bool,
}

/// How the gateway is; times in wall-clock milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Origin of the open log.
    pub origin: String,
    /// Its leaves.
    pub size: u64,
    /// Leaves that a final anchor covers.
    pub anchored_size: u64,
    /// When the oldest reading was logged that no final anchor covers.
    pub oldest_unanchored_ms: Option<u64>,
    /// Hours until the disk is full at the present rate.
    pub hours_of_buffer_left: Option<u64>,
    /// `reachable`, `unreachable: …` or `unknown`.
    pub ledger: String,
    /// Where devices connect, and what of it does not work.
    pub field: Vec<String>,
    /// The newest anchors, newest first.
    pub anchors: Vec<AnchorStatus>,
    /// What an administrator must know, oldest first.
    pub alarms: Vec<String>,
}

/// One anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorStatus {
    /// Leaves under its checkpoint.
    pub size: u64,
    /// Digest of the checkpoint, hexadecimal.
    pub digest: String,
    /// `under way`, `final` or `failed: …`.
    pub state: String,
    /// Its block, once final.
    pub block: Option<u64>,
    /// When it became final.
    pub final_ms: Option<u64>,
}
