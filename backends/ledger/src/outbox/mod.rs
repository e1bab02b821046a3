//! The outbox: the one durable way of a transaction to a ledger, the same for all ledgers.
//!
//! An intent goes intent → built → signed → submitted → seen → final. The table of states is in the crate's README.
//!
//! Guarantees: an intent is paid at most once and, as long as ledger, money and ceilings allow, in the end. One intent
//! has one nonce: a resubmission or a fee bump uses it again, so at most one of its transactions can ever land. A new
//! nonce is taken only when a final block holds a foreign transaction with the old one. What is signed is durable
//! before it is submitted. The same request twice is one intent; what is already done is adopted. Bounded
//! memory: [`Settings::capacity`] intents of at most [`MAX_ATTEMPTS`] transactions.
//! Does not: talk to a ledger, store or wait: it says what to do, and the caller does it in order.
//!
//! Order of use: [`Outbox::restore`] with what was stored, then [`Outbox::enqueue`] and [`Outbox::handle`]; after each
//! of them carry out [`Outbox::poll_output`] until it is empty, and come back at [`Outbox::next_deadline`] with
//! [`Input::Tick`]. A [`Output::Notify`] is made durable before the next output is carried out.
//! Shown by: `outbox/tests/`, which crashes between any two outputs.

mod intent;
mod record;
mod step;
#[cfg(test)]
mod tests;

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec,
    vec::Vec,
};

use self::intent::{Intent, Phase};
pub use self::{
    intent::Stage,
    record::{MAX_ATTEMPTS, MAX_TRANSACTION, Record},
};
use crate::{
    Account, BlockRef, Error, Fee, Landed, Ledger, Request, Signed, Status, TransactionId,
    Unsigned, cbor,
    fees::{Budgets, Class, Limits},
};

/// The key under which the fee budgets are stored; intents have higher ones.
pub const BUDGETS_KEY: u64 = 0;

/// How the outbox behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What may be spent.
    pub limits: Limits,
    /// How often the ledger is asked about a transaction, in milliseconds.
    pub poll_ms: u64,
    /// The first pause after a failure; it doubles each time.
    pub backoff_min_ms: u64,
    /// The longest pause after a failure.
    pub backoff_max_ms: u64,
    /// How long a transaction may stay in no block before its fee is raised.
    pub bump_after_ms: u64,
    /// Most intents at a time.
    pub capacity: usize,
}

/// What the caller tells the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The answer to [`Output::Call`]; every call is answered, in the end by an error.
    Answer {
        /// The ticket of the call.
        ticket: u64,
        /// What the ledger said.
        result: Result<Answer, Error>,
    },
    /// Gives back what was set aside for disputes.
    GiveBack(u128),
    /// The ledger moved (a block, an event): ask about everything that is under way.
    Moved,
    /// This write is durable.
    Persisted(u64),
    /// Sets more aside for disputes.
    SetAside(u128),
    /// The deadline passed.
    Tick,
}

/// What the caller does for the outbox, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Asks the ledger; see [`perform`]. Calls may run at the same time.
    Call {
        /// Goes back with the answer.
        ticket: u64,
        /// What to ask.
        call: Call,
    },
    /// Tells what became of an intent. May come again after a restart.
    Notify(Notice),
    /// Stores and deletes as one atomic write, then answers [`Input::Persisted`].
    Persist {
        /// Goes back when it is durable.
        write: u64,
        /// Keys and records to store.
        puts: Vec<(u64, Vec<u8>)>,
        /// Keys whose records are not needed any more.
        deletes: Vec<u64>,
    },
}

/// A question to the backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// [`crate::Ledger::account`]
    Account,
    /// [`crate::Ledger::build`]
    Build {
        /// What it does.
        request: Request,
        /// Its nonce.
        nonce: u64,
        /// Which fee.
        fee: Fee,
    },
    /// [`crate::Ledger::landed`]
    Find(Request),
    /// [`crate::Ledger::sign`]
    Sign(Unsigned),
    /// [`crate::Ledger::status`]
    Status(TransactionId),
    /// [`crate::Ledger::submit`]
    Submit(Signed),
}

/// The answer to a [`Call`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Call::Account`].
    Account(Account),
    /// To [`Call::Build`].
    Built(Unsigned),
    /// To [`Call::Find`].
    Found(Option<Landed>),
    /// To [`Call::Sign`].
    Signed(Signed),
    /// To [`Call::Status`].
    Status(Status),
    /// To [`Call::Submit`].
    Submitted,
}

/// Puts a call to a backend.
pub async fn perform(ledger: &dyn Ledger, call: &Call) -> Result<Answer, Error> {
    match call {
        Call::Account => ledger.account().await.map(Answer::Account),
        Call::Build { request, nonce, fee } => {
            ledger.build(request, *nonce, *fee).await.map(Answer::Built)
        }
        Call::Find(request) => ledger.landed(request).await.map(Answer::Found),
        Call::Sign(unsigned) => ledger.sign(unsigned).map(Answer::Signed),
        Call::Status(id) => ledger.status(id).await.map(Answer::Status),
        Call::Submit(signed) => ledger.submit(signed).await.map(|()| Answer::Submitted),
    }
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The intent's key.
    pub intent: u64,
    /// What was wanted.
    pub request: Request,
    /// What happened.
    pub news: News,
}

/// What happened to an intent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It does not get on; told once for each [`Remedy`](crate::Remedy), and it goes on by itself when it can.
    Blocked(Error),
    /// It failed for good and is forgotten.
    Failed(Error),
    /// It is done and is forgotten.
    Final {
        /// The transaction that did it, which may be a foreign one.
        transaction: TransactionId,
        /// In which block.
        block: BlockRef,
    },
    /// A reorg took it back; it is submitted again.
    Retracted,
    /// It is in a block that a reorg may take back.
    Seen {
        /// The transaction.
        transaction: TransactionId,
        /// In which block.
        block: BlockRef,
    },
}

/// The intents of one account on one ledger.
#[derive(Debug)]
pub struct Outbox {
    settings: Settings,
    budgets: Budgets,
    intents: BTreeMap<u64, Intent>,
    outputs: VecDeque<Output>,
    /// Ledger time of the newest account answer.
    time_ms: u64,
    next_key: u64,
    next_ticket: u64,
    next_write: u64,
}

impl Outbox {
    /// Continues with what was stored, in any order. What can't be read is given back to be set aside: an intent whose
    /// record is lost may be enqueued again and is still not paid twice.
    pub fn restore(
        settings: Settings,
        records: impl IntoIterator<Item = (u64, Vec<u8>)>,
    ) -> (Self, Vec<(u64, Error)>) {
        let mut outbox = Self {
            settings,
            budgets: Budgets::default(),
            intents: BTreeMap::new(),
            outputs: VecDeque::new(),
            time_ms: 0,
            next_key: BUDGETS_KEY + 1,
            next_ticket: 0,
            next_write: 0,
        };
        let mut unread = Vec::new();
        for (key, bytes) in records {
            outbox.next_key = outbox.next_key.max(key.saturating_add(1));
            if let Err(error) = outbox.restore_one(key, &bytes) {
                unread.push((key, error));
            }
        }
        (outbox, unread)
    }

    fn restore_one(&mut self, key: u64, bytes: &[u8]) -> Result<(), Error> {
        if key == BUDGETS_KEY {
            let read = Budgets::decode(bytes);
            self.budgets = read.clone().unwrap_or(Budgets::exhausted());
            return read.map(|_| ());
        }
        self.intents.insert(key, Intent::restored(Record::decode(bytes)?));
        Ok(())
    }

    /// Takes a request; the same request twice, by [`Request::key`], is one intent. Gives the intent's key.
    pub fn enqueue(&mut self, now: u64, request: Request, class: Class) -> Result<u64, Error> {
        request.check()?;
        let wanted = request.key();
        let known = self.intents.iter().find(|(_, intent)| intent.record.request.key() == wanted);
        if let Some((key, _)) = known {
            return Ok(*key);
        }
        if self.intents.len() >= self.settings.capacity {
            return Err(Error::OutboxFull(self.settings.capacity));
        }
        let key = self.next_key;
        self.next_key = key.saturating_add(1);
        let record = Record { request, class, attempts: Vec::new() };
        let write = self.persist(vec![(key, record.to_bytes())], Vec::new());
        self.intents.insert(key, Intent::new(record, now, Phase::Storing(write)));
        Ok(key)
    }

    /// Forgets requests of which nothing is signed; what is signed may land, and goes on.
    pub fn cancel(&mut self, which: impl Fn(&Request) -> bool) {
        let is_open = |intent: &Intent| intent.record.attempts.is_empty();
        let keys = self.keys(|intent| is_open(intent) && which(&intent.record.request));
        keys.iter().for_each(|key| drop(self.intents.remove(key)));
        if !keys.is_empty() {
            self.persist(Vec::new(), keys);
        }
    }

    /// Takes an input. `now` is monotonic, in milliseconds.
    pub fn handle(&mut self, now: u64, input: Input) {
        match input {
            Input::Answer { ticket, result } => self.answered(now, ticket, result),
            Input::GiveBack(amount) => {
                self.budgets.give_back(amount);
                self.persist_budgets();
            }
            Input::Moved => {
                self.hurry(now, |intent| intent.stage != Stage::Intent && intent.blocked.is_none())
            }
            Input::Persisted(write) => self.persisted(now, write),
            Input::SetAside(amount) => {
                self.budgets.set_aside(amount);
                self.persist_budgets();
            }
            Input::Tick => {}
        }
        self.advance(now);
    }

    /// What to do next, until there is nothing.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Tick`], on the clock of `now`.
    pub fn next_deadline(&self) -> Option<u64> {
        let busy = self.lane_is_busy();
        let waiting = self.intents.values().filter(|intent| intent.phase == Phase::Waiting);
        waiting
            .filter(|intent| !busy || intent.stage != Stage::Intent)
            .map(|intent| intent.due)
            .min()
    }

    /// Replaces the fee limits; what waits for a ceiling tries again.
    pub fn set_limits(&mut self, now: u64, limits: Limits) {
        self.settings.limits = limits;
        self.hurry(now, |intent| intent.blocked.is_some());
        self.advance(now);
    }

    /// What was spent and what is set aside.
    pub const fn budgets(&self) -> &Budgets {
        &self.budgets
    }

    /// The intents that are not final: key, request and stage.
    pub fn intents(&self) -> impl Iterator<Item = (u64, &Request, Stage)> {
        self.intents.iter().map(|(key, intent)| (*key, &intent.record.request, intent.stage))
    }

    fn hurry(&mut self, now: u64, which: impl Fn(&Intent) -> bool) {
        for intent in self.intents.values_mut().filter(|intent| which(intent)) {
            intent.due = intent.due.min(now);
        }
    }

    fn persist(&mut self, puts: Vec<(u64, Vec<u8>)>, deletes: Vec<u64>) -> u64 {
        self.next_write += 1;
        self.outputs.push_back(Output::Persist { write: self.next_write, puts, deletes });
        self.next_write
    }

    fn persist_budgets(&mut self) {
        self.persist(vec![(BUDGETS_KEY, cbor::encode(&self.budgets))], Vec::new());
    }

    fn notify(&mut self, key: u64, news: News) {
        if let Some(intent) = self.intents.get(&key) {
            let request = intent.record.request.clone();
            self.outputs.push_back(Output::Notify(Notice { intent: key, request, news }));
        }
    }
}
