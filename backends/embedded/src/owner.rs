//! The one process that owns a ledger's file: the chain behind a lock, its clock, and the faults that tests inject.
//!
//! Guarantees: questions are answered one at a time; faults are taken only by a ledger that was opened with them
//! allowed. Does not: listen; [`crate::server`] does.
//!
//! Order of use: [`Owner::open`], then [`crate::server::serve`], or [`drive`] when nobody else is served;
//! [`Owner::ask`] from anywhere.

use std::{
    convert::Infallible,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use sluicegate_ledger::Error as PortError;

use crate::{
    Error,
    chain::{Chain, Settings},
    disk::{Disk, FileDisk},
    pace::Pace,
    wire::{Admin, Answer, Question},
};

/// Where a ledger's time comes from.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch; this may step.
    fn now_ms(&self) -> u64;

    /// Milliseconds of a clock that only runs.
    fn monotonic_ms(&self) -> u64;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn monotonic_ms(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        let since = START.get_or_init(Instant::now).elapsed();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that is set by hand.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_ms: AtomicU64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that shows this time.
    pub const fn new(now_ms: u64) -> Self {
        Self { wall_ms: AtomicU64::new(now_ms), monotonic_ms: AtomicU64::new(0) }
    }

    /// Sets the wall clock, also backwards; no time passes.
    pub fn set(&self, now_ms: u64) {
        self.wall_ms.store(now_ms, Ordering::SeqCst);
    }

    /// Lets time pass.
    pub fn advance(&self, ms: u64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> u64 {
        self.monotonic_ms.load(Ordering::SeqCst)
    }
}

/// What goes wrong on purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Each answer comes this much later.
    pub delay_ms: u64,
    /// So many questions are answered with a failure.
    pub fail: u32,
    /// So many transactions are accepted, but the answer says that the result is unknown.
    pub unknown: u32,
    /// So many transactions are lost, and the answer says that the result is unknown.
    pub lose: u32,
    /// The lowest fee that is taken instead of the configured one.
    pub base_fee: Option<u64>,
}

/// A ledger with its file.
pub struct Owner {
    chain: Mutex<Chain>,
    pace: Mutex<Pace>,
    faults: Mutex<Faults>,
    faults_allowed: bool,
    clock: Arc<dyn Clock>,
    name: String,
    base_fee: u64,
    pause: Duration,
}

impl Owner {
    /// Opens or begins the ledger in this file; `key` is the seed of the key that signs its heads.
    pub fn open(
        path: &Path,
        settings: Settings,
        key: &[u8; 32],
        clock: Arc<dyn Clock>,
        faults_allowed: bool,
    ) -> Result<Arc<Self>, Error> {
        let disk = Box::new(FileDisk::open(path)?);
        Self::with_disk(disk, settings, key, clock, faults_allowed)
    }

    /// The same on other storage.
    pub fn with_disk(
        disk: Box<dyn Disk>,
        settings: Settings,
        key: &[u8; 32],
        clock: Arc<dyn Clock>,
        faults_allowed: bool,
    ) -> Result<Arc<Self>, Error> {
        let (name, base_fee) = (settings.name.clone(), settings.base_fee);
        let pause = Duration::from_millis((settings.block_interval_ms / 2).clamp(10, 1_000));
        let chain = Chain::open(disk, settings, key, clock.now_ms())?;
        let (newest_ms, wall_ms) = (chain.head().time_ms, clock.now_ms());
        let pace = Pace::new(newest_ms, wall_ms, clock.monotonic_ms(), chain.is_challenged());
        let pace = Mutex::new(pace);
        let (chain, faults) = (Mutex::new(chain), Mutex::default());
        Ok(Arc::new(Self { chain, pace, faults, faults_allowed, clock, name, base_fee, pause }))
    }

    /// The ledger's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Produces a block if it is time to. Blocks while the disk writes.
    pub fn tick(&self) -> Result<bool, PortError> {
        let mut chain = self.chain();
        let time_ms = self.time_ms(&chain);
        chain.tick_at(self.clock.monotonic_ms(), time_ms)
    }

    /// Ledger time: that of a block that would be produced now.
    fn time_ms(&self, chain: &Chain) -> u64 {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall_ms, monotonic_ms) = (self.clock.now_ms(), self.clock.monotonic_ms());
        pace.time(wall_ms, monotonic_ms, chain.is_challenged())
    }

    /// How far the ledger is; its time goes on without blocks, so that who waits for a deadline sees it come.
    fn head(&self) -> Answer {
        let chain = self.chain();
        let mut head = chain.head();
        head.time_ms = head.time_ms.max(self.time_ms(&chain));
        Answer::Head { head, signed: chain.signed_head() }
    }

    /// Answers a question, without blocking the executor.
    pub async fn ask(self: &Arc<Self>, question: Question) -> Answer {
        let delay = self.faults().delay_ms;
        if delay > 0 && !matches!(question, Question::Admin(_)) {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let owner = Arc::clone(self);
        let answer = tokio::task::spawn_blocking(move || owner.answer(question)).await;
        answer.unwrap_or_else(|_| Answer::Error(PortError::Unavailable("it is stopping".into())))
    }

    /// Answers a question. Blocks while the disk writes.
    pub fn answer(&self, question: Question) -> Answer {
        self.try_answer(question).unwrap_or_else(Answer::Error)
    }

    fn try_answer(&self, question: Question) -> Result<Answer, PortError> {
        if let Question::Admin(admin) = question {
            return self.admin(admin).map(|()| Answer::Done);
        }
        if self.strikes(|faults| &mut faults.fail) {
            return Err(PortError::Unavailable("injected failure".into()));
        }
        if let Question::Head = question {
            return Ok(self.head());
        }
        if let Question::Submit(bytes) = question {
            return self.submit(&bytes).map(|()| Answer::Done);
        }
        ask_chain(&self.chain(), &question)
    }

    fn submit(&self, bytes: &[u8]) -> Result<(), PortError> {
        if self.strikes(|faults| &mut faults.lose) {
            return Err(PortError::ResultUnknown("injected loss".into()));
        }
        self.chain().submit(bytes)?;
        if self.strikes(|faults| &mut faults.unknown) {
            return Err(PortError::ResultUnknown("injected loss of the answer".into()));
        }
        Ok(())
    }

    /// Does what only a ledger that allows faults does.
    pub fn admin(&self, admin: Admin) -> Result<(), PortError> {
        if !self.faults_allowed {
            return Err(PortError::Rejected("this ledger allows no faults".into()));
        }
        match admin {
            Admin::Faults(faults) => {
                self.chain().set_base_fee(faults.base_fee.unwrap_or(self.base_fee));
                *self.faults() = faults;
                Ok(())
            }
            Admin::Produce => {
                let mut chain = self.chain();
                let time_ms = self.time_ms(&chain);
                chain.produce(time_ms)
            }
            Admin::Reorg { blocks, keep } => self.chain().reorg(blocks, keep),
        }
    }

    /// Whether a counted fault happens now.
    fn strikes(&self, which: impl Fn(&mut Faults) -> &mut u32) -> bool {
        let mut faults = self.faults();
        let left = which(&mut faults);
        let strikes = *left > 0;
        *left = left.saturating_sub(1);
        strikes
    }

    /// A panic elsewhere leaves the chain whole: it changes only after its record is durable.
    fn chain(&self) -> MutexGuard<'_, Chain> {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Owner").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Produces blocks as time passes; ends only when storage fails.
pub async fn drive(owner: Arc<Owner>) -> Result<Infallible, PortError> {
    loop {
        tokio::time::sleep(owner.pause).await;
        let ticking = Arc::clone(&owner);
        let ticked = tokio::task::spawn_blocking(move || ticking.tick()).await;
        ticked.map_err(|_| PortError::Unavailable("it is stopping".into()))??;
    }
}

fn ask_chain(chain: &Chain, question: &Question) -> Result<Answer, PortError> {
    Ok(match question {
        Question::Account(key) => Answer::Account(chain.account(key)),
        Question::AnchorEvidence(digest) => Answer::AnchorEvidence(chain.anchor_evidence(digest)?),
        Question::BlockEvidence(number) => Answer::BlockEvidence(chain.block_evidence(*number)?),
        Question::Describe => Answer::Name(chain.name().into()),
        Question::Dispute(channel) => Answer::Dispute(chain.dispute(channel).map(Box::new)),
        Question::Events(cursor) => Answer::Events(chain.events(cursor)?),
        Question::Fee => Answer::Fee(chain.base_fee()),
        Question::Find(digest) => Answer::Anchor(chain.find(digest)),
        Question::Holdings(funding) => Answer::Holdings(chain.holdings(funding)),
        Question::Landed(key) => Answer::Landed(chain.landed(key)),
        Question::Newest(key) => Answer::Anchor(chain.newest(key)),
        Question::Settled(channel) => Answer::Settled(chain.is_settled(channel)),
        Question::Status(id) => Answer::Status(chain.status(id)),
        Question::Admin(_) | Question::Head | Question::Submit(_) => {
            return Err(PortError::Mismatch("not a question to the chain alone"));
        }
    })
}
