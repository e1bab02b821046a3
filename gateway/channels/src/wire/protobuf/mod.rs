//! The protocol buffers of go-perun (`wire/protobuf`, package `perunwire`) behind a length of 16 bits, big endian.
//!
//! Guarantees: the bytes are those that go-perun writes for the same message, but for locked funds, which go-perun
//! forgets (P1) and this writes. Nothing longer than one TLS record is written, since go-perun reads a message with one
//! call (P2). Every length of the schema is checked; go-perun cuts and fills instead.
//! Does not: notice locked funds that go-perun forgot; the state's signature does.

mod decode;
mod encode;
mod fields;

use super::{Envelope, MAX_PROTOBUF};
use crate::Error;
use decode::Reader;

/// The frame and the message.
pub(super) fn encode(envelope: &Envelope) -> Result<Vec<u8>, Error> {
    let body = encode::envelope(envelope)?;
    let length = u16::try_from(body.len()).map_err(|_| TOO_LONG)?;
    if body.len() + 2 > MAX_PROTOBUF {
        return Err(TOO_LONG);
    }
    Ok([&length.to_be_bytes(), body.as_slice()].concat())
}

const TOO_LONG: Error = Error::Unsendable("a message is longer than a TLS record");

/// The first message of the bytes and how many of them it has, `None` if it isn't whole.
pub(super) fn decode(buffer: &[u8]) -> Result<Option<(Envelope, usize)>, Error> {
    let Some((length, rest)) = buffer.split_first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let mut reader = Reader::default();
    let envelope = reader.envelope(body)?;
    reader.notes.close(envelope, 2 + length).map(Some)
}
