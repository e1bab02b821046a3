//! The proof bundle (`.sgp`): everything that a verifier needs, in one file, and nothing else.
//!
//! Guarantees: exactly one encoding for each bundle, with a checksum over it, so that every changed byte is noticed;
//! every part is bounded before it is kept; [`Bundle::assemble`] gives only bundles that hold together.
//! Does not: carry trust or claims. Signatures are judged by [`crate::verify`] with the verifier's own policy.
//!
//! ```text
//! ["sluicegate/bundle/v1", checkpoint note, entries [[index, entry]…], nodes [hash…],
//!  devices [[pseudonym, name, epoch, opening]…], openings [[index, salt, payload]…],
//!  anchors [anchor evidence], beacons [block evidence…], checksum]
//! ```
//!
//! Lists ascend by their first field; `nodes` is in the order of [`crate::proof::multi_inclusion`]; there is one block
//! for each beacon entry; the checksum is SHA-256 over the first eight items as an array of eight.

use alloc::{string::String, vec::Vec};

use minicbor::{
    Decode, Decoder, Encode, Encoder,
    decode::Error as DecodeError,
    encode::{Error as EncodeError, Write},
};
use sluicegate_ledger::{AnchorEvidence, BlockEvidence, cbor as shared};
use sluicegate_protocol::{Checkpoint, Digest, merkle::MAX_LEVELS, note::Note, sha256};

use crate::{
    Error,
    cbor::{self, array, digest, fixed},
    entry::Pseudonym,
    proof::{self, NodeSource},
    tile,
    verify::Content,
};

/// What a bundle begins with, after its array header.
pub const MAGIC: &str = "sluicegate/bundle/v1";

/// Longest bundle, in bytes.
pub const MAX_BUNDLE: usize = 128 << 20;

/// Longest checkpoint note: origin, size, root and 32 signatures.
pub const MAX_CHECKPOINT: usize = 16 << 10;

/// Longest device name, in bytes.
pub const MAX_DEVICE_NAME: usize = 255;

/// Longest payload, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// Most anchors.
pub const MAX_ANCHORS: u64 = 1;

/// Array header of nine items, and of the eight that the checksum covers.
const ARRAY_9: u8 = 0x89;
const ARRAY_8: u8 = 0x88;
/// Bytes of the encoded checksum: two of header, 32 of hash.
const CHECKSUM_LEN: usize = 34;
const CHECKSUM_HEAD: [u8; 2] = [0x58, 0x20];
/// Shortest entry behind the genesis: an erasure whose numbers have one byte each and whose class has no name.
const MIN_ENTRY: usize = 25;

/// What opens a device's pseudonym.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceOpening {
    /// The name in the log.
    pub pseudonym: Pseudonym,
    /// The device's own name.
    pub name: String,
    /// The epoch of the pseudonym.
    pub epoch: u32,
    /// See [`sluicegate_protocol::commitment::pseudonym_opening`].
    pub opening: [u8; 32],
}

/// What opens a reading's commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Index of the reading.
    pub index: u64,
    /// See [`sluicegate_protocol::commitment::salt`].
    pub salt: [u8; 32],
    /// The exact bytes that the device sent.
    pub payload: Vec<u8>,
}

/// What a gateway shows of its log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// The signed checkpoint.
    pub checkpoint: String,
    /// Entries by ascending index.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// Openings of pseudonyms, by ascending pseudonym.
    pub devices: Vec<DeviceOpening>,
    /// Openings of readings, by ascending index.
    pub openings: Vec<Opening>,
    /// The anchor of the checkpoint's digest.
    pub anchors: Vec<AnchorEvidence>,
    /// A block for each beacon entry, in their order.
    pub beacons: Vec<BlockEvidence>,
}

/// A proof bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What it shows.
    pub parts: Parts,
    /// The hashes that lead from its entries to the checkpoint.
    pub nodes: Vec<Digest>,
}

impl Bundle {
    /// Puts a bundle together with hashes of the log, and checks that it holds together.
    ///
    /// Sorts the lists; signatures are not checked, they need a policy.
    pub fn assemble<S: NodeSource>(mut parts: Parts, log: &S) -> Result<Self, S::Error> {
        parts.entries.sort_unstable_by_key(|(index, _)| *index);
        parts.devices.sort_unstable_by_key(|device| device.pseudonym);
        parts.openings.sort_unstable_by_key(|opening| opening.index);
        let note = Note::parse(&parts.checkpoint).map_err(Error::Protocol)?;
        let size = Checkpoint::parse(note.text()).map_err(Error::Protocol)?.size;
        let indexes: Vec<u64> = parts.entries.iter().map(|(index, _)| *index).collect();
        let nodes = proof::multi_inclusion(log, &indexes, size)?;
        let bundle = Self { parts, nodes };
        bundle.check()?;
        Ok(bundle)
    }

    /// Whether everything in it fits together, and its encoding is within bounds; trusts nobody's signature.
    pub fn check(&self) -> Result<(), Error> {
        Content::of(self)?;
        Self::decode(&self.to_bytes()).map(drop)
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = cbor::encode(self);
        let checksum = checksum(&out);
        let mut writer = Encoder::new(&mut out);
        // Writing into a vector can't fail.
        let _ = writer.bytes(checksum.as_bytes());
        out
    }

    /// Reads a file; refuses everything that [`Bundle::to_bytes`] would not write.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (what, found, limit) = ("bundle", bytes.len(), MAX_BUNDLE);
        if found > limit {
            return Err(Error::TooLong { what, found, limit });
        }
        let malformed = Error::Encoding { what };
        let body = bytes.len().checked_sub(CHECKSUM_LEN).ok_or(malformed.clone())?;
        let (body, end) = bytes.split_at(body);
        let bundle: Self = minicbor::decode(body).map_err(|_| malformed.clone())?;
        // One encoding for each bundle: the same bytes must come out again.
        let mut rest = Rest(body);
        if minicbor::encode(&bundle, &mut rest).is_err() || !rest.0.is_empty() {
            return Err(malformed);
        }
        let fits = end == [&CHECKSUM_HEAD, &checksum(body).as_bytes()[..]].concat();
        if fits { Ok(bundle) } else { Err(Error::Checksum) }
    }
}

/// What an encoding must still give to be the same as these bytes: compares without a second copy.
struct Rest<'a>(&'a [u8]);

/// The encoding is another one.
struct Differs;

impl Write for Rest<'_> {
    type Error = Differs;

    fn write_all(&mut self, written: &[u8]) -> Result<(), Differs> {
        self.0 = self.0.strip_prefix(written).ok_or(Differs)?;
        Ok(())
    }
}

/// The checksum over `body`, the encoding without its checksum.
fn checksum(body: &[u8]) -> Digest {
    sha256(&[&[ARRAY_8], body.get(1..).unwrap_or_default()])
}

/// All but the checksum.
impl<C> Encode<C> for Bundle {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), EncodeError<W::Error>> {
        let parts = &self.parts;
        e.array(u64::from(ARRAY_9 & 0x1f))?.str(MAGIC)?.str(&parts.checkpoint)?;
        e.array(parts.entries.len() as u64)?;
        for (index, entry) in &parts.entries {
            e.array(2)?.u64(*index)?.bytes(entry)?;
        }
        e.array(self.nodes.len() as u64)?;
        for node in &self.nodes {
            e.bytes(node.as_bytes())?;
        }
        list(e, ctx, &parts.devices)?;
        list(e, ctx, &parts.openings)?;
        list(e, ctx, &parts.anchors)?;
        list(e, ctx, &parts.beacons)
    }
}

impl<'b, C> Decode<'b, C> for Bundle {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, DecodeError> {
        array(d, u64::from(ARRAY_9 & 0x1f))?;
        if d.str()? != MAGIC {
            return Err(DecodeError::message("not a bundle"));
        }
        let checkpoint = shared::text(d, MAX_CHECKPOINT)?;
        let entries = read_ascending(d, u64::MAX, entry, |(index, _)| *index)?;
        // Every device, opening and beacon belongs to an entry.
        let limit = entries.len() as u64;
        let nodes = read_list(d, limit.saturating_mul(MAX_LEVELS as u64), digest)?;
        let devices = read_ascending(
            d,
            limit,
            |d| d.decode_with(ctx),
            |device: &DeviceOpening| device.pseudonym,
        )?;
        let openings =
            read_ascending(d, limit, |d| d.decode_with(ctx), |opening: &Opening| opening.index)?;
        let anchors = read_list(d, MAX_ANCHORS, |d| d.decode_with(ctx))?;
        let beacons = read_list(d, limit, |d| d.decode_with(ctx))?;
        if d.position() != d.input().len() {
            return Err(DecodeError::message("something follows the beacons"));
        }
        let parts = Parts { checkpoint, entries, devices, openings, anchors, beacons };
        Ok(Self { parts, nodes })
    }
}

impl<C> Encode<C> for DeviceOpening {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(4)?.bytes(&self.pseudonym)?.str(&self.name)?;
        e.u32(self.epoch)?.bytes(&self.opening)?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for DeviceOpening {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        array(d, 4)?;
        let (pseudonym, name) = (fixed(d)?, shared::text(d, MAX_DEVICE_NAME)?);
        Ok(Self { pseudonym, name, epoch: d.u32()?, opening: fixed(d)? })
    }
}

impl<C> Encode<C> for Opening {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.array(3)?.u64(self.index)?.bytes(&self.salt)?.bytes(&self.payload)?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Opening {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, DecodeError> {
        array(d, 3)?;
        Ok(Self { index: d.u64()?, salt: fixed(d)?, payload: shared::bytes(d, MAX_PAYLOAD)? })
    }
}

fn list<C, T: Encode<C>, W: Write>(
    e: &mut Encoder<W>,
    ctx: &mut C,
    items: &[T],
) -> Result<(), EncodeError<W::Error>> {
    e.array(items.len() as u64)?;
    items.iter().try_for_each(|item| item.encode(e, ctx))
}

/// Reads an index and the bytes of its entry.
fn entry(d: &mut Decoder<'_>) -> Result<(u64, Vec<u8>), DecodeError> {
    array(d, 2)?;
    let (index, bytes) = (d.u64()?, shared::bytes(d, tile::MAX_ENTRY)?);
    if !long_enough(index, &bytes) {
        return Err(DecodeError::message("entry too short"));
    }
    Ok((index, bytes))
}

/// Whether these bytes may be an entry: what is too short for one would take more memory than it has bytes in a file.
pub(crate) const fn long_enough(index: u64, entry: &[u8]) -> bool {
    entry.len() >= if index == 0 { 1 } else { MIN_ENTRY }
}

/// Reads items whose keys ascend.
fn read_ascending<'b, T, K: Ord>(
    d: &mut Decoder<'b>,
    limit: u64,
    mut item: impl FnMut(&mut Decoder<'b>) -> Result<T, DecodeError>,
    key: impl Fn(&T) -> K,
) -> Result<Vec<T>, DecodeError> {
    let mut last = None;
    read_list(d, limit, |d| {
        let item = item(d)?;
        let next = Some(key(&item));
        if next <= last {
            return Err(DecodeError::message("not in ascending order"));
        }
        last = next;
        Ok(item)
    })
}

/// Reads items one by one: memory follows the bytes that are there, not the number that is announced.
fn read_list<'b, T>(
    d: &mut Decoder<'b>,
    limit: u64,
    mut item: impl FnMut(&mut Decoder<'b>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let length = shared::open_array(d)?;
    if length > limit {
        return Err(DecodeError::message("too many items"));
    }
    let mut items = Vec::new();
    for _ in 0..length {
        items.push(item(d)?);
    }
    Ok(items)
}
