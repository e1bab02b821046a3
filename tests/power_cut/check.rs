//! What must hold after a restart, whatever happened before: the witness's claims against the gateway's log.
//!
//! Guarantees: [`everything`] looks at every acknowledged reading, every published checkpoint, every entry, each summary,
//! the anchor, the outbox and the erasure, and then lets the log go on. It panics with the context that it was given.
//! Order of use: after [`Gateway::open`] on the survivors; it changes the log, so each survivor is checked once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use sluicegate_daemon::{
    disk::Disk,
    files::LogFiles,
    store::{AnchorState, Selection, StoredReading},
};
use sluicegate_notary::{
    entry::{Body, Entry, Pseudonym, Reading, Summary},
    proof, tile,
};
use sluicegate_protocol::{
    Checkpoint, Digest,
    commitment::{commit, salt},
    merkle::{Frontier, leaf_hash, verify_consistency, verify_inclusion},
    note::{Note, VerifierKey},
};

use crate::{
    memory::{Image, Memory},
    scenario::{
        Acknowledged, Action, BRIEF, DAY, DEVICES, Gateway, Progress, SECRET, Witness,
        anchor_digest, at, beacon, class, identity,
    },
};

/// A checkpoint that verified.
pub(crate) struct Head {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Digest,
}

/// A log as it lies on the disk.
pub(crate) struct Leaves {
    pub(crate) entries: Vec<Entry>,
    pub(crate) hashes: Vec<Digest>,
}

/// All of it; the gateway is fresh from [`Gateway::open`] on `memory`.
pub(crate) fn everything(gateway: &mut Gateway, memory: &Memory, witness: &Witness, context: &str) {
    assert_eq!(gateway.alarms, [], "{context}: no alarm after a mere power cut");
    let head = fresh_head(gateway, context);
    let leaves = leaves(memory, gateway.recorder.files());
    assert_eq!(leaves.root(), head.root, "{context}: entries and checkpoint");
    checkpoints(gateway, witness, &head, context);
    readings(gateway, witness, &leaves, &head, context);
    rows(gateway, &leaves, context);
    anchors(gateway, witness, context);
    erasure(gateway, memory, witness, context);
    repeats(gateway, witness, context);
    goes_on(gateway, memory, witness, context);
}

/// The newest checkpoint, published and verified.
pub(crate) fn fresh_head(gateway: &mut Gateway, context: &str) -> Head {
    let mut seen = Witness::default();
    gateway.perform(&Action::Publish, &mut seen).unwrap_or_else(|e| panic!("{context}: {e}"));
    let (_, note) = seen.published.last().unwrap_or_else(|| panic!("{context}: no checkpoint"));
    verified(note, &gateway.recorder.open_log().origin)
}

/// Checks a note's signature and reads it.
pub(crate) fn verified(note: &str, origin: &str) -> Head {
    static KEY: OnceLock<String> = OnceLock::new();
    let first = KEY.get_or_init(|| identity().verifier_key(crate::scenario::ORIGIN).unwrap());
    let other;
    let key = if origin == crate::scenario::ORIGIN {
        first
    } else {
        other = identity().verifier_key(origin).unwrap();
        &other
    };
    let parsed = Note::parse(note).unwrap();
    parsed.verify(&VerifierKey::parse(key).unwrap()).unwrap();
    let Checkpoint { origin, size, root } = Checkpoint::parse(parsed.text()).unwrap();
    Head { origin: origin.to_owned(), size, root }
}

/// Reads all entries, full bundles as a reader of the folder would.
pub(crate) fn leaves(memory: &Memory, files: &LogFiles<Memory>) -> Leaves {
    let mut entries = Vec::new();
    while files.size() - entries.len() as u64 >= u64::from(tile::WIDTH) {
        let index = entries.len() as u64 / u64::from(tile::WIDTH);
        let tile = tile::Tile { kind: tile::Kind::Entries, index, width: tile::WIDTH };
        let path = format!("log/1/{tile}");
        let bundle = memory.read(&path).unwrap().unwrap_or_else(|| panic!("{path} is missing"));
        let bundle = tile::decode_entries(&bundle, tile::WIDTH).unwrap();
        entries.extend(bundle.into_iter().map(<[u8]>::to_vec));
    }
    entries.extend((entries.len() as u64..files.size()).map(|index| files.entry(index).unwrap()));
    let hashes = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let entries = entries.iter().map(|entry| Entry::decode(entry).unwrap()).collect();
    Leaves { entries, hashes }
}

impl Leaves {
    pub(crate) fn root(&self) -> Digest {
        let mut frontier = Frontier::new();
        for hash in &self.hashes {
            frontier.push(*hash);
        }
        frontier.root()
    }

    /// The readings of the log with their times' days.
    fn readings(&self) -> impl Iterator<Item = (u64, u32, &Reading)> {
        (0..).zip(&self.entries).filter_map(|(index, entry)| match &entry.body {
            Body::Reading(reading) => Some((index, entry.time.day(), reading)),
            _ => None,
        })
    }
}

/// Whatever was published is a beginning of the log, and the database knows of it.
fn checkpoints(gateway: &Gateway, witness: &Witness, head: &Head, context: &str) {
    let kept = gateway.recorder.open_log().head.as_ref().map_or(0, |(size, _)| *size);
    let shown = witness.published.iter().map(|(size, _)| *size).max().unwrap_or(0);
    assert!(kept >= shown, "{context}: a checkpoint of {shown} was shown, one of {kept} is kept");
    for (_, note) in &witness.published {
        let old = verified(note, crate::scenario::ORIGIN);
        assert_eq!(old.origin, head.origin, "{context}: the origin stays");
        let path = proof::consistency(&gateway.recorder.files().nodes(), old.size, head.size)
            .unwrap_or_else(|error| panic!("{context}: {} of {}: {error}", old.size, head.size));
        verify_consistency(old.size, &old.root, head.size, &head.root, &path)
            .unwrap_or_else(|error| panic!("{context}: checkpoint of {}: {error}", old.size));
    }
}

/// Every acknowledged reading is at its index, opens unless it was erased, and proves.
fn readings(gateway: &Gateway, witness: &Witness, leaves: &Leaves, head: &Head, context: &str) {
    let store = gateway.recorder.store();
    let stored = DEVICES.iter().flat_map(|device| store.select(1, device, Selection::All).unwrap());
    let stored: BTreeMap<u64, StoredReading> = stored.map(|row| (row.index, row)).collect();
    let (mut keys, mut pseudonyms) = (BTreeMap::new(), BTreeMap::new());
    let nodes = gateway.recorder.files().nodes();
    for reading in &witness.acknowledged {
        let row = stored
            .get(&reading.index)
            .unwrap_or_else(|| panic!("{context}: {reading:?} has no row"));
        let found = (row.day.device.as_str(), row.seq);
        assert_eq!(found, (reading.device, reading.seq), "{context}: {reading:?}");
        let Body::Reading(entry) = &leaves.entries[index(reading.index)].body else {
            panic!("{context}: {reading:?} is another entry");
        };
        let pseudonym = *pseudonyms
            .entry((reading.device, reading.day))
            .or_insert_with(|| identity().pseudonym(reading.device, reading.day).0);
        let found = (entry.pseudonym, entry.seq);
        assert_eq!(found, (pseudonym, reading.seq), "{context}: {reading:?}");
        if may_be_gone(reading, witness) && row.payload.is_none() {
            continue;
        }
        assert_eq!(
            row.payload.as_ref(),
            Some(&reading.payload),
            "{context}: payload of {reading:?}"
        );
        let key = *keys.entry(row.day.clone()).or_insert_with(|| {
            let stored = gateway.recorder.stored_key(&row.day).unwrap();
            let stored = stored.unwrap_or_else(|| panic!("{context}: {reading:?} has no key"));
            identity().day_key(&gateway.recorder.open_log().origin, &stored)
        });
        let salt = salt(&key, reading.seq, reading.index);
        assert_eq!(
            entry.commitment,
            commit(&salt, &reading.payload),
            "{context}: opening of {reading:?}"
        );
    }
    // The first 250 were durable long before: their hashes are in the root; of these, each sixteenth is proved.
    let proved = witness.acknowledged.iter().filter(|r| r.index >= 250 || r.index % 16 == 0);
    for Acknowledged { index: leaf, .. } in proved {
        let path = proof::inclusion(&nodes, *leaf, head.size).unwrap();
        verify_inclusion(&leaves.hashes[index(*leaf)], *leaf, head.size, &path, &head.root)
            .unwrap_or_else(|error| panic!("{context}: entry {leaf}: {error}"));
    }
}

fn may_be_gone(reading: &Acknowledged, witness: &Witness) -> bool {
    expires(reading) && witness.erasure >= Progress::Begun
}

fn expires(reading: &Acknowledged) -> bool {
    class(reading.device) == BRIEF && reading.day == DAY
}

/// The database has a row for exactly each reading of the log, and no sequence number has two leaves.
pub(crate) fn rows(gateway: &Gateway, leaves: &Leaves, context: &str) {
    let store = gateway.recorder.store();
    let stored = DEVICES.iter().flat_map(|device| store.select(1, device, Selection::All).unwrap());
    let stored: BTreeSet<u64> = stored.map(|row| row.index).collect();
    let logged: BTreeSet<u64> = leaves.readings().map(|(index, ..)| index).collect();
    assert_eq!(stored, logged, "{context}: rows and leaves");
    let mut seen = BTreeSet::new();
    for (index, _, reading) in leaves.readings().filter(|(.., reading)| reading.seq.is_some()) {
        let name = (reading.pseudonym, reading.seq);
        assert!(seen.insert(name), "{context}: entry {index} is a second leaf of its reading");
    }
}

fn anchors(gateway: &Gateway, witness: &Witness, context: &str) {
    let store = gateway.recorder.store();
    let anchor = store.anchor(&anchor_digest()).unwrap();
    assert!(anchor.is_some() || witness.anchor_begun < Progress::Done, "{context}: anchor");
    let is_final = anchor.is_some_and(|anchor| {
        anchor.state == AnchorState::Final { block: 9, since_ms: 8 }
            && anchor.evidence.as_deref() == Some(b"evidence")
    });
    assert!(is_final || witness.anchor_final < Progress::Done, "{context}: final anchor");
    let proven =
        store.beacon_before(1, u64::MAX).unwrap().is_some_and(|(_, proof)| proof == b"block");
    assert!(proven || witness.beacon_proven < Progress::Done, "{context}: beacon");
    let (kept, next) = &witness.outbox;
    let outbox = store.outbox().unwrap();
    assert!(outbox == *kept || Some(&outbox) == next.as_ref(), "{context}: outbox {outbox:?}");
}

/// What was reported as erased can't be had, not even from the bytes of the disk.
fn erasure(gateway: &Gateway, memory: &Memory, witness: &Witness, context: &str) {
    if witness.erasure < Progress::Done {
        return;
    }
    erased(gateway, context);
    for (path, content) in memory.image().0 {
        let holds = content.is_some_and(|bytes| contains(&bytes, SECRET));
        assert!(!holds, "{context}: {path} holds an erased payload");
    }
}

/// Payloads and keys of the day that was erased are gone.
pub(crate) fn erased(gateway: &Gateway, context: &str) {
    let store = gateway.recorder.store();
    for row in store.select(1, DEVICES[2], Selection::Days(DAY, DAY)).unwrap() {
        assert_eq!(row.payload, None, "{context}: entry {}", row.index);
        assert_eq!(gateway.recorder.stored_key(&row.day).unwrap(), None, "{context}: key");
    }
}

/// How many bytes of a tail come before the record of leaf `index`.
pub(crate) fn tail_length(image: &Image, path: &str, index: u64) -> usize {
    let first: u64 = path.rsplit('-').next().unwrap().parse().unwrap();
    let mut rest = image.0[path].as_deref().unwrap();
    let length = rest.len();
    for _ in first..index {
        rest = tile::split_entry(&rest[4..]).unwrap().1;
    }
    length - rest.len()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == needle[0]) {
        if rest[at..].starts_with(needle) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

/// The same reading again gets the same index and no new leaf.
fn repeats(gateway: &mut Gateway, witness: &Witness, context: &str) {
    let size = gateway.recorder.files().size();
    let mut seen = witness.clone();
    let recent = witness.acknowledged.iter().filter(|r| r.index >= 250 || r.index % 64 == 1);
    let names: Vec<_> = recent
        .filter(|reading| reading.seq.is_some())
        .map(|reading| (DEVICES.iter().position(|d| *d == reading.device).unwrap(), reading.seq))
        .collect();
    gateway.readings(&names, &mut seen).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(seen.acknowledged, witness.acknowledged, "{context}: indices of repeats");
    assert_eq!(gateway.recorder.files().size(), size, "{context}: repeats get no leaf");
}

/// New readings are taken, days are closed, and each summary covers the whole day.
pub(crate) fn goes_on(gateway: &mut Gateway, memory: &Memory, witness: &Witness, context: &str) {
    let mut seen = witness.clone();
    let before = seen.acknowledged.len();
    gateway
        .readings(&[(0, Some(1000)), (1, None), (2, Some(1000))], &mut seen)
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_eq!(seen.acknowledged.len(), before + 3, "{context}: new readings");
    gateway.now = at(DAY + 5, gateway.now.monotonic_ms);
    gateway.recorder.handle_timer(gateway.now);
    let head = fresh_head(gateway, context);
    let leaves = leaves(memory, gateway.recorder.files());
    assert_eq!((leaves.root(), head.size), (head.root, leaves.hashes.len() as u64), "{context}");
    assert!(gateway.recorder.store().open_days().unwrap().is_empty(), "{context}: open days");
    summaries(&leaves, context);
    let beacons = leaves.entries.iter().filter(|e| e.body == Body::Beacon(beacon())).count();
    assert!(beacons >= usize::from(witness.beacon_proven > Progress::No), "{context}: beacon");
}

/// The newest summary of each day covers all its readings.
fn summaries(leaves: &Leaves, context: &str) {
    let mut days: BTreeMap<(Pseudonym, u32), Vec<u64>> = BTreeMap::new();
    for (index, day, reading) in leaves.readings() {
        days.entry((reading.pseudonym, day)).or_default().push(index);
    }
    let mut newest: BTreeMap<(Pseudonym, u32), &Summary> = BTreeMap::new();
    for entry in &leaves.entries {
        if let Body::Summary(summary) = &entry.body {
            newest.insert((summary.pseudonym, summary.day), summary);
        }
    }
    assert!(days.keys().eq(newest.keys()), "{context}: each day has a summary");
    for (day, indices) in days {
        let mut frontier = Frontier::new();
        indices.iter().for_each(|at| _ = frontier.push(leaves.hashes[index(*at)]));
        let found = newest[&day];
        let expected = (indices.len() as u64, indices[0], indices[indices.len() - 1]);
        assert_eq!((found.count, found.first, found.last), expected, "{context}: day {day:?}");
        assert_eq!(found.root, frontier.root(), "{context}: day {day:?}");
    }
}

pub(crate) fn index(value: u64) -> usize {
    usize::try_from(value).unwrap()
}
