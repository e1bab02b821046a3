//! A ledger of a million blocks, in memory, that anchors one checkpoint and gives evidence of it.
//!
//! Guarantees: evidence that the verifier accepts, as long as that of a ledger in use: ten weeks of
//! blocks, one every six seconds. Does not: keep headers; they follow from their number.

use sluicegate_ledger::{
    AnchorEvidence, BlockEvidence,
    evidence::{BlockHeader, Operation, Receipt},
};
use sluicegate_notary::{
    Error,
    entry::Beacon,
    proof::{self, NodeSource},
};
use sluicegate_protocol::{
    Checkpoint, Digest, SigningKey,
    merkle::{empty_root, node_hash},
    note::{self, KeyKind, VerifierKey},
    sha256,
};

use crate::Result;

const NAME: &str = "ledger.example";
const BLOCKS: u64 = 1_000_000;
const INTERVAL_MS: u64 = 6_000;

/// The last block is made by [`Chain::anchor`]; evidence may be asked for after that.
pub(crate) struct Chain {
    /// Block hashes.
    hashes: Vec<Digest>,
    /// Roots of perfect subtrees above them, level by level.
    levels: Vec<Vec<Digest>>,
    /// The last block, once it is made.
    head: Option<BlockHeader>,
}

impl Chain {
    pub(crate) fn new() -> Self {
        let mut chain = Self { hashes: Vec::new(), levels: Vec::new(), head: None };
        for number in 0..BLOCKS - 1 {
            let hash = chain.header(number).hash();
            chain.hashes.push(hash);
        }
        chain
    }

    /// What the log says of a block.
    pub(crate) fn beacon(&self, number: u64) -> Beacon {
        let hash = self.hash(number);
        Beacon { ledger: format!("embedded:{NAME}"), number, hash }
    }

    /// Puts a digest into the last block.
    pub(crate) fn anchor(&mut self, digest: Digest) -> Result<AnchorEvidence> {
        let receipt = Receipt {
            transaction: sha256(&[b"transaction"]),
            account: [9; 32],
            nonce: 4_000,
            fee: 100,
            operation: Operation::Anchor(digest),
        };
        let header =
            BlockHeader { transactions: 1, root: receipt.leaf(), ..self.header(BLOCKS - 1) };
        self.head = Some(header);
        self.hashes.push(header.hash());
        self.raise();
        let block = self.evidence(BLOCKS - 1)?;
        Ok(AnchorEvidence { block, receipt: receipt.to_bytes(), index: 0, path: Vec::new() })
    }

    /// A block under a signed head over all of them.
    pub(crate) fn evidence(&self, number: u64) -> Result<BlockEvidence> {
        let size = self.hashes.len() as u64;
        let body = Checkpoint { origin: NAME, size, root: proof::root(&self, size)? }.to_string();
        let mut head = String::new();
        note::sign(&body, NAME, &key(), &mut head)?;
        let header = self.header(number).to_bytes();
        Ok(BlockEvidence { head, header, path: proof::inclusion(&self, number, size)? })
    }

    /// The line of a policy that trusts this ledger.
    pub(crate) fn policy_line() -> Result<String> {
        Ok(format!("ledger {}\n", VerifierKey::new(NAME, KeyKind::Note, key().verifying_key())?))
    }

    /// Number of the last block.
    pub(crate) const fn last() -> u64 {
        BLOCKS - 1
    }

    fn raise(&mut self) {
        let mut below = &self.hashes;
        while below.len() > 1 {
            let above = below.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            self.levels.push(above);
            below = &self.levels[self.levels.len() - 1];
        }
    }

    fn hash(&self, number: u64) -> Digest {
        usize::try_from(number)
            .ok()
            .and_then(|place| self.hashes.get(place))
            .copied()
            .unwrap_or_default()
    }

    fn header(&self, number: u64) -> BlockHeader {
        if let Some(last) = self.head.filter(|last| last.number == number) {
            return last;
        }
        let parent = number.checked_sub(1).map(|before| self.hash(before)).unwrap_or_default();
        let time_ms = 1_700_000_000_000 + number * INTERVAL_MS;
        BlockHeader { number, time_ms, parent, transactions: 0, root: empty_root() }
    }
}

impl NodeSource for &Chain {
    type Error = Error;

    fn node(&self, level: u8, index: u64) -> Result<Digest, Error> {
        let hashes = match usize::from(level).checked_sub(1) {
            None => Some(&self.hashes),
            Some(above) => self.levels.get(above),
        };
        let place = usize::try_from(index).ok();
        let hash = hashes.zip(place).and_then(|(hashes, place)| hashes.get(place));
        hash.copied().ok_or(Error::Encoding { what: "block" })
    }
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[11; 32])
}
