//! The recorder: one log with its database and its files, doing what the sequencer asks, in order.
//!
//! Guarantees: rows are durable before leaves, leaves before acknowledgements, checkpoints before anyone sees them
//! (I1, I4); what is damaged at the start is set aside, never overwritten, and told in an alarm; a log that lost leaves
//! which a checkpoint covers is closed and followed by one with a new origin, so that no two checkpoints of one origin
//! contradict each other; what a closed log never signed is logged again in the open one before anything new. Keeps no
//! checkpoint before the first one is wished for: an old copy would keep one that contradicts the real log. Does not: wait, listen or know a ledger; [`crate::keeper`] gives it a thread.
//!
//! Order of calls: [`Recorder::open`], then [`Recorder::submit`] and [`Recorder::drive`]; after an error from either,
//! drop it and open it again. Shown by `tests/power_cut`.

mod again;
mod recover;

use std::{io, path::PathBuf, rc::Rc};

use sluicegate_notary::{
    entry::{Beacon, Predecessor},
    log::{Acknowledgement, DayKey, Log, Now, Output, Resume, Settings, Submission, SubmitError},
};
use sluicegate_protocol::{Checkpoint, merkle::empty_root, note::Note};

pub use self::recover::Alarm;
use self::recover::SUSPECT;
pub(crate) use self::recover::{LOGS, RESTORED, origin_of};
use crate::{
    Error,
    disk::Disk,
    effects::Effects,
    files::LogFiles,
    identity::Identity,
    store::{OpenLog, Place, Store, readings::Durable},
};

/// What a recorder is made for.
#[derive(Clone)]
pub struct Plan {
    /// Origin of the first log; later ones append a number.
    pub origin: String,
    /// Keys.
    pub identity: Identity,
    /// The database file.
    pub database: PathBuf,
    /// Another file layer below SQLite than the operating system's.
    pub vfs: Option<String>,
    /// Names of the enrolled devices.
    pub devices: Vec<String>,
    /// Longest wait of a reading for its commit, in milliseconds.
    pub commit_delay_ms: u64,
    /// So many readings are committed without waiting.
    pub commit_count: usize,
    /// Most readings that wait.
    pub max_pending: usize,
    /// Longest payload, in bytes.
    pub max_payload: usize,
}

/// What the recorder tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A reading is logged.
    Acknowledged(Acknowledgement),
    /// The log and the disk grew.
    Grown {
        /// Leaves that want to be anchored: all but beacons and the genesis leaf.
        leaves: u64,
        /// Bytes on the disk.
        bytes: u64,
    },
    /// A checkpoint may be shown.
    Published {
        /// Leaves under it.
        size: u64,
        /// The signed note.
        note: String,
    },
}

/// Source of new keys.
pub type Entropy = Box<dyn FnMut() -> [u8; 32] + Send>;

/// One log, open.
pub struct Recorder<D> {
    plan: Plan,
    store: Store,
    files: LogFiles<D>,
    log: Log,
    open: OpenLog,
    entropy: Entropy,
    effects: Effects,
    /// What the commit under way adds.
    growth: (u64, u64),
    /// A checkpoint was wished for, so they may be kept.
    wished: bool,
    /// Where the readings of the commit under way come from, if they are logged again.
    places: Vec<Place>,
    /// Why nothing more is done: what the disk holds is unknown until it is opened anew.
    failed: Option<String>,
}

impl<D: Disk> Recorder<D> {
    /// Opens the newest log on the disk, or begins the first; gives alarms about what had to be set aside.
    pub fn open(
        disk: Rc<D>,
        plan: Plan,
        now: Now,
        entropy: Entropy,
        effects: Effects,
    ) -> Result<(Self, Vec<Alarm>), Error> {
        let (mut recorder, mut alarms) = Self::recover(&disk, plan, now, entropy, effects)?;
        let mut again = recorder.log_again(now);
        if let Err(error) = &again
            && error.is_damaged_database()
        {
            recorder.suspect(error);
            recorder.close();
            let Self { plan, entropy, effects, .. } = recorder;
            (recorder, alarms) = Self::recover(&disk, plan, now, entropy, effects)?;
            again = recorder.log_again(now);
        }
        alarms.extend(again?);
        Ok((recorder, alarms))
    }

    fn recover(
        disk: &Rc<D>,
        plan: Plan,
        now: Now,
        entropy: Entropy,
        effects: Effects,
    ) -> Result<(Self, Vec<Alarm>), Error> {
        let recovered = recover::recover(disk, &plan)?;
        let recover::Recovered { store, files, open, open_days, predecessor, alarms } = recovered;
        let resume = Resume { frontier: files.frontier()?, open_days };
        let log = Log::new(settings(&plan, &open.origin, predecessor), resume, now);
        let recorder = Self {
            plan,
            store,
            files,
            log,
            open,
            entropy,
            effects,
            growth: (0, 0),
            wished: false,
            places: Vec::new(),
            failed: None,
        };
        Ok((recorder, alarms))
    }

    /// Takes a reading; the acknowledgement comes from [`Recorder::drive`].
    pub fn submit(&mut self, now: Now, submission: Submission) -> Result<(), SubmitError<Error>> {
        self.check_failed().map_err(SubmitError::Store)?;
        let durable = Durable { store: &self.store, files: &self.files };
        let result = self.log.submit(now, submission, &durable);
        if let Err(SubmitError::Store(error)) = &result {
            self.suspect(error);
        }
        result
    }

    /// Does everything that is due and tells what happened. After an error it never succeeds again.
    pub fn drive(&mut self, now: Now) -> Result<Vec<Event>, Error> {
        self.check_failed()?;
        let result = self.drain(now);
        if let Err(error) = &result {
            self.suspect(error);
            self.failed = Some(error.to_string());
        }
        result
    }

    fn check_failed(&self) -> Result<(), Error> {
        let Some(cause) = &self.failed else { return Ok(()) };
        let what = "the log has to be opened anew, because something failed before";
        Err(Error::storage(what)(io::Error::other(cause.clone())))
    }

    fn drain(&mut self, now: Now) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        loop {
            let durable = Durable { store: &self.store, files: &self.files };
            let Some(output) = self.log.poll_output(now, &durable, &mut *self.entropy)? else {
                return Ok(events);
            };
            events.extend(self.perform(now, output)?);
        }
    }

    /// Closes device days that ended.
    pub fn handle_timer(&mut self, now: Now) {
        self.log.handle_timer(now);
    }

    /// Erases days of a class before `day`, as entries first; nothing while the clock is not synchronised.
    pub fn erase_expired(&mut self, now: Now, class: &str, day: u32) -> Result<usize, Error> {
        if !now.wall.synchronised {
            return Ok(0);
        }
        self.store.date_keys(now.wall.day())?;
        let expired = self.store.expired(class, day)?;
        let count = expired.len();
        for (day, readings) in expired {
            self.log.erase(now, day, readings);
        }
        self.log.commit_now();
        Ok(count)
    }

    /// Adds a beacon.
    pub fn append_beacon(&mut self, now: Now, beacon: Beacon) {
        self.log.append_beacon(now, beacon);
    }

    /// Asks for a checkpoint over all that is durable or waits; it comes as [`Event::Published`].
    pub const fn want_checkpoint(&mut self) {
        self.wished = true;
        self.log.commit_now();
        self.log.want_checkpoint();
    }

    /// Commits what waits without waiting longer.
    pub const fn commit_now(&mut self) {
        self.log.commit_now();
    }

    /// Writes partial tiles and the checkpoint for readers of the folder.
    pub fn publish(&self, size: u64, note: &str) -> Result<(), Error> {
        self.files.publish(size, note)
    }

    /// When the next commit is due, in monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        self.log.next_deadline()
    }

    /// Lets go of the database; only opening anew may follow.
    pub fn close(&mut self) {
        self.store.close();
    }

    /// The database.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The database, for writing.
    pub const fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// The files.
    pub const fn files(&self) -> &LogFiles<D> {
        &self.files
    }

    /// Mends tiles of the open log that do not give its newest signed checkpoint; gives their number.
    pub fn repair(&mut self) -> Result<u64, Error> {
        let head = self.store.logs()?.pop().and_then(|log| log.head);
        match head {
            None => self.files.repair(0, &empty_root()),
            Some((_, note)) => {
                let Checkpoint { size, root, .. } = checkpoint_of(&note)?;
                self.files.repair(size, &root)
            }
        }
    }

    /// The log that is open.
    pub const fn open_log(&self) -> &OpenLog {
        &self.open
    }

    /// The files of an earlier log, if they are still where they were.
    pub fn earlier_files(&self, number: u32) -> Result<LogFiles<D>, Error> {
        LogFiles::open_existing(self.files.disk(), &recover::folder(number))
    }

    /// What it was made for.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Stored half of the key of a device's day.
    pub fn stored_key(&self, day: &DayKey) -> Result<Option<[u8; 32]>, Error> {
        use sluicegate_notary::log::History;
        Durable { store: &self.store, files: &self.files }.key(day)
    }

    /// A database that turns out to be damaged while it is used is read as a whole at the next start. That start sees
    /// the damage itself if this mark can't be written.
    fn suspect(&self, error: &Error) {
        if error.is_damaged_database() {
            let disk = self.files.disk();
            let _ = disk.write(SUSPECT, b"").and_then(|()| disk.sync_dir(""));
        }
    }

    fn perform(&mut self, now: Now, output: Output) -> Result<Option<Event>, Error> {
        match output {
            Output::Store(mut rows) => {
                // The log has the head over its newest commit recorded on its own before it publishes it.
                rows.head = rows.head.filter(|_| self.wished);
                let today = now.wall.synchronised.then(|| now.wall.day());
                self.store.keep(&rows, today, &self.places)?;
                if let Some((_, note)) = &rows.head {
                    self.effects.durable_checkpoint(note);
                }
                self.log.persisted();
                let leaves = rows.readings.len() + rows.summaries.len() + rows.erasures.len();
                let bytes = rows.readings.iter().map(|row| row.payload.len() as u64 + ROW_BYTES);
                self.growth = (leaves as u64, bytes.sum());
            }
            Output::Append(append) => {
                let bytes = append.entries.iter().map(|entry| entry.len() as u64 + LEAF_BYTES);
                let bytes = self.growth.1 + bytes.sum::<u64>();
                self.files.append(append.first, append.entries, &append.leaves)?;
                self.effects.durable_leaves(&append.leaves);
                self.log.persisted();
                return Ok(Some(Event::Grown { leaves: self.growth.0, bytes }));
            }
            Output::Record { size, note } => {
                self.store.record_head(size, &note)?;
                self.effects.durable_checkpoint(&note);
                self.log.persisted();
            }
            Output::Erase(days) => self.store.erase(&days)?,
            Output::Acknowledge(acknowledgement) => {
                // A repeat may point into an earlier log; what it says became durable long ago.
                // Nobody hears that one was logged again.
                let told = !acknowledgement.repeated && self.places.is_empty();
                if self.effects.wanted() && told {
                    let leaf = self.files.leaf(acknowledgement.index)?;
                    self.effects.sent_acknowledgement(&leaf);
                }
                return Ok(Some(Event::Acknowledged(acknowledgement)));
            }
            Output::Publish { size, note } => {
                self.effects.sent_checkpoint(&note);
                return Ok(Some(Event::Published { size, note }));
            }
        }
        Ok(None)
    }
}

/// What a reading's row and indices take in the database besides its payload, measured.
const ROW_BYTES: u64 = 60;

/// What a leaf takes in tiles besides its entry: its length, its hash, its share of upper tiles.
const LEAF_BYTES: u64 = 2 + 32 + 1;

fn settings(plan: &Plan, origin: &str, previous: Option<Predecessor>) -> Settings {
    Settings {
        origin: origin.to_owned(),
        previous,
        signing_key: plan.identity.signing_key(origin),
        pseudonym_key: plan.identity.pseudonym_key(),
        salt_key: plan.identity.salt_key(),
        commit_delay_ms: plan.commit_delay_ms,
        commit_count: plan.commit_count,
        max_pending: plan.max_pending,
        max_payload: plan.max_payload,
    }
}

/// Size and root of a checkpoint note of ours.
pub(crate) fn checkpoint_of(note: &str) -> Result<Checkpoint<'_>, Error> {
    let parsed = Note::parse(note).and_then(|note| Checkpoint::parse(note.text()));
    Ok(parsed.map_err(sluicegate_notary::Error::from)?)
}
