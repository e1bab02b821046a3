//! go-perun's own encoding (`wire/perunio`): fields one after another, little endian, without a frame.
//!
//! Guarantees: truth values are 0 or 1, numbers have no leading zero, and the same dimension that stands there twice is
//! the same; go-perun takes more (P24). Does not: find the next message behind one that is malformed; nothing can.

mod decode;
mod encode;
mod reader;

pub(super) use encode::encode;

use reader::{Reader, Stop};

use super::{Envelope, MAX_MESSAGE};
use crate::Error;

/// The first message of the bytes and how many of them it has, `None` if it isn't whole.
pub(super) fn decode(buffer: &[u8]) -> Result<Option<(Envelope, usize)>, Error> {
    let whole = buffer.get(..MAX_MESSAGE);
    let bytes = whole.unwrap_or(buffer);
    let mut reader = Reader::new(bytes);
    match reader.envelope() {
        Ok(envelope) => reader.notes.close(envelope, bytes.len() - reader.rest.len()).map(Some),
        Err(Stop::More) if whole.is_some() => {
            Err(Error::Malformed("a message is longer than a frame of protobuf can be"))
        }
        Err(Stop::More) => Ok(None),
        Err(Stop::Wrong(error)) => Err(error),
    }
}
