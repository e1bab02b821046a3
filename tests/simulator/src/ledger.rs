//! The embedded ledger on a disk in memory, and an outbox that is simple because nothing here is lost but by a crash.
//!
//! Guarantees: a request is submitted until it has landed or can't any more; one transaction of an account at a time.
//! Does not: bump fees or know budgets; the real outbox is tested on its own.

use sluicegate_embedded::{
    Chain, Settings,
    asset::{native_asset, payout_address},
    disk::MemoryDisk,
    transaction::Body,
};
use sluicegate_ledger::{Cursor, Event, Request, Status, TransactionId};
use sluicegate_protocol::{
    SigningKey,
    channel::{Address, Amount, Asset, FundingId},
};

/// What an account holds at first.
pub const GRANT: u64 = 1_000_000;

const NAME: &str = "simulated";
const FEE: u64 = 10;

/// The ledger of a world.
pub struct Ledger {
    chain: Chain,
    /// Nobody's transactions reach it while it is stalled.
    pub is_stalled: bool,
}

/// An account, and what it wants to happen.
#[derive(Debug, Clone)]
pub struct Account {
    key: SigningKey,
    under_way: Option<TransactionId>,
}

impl Account {
    /// The account of a gateway.
    pub fn new(number: u8) -> Self {
        let key = SigningKey::from_bytes(&[number + 100; 32]);
        Self { key, under_way: None }
    }

    fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Where it is paid.
    pub fn receiver(&self) -> Address {
        payout_address(&self.public())
    }
}

impl Ledger {
    /// A ledger whose blocks are final when two are on top of them.
    pub fn new(now_ms: u64) -> Self {
        let settings = Settings {
            grant: GRANT,
            base_fee: FEE,
            finality_blocks: 2,
            heartbeat_ms: Some(1_000),
            ..Settings::new(NAME)
        };
        let chain = Chain::open(Box::<MemoryDisk>::default(), settings, &[1; 32], now_ms).unwrap();
        Self { chain, is_stalled: false }
    }

    /// Its money.
    pub fn asset() -> Asset {
        native_asset(NAME)
    }

    /// Ledger time, in seconds.
    pub fn time_s(&self) -> u64 {
        self.chain.head().time_ms / 1_000
    }

    /// A block.
    pub fn produce(&mut self, now_ms: u64) {
        if !self.is_stalled {
            self.chain.produce(now_ms).unwrap();
        }
    }

    /// Takes blocks back, and what was in them goes back to the pool.
    pub fn reorg(&mut self, blocks: u64) {
        if !self.is_stalled {
            self.chain.reorg(blocks, true).unwrap();
        }
    }

    /// All events behind a cursor, and the cursor behind them.
    pub fn events(&self, from: &Cursor) -> (Vec<Event>, Cursor) {
        let (mut all, mut cursor) = (Vec::new(), from.clone());
        loop {
            let page = self.chain.events(&cursor).unwrap();
            cursor = page.next;
            if page.events.is_empty() {
                return (all, cursor);
            }
            all.extend(page.events);
        }
    }

    /// What lies there for a participant of a channel.
    pub fn holdings(&self, funding: &FundingId) -> Amount {
        self.chain.holdings(funding)
    }

    /// Whether a request has had its effect for good.
    pub fn has_landed(&self, request: &Request) -> bool {
        self.chain.landed(&request.key()).is_some_and(|landed| landed.is_final)
    }

    /// Brings what an account wants to the pool, one transaction at a time; what can't be yet waits.
    pub fn submit(&mut self, account: &mut Account, wanted: &[Request]) {
        let waits = |id| self.chain.status(&id) == Status::Pending;
        if self.is_stalled || account.under_way.is_some_and(waits) {
            return;
        }
        let open = wanted.iter().filter(|request| self.chain.landed(&request.key()).is_none());
        let open: Vec<_> = open.collect();
        for request in open {
            let nonce = self.chain.account(&account.public()).next_nonce;
            let signed = Body::new(account.public(), nonce, FEE, request).sign(NAME, &account.key);
            if let Ok(id) = self.chain.submit(&signed.to_bytes()) {
                account.under_way = Some(id);
                return;
            }
        }
    }
}
