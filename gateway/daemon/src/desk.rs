//! What the keeper's thread owns: the recorder, the state of anchoring, alarms, and who waits for what.
//!
//! Guarantees: a waiting reading or wish is answered exactly once. Does not: own a thread; [`crate::keeper`] does.

use std::{collections::BTreeMap, path::PathBuf, rc::Rc, time::Duration};

use sluicegate_notary::{
    anchoring::{Anchoring, Cadence, Growth, UnderWay},
    entry::{Body, Entry, Timestamp},
    log::{Now, Submission, SubmitError, Ticket},
};

use crate::{
    Error,
    anchorer::{EXPECTED, FOREIGN},
    clock::Clock,
    config::Retention,
    credentials,
    disk::{Disk, Folder},
    effects::Effects,
    keeper::{CheckpointReply, Refusal, Reply},
    recorder::{Alarm, Event, Plan, RESTORED, Recorder},
    store::{AnchorState, channels::CHANNELS_RESTORED},
};

/// What the desk is made for.
pub struct Setup {
    /// Folder of everything durable.
    pub state: PathBuf,
    /// The log.
    pub plan: Plan,
    /// When to anchor.
    pub cadence: Cadence,
    /// How long payloads live, by class.
    pub retention: BTreeMap<String, Retention>,
    /// How often the folder is brought up to date for readers of its tiles, in milliseconds.
    pub publish_interval_ms: u64,
    /// Notes effects.
    pub effects: Effects,
    /// The process's clocks.
    pub clock: Clock,
}

/// The open store and everything about it that lives in memory.
pub struct Desk {
    /// Log, files, database.
    pub recorder: Recorder<Folder>,
    /// When the next anchor is due.
    pub anchoring: Anchoring,
    setup: Setup,
    disk: Rc<Folder>,
    growth: Growth,
    alarms: Vec<Alarm>,
    waiting: BTreeMap<Ticket, Reply>,
    wishes: Vec<CheckpointReply>,
    next_ticket: Ticket,
    next_timer_ms: u64,
    next_publish_ms: u64,
    next_sweep_ms: u64,
    /// Leaves under the checkpoint in the folder of the open log; none if that is not known.
    published: Option<u64>,
    /// Why the store has to be opened anew.
    failed: Option<String>,
    /// The newest own anchor on the ledger was compared with the store: checkpoints may be shown.
    compared: bool,
}

/// Most alarms that are remembered.
const MAX_ALARMS: usize = 100;

/// Anchors that are looked through at the start.
const RECENT_ANCHORS: u32 = 100;

/// Bytes of the disk that are not counted as buffer.
const RESERVE: u64 = 64 << 20;

/// How often ended days are looked for.
const TIMER_MS: u64 = 10_000;

/// How often expired payloads are looked for.
const SWEEP_MS: u64 = 600_000;

impl Desk {
    /// Opens the store.
    pub fn open(setup: Setup) -> Result<Self, Error> {
        let disk = Rc::new(Folder::new(&setup.state));
        let now = setup.clock.now();
        let (recorder, alarms) = open_recorder(&disk, &setup, now)?;
        let anchoring = resume_anchoring(&recorder, setup.cadence, now)?;
        let mut desk = Self {
            recorder,
            anchoring,
            disk,
            growth: Growth::new(now.monotonic_ms),
            alarms: Vec::new(),
            waiting: BTreeMap::new(),
            wishes: Vec::new(),
            next_ticket: 0,
            next_timer_ms: 0,
            next_publish_ms: now.monotonic_ms.saturating_add(setup.publish_interval_ms),
            next_sweep_ms: 0,
            published: None,
            failed: None,
            compared: false,
            setup,
        };
        alarms.into_iter().for_each(|alarm| desk.alarm(alarm));
        Ok(desk)
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        self.setup.clock.now()
    }

    /// Tells the administrator, in the log and in the status.
    pub fn alarm(&mut self, alarm: Alarm) {
        // Whoever can cause an alarm again and again pushes no other one out.
        if self.alarms.contains(&alarm) {
            return;
        }
        tracing::error!(alarm = %alarm, "alarm");
        if self.alarms.len() >= MAX_ALARMS {
            self.alarms.remove(0);
        }
        self.alarms.push(alarm);
    }

    /// What an administrator must know, oldest first.
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// Hours until the disk is full at the present rate; `None` while nothing grows.
    pub fn hours_left(&mut self) -> Option<u64> {
        let free = self.disk.free().ok()?.saturating_sub(RESERVE);
        let now = self.now().monotonic_ms;
        self.growth.hours_left(now, free)
    }

    pub(crate) fn submit(&mut self, now: Now, submission: Submission, reply: Reply) {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        match self.recorder.submit(now, Submission { ticket, ..submission }) {
            Ok(()) => drop(self.waiting.insert(ticket, reply)),
            Err(SubmitError::Refused(sluicegate_notary::Error::Busy { .. })) => {
                let _ = reply.send(Err(Refusal::Busy));
            }
            Err(SubmitError::Refused(rule)) => drop(reply.send(Err(Refusal::Rule(rule)))),
            Err(SubmitError::Store(error)) => {
                self.failed = Some(format!("a reading could not be looked up: {error}"));
                let _ = reply.send(Err(Refusal::Store));
            }
        }
    }

    pub(crate) fn want_checkpoint(&mut self, reply: CheckpointReply) {
        self.wishes.push(reply);
        self.recorder.want_checkpoint();
    }

    /// The ledger holds no anchor that the store does not know: this is no old copy, and may show checkpoints.
    pub const fn compared(&mut self) {
        self.compared = true;
    }

    /// Whether that is known.
    pub const fn is_compared(&self) -> bool {
        self.compared
    }

    /// A checkpoint over all that is logged or waits, durable and free to be shown; `None` before the comparison with the
    /// ledger, because an old copy could contradict what the real log has signed since.
    pub fn fresh_checkpoint(&mut self) -> Result<Option<(u64, String)>, Error> {
        if !self.compared {
            return Ok(None);
        }
        let (wish, mut published) = tokio::sync::oneshot::channel();
        self.want_checkpoint(wish);
        if let Err(error) = self.drive() {
            self.failed = Some(error.to_string());
            return Err(error);
        }
        let published = published.try_recv();
        published.map(Some).map_err(|_| Error::Damaged("the log gave no checkpoint".to_owned()))
    }

    /// Time until the next commit is due.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        let deadline = self.recorder.next_deadline()?;
        let left = deadline.saturating_sub(self.setup.clock.now().monotonic_ms);
        Some(Duration::from_millis(left))
    }

    /// Ended days, expired payloads, publishing.
    pub(crate) fn handle_timers(&mut self) {
        let now = self.now();
        if now.monotonic_ms >= self.next_timer_ms {
            self.next_timer_ms = now.monotonic_ms + TIMER_MS;
            self.recorder.handle_timer(now);
        }
        if now.monotonic_ms >= self.next_sweep_ms {
            self.next_sweep_ms = now.monotonic_ms + SWEEP_MS;
            self.sweep(now);
        }
        if now.monotonic_ms >= self.next_publish_ms {
            self.next_publish_ms = now.monotonic_ms + self.setup.publish_interval_ms;
            if self.compared {
                self.recorder.want_checkpoint();
            }
        }
    }

    /// Does what is due; tells whether the log grew.
    pub(crate) fn drive(&mut self) -> Result<bool, Error> {
        if let Some(reason) = self.failed.take() {
            return Err(Error::Failed(reason));
        }
        let now = self.now();
        let events = self.recorder.drive(now)?;
        let grown = events.iter().any(|event| matches!(event, Event::Grown { leaves: 1.., .. }));
        events.into_iter().for_each(|event| self.tell(now, event));
        Ok(grown)
    }

    /// Whether the store has to be opened anew before anything else.
    pub(crate) const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Answers everything that waits: come again.
    pub(crate) fn fail_waiting(&mut self) {
        for (_, reply) in std::mem::take(&mut self.waiting) {
            let _ = reply.send(Err(Refusal::Store));
        }
        self.wishes.clear();
    }

    /// Opens the store anew, after `error` or because it must begin a new log.
    pub(crate) fn reopen(&mut self, error: &Error) -> Result<(), Error> {
        let now = self.now();
        // The database has one owner: the old connection goes first.
        self.recorder.close();
        let (recorder, alarms) = open_recorder(&self.disk, &self.setup, now)?;
        self.anchoring = resume_anchoring(&recorder, self.setup.cadence, now)?;
        self.recorder = recorder;
        self.published = None;
        self.alarm(Alarm(format!("the store failed and was opened again: {error}")));
        alarms.into_iter().for_each(|alarm| self.alarm(alarm));
        Ok(())
    }

    /// Begins a log with a new origin, because somebody may have seen more of this one than is left here.
    pub fn begin_new_log(&mut self, reason: &str) -> Result<(), Error> {
        self.mark_restored()?;
        self.failed = Some(reason.to_owned());
        Ok(())
    }

    /// Keeps that this is a restored backup: the next start begins a log with a new origin.
    pub fn declare_restored(&self) -> Result<(), Error> {
        let store = self.recorder.store();
        store.set_meta(FOREIGN, EXPECTED)?;
        self.mark_restored()
    }

    /// With random bytes: the same backup may be restored twice, and must not begin the same origin twice.
    fn mark_restored(&self) -> Result<(), Error> {
        let what = Error::storage("random bytes from the operating system");
        let random = credentials::random()
            .map_err(|error| what(std::io::Error::other(error.to_string())))?;
        let store = self.recorder.store();
        store.set_meta(CHANNELS_RESTORED, &[])?;
        store.set_meta(RESTORED, &random)
    }

    /// Commits, publishes and closes.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        match self.compared {
            true => self.recorder.want_checkpoint(),
            false => self.recorder.commit_now(),
        }
        self.drive()?;
        self.fail_waiting();
        self.recorder.store().checkpoint_wal()
    }

    fn tell(&mut self, now: Now, event: Event) {
        match event {
            Event::Acknowledged(acknowledgement) => {
                if let Some(reply) = self.waiting.remove(&acknowledgement.ticket) {
                    let _ = reply.send(Ok(acknowledgement));
                }
            }
            Event::Grown { leaves, bytes } => {
                self.anchoring.appended(self.recorder.files().size(), leaves, now.wall);
                self.growth.add(now.monotonic_ms, bytes);
            }
            Event::Published { size, note } => {
                self.publish(size, &note);
                for wish in self.wishes.drain(..) {
                    let _ = wish.send((size, note.clone()));
                }
            }
        }
    }

    /// Brings the folder up to date, once for each size.
    fn publish(&mut self, size: u64, note: &str) {
        if self.published == Some(size) {
            return;
        }
        match self.recorder.publish(size, note) {
            Ok(()) => self.published = Some(size),
            // Only readers of the folder miss it; the checkpoint itself is durable.
            Err(error) => {
                self.alarm(Alarm(format!("the log's folder is not up to date: {error}")));
            }
        }
    }

    /// Only a synchronised clock erases: a wrong one would erase too early.
    fn sweep(&mut self, now: Now) {
        if !now.wall.synchronised {
            return;
        }
        for (class, retention) in &self.setup.retention {
            let before = now.wall.day().saturating_sub(retention.keep_days);
            match self.recorder.erase_expired(now, class, before) {
                Ok(0) => {}
                Ok(days) => tracing::info!(class, days, "erasing expired payloads"),
                Err(error) => tracing::error!(%error, class, "expired payloads can't be found"),
            }
        }
    }
}

fn open_recorder(
    disk: &Rc<Folder>,
    setup: &Setup,
    now: Now,
) -> Result<(Recorder<Folder>, Vec<Alarm>), Error> {
    #[expect(clippy::expect_used, reason = "without randomness there are no salts, and no log")]
    let entropy =
        Box::new(|| credentials::random().expect("the operating system gives random bytes"));
    let effects = setup.effects.share()?;
    Recorder::open(disk.clone(), setup.plan.clone(), now, entropy, effects)
}

/// What is anchored, what is under way, and the oldest leaf that waits.
fn resume_anchoring(
    recorder: &Recorder<Folder>,
    cadence: Cadence,
    now: Now,
) -> Result<Anchoring, Error> {
    let anchors = recorder.store().anchors(RECENT_ANCHORS)?;
    let is_final = |state: &AnchorState| matches!(state, AnchorState::Final { .. });
    let anchored = anchors.iter().find(|anchor| is_final(&anchor.state));
    let anchored = anchored.map_or(0, |anchor| anchor.size);
    let mut anchoring =
        Anchoring::new(cadence, now.monotonic_ms, anchored, oldest_leaf(recorder, anchored, now));
    let under_way = anchors.iter().find(|anchor| anchor.state == AnchorState::UnderWay);
    if let Some(anchor) = under_way.filter(|anchor| anchor.size > anchored) {
        let later = oldest_leaf(recorder, anchor.size, now);
        anchoring.resumed(UnderWay { digest: anchor.digest, size: anchor.size }, later);
    }
    Ok(anchoring)
}

/// Time of the first leaf from `from` on that wants to be anchored; one that can't be read counts as new.
fn oldest_leaf(recorder: &Recorder<Folder>, from: u64, now: Now) -> Option<Timestamp> {
    let files = recorder.files();
    (from..files.size()).find_map(|index| {
        let entry = files.entry(index).ok().and_then(|bytes| Entry::decode(&bytes).ok());
        match entry {
            Some(Entry { body: Body::Beacon(_) | Body::Genesis(_), .. }) => None,
            Some(Entry { time, .. }) => Some(time),
            None => Some(now.wall),
        }
    })
}
