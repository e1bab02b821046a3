//! Deterministic CBOR (RFC 8949 §4.2): one encoding for each value, everything else refused.
//!
//! Guarantees: [`decode`] accepts exactly the bytes that [`encode`] gives for the same value, so a flipped bit, a
//! longer integer form, trailing bytes or an unknown field is always noticed.

use alloc::vec::Vec;

use minicbor::{Decode, Decoder, Encode};
use sluicegate_protocol::Digest;

use crate::Error;

/// Bytes of a value.
pub(crate) fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    // The only error that a vector could give is Infallible.
    let _ = minicbor::encode(value, &mut out);
    out
}

/// The value that has exactly these bytes.
pub(crate) fn decode<'b, T>(what: &'static str, bytes: &'b [u8]) -> Result<T, Error>
where
    T: Decode<'b, ()> + Encode<()>,
{
    let value: T = minicbor::decode(bytes).map_err(|_| Error::Encoding { what })?;
    if encode(&value) == bytes { Ok(value) } else { Err(Error::Encoding { what }) }
}

/// Reads an array header that must announce `length` items.
pub(crate) fn array(d: &mut Decoder<'_>, length: u64) -> Result<(), minicbor::decode::Error> {
    match d.array()? {
        Some(found) if found == length => Ok(()),
        _ => Err(minicbor::decode::Error::message("wrong number of items")),
    }
}

/// Reads a byte string of exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(
    d: &mut Decoder<'_>,
) -> Result<[u8; N], minicbor::decode::Error> {
    let bytes = d.bytes()?;
    bytes.try_into().map_err(|_| minicbor::decode::Error::message("wrong length"))
}

/// Reads a 32-byte hash.
pub(crate) fn digest(d: &mut Decoder<'_>) -> Result<Digest, minicbor::decode::Error> {
    fixed(d).map(Digest::new)
}

/// Reads null or a value.
pub(crate) fn nullable<'b, T>(
    d: &mut Decoder<'b>,
    value: impl FnOnce(&mut Decoder<'b>) -> Result<T, minicbor::decode::Error>,
) -> Result<Option<T>, minicbor::decode::Error> {
    if d.datatype()? == minicbor::data::Type::Null {
        d.null()?;
        return Ok(None);
    }
    value(d).map(Some)
}
