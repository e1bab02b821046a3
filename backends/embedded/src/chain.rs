//! The embedded ledger as a state machine: transactions and the time go in, blocks and answers come out.
//!
//! Guarantees: a transaction is durable before it is accepted, a block before it is shown (I1); final blocks are never
//! taken back, so any two heads that were signed are consistent; ledger time never goes back. Does not: read a clock,
//! wait, or serve anybody; [`crate::owner`] does. It keeps what it knows in memory, well under 1 KiB for each
//! anchor, a few KiB for each registered state.
//!
//! Order of use: [`Chain::open`], [`Chain::submit`], [`Chain::tick`] with the time, and the questions.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use sluicegate_ledger::{
    Account, AnchorEvidence, AnchorRecord, BlockEvidence, Cursor, Dispute, Error as PortError,
    Event, EventKind, EventPage, Head, Landed, Status, TransactionId, evidence::Receipt,
};
use sluicegate_protocol::{
    Checkpoint, Digest, SigningKey,
    channel::{self, Amount, ChannelId, FundingId},
    note,
};

use crate::{
    Error,
    disk::Disk,
    record::{Genesis, Log, Record},
    state::{Block, Place, State, seconds},
    transaction::Transaction,
    tree::Tree,
};

/// Most transactions of a block.
pub const MAX_BLOCK: usize = 512;
/// Most accepted transactions that are in no block.
pub const MAX_POOL: usize = 4096;
/// How far a nonce may be ahead of its account.
pub const MAX_AHEAD: u64 = 16;
/// Most events of a page.
pub const MAX_EVENTS: usize = 100;
/// Most bytes of a page's events, by the estimate of [`size`]; a message is longer.
const MAX_EVENT_BYTES: usize = 60 * 1024;
/// Time after which an empty block is produced while a challenge is open: what a start takes ledger time back.
pub const CHALLENGED_HEARTBEAT_MS: u64 = 60_000;

type Queue<'a> = VecDeque<(TransactionId, &'a Transaction)>;

/// How a ledger behaves. Grant and finality are fixed when it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name: the origin of its heads, without the `embedded:` of its identifier.
    pub name: String,
    /// What an account holds when it is first seen, in base units.
    pub grant: u64,
    /// The lowest fee of a transaction, in base units.
    pub base_fee: u64,
    /// Blocks on top that make a block final; 0: final at once.
    pub finality_blocks: u64,
    /// Least time between two blocks.
    pub block_interval_ms: u64,
    /// Time after which an empty block is produced, if at all; while a challenge is open, after
    /// [`CHALLENGED_HEARTBEAT_MS`] in any case.
    pub heartbeat_ms: Option<u64>,
}

impl Settings {
    /// A ledger of this name with a block each second, final at once.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            grant: 1_000_000_000,
            base_fee: 10,
            finality_blocks: 0,
            block_interval_ms: 1_000,
            heartbeat_ms: None,
        }
    }
}

/// A ledger and its file.
pub struct Chain {
    settings: Settings,
    key: SigningKey,
    log: Log,
    state: State,
    /// On the caller's clock: when the newest block was produced here.
    last_block: u64,
}

impl Chain {
    /// Reads the ledger from its file, or begins it. `key` is the seed of the Ed25519 key that signs its heads.
    pub fn open(
        disk: Box<dyn Disk>,
        settings: Settings,
        key: &[u8; 32],
        now_ms: u64,
    ) -> Result<Self, Error> {
        let key = SigningKey::from_bytes(key);
        let identifier = sluicegate_ledger::LedgerId::embedded(&settings.name);
        let verifier =
            note::VerifierKey::new(&settings.name, note::KeyKind::Note, key.verifying_key());
        if identifier.is_err() || verifier.is_err() {
            return Err(Error::Name(settings.name));
        }
        let (mut log, records) = Log::open(disk)?;
        let state = match records.is_empty() {
            true => begin(&mut log, &settings, &key, now_ms)?,
            false => replay(records, &settings, &key)?,
        };
        Ok(Self { settings, key, log, state, last_block: now_ms })
    }

    /// The ledger's name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The lowest fee that is taken now.
    pub const fn base_fee(&self) -> u64 {
        self.settings.base_fee
    }

    /// Asks for another lowest fee; accepted transactions below it wait.
    pub const fn set_base_fee(&mut self, fee: u64) {
        self.settings.base_fee = fee;
    }

    /// Accepts a transaction. When this returns it is durable; the same one again changes nothing.
    pub fn submit(&mut self, bytes: &[u8]) -> Result<TransactionId, PortError> {
        let transaction = Transaction::decode(bytes)?;
        let id = transaction.verify(&self.settings.name)?;
        if self.state.status(&id) == Status::Unknown {
            self.may_accept(&transaction)?;
            self.commit(Record::Accepted(transaction))?;
        }
        Ok(id)
    }

    /// Produces a block if it is time to; says whether it did. Fails from the first failure of storage on.
    pub fn tick(&mut self, now_ms: u64) -> Result<bool, PortError> {
        self.tick_at(now_ms, now_ms)
    }

    /// The same with blocks paced by one clock and dated by another.
    pub fn tick_at(&mut self, paced_ms: u64, now_ms: u64) -> Result<bool, PortError> {
        self.log.check()?;
        // A clock that was set back counts as time that passed.
        let passed = paced_ms.abs_diff(self.last_block);
        let heartbeat = self.settings.heartbeat_ms.is_some_and(|after| passed >= after)
            || passed >= CHALLENGED_HEARTBEAT_MS && self.is_challenged();
        let due = passed >= self.settings.block_interval_ms
            && (self.has_work() || self.ends_a_challenge(now_ms));
        if due || heartbeat {
            self.produce(now_ms)?;
            self.last_block = paced_ms;
        }
        Ok(due || heartbeat)
    }

    /// Produces a block of what is accepted.
    pub fn produce(&mut self, now_ms: u64) -> Result<(), PortError> {
        let chosen = self.choose();
        let receipts: Vec<Receipt> = chosen.iter().map(|(id, t)| t.receipt(id.0)).collect();
        let header = self.state.next_header(now_ms, &receipts).to_bytes();
        let transactions = chosen.iter().map(|(id, _)| *id).collect();
        self.last_block = now_ms;
        self.commit(Record::Block { header, transactions })
    }

    /// Takes up to `blocks` blocks back that are not final; with `keep` their transactions are accepted again.
    pub fn reorg(&mut self, blocks: u64, keep: bool) -> Result<(), PortError> {
        let open = (self.state.blocks.len() - self.state.finalised.size()) as u64;
        self.commit(Record::Retracted { blocks: blocks.min(open), keep })
    }

    /// Durable first, then visible.
    fn commit(&mut self, record: Record) -> Result<(), PortError> {
        self.log.append(&record)?;
        self.state.apply(record).map_err(|reason| PortError::Unavailable(reason.into()))
    }

    fn may_accept(&mut self, transaction: &Transaction) -> Result<(), PortError> {
        let body = &transaction.body;
        let account = self.state.account(&body.account);
        if body.nonce < account.next_nonce {
            return Err(PortError::NonceUsed { next: account.next_nonce });
        }
        let replaced = self.state.pool.get(&(body.account, body.nonce));
        let is_full = replaced.is_none() && self.state.pool.len() >= MAX_POOL;
        let makes_room = body.nonce == account.next_nonce && self.state.furthest_ahead().is_some();
        if body.nonce - account.next_nonce >= MAX_AHEAD || is_full && !makes_room {
            return Err(PortError::Unavailable(
                "too many transactions wait before this one".into(),
            ));
        }
        let needed = replaced.map_or(0, |(_, known)| known.body.fee.saturating_add(1));
        let needed = needed.max(self.settings.base_fee);
        if body.fee < needed {
            return Err(PortError::FeeTooLow { needed: needed.into() });
        }
        let of_account = self.state.pool.range((body.account, 0)..=(body.account, u64::MAX));
        let others = of_account.filter(|((_, nonce), _)| *nonce != body.nonce);
        let others = others.map(|(_, (_, known))| known.body.cost());
        let needed = others.fold(body.cost(), u128::saturating_add);
        let balance = self.state.books.balance(&body.account);
        if needed > balance {
            return Err(PortError::Unfunded { needed, balance });
        }
        // What can't have an effect as things stand is not even accepted.
        let now = seconds(self.state.newest().header.time_ms);
        Ok(self.state.books.check(&body.account, &body.request, now)?)
    }

    /// What goes into the next block: of each account the transactions that follow without a gap, as far as what it has
    /// now pays for them; the highest fee first, so that nobody is kept out by whose key is smaller.
    fn choose(&self) -> Vec<(TransactionId, &Transaction)> {
        let mut queues = self.executable();
        let fee = |queue: &Queue<'_>| queue.front().map(|(_, t)| t.body.fee);
        let heads = queues.iter().enumerate();
        let heads = heads.filter_map(|(place, queue)| Some((fee(queue)?, Reverse(place))));
        let mut heads: BinaryHeap<_> = heads.collect();
        let mut chosen = Vec::new();
        while chosen.len() < MAX_BLOCK
            && let Some((_, Reverse(place))) = heads.pop()
        {
            chosen.extend(queues[place].pop_front());
            heads.extend(fee(&queues[place]).map(|fee| (fee, Reverse(place))));
        }
        chosen
    }

    /// For each account what a block could hold, in the order of nonces.
    fn executable(&self) -> Vec<Queue<'_>> {
        let (mut queues, mut next): (Vec<Queue<'_>>, _) = (Vec::new(), None);
        for ((account, nonce), (id, transaction)) in &self.state.pool {
            let body = &transaction.body;
            let (expected, left) = match next {
                Some((same, nonce, left)) if same == account => (nonce, left),
                _ => {
                    queues.push(Queue::new());
                    (self.state.account(account).next_nonce, self.state.books.balance(account))
                }
            };
            next = Some((account, expected, left));
            let pays = body.fee >= self.settings.base_fee && left >= body.fee.into();
            if *nonce == expected && pays {
                queues.last_mut().into_iter().for_each(|queue| queue.push_back((*id, transaction)));
                // Nothing that costs follows a deposit that may be more than is left.
                next = Some((account, nonce.saturating_add(1), left.saturating_sub(body.cost())));
            }
        }
        queues
    }

    /// Something waits for a block, or a block with transactions for its finality.
    fn has_work(&self) -> bool {
        let open = &self.state.blocks[self.state.finalised.size()..];
        open.iter().any(|block| !block.receipts.is_empty()) || !self.choose().is_empty()
    }

    /// Whether a block of this time is the first behind the end of a challenge: ledger time gets there even if nobody
    /// submits anything, because that is what the next transaction waits for.
    fn ends_a_challenge(&self, now_ms: u64) -> bool {
        let newest = seconds(self.state.newest().header.time_ms);
        let end = self.state.books.next_deadline(newest);
        end.is_some_and(|end| end <= seconds(now_ms))
    }

    /// Whether the challenge of a dispute is not over.
    pub fn is_challenged(&self) -> bool {
        let newest = seconds(self.state.newest().header.time_ms);
        self.state.books.next_deadline(newest).is_some()
    }

    /// How far the ledger is.
    pub fn head(&self) -> Head {
        let newest = self.state.newest();
        let last = self.state.finalised.size() - 1;
        let finalised = State::block_ref(&self.state.blocks[last]);
        Head { newest: State::block_ref(newest), finalised, time_ms: newest.header.time_ms }
    }

    /// The signed head: a checkpoint note over the final blocks.
    pub fn signed_head(&self) -> String {
        let (origin, finalised) = (self.settings.name.as_str(), &self.state.finalised);
        let head = Checkpoint { origin, size: finalised.size() as u64, root: finalised.root() };
        let mut out = String::new();
        // Writing into a string can't fail.
        let _ = note::sign(&head.to_string(), origin, &self.key, &mut out);
        out
    }

    /// An account as it stands now; one that was never seen holds the grant.
    pub fn account(&self, key: &[u8; 32]) -> Account {
        let account = self.state.account(key);
        Account {
            next_nonce: account.next_nonce,
            final_nonce: account.final_nonce,
            balance: self.state.books.balance(key),
            time_ms: self.state.newest().header.time_ms,
        }
    }

    /// What became of a transaction.
    pub fn status(&self, id: &TransactionId) -> Status {
        self.state.status(id)
    }

    /// Events behind a cursor, which is the number of events before it.
    pub fn events(&self, from: &Cursor) -> Result<EventPage, PortError> {
        let start = match from.0.as_slice() {
            [] => 0,
            bytes => u64::from_be_bytes(bytes.try_into().map_err(|_| PortError::CursorUnknown)?),
        };
        let start = usize::try_from(start).map_err(|_| PortError::CursorUnknown)?;
        let rest = self.state.events.get(start..).ok_or(PortError::CursorUnknown)?;
        let mut bytes = 0usize;
        let fits = |event: &&Event| {
            bytes = bytes.saturating_add(size(&event.kind));
            bytes <= MAX_EVENT_BYTES
        };
        let events: Vec<_> = rest.iter().take(MAX_EVENTS).take_while(fits).cloned().collect();
        let next = Cursor(((start + events.len()) as u64).to_be_bytes().to_vec());
        Ok(EventPage { events, next })
    }

    /// The first anchor of a digest.
    pub fn find(&self, digest: &Digest) -> Option<AnchorRecord> {
        self.state.find(digest).and_then(|place| self.state.anchor(place))
    }

    /// The newest anchor of an account.
    pub fn newest(&self, account: &[u8; 32]) -> Option<AnchorRecord> {
        self.state.newest_of(account).and_then(|place| self.state.anchor(place))
    }

    /// Where the request with this key had its effect last.
    pub fn landed(&self, key: &Digest) -> Option<Landed> {
        self.state.landed(key)
    }

    /// What was registered last for a channel.
    pub fn dispute(&self, channel: &ChannelId) -> Option<Dispute> {
        self.state.books.dispute(channel).cloned()
    }

    /// What lies there for a participant of a channel.
    pub fn holdings(&self, funding: &FundingId) -> Amount {
        self.state.books.part(funding)
    }

    /// Whether the outcome of a channel is fixed.
    pub fn is_settled(&self, channel: &ChannelId) -> bool {
        self.state.books.is_settled(channel)
    }

    /// The proof that a digest is anchored in a final block.
    pub fn anchor_evidence(&self, digest: &Digest) -> Result<AnchorEvidence, PortError> {
        let place = self.state.find(digest).ok_or(PortError::NotFound)?;
        let block = self.block_evidence(place.block)?;
        let receipts = &self.final_block(place.block)?.receipts;
        let Place { index, .. } = place;
        let receipt = receipts.get(index).ok_or(PortError::NotFound)?.to_bytes();
        let path = Tree::of(receipts.iter().map(Receipt::leaf)).path(index);
        Ok(AnchorEvidence { block, receipt, index: index as u64, path })
    }

    /// The proof that a block is final.
    pub fn block_evidence(&self, number: u64) -> Result<BlockEvidence, PortError> {
        let header = self.final_block(number)?.header.to_bytes();
        let index = usize::try_from(number).map_err(|_| PortError::NotFound)?;
        let path = self.state.finalised.path(index);
        Ok(BlockEvidence { head: self.signed_head(), header, path })
    }

    fn final_block(&self, number: u64) -> Result<&Block, PortError> {
        let block = self.state.block_at(number).ok_or(PortError::NotFound)?;
        if self.state.is_final(number) { Ok(block) } else { Err(PortError::NotFinal) }
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chain").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// No event is longer than this on the wire.
const fn size(kind: &EventKind) -> usize {
    match kind {
        EventKind::Registered { signed: Some(_), .. } => channel::State::MAX_ENCODED + 512,
        _ => 512,
    }
}

fn begin(
    log: &mut Log,
    settings: &Settings,
    key: &SigningKey,
    now_ms: u64,
) -> Result<State, Error> {
    let genesis = Genesis {
        name: settings.name.clone(),
        key: key.verifying_key().to_bytes(),
        grant: settings.grant,
        finality_blocks: settings.finality_blocks,
        time_ms: now_ms,
    };
    let written = log.append(&Record::Genesis(genesis.clone()));
    written.map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(State::new(genesis))
}

fn replay(
    records: Vec<(u64, Record)>,
    settings: &Settings,
    key: &SigningKey,
) -> Result<State, Error> {
    let mut records = records.into_iter();
    let Some((_, Record::Genesis(genesis))) = records.next() else {
        return Err(Error::Corrupt { offset: 0, reason: "it does not begin with its identity" });
    };
    if genesis.name != settings.name || genesis.key != key.verifying_key().to_bytes() {
        return Err(Error::Identity { found: genesis.name, expected: settings.name.clone() });
    }
    let mut state = State::new(genesis);
    for (offset, record) in records {
        state.apply(record).map_err(|reason| Error::Corrupt { offset, reason })?;
    }
    Ok(state)
}
