//! One intent in memory: its durable record, how far it is, and what it waits for.

use crate::{
    Account, Error, Remedy, Unsigned,
    outbox::{Record, Settings},
};

/// How far an intent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is signed.
    Intent,
    /// Something is signed and, as far as is known, in no block.
    Signed,
    /// The ledger took the newest signed transaction; it is in no block.
    Submitted,
    /// In a block that is not final; the index of the attempt, none when a foreign transaction is adopted.
    Seen(Option<usize>),
}

/// What an intent waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its first record becomes durable.
    Storing(u64),
    /// Time passes until `due`; nothing is in flight.
    Waiting,
    /// The ledger says whether it is done already.
    Finding,
    /// The ledger says how the account stands.
    Asking,
    /// The backend fills the transaction.
    Building(u64),
    /// The backend signs it.
    Signing(Unsigned),
    /// The signed transaction becomes durable.
    Saving(u64),
    /// The ledger takes it.
    Submitting,
    /// The ledger says what became of the attempt with this index.
    Checking(usize),
}

#[derive(Debug)]
pub(super) struct Intent {
    pub(super) record: Record,
    pub(super) stage: Stage,
    pub(super) phase: Phase,
    /// The call in flight; an answer with another ticket is stale.
    pub(super) ticket: u64,
    /// When to act, while waiting.
    pub(super) due: u64,
    retries: u32,
    /// The remedy that was told last.
    pub(super) blocked: Option<Remedy>,
    /// The account as it stood before the attempts were looked up.
    pub(super) account: Option<Account>,
    /// The lowest fee that the next transaction must have.
    pub(super) bump: Option<u128>,
    /// What the ledger said when it refused the newest attempt for good.
    pub(super) rejected: Option<Error>,
    /// Since when the newest attempt is known to the ledger.
    pub(super) submitted_at: Option<u64>,
    /// What the attempts looked up so far in this round say.
    pub(super) pending: Pending,
    /// Rounds in a row that found all attempts dead.
    pub(super) dead_rounds: u8,
}

/// Which attempts the ledger holds in no block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) newest: bool,
    pub(super) older: bool,
}

impl Intent {
    pub(super) const fn new(record: Record, due: u64, phase: Phase) -> Self {
        Self {
            record,
            stage: Stage::Intent,
            phase,
            ticket: 0,
            due,
            retries: 0,
            blocked: None,
            account: None,
            bump: None,
            rejected: None,
            submitted_at: None,
            pending: Pending { newest: false, older: false },
            dead_rounds: 0,
        }
    }

    /// After a restart: due at once, and what was signed is looked up first.
    pub(super) fn restored(record: Record) -> Self {
        let stage = if record.attempts.is_empty() { Stage::Intent } else { Stage::Signed };
        Self { stage, ..Self::new(record, 0, Phase::Waiting) }
    }

    /// Signed and not in a block, or on the way there: nobody else starts meanwhile.
    pub(super) fn holds_lane(&self) -> bool {
        match self.stage {
            Stage::Intent => !matches!(self.phase, Phase::Storing(_) | Phase::Waiting),
            Stage::Signed | Stage::Submitted => true,
            Stage::Seen(_) => false,
        }
    }

    /// Waits until `due`.
    pub(super) fn wait(&mut self, due: u64) {
        (self.phase, self.due) = (Phase::Waiting, due);
    }

    /// Waits for the next poll after something went well.
    pub(super) fn rest(&mut self, now: u64, settings: &Settings) {
        (self.retries, self.blocked) = (0, None);
        self.wait(now.saturating_add(settings.poll_ms));
    }

    /// Waits after a failure, each time longer.
    pub(super) fn back_off(&mut self, now: u64, settings: &Settings) {
        let factor = 1u64.checked_shl(self.retries).unwrap_or(u64::MAX);
        let pause = settings.backoff_min_ms.saturating_mul(factor).min(settings.backoff_max_ms);
        self.retries = self.retries.saturating_add(1).min(32);
        self.wait(now.saturating_add(pause));
    }
}
