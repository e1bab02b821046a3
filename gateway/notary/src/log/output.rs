//! What the log asks its caller to do, in order, and the rows that a store keeps.
//!
//! Guarantees: everything that is needed to open a commitment later is in [`Store`], before the leaf exists.

use alloc::{string::String, vec::Vec};

use sluicegate_protocol::Digest;

use crate::entry::{Beacon, Pseudonym};

/// Ties an acknowledgement to its submission.
pub type Ticket = u64;

/// One effect; later ones may depend on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Tell the device: its reading is logged at this index.
    Acknowledge(Acknowledgement),
    /// Append these leaves and sync, then call `persisted`.
    Append(Append),
    /// Delete payloads and keys of these days: their erasure is a durable entry.
    Erase(Vec<DayKey>),
    /// This checkpoint is durable and may be shown to anyone.
    Publish {
        /// Leaves under it.
        size: u64,
        /// The signed note.
        note: String,
    },
    /// Keep this checkpoint and sync, then call `persisted`.
    Record {
        /// Leaves under it.
        size: u64,
        /// The signed note.
        note: String,
    },
    /// Keep all of this or nothing and sync, then call `persisted`.
    Store(Store),
}

/// A reading is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Of the submission.
    pub ticket: Ticket,
    /// Index of the leaf.
    pub index: u64,
    /// The leaf was there before this submission came.
    pub repeated: bool,
}

/// What opens the leaves of one group commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Store {
    /// Index of the first leaf of the commit.
    pub first: u64,
    /// Index behind its last leaf.
    pub end: u64,
    /// The newest checkpoint over earlier leaves, with its size.
    pub head: Option<(u64, String)>,
    /// New keys.
    pub keys: Vec<KeyRow>,
    /// The readings of the commit.
    pub readings: Vec<ReadingRow>,
    /// Its summaries.
    pub summaries: Vec<SummaryRow>,
    /// Its beacons.
    pub beacons: Vec<BeaconRow>,
    /// Days whose erasure is an entry of the commit, with the entry's index.
    pub erasures: Vec<(u64, DayKey)>,
}

/// The leaves of one group commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Index of the first.
    pub first: u64,
    /// Their bytes.
    pub entries: Vec<Vec<u8>>,
    /// Their RFC 6962 leaf hashes.
    pub leaves: Vec<Digest>,
}

/// What one key covers: a device's day in one retention class.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DayKey {
    /// The device's name.
    pub device: String,
    /// The UTC day.
    pub day: u32,
    /// The retention class.
    pub class: String,
}

/// A new key, to be kept until its day is erased.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRow {
    /// What it covers.
    pub day: DayKey,
    /// The stored half of the key ([`sluicegate_protocol::commitment::day_key`]).
    pub stored: [u8; 32],
}

/// Leaves the key out (I8).
impl core::fmt::Debug for KeyRow {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("KeyRow").field("day", &self.day).finish_non_exhaustive()
    }
}

/// The opening of one reading's leaf, together with its day's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadingRow {
    /// Index of the leaf.
    pub index: u64,
    /// Whose day and class it is.
    pub day: DayKey,
    /// The device's own counter.
    pub seq: Option<u64>,
    /// The exact bytes received.
    pub payload: Vec<u8>,
}

/// Where a device's day was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// Index of the summary leaf.
    pub index: u64,
    /// The device's name.
    pub device: String,
    /// The UTC day.
    pub day: u32,
    /// The name that the leaf gives the device.
    pub pseudonym: Pseudonym,
}

/// Where a beacon stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeaconRow {
    /// Index of its leaf.
    pub index: u64,
    /// The block.
    pub beacon: Beacon,
}
