//! What a verification found: for a person ([`Report::to_text`]) and for a program ([`Report::to_json`]).
//!
//! Guarantees: the same words on the command line and in the browser; readings are shown only when every check of what
//! is shown passed.

use alloc::{format, string::String, vec::Vec};

use serde::Serialize;
use sluicegate_protocol::Digest;

use crate::entry::DAY_MS;

/// The outcome; its exit code is that of `sluicegate verify`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything held, the anchor included.
    Valid,
    /// Something is wrong, or the signer is unknown: nothing in the file may be believed.
    Invalid,
    /// The log's signature and proofs held; no anchor that the policy trusts says since when.
    NotAnchored,
    /// The witnesses that the policy asks for have not all cosigned.
    QuorumMissing,
    /// A ledger was to be asked and did not answer.
    LedgerUnreachable,
}

impl Verdict {
    /// The exit code of the command.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Valid => 0,
            Self::Invalid => 1,
            Self::NotAnchored => 2,
            Self::QuorumMissing => 3,
            Self::LedgerUnreachable => 4,
        }
    }
}

/// What was checked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The file itself.
    Format,
    /// The log's signature.
    Signer,
    /// The witnesses' cosignatures.
    Witnesses,
    /// The entries are in the log.
    Inclusion,
    /// Values and device names are those that the log committed to.
    Openings,
    /// Days are complete.
    Days,
    /// The blocks that are older than the readings.
    NotBefore,
    /// The block that is younger than the readings.
    Anchor,
    /// A ledger's answer.
    Ledger,
}

/// All checks of a file; [`Check::Ledger`] is added when a ledger was asked.
pub(super) const CHECKS: [Check; 8] = [
    Check::Format,
    Check::Signer,
    Check::Witnesses,
    Check::Inclusion,
    Check::Openings,
    Check::Days,
    Check::NotBefore,
    Check::Anchor,
];

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It held.
    Passed,
    /// It did not hold.
    Failed,
    /// Nothing was there to check, or nobody to trust.
    NotChecked,
}

/// One check in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which.
    pub check: Check,
    /// How it ended.
    pub status: Status,
    /// What was checked and what it means.
    pub text: String,
}

/// The log and the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Log {
    /// The log's name, and that of its key in the policy.
    pub origin: String,
    /// Entries under the checkpoint.
    pub size: u64,
    /// Root of the tree, hexadecimal.
    pub root: String,
    /// Digest of the checkpoint: what is anchored, hexadecimal.
    pub digest: String,
}

/// A block of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Block {
    /// The ledger.
    pub ledger: String,
    /// The block's number.
    pub number: u64,
    /// Its hash, hexadecimal.
    pub hash: String,
    /// That ledger's time, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The same as a UTC date.
    pub time: String,
}

impl Block {
    /// A block as a ledger describes it.
    pub fn new(ledger: String, number: u64, hash: Digest, time_ms: u64) -> Self {
        Self { ledger, number, hash: format!("{hash}"), time_ms, time: utc(time_ms) }
    }
}

/// A block that the log names, and the entry in which it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Beacon {
    /// Index of the entry.
    pub index: u64,
    /// The block.
    pub block: Block,
}

/// Between which blocks the shown readings were logged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bracket {
    /// All of them after this block.
    pub not_before: Option<Block>,
    /// All of them before this block, and unchanged since.
    pub not_after: Option<Block>,
}

/// A witness that cosigned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// Its name in the policy.
    pub name: String,
    /// When it says that it saw the checkpoint.
    pub time: String,
}

/// The value of a reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Value {
    /// Bytes that are not text, in hexadecimal.
    Hex(String),
    /// Text.
    Text(String),
    /// The bundle does not show it: it was left out or erased.
    Withheld,
}

/// A reading of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Index of its entry.
    pub index: u64,
    /// The device's name, if it is shown.
    pub device: Option<String>,
    /// The device's name in the log, hexadecimal.
    pub pseudonym: String,
    /// The device's own counter.
    pub seq: Option<u64>,
    /// Sequence numbers that the device skipped before this one, as it was logged; some may have come later.
    pub gap: u64,
    /// When the gateway logged it by its own clock, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// The same as a UTC date.
    pub time: String,
    /// Whether that clock was synchronised.
    pub synchronised: bool,
    /// CoAP content format of the value.
    pub content_format: u16,
    /// The value.
    pub value: Value,
    /// Index of the newest checked beacon before it.
    pub after_beacon: Option<u64>,
}

/// A device's day of which readings or a summary are in the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Day {
    /// The device's name, if it is shown.
    pub device: Option<String>,
    /// The device's name in the log, hexadecimal.
    pub pseudonym: String,
    /// The UTC date.
    pub date: String,
    /// Index of the summary up to which the day is shown completely, as far as it is in this log.
    pub complete_at: Option<u64>,
    /// Readings in the bundle.
    pub readings: u64,
    /// Those among them whose value is not shown.
    pub withheld: u64,
    /// Those among them that were logged after the summary.
    pub after_summary: u64,
    /// Sequence numbers that the device skipped before these readings and that no reading of the bundle has.
    pub missing: u64,
}

/// An erasure that is an entry of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// Index of the entry.
    pub index: u64,
    /// The device's name, if it is shown.
    pub device: Option<String>,
    /// The device's name in the log, hexadecimal.
    pub pseudonym: String,
    /// The retention class.
    pub class: String,
    /// The UTC date of the readings.
    pub date: String,
    /// Their number.
    pub count: u64,
}

/// What a ledger answered when it was asked for the checkpoint's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerAnswer {
    /// It has it, in this final block.
    Confirmed(Block),
    /// It does not have it.
    NotFound {
        /// The ledger that was asked.
        ledger: String,
    },
    /// It did not answer.
    Unreachable {
        /// Why.
        reason: String,
    },
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The outcome.
    pub verdict: Verdict,
    /// Its exit code.
    pub exit_code: u8,
    /// The outcome in words.
    pub summary: String,
    /// Each check in words.
    pub steps: Vec<Step>,
    /// The log, once its signature held.
    pub log: Option<Log>,
    /// The witnesses that cosigned.
    pub witnesses: Vec<Witness>,
    /// Between which blocks the readings were logged.
    pub bracket: Bracket,
    /// The checked blocks that the log names.
    pub beacons: Vec<Beacon>,
    /// Days with their completeness.
    pub days: Vec<Day>,
    /// Erasures.
    pub erasures: Vec<Erasure>,
    /// The readings.
    pub readings: Vec<Reading>,
    #[serde(skip)]
    pub(super) quorum_missing: bool,
    #[serde(skip)]
    pub(super) anchor_doubted: bool,
    #[serde(skip)]
    pub(super) unreachable: bool,
}

impl Report {
    pub(super) const fn new() -> Self {
        Self {
            verdict: Verdict::Invalid,
            exit_code: Verdict::Invalid.exit_code(),
            summary: String::new(),
            steps: Vec::new(),
            log: None,
            witnesses: Vec::new(),
            bracket: Bracket { not_before: None, not_after: None },
            beacons: Vec::new(),
            days: Vec::new(),
            erasures: Vec::new(),
            readings: Vec::new(),
            quorum_missing: false,
            anchor_doubted: false,
            unreachable: false,
        }
    }

    pub(super) fn step(&mut self, check: Check, status: Status, text: String) {
        self.steps.push(Step { check, status, text });
    }

    /// The report as one line of JSON.
    pub fn to_json(&self) -> String {
        // Every key is a string and no value refuses to be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Adds the answer of a ledger that the caller asked for the digest in [`Report::log`], and judges again.
    ///
    /// Whoever asks a ledger trusts it: a confirmation stands for the anchor's evidence. An invalid bundle stays so.
    pub fn with_answer(mut self, answer: LedgerAnswer) -> Self {
        if self.verdict == Verdict::Invalid {
            let text = "The ledger's answer does not matter: the file is not valid.".into();
            self.step(Check::Ledger, Status::NotChecked, text);
            return self;
        }
        let (status, text) = self.judge_answer(answer);
        self.step(Check::Ledger, status, text);
        self.settle()
    }

    fn judge_answer(&mut self, answer: LedgerAnswer) -> (Status, String) {
        match answer {
            LedgerAnswer::Confirmed(block) => self.confirm(block),
            LedgerAnswer::NotFound { ledger } => {
                self.anchor_doubted = true;
                let text = format!("The ledger {ledger} does not have this checkpoint.");
                (Status::Failed, text)
            }
            LedgerAnswer::Unreachable { reason } => {
                self.unreachable = true;
                (Status::NotChecked, format!("The ledger could not be asked: {reason}."))
            }
        }
    }

    fn confirm(&mut self, block: Block) -> (Status, String) {
        if self.contradicts(&block) {
            self.anchor_doubted = true;
            let number = block.number;
            let text = format!("The ledger's block {number} contradicts the blocks in the file.");
            return (Status::Failed, text);
        }
        let text = format!(
            "The ledger {} was asked and has this checkpoint in its final block {} ({}).",
            block.ledger, block.number, block.time
        );
        self.bracket.not_after.get_or_insert(block);
        (Status::Passed, text)
    }
}

impl Report {
    /// Another block of the same number, or one that is not younger than what the log names.
    fn contradicts(&self, block: &Block) -> bool {
        let mut beacons = self.beacons.iter().filter(|beacon| beacon.block.ledger == block.ledger);
        let shown = self.bracket.not_after.as_ref().filter(|shown| shown.ledger == block.ledger);
        shown.is_some_and(|shown| shown.number == block.number && shown.hash != block.hash)
            || beacons.any(|beacon| beacon.block.number >= block.number)
    }
}

/// Milliseconds since the Unix epoch as a UTC date and time.
pub fn utc(ms: u64) -> String {
    let (seconds, millis) = (ms / 1000 % 86_400, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z", date(ms / DAY_MS))
}

/// Days since the Unix epoch as a date, by the 400-year cycle of the calendar that begins on 1 March.
pub(super) fn date(days: u64) -> String {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", cycle * 400 + year + next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_182_187_123, "2026-11-20T13:43:07.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(ms), text);
        }
        assert!(utc(u64::MAX).ends_with('Z'));
    }
}
