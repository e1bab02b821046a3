//! The C2SP tlog-proof text of one entry, for tools that know nothing of bundles.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64 of [entry, [salt, payload] or null, [pseudonym, name, epoch, opening] or null]>
//! index <index>
//! <base64 of each hash of the inclusion path>
//!
//! <the signed checkpoint>
//! ```
//!
//! Guarantees: exactly one text for each proof. Does not: hold an anchor, so that [`crate::verify`] never says more of
//! it than "not anchored". Our `extra` is what makes it checkable: the leaf is the hash of the entry in it.
//! Specification: <https://c2sp.org/tlog-proof>.

use alloc::{string::String, vec::Vec};
use core::fmt;

use base64ct::{Base64, Encoding};
use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use sluicegate_ledger::cbor as shared;
use sluicegate_protocol::{
    Checkpoint, Digest,
    merkle::MAX_LEVELS,
    note::{Note, parse_decimal},
};

use crate::{
    Error,
    bundle::{Bundle, DeviceOpening, MAX_CHECKPOINT, MAX_PAYLOAD, Opening, Parts, long_enough},
    cbor::{self, array, fixed, nullable},
    proof::{self, NodeSource},
    tile,
};

/// The first line.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Longest text of a proof, in bytes.
pub const MAX_PROOF: usize = 2 << 20;

/// A tlog-proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Data of the application; not authenticated by the format.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry.
    pub index: u64,
    /// From the leaf's sibling to the child of the root.
    pub path: Vec<Digest>,
    /// The signed checkpoint.
    pub checkpoint: String,
}

impl TlogProof {
    /// Makes the proof of one entry with hashes of the log, and checks it.
    pub fn assemble<S: NodeSource>(
        checkpoint: String,
        index: u64,
        extra: &Extra,
        log: &S,
    ) -> Result<Self, S::Error> {
        let note = Note::parse(&checkpoint).map_err(Error::Protocol)?;
        let size = Checkpoint::parse(note.text()).map_err(Error::Protocol)?.size;
        let path = proof::inclusion(log, index, size)?;
        let proof = Self { extra: Some(cbor::encode(extra)), index, path, checkpoint };
        proof.to_bundle()?.check()?;
        Ok(proof)
    }

    /// Reads the text; refuses everything that [`fmt::Display`] would not write.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (what, found, limit) = ("tlog-proof", text.len(), MAX_PROOF);
        if found > limit {
            return Err(Error::TooLong { what, found, limit });
        }
        parse(text).ok_or(Error::Encoding { what })
    }

    /// The same as a bundle, when the extra data is ours.
    pub fn to_bundle(&self) -> Result<Bundle, Error> {
        let extra = self.extra.as_deref().ok_or(Error::Encoding { what: EXTRA })?;
        let Extra { entry, opening, device } = cbor::decode(EXTRA, extra)?;
        if !long_enough(self.index, &entry) {
            return Err(Error::Encoding { what: EXTRA });
        }
        let note = Note::parse(&self.checkpoint)?;
        let size = Checkpoint::parse(note.text())?.size;
        let nodes = proof::multi_from_path(self.index, size, &self.path)?;
        let index = self.index;
        let openings = opening.map(|(salt, payload)| Opening { index, salt, payload });
        let parts = Parts {
            checkpoint: self.checkpoint.clone(),
            entries: Vec::from([(index, entry)]),
            devices: device.into_iter().collect(),
            openings: openings.into_iter().collect(),
            ..Parts::default()
        };
        Ok(Bundle { parts, nodes })
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", Base64::encode_string(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for node in &self.path {
            writeln!(f, "{}", Base64::encode_string(node.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

fn parse(text: &str) -> Option<TlogProof> {
    let (head, checkpoint) = text.split_once("\n\n")?;
    let mut lines = head.split('\n');
    if lines.next()? != HEADER || checkpoint.len() > MAX_CHECKPOINT {
        return None;
    }
    let mut line = lines.next()?;
    let mut extra = None;
    if let Some(encoded) = line.strip_prefix("extra ") {
        extra = Some(Base64::decode_vec(encoded).ok()?);
        line = lines.next()?;
    }
    let index = parse_decimal(line.strip_prefix("index ")?).ok()?;
    let node = |line: &str| Base64::decode_vec(line).ok().and_then(|b| Digest::from_slice(&b));
    let path = lines.take(MAX_LEVELS + 1).map(node).collect::<Option<Vec<_>>>()?;
    let checkpoint = checkpoint.into();
    (path.len() <= MAX_LEVELS).then_some(TlogProof { extra, index, path, checkpoint })
}

const EXTRA: &str = "extra data of the tlog-proof";

/// Our extra data: the entry, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    /// The bytes of the leaf.
    pub entry: Vec<u8>,
    /// Salt and payload of a reading.
    pub opening: Option<([u8; 32], Vec<u8>)>,
    /// What opens its pseudonym.
    pub device: Option<DeviceOpening>,
}

impl<C> Encode<C> for Extra {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        e.array(3)?.bytes(&self.entry)?;
        match &self.opening {
            None => e.null()?,
            Some((salt, payload)) => e.array(2)?.bytes(salt)?.bytes(payload)?,
        };
        self.device.encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for Extra {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        array(d, 3)?;
        let entry = shared::bytes(d, tile::MAX_ENTRY)?;
        let opening = nullable(d, |d| {
            array(d, 2)?;
            Ok((fixed(d)?, shared::bytes(d, MAX_PAYLOAD)?))
        })?;
        Ok(Self { entry, opening, device: nullable(d, |d| DeviceOpening::decode(d, ctx))? })
    }
}
