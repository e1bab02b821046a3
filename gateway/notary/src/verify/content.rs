//! What a bundle shows, checked for everything that needs no trust.
//!
//! Guarantees: after [`Content::of`], entries belong to the checkpoint, openings to entries, devices to pseudonyms,
//! days to summaries, and anchor and beacons to what they are shown for. Does not: look at signatures.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use sluicegate_ledger::evidence::{BlockHeader, Receipt};
use sluicegate_protocol::{
    Checkpoint, Digest, Error as ProtocolError,
    commitment::{commit, pseudonym},
    merkle::{Frontier, leaf_hash},
    note::Note,
};

use crate::{
    Error,
    bundle::{Bundle, DeviceOpening, Opening},
    entry::{Beacon, Body, Entry, Predecessor, Pseudonym, Reading, Summary, epoch_of},
    proof,
};

/// What was signed.
pub(crate) struct Head<'a> {
    pub(crate) note: Note<'a>,
    pub(crate) checkpoint: Checkpoint<'a>,
}

impl<'a> Head<'a> {
    /// Decodes the checkpoint and nothing else.
    pub(crate) fn read(bundle: &'a Bundle) -> Result<Self, Error> {
        let note = Note::parse(&bundle.parts.checkpoint)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { note, checkpoint })
    }
}

/// A bundle, decoded.
pub(crate) struct Content<'a> {
    pub(crate) bundle: &'a Bundle,
    pub(crate) head: Head<'a>,
    pub(crate) entries: Vec<(u64, Entry)>,
}

impl<'a> Content<'a> {
    /// Decodes and checks everything.
    pub(crate) fn of(bundle: &'a Bundle) -> Result<Self, Error> {
        let content = Self::read(bundle, Head::read(bundle)?)?;
        content.check_inclusion()?;
        content.check_openings()?;
        content.check_days()?;
        content.check_beacons()?;
        content.check_anchor()?;
        Ok(content)
    }

    /// Decodes the entries.
    pub(crate) fn read(bundle: &'a Bundle, head: Head<'a>) -> Result<Self, Error> {
        let mut entries = Vec::with_capacity(bundle.parts.entries.len());
        for (index, bytes) in &bundle.parts.entries {
            entries.push((*index, Entry::decode(bytes)?));
        }
        Ok(Self { bundle, head, entries })
    }

    /// All entries are leaves of the checkpoint's tree, and the first leaf alone is the genesis.
    pub(crate) fn check_inclusion(&self) -> Result<(), Error> {
        let leaves = self.bundle.parts.entries.iter();
        let leaves: Vec<_> = leaves.map(|(index, bytes)| (*index, leaf_hash(bytes))).collect();
        let checkpoint = &self.head.checkpoint;
        let root = proof::root_from_multi(&leaves, checkpoint.size, &self.bundle.nodes)?;
        if root != checkpoint.root {
            return Err(ProtocolError::RootMismatch.into());
        }
        self.entries.iter().try_for_each(|(index, entry)| match (&entry.body, index) {
            (Body::Genesis(genesis), 0) if genesis.origin == checkpoint.origin => Ok(()),
            (Body::Genesis(_), _) | (_, 0) => Err(Error::Genesis { index: *index }),
            _ => Ok(()),
        })
    }

    /// Openings open readings, device openings open the pseudonyms of entries, and none is left over.
    pub(crate) fn check_openings(&self) -> Result<(), Error> {
        let parts = &self.bundle.parts;
        if !ascending(parts.openings.iter().map(|opening| opening.index)) {
            return Err(Error::Order { what: "openings" });
        }
        if !ascending(parts.devices.iter().map(|device| device.pseudonym)) {
            return Err(Error::Order { what: "devices" });
        }
        parts.openings.iter().try_for_each(|opening| self.check_opening(opening))?;
        let mut epochs: BTreeMap<Pseudonym, Vec<u32>> = BTreeMap::new();
        for (pseudonym, epoch) in self.entries.iter().filter_map(|(_, entry)| named(entry)) {
            let known = epochs.entry(*pseudonym).or_default();
            if known.last() != Some(&epoch) {
                known.push(epoch);
            }
        }
        parts.devices.iter().try_for_each(|device| check_device(device, &epochs))
    }

    fn check_opening(&self, opening: &Opening) -> Result<(), Error> {
        let index = opening.index;
        let Some(Body::Reading(reading)) = self.entry(index).map(|entry| &entry.body) else {
            return Err(Error::OpeningUnused { index });
        };
        let fits = commit(&opening.salt, &opening.payload) == reading.commitment;
        if fits { Ok(()) } else { Err(Error::Opening { index }) }
    }

    /// The readings of each summarised day are exactly those that the log had counted by then; a day has one summary.
    pub(crate) fn check_days(&self) -> Result<(), Error> {
        let mut days = self.leaves_by_day();
        let mut summarised = BTreeSet::new();
        self.summaries().try_for_each(|(index, summary)| {
            let day = (summary.pseudonym, summary.day);
            if !summarised.insert(day) {
                return Err(Error::Day { index, problem: "the bundle shows another one of it" });
            }
            let leaves = days.remove(&day).unwrap_or_default();
            check_day(index, summary, leaves.iter().filter(|(leaf, _)| *leaf < index))
        })
    }

    /// Leaf hashes of the disclosed readings, by device and day.
    fn leaves_by_day(&self) -> BTreeMap<(Pseudonym, u32), Vec<(u64, Digest)>> {
        let mut days: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((index, bytes), (_, entry)) in self.bundle.parts.entries.iter().zip(&self.entries) {
            if let Body::Reading(reading) = &entry.body {
                let day = (reading.pseudonym, entry.time.day());
                days.entry(day).or_default().push((*index, leaf_hash(bytes)));
            }
        }
        days
    }

    /// Each beacon entry comes with the block that it names.
    pub(crate) fn check_beacons(&self) -> Result<(), Error> {
        let evidence = &self.bundle.parts.beacons;
        let (beacons, blocks) = (self.beacons().count(), evidence.len());
        if beacons != blocks {
            return Err(Error::BeaconCount { beacons, blocks });
        }
        self.beacons().zip(evidence).try_for_each(|((index, beacon), block)| {
            let number = BlockHeader::decode(&block.header)?.number;
            let fits = number == beacon.number
                && leaf_hash(&block.header) == beacon.hash
                && block.ledger_id()?.as_str() == beacon.ledger;
            if fits { Ok(()) } else { Err(Error::Beacon { index }) }
        })
    }

    /// The anchored digest is that of the checkpoint.
    pub(crate) fn check_anchor(&self) -> Result<(), Error> {
        self.bundle.parts.anchors.iter().try_for_each(|anchor| {
            anchor.ledger_id()?;
            let digest = Receipt::decode(&anchor.receipt)?.operation.anchor();
            if digest == Some(self.head.checkpoint.digest()) {
                Ok(())
            } else {
                Err(Error::AnchorOfOther)
            }
        })
    }

    /// The disclosed readings.
    pub(crate) fn readings(&self) -> impl Iterator<Item = (u64, &Entry, &Reading)> {
        self.entries.iter().filter_map(|(index, entry)| match &entry.body {
            Body::Reading(reading) => Some((*index, entry, reading)),
            _ => None,
        })
    }

    /// The log that this one follows, if the bundle shows it.
    pub(crate) fn previous(&self) -> Option<&Predecessor> {
        self.entries.first().and_then(|(_, entry)| match &entry.body {
            Body::Genesis(genesis) => genesis.previous.as_ref(),
            _ => None,
        })
    }

    /// The disclosed summaries.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = (u64, &Summary)> {
        self.entries.iter().filter_map(|(index, entry)| match &entry.body {
            Body::Summary(summary) => Some((*index, summary)),
            _ => None,
        })
    }

    /// The disclosed beacons.
    pub(crate) fn beacons(&self) -> impl Iterator<Item = (u64, &Beacon)> {
        self.entries.iter().filter_map(|(index, entry)| match &entry.body {
            Body::Beacon(beacon) => Some((*index, beacon)),
            _ => None,
        })
    }

    /// The opening of a reading, if it is shown.
    pub(crate) fn opening(&self, index: u64) -> Option<&Opening> {
        let openings = &self.bundle.parts.openings;
        let place = openings.binary_search_by_key(&index, |opening| opening.index).ok()?;
        openings.get(place)
    }

    /// The name behind a pseudonym, if it is shown.
    pub(crate) fn device(&self, pseudonym: &Pseudonym) -> Option<&str> {
        let devices = &self.bundle.parts.devices;
        let place = devices.binary_search_by_key(pseudonym, |device| device.pseudonym).ok()?;
        devices.get(place).map(|device| device.name.as_str())
    }

    fn entry(&self, index: u64) -> Option<&Entry> {
        let place = self.entries.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        self.entries.get(place).map(|(_, entry)| entry)
    }
}

/// Whose entry it is, and in which epoch.
fn named(entry: &Entry) -> Option<(&Pseudonym, u32)> {
    match &entry.body {
        Body::Erasure(erasure) => Some((&erasure.pseudonym, epoch_of(erasure.day))),
        Body::Reading(reading) => Some((&reading.pseudonym, epoch_of(entry.time.day()))),
        Body::Summary(summary) => Some((&summary.pseudonym, epoch_of(summary.day))),
        Body::Beacon(_) | Body::Genesis(_) => None,
    }
}

fn check_device(
    device: &DeviceOpening,
    epochs: &BTreeMap<Pseudonym, Vec<u32>>,
) -> Result<(), Error> {
    let name = || device.name.clone();
    let used =
        epochs.get(&device.pseudonym).ok_or_else(|| Error::DeviceUnused { device: name() })?;
    let opened = pseudonym(&device.opening, &device.name, device.epoch) == device.pseudonym;
    if opened && used.iter().all(|epoch| *epoch == device.epoch) {
        Ok(())
    } else {
        Err(Error::Device { device: name() })
    }
}

fn check_day<'a>(
    index: u64,
    summary: &Summary,
    leaves: impl Iterator<Item = &'a (u64, Digest)>,
) -> Result<(), Error> {
    let mut tree = Frontier::new();
    let (mut first, mut last) = (None, None);
    for (leaf, hash) in leaves {
        first = first.or(Some(*leaf));
        last = Some(*leaf);
        tree.push(*hash);
    }
    let wrong = |problem| Err(Error::Day { index, problem });
    if tree.size() < summary.count {
        wrong("some are missing")
    } else if tree.size() > summary.count {
        wrong("there are too many")
    } else if (first, last) != (Some(summary.first), Some(summary.last)) {
        wrong("the first or the last one is another")
    } else if tree.root() != summary.root {
        wrong("one of them is another")
    } else {
        Ok(())
    }
}

fn ascending<T: PartialOrd>(items: impl Iterator<Item = T>) -> bool {
    items.is_sorted_by(|earlier, later| earlier < later)
}
