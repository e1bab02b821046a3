//! What the records of a ledger add up to: blocks, accounts, pool, anchors, events.
//!
//! Guarantees: a record leads from one state to exactly one other, live and when the file is read again; a record that
//! contradicts the state changes nothing. Does not: write; [`crate::chain`] makes a record durable before it is applied.

use std::collections::BTreeMap;

use sluicegate_ledger::{
    AccountId, AnchorRecord, BlockRef, Event, EventKind, Finality, Status, TransactionId,
    evidence::{BlockHeader, Receipt},
};
use sluicegate_protocol::Digest;

use crate::{
    record::{Genesis, Record},
    transaction::Transaction,
    tree::Tree,
};

/// One block. Transactions are kept while a reorg may take it back.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) header: BlockHeader,
    pub(crate) hash: Digest,
    pub(crate) receipts: Vec<Receipt>,
    transactions: Vec<Transaction>,
}

/// One account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccountState {
    pub(crate) next_nonce: u64,
    pub(crate) final_nonce: u64,
    pub(crate) balance: u64,
    /// Anchors in blocks, to know the newest.
    newest: Option<Place>,
}

/// Block number, and index in the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) block: u64,
    pub(crate) index: usize,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) genesis: Genesis,
    pub(crate) blocks: Vec<Block>,
    /// Hashes of the final blocks.
    pub(crate) finalised: Tree,
    pub(crate) pool: BTreeMap<([u8; 32], u64), (TransactionId, Transaction)>,
    pub(crate) events: Vec<Event>,
    accounts: BTreeMap<[u8; 32], AccountState>,
    included: BTreeMap<TransactionId, Place>,
    anchors: BTreeMap<Digest, Vec<Place>>,
}

impl State {
    /// The genesis block, which is final at once.
    pub(crate) fn new(genesis: Genesis) -> Self {
        let mut state = Self {
            blocks: Vec::new(),
            finalised: Tree::default(),
            pool: BTreeMap::new(),
            events: Vec::new(),
            accounts: BTreeMap::new(),
            included: BTreeMap::new(),
            anchors: BTreeMap::new(),
            genesis,
        };
        let header = state.next_header(state.genesis.time_ms, &[]);
        state.push_block(header, Vec::new());
        state
    }

    /// Applies a record, or says why it can't follow this state.
    pub(crate) fn apply(&mut self, record: Record) -> Result<(), &'static str> {
        match record {
            Record::Accepted(transaction) => self.accept(transaction),
            Record::Block { header, transactions } => {
                return self.add_block(&header, &transactions);
            }
            Record::Genesis(_) => return Err("it begins twice"),
            Record::Retracted { blocks, keep } => return self.retract(blocks, keep),
        }
        Ok(())
    }

    pub(crate) fn account(&self, key: &[u8; 32]) -> AccountState {
        let balance = self.genesis.grant;
        let first_seen = AccountState { next_nonce: 0, final_nonce: 0, balance, newest: None };
        self.accounts.get(key).copied().unwrap_or(first_seen)
    }

    #[expect(clippy::expect_used, reason = "the genesis block is there from the beginning")]
    pub(crate) fn newest(&self) -> &Block {
        self.blocks.last().expect("the genesis block is never taken back")
    }

    pub(crate) const fn block_ref(block: &Block) -> BlockRef {
        BlockRef { number: block.header.number, hash: block.hash }
    }

    pub(crate) fn status(&self, id: &TransactionId) -> Status {
        if let Some(block) = self.included.get(id).and_then(|place| self.block_at(place.block)) {
            let is_final = self.is_final(block.header.number);
            let block = Self::block_ref(block);
            return if is_final { Status::Final { block } } else { Status::Included { block } };
        }
        let pending = self.pool.values().any(|(known, _)| known == id);
        if pending { Status::Pending } else { Status::Unknown }
    }

    pub(crate) fn block_at(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn is_final(&self, number: u64) -> bool {
        number < self.finalised.size() as u64
    }

    /// The first anchor of a digest.
    pub(crate) fn find(&self, digest: &Digest) -> Option<Place> {
        self.anchors.get(digest).and_then(|places| places.first()).copied()
    }

    pub(crate) fn newest_of(&self, account: &[u8; 32]) -> Option<Place> {
        self.account(account).newest
    }

    pub(crate) fn anchor(&self, place: Place) -> Option<AnchorRecord> {
        let block = self.block_at(place.block)?;
        let receipt = block.receipts.get(place.index)?;
        Some(AnchorRecord {
            digest: receipt.operation.anchor()?,
            account: AccountId(receipt.account.to_vec()),
            transaction: TransactionId(receipt.transaction),
            block: Self::block_ref(block),
            is_final: self.is_final(place.block),
        })
    }

    /// The header of a block that would follow.
    pub(crate) fn next_header(&self, time_ms: u64, receipts: &[Receipt]) -> BlockHeader {
        let last = self.blocks.last();
        BlockHeader {
            number: self.blocks.len() as u64,
            time_ms: time_ms.max(last.map_or(0, |block| block.header.time_ms)),
            parent: last.map_or(Digest::new([0; 32]), |block| block.hash),
            transactions: receipts.len() as u64,
            root: Tree::of(receipts.iter().map(Receipt::leaf)).root(),
        }
    }

    fn accept(&mut self, transaction: Transaction) {
        let id = transaction.body.id(&self.genesis.name);
        self.pool.insert((transaction.body.account, transaction.body.nonce), (id, transaction));
    }

    fn add_block(&mut self, header: &[u8], ids: &[TransactionId]) -> Result<(), &'static str> {
        let header = BlockHeader::decode(header).map_err(|_| "a header can't be read")?;
        let pooled: BTreeMap<_, _> = self.pool.values().map(|(id, t)| (*id, t)).collect();
        let found = ids.iter().map(|id| pooled.get(id).map(|t| (*t).clone()));
        let transactions: Vec<Transaction> =
            found.collect::<Option<_>>().ok_or("a block holds a transaction nobody submitted")?;
        let receipts: Vec<_> =
            ids.iter().zip(&transactions).map(|(id, t)| t.receipt(id.0)).collect();
        if self.next_header(header.time_ms, &receipts) != header {
            return Err("a block does not follow the one before");
        }
        let mut nonces = BTreeMap::new();
        for Transaction { body, .. } in &transactions {
            let known = self.account(&body.account);
            let (next, balance) =
                nonces.entry(body.account).or_insert((known.next_nonce, known.balance));
            let left = balance.checked_sub(body.fee).filter(|_| body.nonce == *next);
            (*next, *balance) =
                (body.nonce.saturating_add(1), left.ok_or("a block breaks a nonce or a balance")?);
        }
        self.push_block(header, transactions);
        Ok(())
    }

    fn push_block(&mut self, header: BlockHeader, transactions: Vec<Transaction>) {
        let ids: Vec<_> = transactions.iter().map(|t| t.body.id(&self.genesis.name)).collect();
        let receipts: Vec<_> =
            ids.iter().zip(&transactions).map(|(id, t)| t.receipt(id.0)).collect();
        for (index, receipt) in receipts.iter().enumerate() {
            self.include(Place { block: header.number, index }, receipt);
        }
        self.blocks.push(Block { hash: header.hash(), header, receipts, transactions });
        if self.genesis.finality_blocks > 0 {
            self.announce(header.number, Finality::Included);
        }
        self.finalise();
    }

    fn include(&mut self, place: Place, receipt: &Receipt) {
        let mut account = self.account(&receipt.account);
        account.next_nonce = receipt.nonce.saturating_add(1);
        account.balance = account.balance.saturating_sub(receipt.fee);
        account.newest = Some(place);
        self.accounts.insert(receipt.account, account);
        self.pool.remove(&(receipt.account, receipt.nonce));
        self.included.insert(TransactionId(receipt.transaction), place);
        if let Some(digest) = receipt.operation.anchor() {
            self.anchors.entry(digest).or_default().push(place);
        }
    }

    /// Makes final what lies deep enough; the genesis block is final from the beginning.
    fn finalise(&mut self) {
        let depth = usize::try_from(self.genesis.finality_blocks).unwrap_or(usize::MAX);
        let target = self.blocks.len().saturating_sub(depth).max(1);
        for index in self.finalised.size()..target {
            let block = &mut self.blocks[index];
            block.transactions = Vec::new();
            self.finalised.push(block.hash);
            for receipt in &block.receipts {
                if let Some(account) = self.accounts.get_mut(&receipt.account) {
                    account.final_nonce = receipt.nonce.saturating_add(1);
                }
            }
            self.announce(index as u64, Finality::Final);
        }
    }

    fn announce(&mut self, number: u64, finality: Finality) {
        let Some(block) = self.block_at(number) else { return };
        let events: Vec<_> =
            block.receipts.iter().filter_map(|r| event(block, r, finality)).collect();
        self.events.extend(events);
    }

    fn retract(&mut self, blocks: u64, keep: bool) -> Result<(), &'static str> {
        if blocks > (self.blocks.len() - self.finalised.size()) as u64 {
            return Err("a reorg takes back a final block");
        }
        for _ in 0..blocks {
            self.announce(self.newest().header.number, Finality::Retracted);
            if let Some(block) = self.blocks.pop() {
                self.undo(block, keep);
            }
        }
        Ok(())
    }

    fn undo(&mut self, block: Block, keep: bool) {
        for receipt in block.receipts.iter().rev() {
            let id = TransactionId(receipt.transaction);
            self.included.remove(&id);
            let places = receipt.operation.anchor().and_then(|d| self.anchors.get_mut(&d));
            places.map(Vec::pop);
            let newest = self.newest_before(&receipt.account);
            if let Some(account) = self.accounts.get_mut(&receipt.account) {
                account.next_nonce = receipt.nonce;
                account.balance = account.balance.saturating_add(receipt.fee);
                account.newest = newest;
            }
        }
        if keep {
            block.transactions.into_iter().for_each(|transaction| self.accept(transaction));
        }
    }

    /// The newest anchor of an account in the blocks that are left.
    fn newest_before(&self, account: &[u8; 32]) -> Option<Place> {
        self.blocks.iter().rev().find_map(|block| {
            let index = block.receipts.iter().rposition(|receipt| receipt.account == *account)?;
            Some(Place { block: block.header.number, index })
        })
    }
}

fn event(block: &Block, receipt: &Receipt, finality: Finality) -> Option<Event> {
    let digest = receipt.operation.anchor()?;
    let account = AccountId(receipt.account.to_vec());
    Some(Event {
        kind: EventKind::Anchored { digest, account },
        transaction: TransactionId(receipt.transaction),
        block: BlockRef { number: block.header.number, hash: block.hash },
        finality,
    })
}

/// The leaf hash of a header is the block's hash: the tree of final blocks is an RFC 6962 log of headers.
#[cfg(test)]
#[test]
fn block_hash_is_the_leaf_of_the_tree() {
    let genesis =
        Genesis { name: "l".into(), key: [0; 32], grant: 0, finality_blocks: 0, time_ms: 7 };
    let state = State::new(genesis);
    let header = state.newest().header.to_bytes();
    assert_eq!(state.finalised.root(), sluicegate_protocol::merkle::leaf_hash(&header));
}
