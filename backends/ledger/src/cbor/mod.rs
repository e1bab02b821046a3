//! Deterministic CBOR: strict decoding, and how values that are not CBOR types by themselves are written.
//!
//! Guarantees: [`decode`] accepts exactly the bytes that [`encode`] writes; trailing bytes, longer forms of a number
//! and unknown fields are refused. Does not: bound the input; the caller does, by the length that it reads.

pub mod channel;

use alloc::{string::String, vec::Vec};

use minicbor::{
    Decode, Decoder, Encode, Encoder, decode::Error as Malformed, encode::Error as Unwritable,
    encode::Write,
};
use sluicegate_protocol::{Digest, merkle::MAX_LEVELS};

use crate::Error;

/// The encoding of a value.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    // Writing into a vector can't fail, and the encodings of this workspace have no failure of their own.
    minicbor::to_vec(value).unwrap_or_default()
}

/// Reads the one encoding of a value; `what` names it in the error.
pub fn decode<T>(what: &'static str, bytes: &[u8]) -> Result<T, Error>
where
    T: Encode<()> + for<'b> Decode<'b, ()>,
{
    let value: T = minicbor::decode(bytes).map_err(|_| Error::Malformed(what))?;
    if encode(&value) == bytes { Ok(value) } else { Err(Error::Malformed(what)) }
}

/// Enters an array of exactly `length` items.
pub fn array(d: &mut Decoder<'_>, length: u64) -> Result<(), Malformed> {
    match d.array()? {
        Some(found) if found == length => Ok(()),
        _ => Err(Malformed::message("wrong number of fields")),
    }
}

/// Enters an array whose length the caller judges.
pub fn open_array(d: &mut Decoder<'_>) -> Result<u64, Malformed> {
    d.array()?.ok_or(Malformed::message("indefinite length"))
}

/// Reads the number that tells the version or kind of a value.
pub fn tag(d: &mut Decoder<'_>, expected: u8) -> Result<(), Malformed> {
    if d.u8()? == expected { Ok(()) } else { Err(Malformed::message("unknown version or kind")) }
}

/// Reads a byte string of exactly `N` bytes.
pub fn fixed<const N: usize>(d: &mut Decoder<'_>) -> Result<[u8; N], Malformed> {
    d.bytes()?.try_into().map_err(|_| Malformed::message("wrong number of bytes"))
}

/// Reads a byte string of at most `limit` bytes.
pub fn bytes(d: &mut Decoder<'_>, limit: usize) -> Result<Vec<u8>, Malformed> {
    let found = d.bytes()?;
    if found.len() > limit {
        return Err(Malformed::message("byte string too long"));
    }
    Ok(found.to_vec())
}

/// Reads a text of at most `limit` bytes.
pub fn text(d: &mut Decoder<'_>, limit: usize) -> Result<String, Malformed> {
    let found = d.str()?;
    if found.len() > limit {
        return Err(Malformed::message("text too long"));
    }
    Ok(found.into())
}

/// Reads a hash.
pub fn digest(d: &mut Decoder<'_>) -> Result<Digest, Malformed> {
    fixed(d).map(Digest::new)
}

/// Reads a Merkle path.
pub fn path(d: &mut Decoder<'_>) -> Result<Vec<Digest>, Malformed> {
    let length = open_array(d)?;
    if length > MAX_LEVELS as u64 {
        return Err(Malformed::message("Merkle path too long"));
    }
    (0..length).map(|_| digest(d)).collect()
}

/// Writes a Merkle path.
pub fn put_path<W: Write>(e: &mut Encoder<W>, path: &[Digest]) -> Result<(), Unwritable<W::Error>> {
    e.array(path.len() as u64)?;
    path.iter().try_for_each(|node| e.bytes(node.as_bytes()).map(|_| ()))
}

/// Reads an amount of base units: a byte string of 16 bytes, big endian.
pub fn amount(d: &mut Decoder<'_>) -> Result<u128, Malformed> {
    fixed(d).map(u128::from_be_bytes)
}

/// Writes an amount of base units.
pub fn put_amount<W: Write>(e: &mut Encoder<W>, amount: u128) -> Result<(), Unwritable<W::Error>> {
    e.bytes(&amount.to_be_bytes())?;
    Ok(())
}
