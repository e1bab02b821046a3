//! The sequencer: turns readings into leaves, in group commits, and signs checkpoints.
//!
//! Guarantees: a reading is acknowledged only when its payload and key, and after them its leaf, are durable (I1, I4);
//! a repeated sequence number gets the first index and no second leaf (I6), and with another payload it is refused; a
//! checkpoint is signed only over durable leaves and published only once it is durable itself; memory is bounded by
//! [`Settings`].
//! Does not: touch a disk or a clock. After a failed write the caller drops the [`Log`] and recovers from what is
//! durable, exactly as after a power cut.
//!
//! Order of calls: [`Log::new`]; then [`Log::submit`], [`Log::append_beacon`], [`Log::erase`] as things happen and
//! [`Log::handle_timer`] at [`Log::next_deadline`]; after each of them drain [`Log::poll_output`], perform the outputs
//! in order, and answer `Store`, `Append` and `Record` with [`Log::persisted`] once they are on disk.
//! Shown by `tests/power_cut.rs`. Specification: `specs/notary.md` §2 and §5, design §7.

mod batch;
mod day;
mod output;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, VecDeque},
    string::String,
    vec::Vec,
};

use sluicegate_protocol::{Checkpoint, Digest, SigningKey, merkle::Frontier, note, sha256};

use self::{batch::Work, day::Days};
pub use self::{
    day::DayLeaves,
    output::{
        Acknowledgement, Append, BeaconRow, DayKey, KeyRow, Output, ReadingRow, Store, SummaryRow,
        Ticket,
    },
};
use crate::{
    Error,
    entry::{Beacon, Predecessor, Timestamp},
};

/// Most repeats of one reading that wait for its commit.
const MAX_REPEATS: usize = 8;

/// Largest sequence number: what a database counts in.
pub const MAX_SEQ: u64 = i64::MAX as u64;

/// Both clocks that the log needs, read at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never steps; group commits wait by it.
    pub monotonic_ms: u64,
    /// Wall-clock time; entries carry it.
    pub wall: Timestamp,
}

/// What one log is and how much it may hold in memory.
pub struct Settings {
    /// Identity of the log, and name of its key.
    pub origin: String,
    /// The log that this one follows, written into its genesis leaf.
    pub previous: Option<Predecessor>,
    /// Signs checkpoints.
    pub signing_key: SigningKey,
    /// Derives pseudonyms.
    pub pseudonym_key: [u8; 32],
    /// Derives the keys of device days, together with their stored halves.
    pub salt_key: [u8; 32],
    /// Longest wait of a reading for others to share its commit, in milliseconds.
    pub commit_delay_ms: u64,
    /// So many waiting readings are committed at once without waiting longer.
    pub commit_count: usize,
    /// Most readings that wait; more are refused as busy.
    pub max_pending: usize,
    /// Longest payload, in bytes.
    pub max_payload: usize,
}

/// A reading as a device delivered it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Comes back with the acknowledgement.
    pub ticket: Ticket,
    /// The device's name.
    pub device: String,
    /// Its retention class.
    pub class: String,
    /// The device's own counter.
    pub seq: Option<u64>,
    /// CoAP content format of the payload.
    pub format: u16,
    /// The exact bytes received.
    pub payload: Vec<u8>,
}

/// What is durable already, as the log asks for it.
pub trait History {
    /// Why the store can't answer.
    type Error;

    /// The reading that a device sent with this sequence number.
    fn reading(&self, device: &str, seq: u64) -> Result<Option<Known>, Self::Error>;

    /// The highest sequence number of a device.
    fn highest_seq(&self, device: &str) -> Result<Option<u64>, Self::Error>;

    /// The leaves of a device's day in this log, by index.
    fn day(&self, device: &str, day: u32) -> Result<DayLeaves, Self::Error>;

    /// The stored half of the key of a device's day and class, unless it was erased.
    fn key(&self, day: &DayKey) -> Result<Option<[u8; 32]>, Self::Error>;
}

/// A reading that is in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Index of its leaf.
    pub index: u64,
    /// Its payload, unless it was erased.
    pub payload: Option<Vec<u8>>,
}

/// Where a log goes on after a start.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    /// The right edge of the durable leaves.
    pub frontier: Frontier,
    /// Device days with readings that no summary covers.
    pub open_days: Vec<(String, u32)>,
}

/// Why a submission was not taken, or the store's own failure.
#[derive(Debug)]
pub enum SubmitError<E> {
    /// The submission broke a rule; nothing changed.
    Refused(Error),
    /// The store could not answer.
    Store(E),
}

/// What waits for the caller's [`Log::persisted`].
#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Appending,
    Idle,
    Recording,
    Storing,
}

/// The newest signed checkpoint.
struct Signed {
    size: u64,
    note: String,
    durable: bool,
}

/// One log: its right edge, what waits for it, and its newest checkpoint.
pub struct Log {
    settings: Settings,
    frontier: Frontier,
    days: Days,
    highest_seq: BTreeMap<String, Option<u64>>,
    queue: VecDeque<Work>,
    queued_readings: usize,
    oldest_queued_ms: u64,
    /// Tickets and payload digests of readings with a sequence number that are not durable yet.
    unsettled: BTreeMap<(String, u64), (Digest, Vec<Ticket>)>,
    phase: Phase,
    batch: Option<batch::Batch>,
    outputs: VecDeque<Output>,
    latest: Signed,
    checkpoint_wanted: bool,
    commit_now: bool,
}

impl Log {
    /// A log that goes on where the durable leaves end; an empty one begins with its genesis leaf.
    pub fn new(settings: Settings, resume: Resume, now: Now) -> Self {
        let latest = sign(&settings, &resume.frontier);
        let mut log = Self {
            days: Days::new(resume.open_days),
            settings,
            frontier: resume.frontier,
            highest_seq: BTreeMap::new(),
            queue: VecDeque::new(),
            queued_readings: 0,
            oldest_queued_ms: 0,
            unsettled: BTreeMap::new(),
            phase: Phase::Idle,
            batch: None,
            outputs: VecDeque::new(),
            latest,
            checkpoint_wanted: false,
            commit_now: false,
        };
        if log.frontier.size() == 0 {
            log.enqueue(now, Work::Genesis(now.wall));
            log.commit_now = true;
        }
        log
    }

    /// Number of leaves, those of a commit under way included.
    pub const fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Readings that wait for their commit.
    pub const fn pending(&self) -> usize {
        self.queued_readings
    }

    /// Takes a reading, or refuses it at once; the acknowledgement comes as an output.
    ///
    /// A repeat is known by its payload, before and after the commit: its content format and class do not count, those
    /// of the first submission are logged.
    pub fn submit<H: History>(
        &mut self,
        now: Now,
        submission: Submission,
        history: &H,
    ) -> Result<(), SubmitError<H::Error>> {
        self.check_bounds(&submission).map_err(SubmitError::Refused)?;
        let Some(seq) = submission.seq else {
            self.enqueue(now, Work::reading(submission, 0, now.wall));
            return Ok(());
        };
        let digest = sha256(&[&submission.payload]);
        let key = (submission.device.clone(), seq);
        if let Some((first, tickets)) = self.unsettled.get_mut(&key) {
            if *first != digest {
                return Err(SubmitError::Refused(reused(&submission)));
            }
            if tickets.len() >= MAX_REPEATS {
                return Err(SubmitError::Refused(Error::Busy { pending: self.queued_readings }));
            }
            tickets.push(submission.ticket);
            return Ok(());
        }
        let highest = self.highest_seq(&submission.device, history).map_err(SubmitError::Store)?;
        if highest.is_some_and(|highest| seq <= highest) {
            let known = history.reading(&submission.device, seq).map_err(SubmitError::Store)?;
            if let Some(known) = known {
                return self.repeat(&submission, known).map_err(SubmitError::Refused);
            }
        }
        let gap = highest.map_or(0, |highest| seq.saturating_sub(highest.saturating_add(1)));
        let next = highest.map_or(seq, |highest| highest.max(seq));
        self.highest_seq.insert(submission.device.clone(), Some(next));
        self.unsettled.insert(key, (digest, Vec::from([submission.ticket])));
        self.enqueue(now, Work::reading(submission, gap, now.wall));
        Ok(())
    }

    /// Adds the newest final block of a ledger, so that later readings are known to be younger.
    pub fn append_beacon(&mut self, now: Now, beacon: Beacon) {
        self.enqueue(now, Work::Beacon(now.wall, beacon));
        self.commit_now = true;
    }

    /// Erases a device's day in one class: the erasure becomes an entry first.
    pub fn erase(&mut self, now: Now, day: DayKey, count: u64) {
        self.enqueue(now, Work::Erasure { time: now.wall, day, count });
    }

    /// Asks for a checkpoint over all that is durable; it comes as [`Output::Publish`].
    pub const fn want_checkpoint(&mut self) {
        self.checkpoint_wanted = true;
    }

    /// Commits what waits without waiting longer, as before a clean stop.
    pub const fn commit_now(&mut self) {
        self.commit_now = true;
    }

    /// Closes the device days that ended.
    pub fn handle_timer(&mut self, now: Now) {
        for (device, day) in self.days.take_ended(now.wall.day()) {
            self.enqueue(now, Work::Summary { time: now.wall, device, day });
        }
    }

    /// When the next group commit is due, in monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        let waits = !self.queue.is_empty() && self.phase == Phase::Idle;
        waits.then(|| self.oldest_queued_ms.saturating_add(self.settings.commit_delay_ms))
    }

    /// The next thing to do, in order; `None` until something is persisted, submitted or due.
    pub fn poll_output<H: History>(
        &mut self,
        now: Now,
        history: &H,
        entropy: &mut dyn FnMut() -> [u8; 32],
    ) -> Result<Option<Output>, H::Error> {
        if self.outputs.is_empty() && self.phase == Phase::Idle {
            if self.commit_due(now) {
                self.start_batch(history, entropy)?;
            } else if self.checkpoint_wanted && self.frontier.size() > 0 {
                self.publish_or_record();
            }
        }
        Ok(self.outputs.pop_front())
    }

    /// The last `Store`, `Append` or `Record` is on disk.
    pub fn persisted(&mut self) {
        match core::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Storing => self.stored(),
            Phase::Appending => self.appended(),
            Phase::Recording => {
                self.latest.durable = true;
                self.publish();
            }
            Phase::Idle => {}
        }
    }

    fn check_bounds(&self, submission: &Submission) -> Result<(), Error> {
        let (found, limit) = (submission.payload.len(), self.settings.max_payload);
        if found > limit {
            return Err(Error::TooLong { what: "payload", found, limit });
        }
        if let Some(seq) = submission.seq.filter(|seq| *seq > MAX_SEQ) {
            return Err(Error::SequenceTooLarge { seq });
        }
        if self.queued_readings >= self.settings.max_pending {
            return Err(Error::Busy { pending: self.queued_readings });
        }
        Ok(())
    }

    fn repeat(&mut self, submission: &Submission, known: Known) -> Result<(), Error> {
        if known.payload.is_some_and(|payload| payload != submission.payload) {
            return Err(reused(submission));
        }
        let (ticket, index) = (submission.ticket, known.index);
        let repeated = Acknowledgement { ticket, index, repeated: true };
        self.outputs.push_back(Output::Acknowledge(repeated));
        Ok(())
    }

    fn highest_seq<H: History>(
        &mut self,
        device: &str,
        history: &H,
    ) -> Result<Option<u64>, H::Error> {
        if let Some(known) = self.highest_seq.get(device) {
            return Ok(*known);
        }
        let highest = history.highest_seq(device)?;
        self.highest_seq.insert(device.into(), highest);
        Ok(highest)
    }

    fn enqueue(&mut self, now: Now, work: Work) {
        if self.queue.is_empty() {
            self.oldest_queued_ms = now.monotonic_ms;
        }
        self.queued_readings += usize::from(work.is_reading());
        self.queue.push_back(work);
    }

    fn commit_due(&self, now: Now) -> bool {
        let waited = now.monotonic_ms.saturating_sub(self.oldest_queued_ms);
        let due = self.commit_now
            || self.queue.len() >= self.settings.commit_count
            || waited >= self.settings.commit_delay_ms;
        due && !self.queue.is_empty()
    }

    fn publish_or_record(&mut self) {
        if self.latest.durable {
            self.publish();
        } else {
            self.phase = Phase::Recording;
            let (size, note) = (self.latest.size, self.latest.note.clone());
            self.outputs.push_back(Output::Record { size, note });
        }
    }

    fn publish(&mut self) {
        self.checkpoint_wanted = false;
        let (size, note) = (self.latest.size, self.latest.note.clone());
        self.outputs.push_back(Output::Publish { size, note });
    }
}

fn sign(settings: &Settings, frontier: &Frontier) -> Signed {
    use alloc::string::ToString;
    let (origin, size) = (settings.origin.as_str(), frontier.size());
    let body = Checkpoint { origin, size, root: frontier.root() }.to_string();
    let mut note = String::new();
    // Writing into a string can't fail.
    let _ = note::sign(&body, origin, &settings.signing_key, &mut note);
    Signed { size, note, durable: false }
}

fn reused(submission: &Submission) -> Error {
    Error::SequenceReused {
        device: submission.device.clone(),
        seq: submission.seq.unwrap_or_default(),
    }
}
