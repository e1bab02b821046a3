//! go-perun's messages in both of its encodings, as go-perun v0.15 has them (`wire`, `client`).
//!
//! Guarantees: one encoding of a message; whatever the peer sends, nothing panics, and memory is bounded by what it
//! sent, which is at most [`MAX_MESSAGE`]. A message that is whole but wider than this crate's data model is
//! [`Unsupported`]: it says where it ends and what it was about, so that it can be refused over the same connection.
//! Does not: check states, parameters or signatures against each other or against a sender; see their `check`.
//!
//! [`Codec::encode`] gives the bytes for one write; [`Codec::decode`] reads the first message of what has arrived.
//! What is read leniently, because go-perun or older peers write it, and never written:
//!
//! - the entries of an address map in any order: Go's maps have none
//! - the index map of locked funds empty or short: go-perun leaves it out for sub-channels. It is written in full: a
//!   go-perun peer hashes both the same and, when it compares, looks at ids and balances only (§4.2, P10, P25 of
//!   `channel/allocation.go` `SubAlloc.Equal`)
//! - a signature that ends in 0 or 1 for 27 or 28
//! - in protobuf, no `aux` for one of zeros (v0.13), and fields with numbers beyond the schema's
//!
//! `tests/wire` holds both encodings to bytes that go-perun itself wrote.

mod address;
mod message;
mod perunio;
mod protobuf;
mod wide;

pub use address::{AddressMap, RsaPublicKey, WireAddress};
pub use message::{
    AUX, BaseProposal, ChannelSync, ChannelUpdate, Envelope, LedgerChannelProposal, Message,
    SignedState, SubChannelProposal, Transaction, VirtualChannelFundingProposal,
    VirtualChannelProposal, VirtualChannelSettlementProposal,
};
pub use wide::{Refusal, Subject, Unsupported};

use crate::Error;

/// Bytes of a message with its frame, the largest that protobuf's frame can hold. The largest of this crate's data
/// model have less than 16 KiB; what is wider can still be refused politely up to here, in both encodings.
pub const MAX_MESSAGE: usize = 2 + u16::MAX as usize;

/// Bytes of a message with its frame that a go-perun peer reads for sure in protobuf: one TLS record.
pub const MAX_PROTOBUF: usize = 16_384;

/// An encoding; both sides have to be configured for the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Codec {
    /// go-perun's own, which nearly all of its programs use.
    #[default]
    Perunio,
    /// Protocol buffers. go-perun never writes locked funds in it, so no sub-channels or virtual channels.
    Protobuf,
}

impl Codec {
    /// The bytes of a message, to be written in one piece.
    ///
    /// Fails with [`Error::Unsendable`] for a value without an encoding, and in protobuf beyond [`MAX_PROTOBUF`].
    pub fn encode(self, envelope: &Envelope) -> Result<Vec<u8>, Error> {
        match self {
            Self::Perunio => perunio::encode(envelope),
            Self::Protobuf => protobuf::encode(envelope),
        }
    }

    /// The first message of what has arrived and how many bytes it has, `None` if more has to arrive.
    ///
    /// Each call starts at the front: call it when the socket is drained, not for each byte. Fails with
    /// [`Error::Unsupported`] for a message that can be skipped and refused, and with [`Error::Malformed`] for what
    /// makes the connection unusable.
    pub fn decode(self, buffer: &[u8]) -> Result<Option<(Envelope, usize)>, Error> {
        match self {
            Self::Perunio => perunio::decode(buffer),
            Self::Protobuf => protobuf::decode(buffer),
        }
    }
}
