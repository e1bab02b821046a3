//! What a device that signs for itself and its gateway say to each other about channels.
//!
//! Guarantees: one encoding of a message, deterministic CBOR with integer keys; a message has at most [`MAX_MESSAGE`]
//! bytes, and one that would be longer is an error that says so, for the writer and for the reader. What is written or
//! read is well-formed on its own. Does not: compare a message with a channel, or decide what may be signed.
//!
//! ```text
//! KeyChallenge = {1: challenge}
//! KeyProof     = {1: address, 2: signature}
//! OpenRequest  = {1: peer, 2: Asset, 3: own deposit, 4: peer deposit, 5: challenge duration, 6: share}
//! Channels     = {? 1: [+ channel]}
//! Summary      = {1: channel, ? (2: version, 3: [+ [own, peer]]), 4: phase, ? 5: SignRequest}
//! SignRequest  = {1: number, ? 2: Params, ? 3: share of the peer, 4: State, 5: why, 6: receiver}
//! SignAnswer   = {1: number, 2: signature, 3: [+ signature / h'']} / {1: number, 4: reason}
//! PayRequest   = {1: version, 2: amount, 3: place of the asset, ? 4: memo}
//! Asset        = [1, chain id, holder] / [backend, asset]
//! ```
//!
//! `Params` and `State` are those of [`Params::encode`](super::Params::encode) and its like; amounts are byte strings,
//! big endian, without leading zeros; peer and memo are texts. What is optional is missing when there is nothing.
//! `../tests/messages.rs` has each message as hexadecimal digits with an explanation.

mod answer;
mod key;
mod open;
mod pay;
mod refusal;
mod request;
mod summary;
mod text;

pub use answer::{SignAnswer, Signatures};
pub use key::{KeyChallenge, KeyProof};
pub use open::OpenRequest;
pub use pay::PayRequest;
pub use refusal::Refusal;
pub use request::{Opening, SignRequest, Why};
pub use summary::{Channels, Current, MAX_LISTED, Phase, Summary};
pub use text::{MAX_MEMO, MAX_NAME};

use super::{
    Rule,
    abi::{Counter, Sink},
    cbor::{Reader, Writer},
    record,
};
use crate::Error;

/// Bytes of the longest message.
pub const MAX_MESSAGE: usize = 1024;

/// The content format of every message: `application/cbor` (RFC 8949 §9.5).
pub const CONTENT_FORMAT: u16 = 60;

/// A message of this exchange.
pub trait Message: Sized {
    /// Writes the message, however long it is.
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error>;

    /// Reads the message, and leaves what follows it.
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error>;

    /// Writes the message into `buffer` and gives what it wrote.
    ///
    /// Errors: [`Rule::Capacity`] if the message is longer than [`MAX_MESSAGE`], so that no buffer helps;
    /// [`Error::BufferFull`] if only the buffer is too short; and whatever is not well-formed.
    fn encode<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Error> {
        let mut length = Counter::default();
        self.write(&mut Writer(&mut length))?;
        fits(length.0)?;
        record::into_buffer(buffer, |sink: &mut dyn Sink| self.write(&mut Writer(sink)))
    }

    /// Reads a message from exactly these bytes.
    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        fits(bytes.len())?;
        record::read_exactly(bytes, Self::read)
    }
}

fn fits(length: usize) -> Result<(), Error> {
    if length > MAX_MESSAGE {
        let rule = Rule::Capacity { what: "bytes of a message", limit: MAX_MESSAGE };
        return Err(rule.into());
    }
    Ok(())
}

/// Writes the place of a value among all of its kind.
fn write_place<T: PartialEq>(all: &[T], value: &T, writer: &mut Writer<'_>) {
    let place = all.iter().position(|other| other == value).unwrap_or_default();
    writer.unsigned(place as u64);
}

/// Reads the place of a value among all of its kind.
fn read_place<T: Copy>(all: &[T], reader: &mut Reader<'_>) -> Result<T, Error> {
    let place = reader.unsigned::<usize>()?;
    all.get(place).copied().ok_or(Error::Record("a number has no meaning here"))
}
