//! The records of a ledger's file, and how they lie in it.
//!
//! A file is a magic text and frames: length, checksum of the payload, checksum of these eight bytes, payload.
//!
//! Guarantees: [`Log::open`] gives exactly the records whose append was confirmed, and perhaps one more that was being
//! written; an unfinished last frame is cut off, damage before that is an error and changes nothing; a foreign file is
//! left alone. After a failed append the log refuses everything, because nobody knows what is on the disk.
//! Does not: know what records mean. A last frame that went bad after it was confirmed can't be told from an
//! unfinished one.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};
use sluicegate_ledger::{Error as PortError, TransactionId, cbor, evidence::MAX_HEADER};

use crate::{
    Error,
    chain::MAX_BLOCK,
    disk::Disk,
    transaction::{MAX_TRANSACTION, Transaction},
};

const MAGIC: &[u8; 16] = b"sluicegate/led1\n";
const FRAME_HEADER: usize = 12;

/// Longest payload: a block of identifiers.
const MAX_PAYLOAD: usize = 64 * 1024;

/// Longest name of a ledger.
const MAX_NAME: usize = 256;

/// Longest genesis record: array, tag, name, key, three numbers.
const MAX_GENESIS: usize = 1 + 1 + (3 + MAX_NAME) + (2 + 32) + 3 * 9;

/// A file of zeros up to this length never got further than its genesis record, so no head was signed.
const UNBEGUN: usize = MAGIC.len() + FRAME_HEADER + MAX_GENESIS;

/// One change of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A transaction was accepted.
    Accepted(Transaction),
    /// A block of accepted transactions was produced.
    Block {
        /// The encoded header.
        header: Vec<u8>,
        /// The transactions, in order.
        transactions: Vec<TransactionId>,
    },
    /// The ledger begins.
    Genesis(Genesis),
    /// A reorg took the newest blocks back.
    Retracted {
        /// How many.
        blocks: u64,
        /// Whether their transactions are accepted again.
        keep: bool,
    },
}

/// What a ledger is; it never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Its name, the origin of its heads.
    pub name: String,
    /// The Ed25519 key that signs its heads.
    pub key: [u8; 32],
    /// What an account holds when it is first seen.
    pub grant: u64,
    /// Blocks on top that make a block final.
    pub finality_blocks: u64,
    /// When it began.
    pub time_ms: u64,
}

impl Record {
    /// Reads the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, PortError> {
        cbor::decode("ledger record", bytes)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

impl<C> Encode<C> for Record {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match self {
            Self::Genesis(Genesis { name, key, grant, finality_blocks, time_ms }) => {
                e.array(6)?.u8(0)?.str(name)?.bytes(key)?;
                e.u64(*grant)?.u64(*finality_blocks)?.u64(*time_ms)?;
            }
            Self::Block { header, transactions } => {
                e.array(3)?.u8(1)?.bytes(header)?.array(transactions.len() as u64)?;
                for id in transactions {
                    e.bytes(id.0.as_bytes())?;
                }
            }
            Self::Accepted(transaction) => {
                e.array(2)?.u8(2)?.bytes(&transaction.to_bytes())?;
            }
            Self::Retracted { blocks, keep } => {
                e.array(3)?.u8(3)?.u64(*blocks)?.bool(*keep)?;
            }
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Record {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        match (cbor::open_array(d)?, d.u8()?) {
            (6, 0) => {
                let (name, key) = (cbor::text(d, MAX_NAME)?, cbor::fixed(d)?);
                let (grant, finality_blocks, time_ms) = (d.u64()?, d.u64()?, d.u64()?);
                Ok(Self::Genesis(Genesis { name, key, grant, finality_blocks, time_ms }))
            }
            (3, 1) => {
                let header = cbor::bytes(d, MAX_HEADER)?;
                let count = cbor::open_array(d)?;
                if count > MAX_BLOCK as u64 {
                    return Err(decode::Error::message("too many transactions"));
                }
                let ids = (0..count).map(|_| cbor::digest(d).map(TransactionId));
                Ok(Self::Block { header, transactions: ids.collect::<Result<_, _>>()? })
            }
            (2, 2) => {
                let bytes = cbor::bytes(d, MAX_TRANSACTION)?;
                let transaction = Transaction::decode(&bytes);
                transaction.map(Self::Accepted).map_err(decode::Error::message)
            }
            (3, 3) => Ok(Self::Retracted { blocks: d.u64()?, keep: d.bool()? }),
            _ => Err(decode::Error::message("unknown record")),
        }
    }
}

/// The records in a file, in order.
pub struct Log {
    disk: Box<dyn Disk>,
    /// A write failed: what is on the disk is unknown until it is read again.
    broken: bool,
}

impl Log {
    /// Reads all records with their places, and cuts off an unfinished last frame.
    pub fn open(mut disk: Box<dyn Disk>) -> Result<(Self, Vec<(u64, Record)>), Error> {
        let bytes = disk.read()?;
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        if is_zero && bytes.len() > UNBEGUN {
            return Err(corrupt(
                0,
                "all of it is zeros, and it is longer than a ledger that never began",
            ));
        }
        if is_zero || MAGIC.starts_with(&bytes) {
            disk.truncate(0)?;
            disk.append(MAGIC)?;
            disk.sync()?;
            return Ok((Self { disk, broken: false }, Vec::new()));
        }
        if !bytes.starts_with(MAGIC) {
            return Err(Error::NotALedger);
        }
        let (records, end) = scan(&bytes)?;
        if end < bytes.len() {
            disk.truncate(end as u64)?;
        }
        // What was read may have been written, but not made durable, by the process before.
        disk.sync()?;
        Ok((Self { disk, broken: false }, records))
    }

    /// Adds a record; when this returns it is durable. A failure leaves it open whether it is there after a restart.
    pub fn append(&mut self, record: &Record) -> Result<(), PortError> {
        self.check()?;
        let frame = frame(&record.to_bytes())?;
        let written = self.disk.append(&frame).and_then(|()| self.disk.sync());
        written.map_err(|error| {
            self.broken = true;
            PortError::ResultUnknown(format!("its storage failed: {error}"))
        })
    }

    /// An error when an append failed before.
    pub fn check(&self) -> Result<(), PortError> {
        if self.broken {
            return Err(PortError::Unavailable("its storage failed; restart it".into()));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("broken", &self.broken).finish_non_exhaustive()
    }
}

/// Refuses what [`payload_at`] would not read again.
fn frame(payload: &[u8]) -> Result<Vec<u8>, PortError> {
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD);
    let length = length.ok_or(PortError::Malformed("ledger record: it is too long"))?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(crc32fast::hash(payload).to_le_bytes());
    frame.extend(crc32fast::hash(&frame).to_le_bytes());
    frame.extend(payload);
    Ok(frame)
}

/// All whole frames from the beginning, and where they end.
fn scan(bytes: &[u8]) -> Result<(Vec<(u64, Record)>, usize), Error> {
    let (mut records, mut offset) = (Vec::new(), MAGIC.len());
    while let Some(payload) = payload_at(bytes, offset) {
        let corrupt = |_| corrupt(offset, "a record can't be read");
        records.push((offset as u64, Record::decode(payload).map_err(corrupt)?));
        offset += FRAME_HEADER + payload.len();
    }
    // Each frame is durable before the next one is begun, so only the last can be unfinished.
    let rest = bytes.len() - offset;
    if rest > FRAME_HEADER + MAX_PAYLOAD {
        return Err(corrupt(offset, "more is left than an unfinished record"));
    }
    if (offset + 1..bytes.len()).any(|place| payload_at(bytes, place).is_some()) {
        return Err(corrupt(offset, "whole records follow a damaged one"));
    }
    Ok((records, offset))
}

const fn corrupt(offset: usize, reason: &'static str) -> Error {
    Error::Corrupt { offset: offset as u64, reason }
}

/// The payload of the frame at `offset`, if there is a whole and undamaged one.
fn payload_at(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let header = bytes.get(offset..offset + FRAME_HEADER)?;
    let word = |at: usize| header[at..at + 4].try_into().ok().map(u32::from_le_bytes);
    if crc32fast::hash(&header[..8]) != word(8)? {
        return None;
    }
    let start = offset + FRAME_HEADER;
    let length = usize::try_from(word(0)?).ok().filter(|length| *length <= MAX_PAYLOAD)?;
    let payload = bytes.get(start..start + length)?;
    (crc32fast::hash(payload) == word(4)?).then_some(payload)
}
