//! Log entries: the bytes that become leaves.
//!
//! Guarantees: deterministic CBOR, one encoding for each entry; a reading's entry holds a salted commitment and a
//! pseudonym, never the payload or the device's name; every entry says whether the clock was synchronised.
//! Does not: decide when an entry is written ([`crate::log`]) or open commitments ([`crate::verify`]).
//!
//! | kind | fields after `[1, kind, time, synchronised, …` |
//! |---|---|
//! | 0 genesis | origin, null or [origin, size, root] of the log that this one follows |
//! | 1 reading | pseudonym, seq or null, content format, commitment, gap |
//! | 2 beacon | ledger, block number, block hash |
//! | 3 summary | pseudonym, day, count, first index, last index, root |
//! | 4 erasure | pseudonym, class, day, count |
//!
//! Times are wall-clock milliseconds since the Unix epoch; a day is `time / 86 400 000` (UTC).
//! Specification: design §7, `specs/notary.md` §2 and §5.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use sluicegate_protocol::{Digest, commitment::PSEUDONYM_LEN};

use crate::{
    Error,
    cbor::{self, array, digest, fixed, nullable},
};

/// Milliseconds in a day.
pub const DAY_MS: u64 = 86_400_000;

/// Days for which a device keeps one pseudonym.
pub const EPOCH_DAYS: u32 = 30;

/// Longest origin, in bytes.
pub const MAX_ORIGIN: usize = 255;

/// Longest name of a ledger or a retention class, in bytes.
pub const MAX_NAME: usize = 64;

/// Version of the entry format.
const VERSION: u8 = 1;

/// A device's name in the log, for one epoch.
pub type Pseudonym = [u8; PSEUDONYM_LEN];

/// Wall-clock time as the gateway knew it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Milliseconds since the Unix epoch.
    pub ms: u64,
    /// Whether the clock was synchronised with a time source.
    pub synchronised: bool,
}

impl Timestamp {
    /// The UTC day, counted from the Unix epoch.
    pub fn day(self) -> u32 {
        u32::try_from(self.ms / DAY_MS).unwrap_or(u32::MAX)
    }
}

/// The pseudonym epoch that a day belongs to.
pub const fn epoch_of(day: u32) -> u32 {
    day / EPOCH_DAYS
}

/// A log entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When the gateway wrote it.
    pub time: Timestamp,
    /// What it says.
    pub body: Body,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The newest block of a ledger: what follows was logged after it.
    Beacon(Beacon),
    /// The payloads and keys of a device's day in one retention class are gone.
    Erasure(Erasure),
    /// The first leaf of every log.
    Genesis(Genesis),
    /// A device's reading.
    Reading(Reading),
    /// All readings of a device on a day.
    Summary(Summary),
}

/// The first leaf of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// Origin of this log.
    pub origin: String,
    /// Where the log that it follows was left, after a restore or a corruption.
    pub previous: Option<Predecessor>,
}

/// The last known head of an abandoned log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    /// Its origin.
    pub origin: String,
    /// Its last known size.
    pub size: u64,
    /// Its last known root.
    pub root: Digest,
}

/// A reading, committed to and not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Whose it is.
    pub pseudonym: Pseudonym,
    /// The device's own counter, when it sent one.
    pub seq: Option<u64>,
    /// CoAP content format of the payload (RFC 7252 §12.3).
    pub format: u16,
    /// The salted commitment to the payload.
    pub commitment: Digest,
    /// Sequence numbers that the device skipped before this one; some may come later.
    pub gap: u64,
}

/// A block of a ledger that existed before the entry was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beacon {
    /// The ledger, as `embedded:<name>` or a CAIP-2 identifier.
    pub ledger: String,
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    pub hash: Digest,
}

/// The end of a device's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Whose day it is.
    pub pseudonym: Pseudonym,
    /// The UTC day.
    pub day: u32,
    /// Number of readings.
    pub count: u64,
    /// Index of the first reading.
    pub first: u64,
    /// Index of the last reading.
    pub last: u64,
    /// RFC 6962 root over the leaf hashes of the readings, by index.
    pub root: Digest,
}

/// What was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Whose readings they were.
    pub pseudonym: Pseudonym,
    /// Their retention class.
    pub class: String,
    /// Their UTC day.
    pub day: u32,
    /// Their number.
    pub count: u64,
}

impl Entry {
    /// The bytes of the leaf.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads a leaf; refuses every other encoding of the same entry.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("log entry", bytes)
    }
}

impl Body {
    const fn kind(&self) -> u8 {
        match self {
            Self::Genesis(_) => 0,
            Self::Reading(_) => 1,
            Self::Beacon(_) => 2,
            Self::Summary(_) => 3,
            Self::Erasure(_) => 4,
        }
    }

    const fn fields(&self) -> u64 {
        match self {
            Self::Genesis(_) => 6,
            Self::Reading(_) => 9,
            Self::Beacon(_) => 7,
            Self::Summary(_) => 10,
            Self::Erasure(_) => 8,
        }
    }
}

impl<C> Encode<C> for Entry {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(self.body.fields())?.u8(VERSION)?.u8(self.body.kind())?;
        e.u64(self.time.ms)?.bool(self.time.synchronised)?;
        match &self.body {
            Body::Beacon(beacon) => encode_beacon(beacon, e),
            Body::Erasure(erasure) => encode_erasure(erasure, e),
            Body::Genesis(genesis) => encode_genesis(genesis, e),
            Body::Reading(reading) => encode_reading(reading, e),
            Body::Summary(summary) => encode_summary(summary, e),
        }
    }
}

impl<'b, C> Decode<'b, C> for Entry {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        let fields = d.array()?;
        if d.u8()? != VERSION {
            return Err(DecodeError::message("unknown version"));
        }
        let kind = d.u8()?;
        let time = Timestamp { ms: d.u64()?, synchronised: d.bool()? };
        let body = match kind {
            0 => Body::Genesis(decode_genesis(d)?),
            1 => Body::Reading(decode_reading(d)?),
            2 => Body::Beacon(decode_beacon(d)?),
            3 => Body::Summary(decode_summary(d)?),
            4 => Body::Erasure(decode_erasure(d)?),
            _ => return Err(DecodeError::message("unknown kind")),
        };
        if fields != Some(body.fields()) {
            return Err(DecodeError::message("wrong number of fields"));
        }
        Ok(Self { time, body })
    }
}

type EncodeResult<W> = Result<(), EncodeError<<W as Write>::Error>>;

fn encode_genesis<W: Write>(genesis: &Genesis, e: &mut Encoder<W>) -> EncodeResult<W> {
    e.str(&genesis.origin)?;
    match &genesis.previous {
        None => e.null()?,
        Some(p) => e.array(3)?.str(&p.origin)?.u64(p.size)?.bytes(p.root.as_bytes())?,
    };
    Ok(())
}

fn decode_genesis(d: &mut Decoder<'_>) -> Result<Genesis, DecodeError> {
    let origin = text(d, MAX_ORIGIN)?;
    let previous = nullable(d, |d| {
        array(d, 3)?;
        Ok(Predecessor { origin: text(d, MAX_ORIGIN)?, size: d.u64()?, root: digest(d)? })
    })?;
    Ok(Genesis { origin, previous })
}

fn encode_reading<W: Write>(reading: &Reading, e: &mut Encoder<W>) -> EncodeResult<W> {
    e.bytes(&reading.pseudonym)?;
    match reading.seq {
        None => e.null()?,
        Some(seq) => e.u64(seq)?,
    };
    e.u16(reading.format)?.bytes(reading.commitment.as_bytes())?.u64(reading.gap)?;
    Ok(())
}

fn decode_reading(d: &mut Decoder<'_>) -> Result<Reading, DecodeError> {
    Ok(Reading {
        pseudonym: fixed(d)?,
        seq: nullable(d, Decoder::u64)?,
        format: d.u16()?,
        commitment: digest(d)?,
        gap: d.u64()?,
    })
}

fn encode_beacon<W: Write>(beacon: &Beacon, e: &mut Encoder<W>) -> EncodeResult<W> {
    e.str(&beacon.ledger)?.u64(beacon.number)?.bytes(beacon.hash.as_bytes())?;
    Ok(())
}

fn decode_beacon(d: &mut Decoder<'_>) -> Result<Beacon, DecodeError> {
    Ok(Beacon { ledger: text(d, MAX_NAME)?, number: d.u64()?, hash: digest(d)? })
}

fn encode_summary<W: Write>(summary: &Summary, e: &mut Encoder<W>) -> EncodeResult<W> {
    e.bytes(&summary.pseudonym)?.u32(summary.day)?.u64(summary.count)?;
    e.u64(summary.first)?.u64(summary.last)?.bytes(summary.root.as_bytes())?;
    Ok(())
}

fn decode_summary(d: &mut Decoder<'_>) -> Result<Summary, DecodeError> {
    Ok(Summary {
        pseudonym: fixed(d)?,
        day: d.u32()?,
        count: d.u64()?,
        first: d.u64()?,
        last: d.u64()?,
        root: digest(d)?,
    })
}

fn encode_erasure<W: Write>(erasure: &Erasure, e: &mut Encoder<W>) -> EncodeResult<W> {
    e.bytes(&erasure.pseudonym)?.str(&erasure.class)?.u32(erasure.day)?.u64(erasure.count)?;
    Ok(())
}

fn decode_erasure(d: &mut Decoder<'_>) -> Result<Erasure, DecodeError> {
    Ok(Erasure { pseudonym: fixed(d)?, class: text(d, MAX_NAME)?, day: d.u32()?, count: d.u64()? })
}

fn text(d: &mut Decoder<'_>, limit: usize) -> Result<String, DecodeError> {
    let text = d.str()?;
    if text.len() > limit {
        Err(DecodeError::message("text too long"))
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::{string::ToString, vec};

    use super::*;

    fn samples() -> Vec<Entry> {
        let root = Digest::new([9; 32]);
        let previous = Predecessor { origin: "example.com/gw/1".to_string(), size: 7, root };
        let bodies = vec![
            Body::Genesis(Genesis { origin: "example.com/gw/1".to_string(), previous: None }),
            Body::Genesis(Genesis {
                origin: "example.com/gw/1/2".to_string(),
                previous: Some(previous),
            }),
            Body::Reading(Reading {
                pseudonym: [1; 16],
                seq: Some(4),
                format: 110,
                commitment: root,
                gap: 0,
            }),
            Body::Reading(Reading {
                pseudonym: [1; 16],
                seq: None,
                format: 112,
                commitment: root,
                gap: 3,
            }),
            Body::Beacon(Beacon { ledger: "embedded:l".to_string(), number: 5, hash: root }),
            Body::Summary(Summary {
                pseudonym: [2; 16],
                day: 20_777,
                count: 24,
                first: 1,
                last: 50,
                root,
            }),
            Body::Erasure(Erasure {
                pseudonym: [2; 16],
                class: "default".to_string(),
                day: 20_777,
                count: 24,
            }),
        ];
        let time = Timestamp { ms: 1_795_180_000_000, synchronised: true };
        bodies.into_iter().map(|body| Entry { time, body }).collect()
    }

    #[test]
    fn every_kind_round_trips() {
        for entry in samples() {
            assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }
    }

    #[test]
    fn only_one_encoding_is_accepted() {
        for entry in samples() {
            let bytes = entry.encode();
            assert!(Entry::decode(&bytes[..bytes.len() - 1]).is_err());
            assert!(Entry::decode(&[&bytes[..], &[0]].concat()).is_err());
            let mut long_kind = bytes.clone();
            long_kind.splice(1..2, [0x18, 0x01]);
            assert!(Entry::decode(&long_kind).is_err());
            for position in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[position] ^= 1;
                assert_ne!(Entry::decode(&changed), Ok(entry.clone()), "byte {position}");
            }
        }
    }

    #[test]
    fn a_reading_takes_less_than_a_hundred_bytes() {
        let longest = samples().into_iter().filter(|e| matches!(e.body, Body::Reading(_)));
        assert!(longest.map(|entry| entry.encode().len()).max().unwrap_or(0) < 100);
    }
}
