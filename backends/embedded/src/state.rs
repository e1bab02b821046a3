//! What the records of a ledger add up to: blocks, accounts, pool, anchors, events; money and channels in its books.
//!
//! Guarantees: a record leads from one state to exactly one other, live and when the file is read again; a record that
//! contradicts the state changes nothing. Does not: write; [`crate::chain`] makes a record durable before it is applied.

use std::collections::BTreeMap;

use sluicegate_ledger::{
    AccountId, AnchorRecord, BlockRef, Event, EventKind, Finality, Landed, Status, TransactionId,
    evidence::{BlockHeader, Receipt},
};
use sluicegate_protocol::Digest;

use crate::{
    asset::native_asset,
    books::{Books, Mark},
    chain::MAX_POOL,
    record::{Genesis, Record},
    transaction::Transaction,
    tree::Tree,
};

/// One block. Transactions and events are kept while a reorg may take it back.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) header: BlockHeader,
    pub(crate) hash: Digest,
    pub(crate) receipts: Vec<Receipt>,
    /// Places of the transactions that had no effect.
    failed: Vec<usize>,
    transactions: Vec<Transaction>,
    events: Vec<(TransactionId, EventKind)>,
    /// The books before it.
    before: Mark,
}

/// What the transactions of a block did.
struct Effects {
    before: Mark,
    failed: Vec<usize>,
    events: Vec<(TransactionId, EventKind)>,
}

/// One account.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AccountState {
    pub(crate) next_nonce: u64,
    pub(crate) final_nonce: u64,
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
    pub(crate) books: Books,
    accounts: BTreeMap<[u8; 32], AccountState>,
    included: BTreeMap<TransactionId, Place>,
    /// Where each request had its effect, by its key.
    done: BTreeMap<Digest, Vec<Place>>,
}

impl State {
    /// The genesis block, which is final at once.
    pub(crate) fn new(genesis: Genesis) -> Self {
        let mut state = Self {
            blocks: Vec::new(),
            finalised: Tree::default(),
            pool: BTreeMap::new(),
            events: Vec::new(),
            books: Books::new(genesis.grant, native_asset(&genesis.name)),
            accounts: BTreeMap::new(),
            included: BTreeMap::new(),
            done: BTreeMap::new(),
            genesis,
        };
        let header = state.next_header(state.genesis.time_ms, &[]);
        let effects = Effects { before: state.books.mark(), failed: vec![], events: vec![] };
        state.push_block(header, Vec::new(), Vec::new(), effects);
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
        self.accounts.get(key).copied().unwrap_or_default()
    }

    #[expect(clippy::expect_used, reason = "the genesis block is there from the beginning")]
    pub(crate) fn newest(&self) -> &Block {
        self.blocks.last().expect("the genesis block is never taken back")
    }

    pub(crate) const fn block_ref(block: &Block) -> BlockRef {
        BlockRef { number: block.header.number, hash: block.hash }
    }

    pub(crate) fn status(&self, id: &TransactionId) -> Status {
        if let Some((place, block)) = self.included.get(id).and_then(|place| self.at(*place)) {
            let is_final = self.is_final(place.block);
            let failed = block.failed.contains(&place.index);
            let block = Self::block_ref(block);
            return match (failed, is_final) {
                (true, is_final) => Status::Failed { block, is_final },
                (false, true) => Status::Final { block },
                (false, false) => Status::Included { block },
            };
        }
        let pending = self.pool.values().any(|(known, _)| known == id);
        if pending { Status::Pending } else { Status::Unknown }
    }

    fn at(&self, place: Place) -> Option<(Place, &Block)> {
        self.block_at(place.block).map(|block| (place, block))
    }

    pub(crate) fn block_at(&self, number: u64) -> Option<&Block> {
        self.blocks.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn is_final(&self, number: u64) -> bool {
        number < self.finalised.size() as u64
    }

    /// The first anchor of a digest.
    pub(crate) fn find(&self, digest: &Digest) -> Option<Place> {
        self.done.get(digest).and_then(|places| places.first()).copied()
    }

    /// Where the request with this key had its effect last.
    pub(crate) fn landed(&self, key: &Digest) -> Option<Landed> {
        let place = self.done.get(key).and_then(|places| places.last()).copied()?;
        let block = self.block_at(place.block)?;
        let transaction = TransactionId(block.receipts.get(place.index)?.transaction);
        let is_final = self.is_final(place.block);
        Some(Landed { transaction, block: Self::block_ref(block), is_final })
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
        if self.pool.len() >= MAX_POOL
            && let Some(key) = self.furthest_ahead()
        {
            self.pool.remove(&key);
        }
        self.pool.insert((transaction.body.account, transaction.body.nonce), (id, transaction));
    }

    /// What waits for the most transactions that nobody has submitted: no block can hold it now, so it makes room for
    /// what one can.
    pub(crate) fn furthest_ahead(&self) -> Option<([u8; 32], u64)> {
        let keys = self.pool.keys();
        let ahead = keys.map(|key| (key.1.saturating_sub(self.account(&key.0).next_nonce), *key));
        ahead.max().filter(|(gap, _)| *gap > 0).map(|(_, key)| key)
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
        for Receipt { account, nonce, .. } in &receipts {
            let next = nonces.entry(*account).or_insert(self.account(account).next_nonce);
            if nonce != next {
                return Err("a block breaks a nonce");
            }
            *next = nonce.saturating_add(1);
        }
        let effects = self.execute(&header, ids, &transactions)?;
        self.push_block(header, receipts, transactions, effects);
        Ok(())
    }

    /// Does what the transactions of a block ask for; all of it, or nothing when a fee can't be paid.
    fn execute(
        &mut self,
        header: &BlockHeader,
        ids: &[TransactionId],
        transactions: &[Transaction],
    ) -> Result<Effects, &'static str> {
        let before = self.books.mark();
        let mut effects = Effects { before, failed: Vec::new(), events: Vec::new() };
        for (index, (id, Transaction { body, .. })) in ids.iter().zip(transactions).enumerate() {
            if self.books.charge(&body.account, body.fee).is_err() {
                self.books.rewind(before);
                return Err("a block breaks a balance");
            }
            match self.books.execute(&body.account, &body.request, seconds(header.time_ms)) {
                Ok(events) => effects.events.extend(events.into_iter().map(|kind| (*id, kind))),
                Err(_) => effects.failed.push(index),
            }
        }
        Ok(effects)
    }

    fn push_block(
        &mut self,
        header: BlockHeader,
        receipts: Vec<Receipt>,
        transactions: Vec<Transaction>,
        Effects { before, failed, events }: Effects,
    ) {
        for (index, receipt) in receipts.iter().enumerate() {
            let place = Place { block: header.number, index };
            self.include(place, receipt, !failed.contains(&index));
        }
        let hash = header.hash();
        self.blocks.push(Block { header, hash, receipts, failed, transactions, events, before });
        if self.genesis.finality_blocks > 0 {
            self.announce(header.number, Finality::Included);
        }
        self.finalise();
    }

    fn include(&mut self, place: Place, receipt: &Receipt, has_effect: bool) {
        let account = self.accounts.entry(receipt.account).or_default();
        account.next_nonce = receipt.nonce.saturating_add(1);
        if receipt.operation.anchor().is_some() {
            account.newest = Some(place);
        }
        self.pool.remove(&(receipt.account, receipt.nonce));
        self.included.insert(TransactionId(receipt.transaction), place);
        if has_effect {
            self.done.entry(*receipt.operation.key()).or_default().push(place);
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
            self.blocks[index].events = Vec::new();
            let after = self.blocks.get(index + 1).map(|block| block.before);
            self.books.forget(after.unwrap_or(self.books.mark()));
        }
    }

    fn announce(&mut self, number: u64, finality: Finality) {
        let Some(block) = self.block_at(number) else { return };
        let at = Self::block_ref(block);
        let events = block.events.iter().map(|(transaction, kind)| Event {
            kind: kind.clone(),
            transaction: *transaction,
            block: at,
            finality,
        });
        self.events.extend(events.collect::<Vec<_>>());
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
        self.books.rewind(block.before);
        for (index, receipt) in block.receipts.iter().enumerate().rev() {
            self.included.remove(&TransactionId(receipt.transaction));
            if !block.failed.contains(&index)
                && let Some(places) = self.done.get_mut(receipt.operation.key())
            {
                places.pop();
            }
            let newest = self.newest_before(&receipt.account);
            if let Some(account) = self.accounts.get_mut(&receipt.account) {
                account.next_nonce = receipt.nonce;
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
            let is_it = |r: &Receipt| r.account == *account && r.operation.anchor().is_some();
            let index = block.receipts.iter().rposition(is_it)?;
            Some(Place { block: block.header.number, index })
        })
    }
}

/// Ledger time as channels count it.
pub(crate) const fn seconds(time_ms: u64) -> u64 {
    time_ms / 1_000
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
