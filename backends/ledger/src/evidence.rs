//! The proof that a block, or an anchor in it, is on the embedded ledger.
//!
//! The embedded ledger is an RFC 6962 log of block headers. A signed head (a C2SP checkpoint) commits to all final
//! blocks, a header to the receipts of its block, a receipt to an operation.
//!
//! Guarantees: facts are given only after every hash and the ledger's signature held; exactly one encoding of each
//! value is accepted. Does not: know whom to trust; the ledger's key comes from the verifier's policy.
//! It proves order and integrity to whoever trusts the ledger's key, not time.
//!
//! Order of use: the ledger fills [`BlockEvidence`] or [`AnchorEvidence`]; a verifier finds the key for
//! [`BlockEvidence::ledger_id`] in its policy and calls `verify` with it.

use alloc::{format, string::String, vec::Vec};

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};
use sluicegate_protocol::{
    Checkpoint, Digest, merkle,
    note::{Note, VerifierKey},
};

use crate::{Error, LedgerId, cbor};

/// Longest signed head: name, size, root and a few signature lines.
pub const MAX_HEAD: usize = 4096;
/// Longest encoding of a header.
pub const MAX_HEADER: usize = 128;
/// Longest encoding of a receipt.
pub const MAX_RECEIPT: usize = 256;

/// What a block commits to. Its hash is the RFC 6962 leaf hash of its encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    /// Position in the ledger; the genesis block is number 0.
    pub number: u64,
    /// Ledger time, in milliseconds since the Unix epoch; it never goes back.
    pub time_ms: u64,
    /// Hash of the block before, zero for the genesis block.
    pub parent: Digest,
    /// Number of transactions.
    pub transactions: u64,
    /// RFC 6962 root over the receipts.
    pub root: Digest,
}

impl BlockHeader {
    /// Reads the one encoding of a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("block header", bytes)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// The block's hash.
    pub fn hash(&self) -> Digest {
        merkle::leaf_hash(&self.to_bytes())
    }
}

impl<C> Encode<C> for BlockHeader {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(6)?.u8(1)?.u64(self.number)?.u64(self.time_ms)?;
        e.bytes(self.parent.as_bytes())?.u64(self.transactions)?.bytes(self.root.as_bytes())?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for BlockHeader {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 6)?;
        cbor::tag(d, 1)?;
        let (number, time_ms) = (d.u64()?, d.u64()?);
        let parent = cbor::digest(d)?;
        Ok(Self { number, time_ms, parent, transactions: d.u64()?, root: cbor::digest(d)? })
    }
}

/// What a transaction asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Kind 1: to put a digest on the ledger.
    Anchor(Digest),
    /// Kinds 2 to 7, one for each request of channels; whether it had an effect is not said.
    Channel {
        /// [`crate::Request::kind`]
        kind: u8,
        /// [`crate::Request::key`]
        key: Digest,
    },
}

/// The kinds of [`Operation::Channel`].
const CHANNEL_KINDS: core::ops::RangeInclusive<u8> = 2..=7;

impl Operation {
    /// What makes it the same as another: [`crate::Request::key`].
    pub const fn key(&self) -> &Digest {
        match self {
            Self::Anchor(key) | Self::Channel { key, .. } => key,
        }
    }

    /// The digest of an anchor.
    pub const fn anchor(&self) -> Option<Digest> {
        match self {
            Self::Anchor(digest) => Some(*digest),
            Self::Channel { .. } => None,
        }
    }
}

impl<C> Encode<C> for Operation {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let (kind, hash) = match self {
            Self::Anchor(digest) => (1, digest),
            Self::Channel { kind, key } => (*kind, key),
        };
        e.array(2)?.u8(kind)?.bytes(hash.as_bytes())?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Operation {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 2)?;
        match d.u8()? {
            1 => cbor::digest(d).map(Self::Anchor),
            kind if CHANNEL_KINDS.contains(&kind) => {
                Ok(Self::Channel { kind, key: cbor::digest(d)? })
            }
            _ => Err(decode::Error::message("unknown operation")),
        }
    }
}

/// What the ledger says about one transaction of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction's identifier.
    pub transaction: Digest,
    /// The Ed25519 key of the account that signed it.
    pub account: [u8; 32],
    /// Its place among the transactions of this account.
    pub nonce: u64,
    /// What it paid, in base units.
    pub fee: u64,
    /// What it did.
    pub operation: Operation,
}

impl Receipt {
    /// Reads the one encoding of a receipt.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("receipt", bytes)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// The leaf of the block's receipt tree.
    pub fn leaf(&self) -> Digest {
        merkle::leaf_hash(&self.to_bytes())
    }
}

impl<C> Encode<C> for Receipt {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(6)?.u8(1)?.bytes(self.transaction.as_bytes())?.bytes(&self.account)?;
        e.u64(self.nonce)?.u64(self.fee)?;
        self.operation.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Receipt {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 6)?;
        cbor::tag(d, 1)?;
        let (transaction, account) = (cbor::digest(d)?, cbor::fixed(d)?);
        let (nonce, fee) = (d.u64()?, d.u64()?);
        Ok(Self { transaction, account, nonce, fee, operation: Operation::decode(d, ctx)? })
    }
}

/// The proof that a block is final on the embedded ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEvidence {
    /// The signed head: a checkpoint note over all final blocks.
    pub head: String,
    /// The encoded header.
    pub header: Vec<u8>,
    /// From the block's hash to the root of the head.
    pub path: Vec<Digest>,
}

/// What [`BlockEvidence`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockFacts {
    /// The block's number.
    pub number: u64,
    /// Its hash.
    pub hash: Digest,
    /// Ledger time, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Number of final blocks that the head covers.
    pub head_size: u64,
}

impl BlockEvidence {
    /// Reads the one encoding of evidence.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("block evidence", bytes)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// The ledger that the head names; not believed before [`Self::verify`].
    pub fn ledger_id(&self) -> Result<LedgerId, Error> {
        let note = Note::parse(&self.head)?;
        LedgerId::embedded(Checkpoint::parse(note.text())?.origin)
    }

    /// Checks signature and path against the ledger's key, whose name is the origin of the head.
    pub fn verify(&self, key: &VerifierKey<'_>) -> Result<BlockFacts, Error> {
        self.verified(key).map(|(_, facts)| facts)
    }

    fn verified(&self, key: &VerifierKey<'_>) -> Result<(BlockHeader, BlockFacts), Error> {
        let note = Note::parse(&self.head)?;
        if note.signatures().count() != 1 {
            return Err(Error::Malformed("head: it carries more than the ledger's signature"));
        }
        note.verify(key)?;
        let head = Checkpoint::parse(note.text())?;
        if head.origin != key.name() {
            return Err(Error::Mismatch("the head names another ledger than its key"));
        }
        let header = BlockHeader::decode(&self.header)?;
        let hash = merkle::leaf_hash(&self.header);
        merkle::verify_inclusion(&hash, header.number, head.size, &self.path, &head.root)?;
        let (number, time_ms) = (header.number, header.time_ms);
        Ok((header, BlockFacts { number, hash, time_ms, head_size: head.size }))
    }
}

impl<C> Encode<C> for BlockEvidence {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(3)?.str(&self.head)?.bytes(&self.header)?;
        cbor::put_path(e, &self.path)
    }
}

impl<'b, C> Decode<'b, C> for BlockEvidence {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 3)?;
        let (head, header) = (cbor::text(d, MAX_HEAD)?, cbor::bytes(d, MAX_HEADER)?);
        Ok(Self { head, header, path: cbor::path(d)? })
    }
}

/// The proof that a digest was anchored in a final block of the embedded ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorEvidence {
    /// The block.
    pub block: BlockEvidence,
    /// The encoded receipt.
    pub receipt: Vec<u8>,
    /// Position of the receipt in the block.
    pub index: u64,
    /// From the receipt to the root in the header.
    pub path: Vec<Digest>,
}

/// What [`AnchorEvidence`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchorFacts {
    /// What was anchored.
    pub digest: Digest,
    /// In which block.
    pub block: BlockFacts,
    /// By which transaction.
    pub transaction: Digest,
    /// By which account.
    pub account: [u8; 32],
}

impl AnchorEvidence {
    /// Reads the one encoding of evidence.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("anchor evidence", bytes)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// The ledger that the head names; not believed before [`Self::verify`].
    pub fn ledger_id(&self) -> Result<LedgerId, Error> {
        self.block.ledger_id()
    }

    /// Checks everything up to the signature of the ledger's key.
    pub fn verify(&self, key: &VerifierKey<'_>) -> Result<AnchorFacts, Error> {
        let (header, block) = self.block.verified(key)?;
        let receipt = Receipt::decode(&self.receipt)?;
        let leaf = merkle::leaf_hash(&self.receipt);
        let (index, size) = (self.index, header.transactions);
        merkle::verify_inclusion(&leaf, index, size, &self.path, &header.root)?;
        let digest = receipt.operation.anchor();
        let digest = digest.ok_or(Error::Mismatch("the receipt is of no anchor"))?;
        let Receipt { transaction, account, .. } = receipt;
        Ok(AnchorFacts { digest, block, transaction, account })
    }
}

impl<C> Encode<C> for AnchorEvidence {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(4)?;
        self.block.encode(e, ctx)?;
        e.bytes(&self.receipt)?.u64(self.index)?;
        cbor::put_path(e, &self.path)
    }
}

impl<'b, C> Decode<'b, C> for AnchorEvidence {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 4)?;
        let block = <BlockEvidence as Decode<C>>::decode(d, ctx)?;
        let receipt = cbor::bytes(d, MAX_RECEIPT)?;
        Ok(Self { block, receipt, index: d.u64()?, path: cbor::path(d)? })
    }
}

impl LedgerId {
    /// The identifier of an embedded ledger with this name.
    pub fn embedded(name: &str) -> Result<Self, Error> {
        Self::new(&format!("embedded:{name}"))
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use sluicegate_protocol::{SigningKey, merkle::Frontier, note, note::KeyKind, sha256};

    use super::*;

    const NAME: &str = "ledger.example";

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    /// A ledger of two blocks; the second holds two anchors.
    fn evidence() -> AnchorEvidence {
        let receipt = |byte: u8| Receipt {
            transaction: sha256(&[&[byte]]),
            account: [byte; 32],
            nonce: 0,
            fee: 10,
            operation: Operation::Anchor(sha256(&[b"checkpoint", &[byte]])),
        };
        let leaves = [receipt(1).leaf(), receipt(2).leaf()];
        let root = merkle::node_hash(&leaves[0], &leaves[1]);
        let genesis = BlockHeader {
            number: 0,
            time_ms: 5,
            parent: Digest::new([0; 32]),
            transactions: 0,
            root: merkle::empty_root(),
        };
        let second =
            BlockHeader { number: 1, time_ms: 6, parent: genesis.hash(), transactions: 2, root };
        let mut tree = Frontier::new();
        tree.push(genesis.hash());
        tree.push(second.hash());
        let text = Checkpoint { origin: NAME, size: 2, root: tree.root() };
        let mut head = String::new();
        note::sign(&format!("{text}"), NAME, &key(), &mut head).unwrap();
        let block = BlockEvidence { head, header: second.to_bytes(), path: vec![genesis.hash()] };
        AnchorEvidence { block, receipt: receipt(2).to_bytes(), index: 1, path: vec![leaves[0]] }
    }

    #[test]
    fn evidence_round_trips_and_shows_its_facts() {
        let evidence = evidence();
        let verifying = key().verifying_key();
        let key = VerifierKey::new(NAME, KeyKind::Note, verifying).unwrap();
        let facts = evidence.verify(&key).unwrap();
        assert_eq!(facts.digest, sha256(&[b"checkpoint", &[2]]));
        assert_eq!((facts.block.number, facts.block.time_ms, facts.block.head_size), (1, 6, 2));
        assert_eq!(facts.account, [2; 32]);
        assert_eq!(AnchorEvidence::decode(&evidence.to_bytes()), Ok(evidence.clone()));
        assert_eq!(evidence.ledger_id().unwrap().as_str(), "embedded:ledger.example");
    }

    #[test]
    fn every_changed_byte_is_refused() {
        let bytes = evidence().to_bytes();
        let verifying = key().verifying_key();
        let key = VerifierKey::new(NAME, KeyKind::Note, verifying).unwrap();
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[position] ^= 1 << bit;
                let verdict = AnchorEvidence::decode(&changed).and_then(|e| e.verify(&key));
                assert!(verdict.is_err(), "byte {position} bit {bit}");
            }
        }
        for cut in 0..bytes.len() {
            assert!(AnchorEvidence::decode(&bytes[..cut]).is_err());
        }
        let longer: Vec<u8> = bytes.iter().copied().chain([0]).collect();
        assert!(AnchorEvidence::decode(&longer).is_err());
    }

    #[test]
    fn another_key_and_another_name_are_refused() {
        let stranger = SigningKey::from_bytes(&[8; 32]).verifying_key();
        let stranger = VerifierKey::new(NAME, KeyKind::Note, stranger).unwrap();
        assert!(evidence().verify(&stranger).is_err());
        let other = VerifierKey::new("other", KeyKind::Note, key().verifying_key()).unwrap();
        assert!(evidence().verify(&other).is_err());
    }

    #[test]
    fn a_second_signature_line_is_refused() {
        let mut evidence = evidence();
        let line = evidence.block.head.lines().last().unwrap().replace(NAME, "other");
        evidence.block.head.push_str(&format!("{line}\n"));
        let verifying = key().verifying_key();
        let key = VerifierKey::new(NAME, KeyKind::Note, verifying).unwrap();
        assert!(evidence.verify(&key).is_err());
    }

    #[test]
    fn only_one_encoding_of_a_number() {
        let header = BlockHeader::decode(&evidence().block.header).unwrap();
        let bytes = header.to_bytes();
        let mut longer = bytes.clone();
        longer.splice(2..3, [0x18, 0x01]);
        assert_eq!(BlockHeader::decode(&longer), Err(Error::Malformed("block header")));
    }
}
