//! The capabilities that a backend implements, and the values that pass through them.
//!
//! Guarantees: every value means the same on every ledger; what differs stays in the backend. A future does its own
//! waiting and gives up by itself, with an [`Error`] that says what the caller can do. Answers never go back: what
//! [`Ledger::account`] calls final, a later [`Ledger::status`] and [`Anchors::find`] know of. Does not: retry, choose a nonce
//! or keep anything; the [outbox](crate::outbox) does.
//!
//! Order of use for a transaction: [`Ledger::account`], [`Ledger::build`], the fee check, [`Ledger::sign`], the record
//! made durable, [`Ledger::submit`], [`Ledger::status`] until [`Status::Final`].
//! Rules that every backend keeps: [`crate::conformance`]. Design: §4.

use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::{fmt, future::Future, pin::Pin};

use sluicegate_protocol::{
    Digest,
    channel::{Address, ChannelId},
};

use crate::{AnchorEvidence, BlockEvidence, Error, Movement, Request, SignedState};

/// What an asynchronous method of the port gives: a boxed future, so that a backend is chosen at run time.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// What every ledger does for one account: transactions and events.
pub trait Ledger: Send + Sync {
    /// Which ledger this is, for which account, and whom it makes one trust.
    fn description(&self) -> &Description;

    /// The newest and the newest final block.
    fn head(&self) -> Reply<'_, Head>;

    /// The own account as it stands now.
    fn account(&self) -> Reply<'_, Account>;

    /// Fills a transaction, with a fee that the ledger would take now.
    fn build<'a>(&'a self, request: &'a Request, nonce: u64, fee: Fee) -> Reply<'a, Unsigned>;

    /// Signs with the account's key. The caller has checked [`Unsigned::fee`] against its budget, and makes the result
    /// durable before it submits it.
    fn sign(&self, unsigned: &Unsigned) -> Result<Signed, Error>;

    /// Hands a transaction to the ledger. The same bytes twice have the effect of one.
    fn submit<'a>(&'a self, signed: &'a Signed) -> Reply<'a, ()>;

    /// What became of a transaction.
    fn status<'a>(&'a self, transaction: &'a TransactionId) -> Reply<'a, Status>;

    /// Where the ledger shows that this was done already, by whomever: the newest transaction it took. A deposit is done
    /// when at least its amount lies there for the participant.
    fn landed<'a>(&'a self, request: &'a Request) -> Reply<'a, Option<Landed>>;

    /// Events after a cursor; the empty cursor is the beginning. Nothing is skipped: what an event announced is either
    /// confirmed by a [`Finality::Final`] one or taken back by a [`Finality::Retracted`] one.
    fn events<'a>(&'a self, from: &'a Cursor) -> Reply<'a, EventPage>;
}

/// Digests on the ledger.
pub trait Anchors: Ledger {
    /// The first anchor of this digest, whoever paid for it.
    fn find<'a>(&'a self, digest: &'a Digest) -> Reply<'a, Option<AnchorRecord>>;

    /// The newest anchor of the own account.
    fn newest(&self) -> Reply<'_, Option<AnchorRecord>>;

    /// The proof that a digest is there; [`Error::NotFinal`] until it is final.
    fn anchor_evidence<'a>(&'a self, digest: &'a Digest) -> Reply<'a, AnchorEvidence>;

    /// The proof that a block is final: a beacon that nobody could know before it.
    fn block_evidence(&self, number: u64) -> Reply<'_, BlockEvidence>;
}

/// A ledger's identity, CAIP-2 like: `embedded:<name>`, `eip155:<n>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerId(String);

impl LedgerId {
    /// Longest identifier.
    pub const MAX: usize = 64;

    /// Takes `namespace:reference`, printable ASCII without spaces.
    pub fn new(text: &str) -> Result<Self, Error> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        let parts = text.split_once(':').filter(|parts| !parts.0.is_empty() && !parts.1.is_empty());
        if text.len() > Self::MAX || !printable || parts.is_none() {
            return Err(Error::Malformed("ledger identifier"));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An account as its ledger names it: 20 bytes on Ethereum, 32 elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId(pub Vec<u8>);

/// The hash that names a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionId(pub Digest);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a ledger is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its identity.
    pub ledger: LedgerId,
    /// The account that this backend signs for.
    pub account: AccountId,
    /// What fees are paid in.
    pub asset: Asset,
    /// One sentence: whom a proof by this ledger makes one trust.
    pub trust: &'static str,
}

/// What amounts count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// As people write it.
    pub symbol: String,
    /// Digits behind the point; amounts are always whole base units.
    pub decimals: u8,
}

/// One block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockRef {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
}

/// How far the ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The newest block; a reorg may take it back.
    pub newest: BlockRef,
    /// The newest block that stays.
    pub finalised: BlockRef,
    /// Ledger time, in milliseconds since the Unix epoch: that of the newest block, or later where time goes on without
    /// blocks.
    pub time_ms: u64,
}

/// The own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The nonce that follows all transactions in blocks. It must not count pending ones: an outbox whose record was
    /// lost signs anew with this nonce, so that only one of its transactions can ever stand in a block.
    pub next_nonce: u64,
    /// The nonce that follows all transactions in final blocks.
    pub final_nonce: u64,
    /// What it holds, in base units.
    pub balance: u128,
    /// Ledger time, in milliseconds since the Unix epoch.
    pub time_ms: u64,
}

/// Which fee to build with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fee {
    /// What the ledger asks now, but not less than this: a fee bump.
    AtLeast(u128),
    /// What the ledger asks now.
    Estimate,
}

/// A transaction before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// What it does.
    pub request: Request,
    /// Its nonce.
    pub nonce: u64,
    /// The most that it can cost, in base units.
    pub fee: u128,
    /// The ledger's own form.
    pub bytes: Vec<u8>,
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Its identifier.
    pub id: TransactionId,
    /// Its nonce.
    pub nonce: u64,
    /// The most that it can cost, in base units.
    pub fee: u128,
    /// The ledger's own form.
    pub bytes: Vec<u8>,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// In a block, paid for, but without effect.
    Failed {
        /// The block.
        block: BlockRef,
        /// Whether the block is final.
        is_final: bool,
    },
    /// In a final block.
    Final {
        /// The block.
        block: BlockRef,
    },
    /// In a block that a reorg may take back.
    Included {
        /// The block.
        block: BlockRef,
    },
    /// Accepted, in no block yet.
    Pending,
    /// Not known here; it may still arrive.
    Unknown,
}

/// Where something was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    /// By which transaction.
    pub transaction: TransactionId,
    /// In which block.
    pub block: BlockRef,
    /// Whether the block is final.
    pub is_final: bool,
}

/// An anchor on the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorRecord {
    /// What was anchored.
    pub digest: Digest,
    /// Who paid.
    pub account: AccountId,
    /// By which transaction.
    pub transaction: TransactionId,
    /// In which block.
    pub block: BlockRef,
    /// Whether the block is final.
    pub is_final: bool,
}

/// Something that happened on the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// By which transaction.
    pub transaction: TransactionId,
    /// In which block.
    pub block: BlockRef,
    /// How far it can be relied on.
    pub finality: Finality,
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// A digest was put on the ledger.
    Anchored {
        /// What was anchored.
        digest: Digest,
        /// Who paid.
        account: AccountId,
    },
    /// The outcome of a channel is fixed: of a ledger channel it can be withdrawn.
    Concluded {
        /// The channel.
        channel: ChannelId,
        /// Version of the state that it is fixed by.
        version: u64,
    },
    /// Money came into a channel.
    Deposited(Box<Movement>),
    /// An app was carried on.
    Progressed {
        /// The channel.
        channel: ChannelId,
        /// Version of the state now.
        version: u64,
        /// When this phase ends, in ledger seconds.
        timeout: u64,
    },
    /// A state was registered: a dispute begins, or is answered.
    Registered {
        /// The channel.
        channel: ChannelId,
        /// Version of the state.
        version: u64,
        /// Until when a newer state is taken, in ledger seconds.
        timeout: u64,
        /// The state itself, where the ledger can give it.
        signed: Option<Arc<SignedState>>,
    },
    /// Money was paid out of a channel.
    Withdrawn {
        /// How much of whose part.
        paid: Box<Movement>,
        /// To whom.
        receiver: Address,
    },
}

/// How far an event can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// It stays.
    Final,
    /// A reorg may take it back.
    Included,
    /// A reorg took it back.
    Retracted,
}

/// A position in a ledger's events, opaque to the caller, who keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor(pub Vec<u8>);

/// Some events in order, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events; none when there is nothing new.
    pub events: Vec<Event>,
    /// The cursor behind them, to be kept together with what they caused.
    pub next: Cursor,
}
