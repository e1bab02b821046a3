//! The one error type of this crate: which rule was broken, and by whose input.
//!
//! A verifier shows these texts to a person, so they name the thing and the rule, not the code.

use alloc::string::String;

use sluicegate_ledger::Error as LedgerError;
use sluicegate_protocol::Error as ProtocolError;

/// The rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log has as many waiting readings as it may; the device sends again later.
    #[error("{pending} readings are waiting to be logged, try again later")]
    Busy {
        /// Waiting readings.
        pending: usize,
    },
    /// A sequence number that no device counts up to.
    #[error("sequence number {seq} is larger than 2^63 - 1")]
    SequenceTooLarge {
        /// The number.
        seq: u64,
    },
    /// A device used one sequence number for two different readings.
    #[error("sequence number {seq} of {device} was already used for another reading")]
    SequenceReused {
        /// The device.
        device: String,
        /// The sequence number.
        seq: u64,
    },
    /// Foreign bytes that are not the one deterministic encoding of what they should be.
    #[error("the {what} is not in its one valid encoding")]
    Encoding {
        /// What should have been there: "log entry", "bundle".
        what: &'static str,
    },
    /// Things that are not in ascending order, or of which there are none.
    #[error("the {what} are not in ascending order, or there are none")]
    Order {
        /// What should be in order.
        what: &'static str,
    },
    /// A text or byte string longer than its bound.
    #[error("the {what} is {found} bytes long, at most {limit} are allowed")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// More things than are allowed.
    #[error("there are {found} {what}, at most {limit} are allowed")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// Their number.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// Whoever made the bundle: its checksum is that of other contents.
    #[error("the checksum does not fit the contents: the file was damaged or changed")]
    Checksum,
    /// Whoever made the bundle: the salt and payload are not those that the log committed to.
    #[error("the value shown for entry {index} is not the one that the log committed to")]
    Opening {
        /// Index of the reading.
        index: u64,
    },
    /// Whoever made the bundle: an opening for something that is no disclosed reading.
    #[error("a value is shown for entry {index}, but no such reading is in the bundle")]
    OpeningUnused {
        /// The index that the opening names.
        index: u64,
    },
    /// Whoever made the bundle: the name is not that of the pseudonym, or not in this epoch.
    #[error("the log's name for device {device} is not opened by what the bundle holds")]
    Device {
        /// The device.
        device: String,
    },
    /// Whoever made the bundle: a device is opened that has no entry in it.
    #[error("device {device} is named, but none of its entries is in the bundle")]
    DeviceUnused {
        /// The device.
        device: String,
    },
    /// Whoever made the bundle: the readings of a summarised day are not exactly those that the log counted.
    #[error("the day's summary in entry {index} does not match its readings: {problem}")]
    Day {
        /// Index of the summary.
        index: u64,
        /// What differs.
        problem: &'static str,
    },
    /// The log: a genesis entry that is not the first, or a first entry that is not the genesis of this log.
    #[error("entry {index} breaks the rule that a log begins with its own genesis entry, once")]
    Genesis {
        /// Index of the entry.
        index: u64,
    },
    /// Whoever made the bundle: the anchor on the ledger is that of another checkpoint.
    #[error("the digest on the ledger is not that of this checkpoint")]
    AnchorOfOther,
    /// Whoever made the bundle: not exactly one block for each beacon.
    #[error("there are {beacons} beacon entries and {blocks} blocks for them")]
    BeaconCount {
        /// Disclosed beacon entries.
        beacons: usize,
        /// Block evidence.
        blocks: usize,
    },
    /// Whoever made the bundle: the evidence is for another block than the beacon names.
    #[error("the block shown for beacon entry {index} is not the one that it names")]
    Beacon {
        /// Index of the beacon.
        index: u64,
    },
    /// The gateway: a bundle was to hold a proof from a log of another size than its checkpoint's.
    #[error("the hashes of the log do not lead to the root of the checkpoint")]
    NotInLog,
    /// Whoever wrote the policy.
    #[error("policy, line {line}: {problem}")]
    Policy {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The bundle's log is not one that the policy trusts.
    #[error("the policy has no key for the log {origin}: whoever signed this is unknown")]
    UnknownLog {
        /// What the checkpoint calls its log.
        origin: String,
    },
    /// The policy trusts a log of this name, and another key signed.
    #[error("no key that the policy has for the log {origin} signed this: whoever did is unknown")]
    UnknownSigner {
        /// What the checkpoint calls its log.
        origin: String,
    },
    /// Whoever made the evidence: a log can't name a block that is younger than its own anchor.
    #[error(
        "the log names block {beacon}, but its anchor is in block {anchor}, which is not later"
    )]
    AnchorBeforeBeacon {
        /// Number of the beacon's block.
        beacon: u64,
        /// Number of the anchor's block.
        anchor: u64,
    },
    /// Whoever made the evidence: it breaks a rule of the ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A hash, path, note or key that breaks a rule of the shared formats.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}
