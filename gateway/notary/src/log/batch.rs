//! One group commit: gives the waiting work its indices, leaves and rows.
//!
//! Guarantees: rows come before leaves and leaves before acknowledgements; work keeps the order in which it came.
//! A key is drawn when a device's day in a class gets its first reading, and again after an erasure.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use sluicegate_protocol::{
    Digest,
    commitment::{commit, day_key, pseudonym, pseudonym_opening, salt},
    merkle::leaf_hash,
};

use super::{
    Acknowledgement, Append, BeaconRow, DayKey, History, KeyRow, Log, Output, Phase, ReadingRow,
    Store, Submission, SummaryRow, sign,
};
use crate::entry::{
    Beacon, Body, Entry, Erasure, Genesis, Pseudonym, Reading, Timestamp, epoch_of,
};

/// Most entries of one commit, so that its memory is bounded.
const MAX_BATCH: usize = 4096;

/// Something that waits to become a leaf.
pub(super) enum Work {
    Beacon(Timestamp, Beacon),
    Erasure { time: Timestamp, day: DayKey, count: u64 },
    Genesis(Timestamp),
    Reading { time: Timestamp, gap: u64, submission: Submission },
    Summary { time: Timestamp, device: String, day: u32 },
}

impl Work {
    pub(super) const fn reading(submission: Submission, gap: u64, time: Timestamp) -> Self {
        Self::Reading { time, gap, submission }
    }

    pub(super) const fn is_reading(&self) -> bool {
        matches!(self, Self::Reading { .. })
    }
}

/// A commit under way.
pub(super) struct Batch {
    store: Store,
    append: Append,
    acknowledgements: Vec<Acknowledgement>,
    /// Sequence numbers that are settled once the leaves are durable, with their indices.
    settled: Vec<((String, u64), u64)>,
    keys: BTreeMap<DayKey, [u8; 32]>,
    erased: Vec<DayKey>,
}

impl Batch {
    fn new(first: u64) -> Self {
        Self {
            store: Store { first, ..Store::default() },
            append: Append { first, entries: Vec::new(), leaves: Vec::new() },
            acknowledgements: Vec::new(),
            settled: Vec::new(),
            keys: BTreeMap::new(),
            erased: Vec::new(),
        }
    }
}

impl Log {
    /// Takes waiting work into a commit and emits its `Store`.
    pub(super) fn start_batch<H: History>(
        &mut self,
        history: &H,
        entropy: &mut dyn FnMut() -> [u8; 32],
    ) -> Result<(), H::Error> {
        let mut batch = Batch::new(self.frontier.size());
        let count = self.queue.len().min(MAX_BATCH);
        let work: Vec<Work> = self.queue.drain(..count).collect();
        for item in work {
            self.add(&mut batch, item, history, entropy)?;
        }
        self.commit_now &= !self.queue.is_empty();
        batch.store.end = self.frontier.size();
        batch.store.head = (!self.latest.durable && self.latest.size > 0)
            .then(|| (self.latest.size, self.latest.note.clone()));
        self.outputs.push_back(Output::Store(core::mem::take(&mut batch.store)));
        self.batch = Some(batch);
        self.phase = Phase::Storing;
        Ok(())
    }

    /// Openings are durable: the leaves may follow.
    pub(super) fn stored(&mut self) {
        self.latest.durable = true;
        let Some(batch) = &mut self.batch else { return };
        let empty = Append { first: 0, entries: Vec::new(), leaves: Vec::new() };
        let append = core::mem::replace(&mut batch.append, empty);
        self.outputs.push_back(Output::Append(append));
        self.phase = Phase::Appending;
    }

    /// Leaves are durable: sign, acknowledge, erase.
    pub(super) fn appended(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        self.latest = sign(&self.settings, &self.frontier);
        self.outputs.extend(batch.acknowledgements.into_iter().map(Output::Acknowledge));
        for (key, index) in batch.settled {
            let Some((_, tickets)) = self.unsettled.remove(&key) else { continue };
            self.outputs.extend(tickets.into_iter().skip(1).map(|ticket| {
                Output::Acknowledge(Acknowledgement { ticket, index, repeated: true })
            }));
        }
        if !batch.erased.is_empty() {
            self.outputs.push_back(Output::Erase(batch.erased));
        }
    }

    fn add<H: History>(
        &mut self,
        batch: &mut Batch,
        work: Work,
        history: &H,
        entropy: &mut dyn FnMut() -> [u8; 32],
    ) -> Result<(), H::Error> {
        match work {
            Work::Reading { time, gap, submission } => {
                self.queued_readings -= 1;
                let key = self.key(batch, &submission, time.day(), history, entropy)?;
                self.add_reading(batch, (time, gap, submission), &key, history)?;
            }
            Work::Summary { time, device, day } => {
                self.add_summary(batch, time, device, day, history)?;
            }
            Work::Genesis(time) => {
                let origin = self.settings.origin.clone();
                let previous = self.settings.previous.clone();
                self.push(batch, time, Body::Genesis(Genesis { origin, previous }));
            }
            Work::Beacon(time, beacon) => {
                let index = self.frontier.size();
                batch.store.beacons.push(BeaconRow { index, beacon: beacon.clone() });
                self.push(batch, time, Body::Beacon(beacon));
            }
            Work::Erasure { time, day, count } => {
                let pseudonym = self.pseudonym(&day.device, day.day);
                let (class, date) = (day.class.clone(), day.day);
                batch.erased.push(day.clone());
                batch.store.erasures.push((self.frontier.size(), day));
                let erasure = Erasure { pseudonym, class, day: date, count };
                self.push(batch, time, Body::Erasure(erasure));
            }
        }
        Ok(())
    }

    fn add_reading<H: History>(
        &mut self,
        batch: &mut Batch,
        (time, gap, submission): (Timestamp, u64, Submission),
        key: &[u8; 32],
        history: &H,
    ) -> Result<(), H::Error> {
        let Submission { ticket, device, class, seq, format, payload } = submission;
        let (index, day) = (self.frontier.size(), time.day());
        let commitment = commit(&salt(key, seq, index), &payload);
        let pseudonym = self.pseudonym(&device, day);
        let reading = Reading { pseudonym, seq, format, commitment, gap };
        let leaf = self.push(batch, time, Body::Reading(reading));
        self.days.push((&device, day), (index, leaf), history)?;
        if let Some(seq) = seq {
            batch.settled.push(((device.clone(), seq), index));
        }
        batch.acknowledgements.push(Acknowledgement { ticket, index, repeated: false });
        let day = DayKey { device, day, class };
        batch.store.readings.push(ReadingRow { index, day, seq, payload });
        Ok(())
    }

    fn add_summary<H: History>(
        &mut self,
        batch: &mut Batch,
        time: Timestamp,
        device: String,
        day: u32,
        history: &H,
    ) -> Result<(), H::Error> {
        let pseudonym = self.pseudonym(&device, day);
        let Some(summary) = self.days.summarise((&device, day), pseudonym, history)? else {
            return Ok(());
        };
        let index = self.frontier.size();
        self.push(batch, time, Body::Summary(summary));
        batch.store.summaries.push(SummaryRow { index, device, day, pseudonym });
        Ok(())
    }

    fn push(&mut self, batch: &mut Batch, time: Timestamp, body: Body) -> Digest {
        let entry = Entry { time, body }.encode();
        let leaf = leaf_hash(&entry);
        batch.append.entries.push(entry);
        batch.append.leaves.push(leaf);
        self.frontier.push(leaf);
        leaf
    }

    fn key<H: History>(
        &self,
        batch: &mut Batch,
        submission: &Submission,
        day: u32,
        history: &H,
        entropy: &mut dyn FnMut() -> [u8; 32],
    ) -> Result<[u8; 32], H::Error> {
        let (device, class) = (submission.device.clone(), submission.class.clone());
        let day = DayKey { device, day, class };
        if let Some(key) = batch.keys.get(&day) {
            return Ok(*key);
        }
        let stored = match history.key(&day)? {
            Some(stored) => stored,
            None => {
                let stored = entropy();
                batch.store.keys.push(KeyRow { day: day.clone(), stored });
                stored
            }
        };
        let key = day_key(&self.settings.salt_key, &self.settings.origin, &stored);
        batch.keys.insert(day, key);
        Ok(key)
    }

    fn pseudonym(&self, device: &str, day: u32) -> Pseudonym {
        let epoch = epoch_of(day);
        let opening = pseudonym_opening(&self.settings.pseudonym_key, device, epoch);
        pseudonym(&opening, device, epoch)
    }
}
