//! The messages on the ledger's socket: a length of four bytes, big endian, and CBOR of at most 64 KiB.
//!
//! Guarantees: one encoding of each message, strictly read. Does not: authenticate; who may connect is the socket's
//! permissions, what an account may do is in the signatures of its transactions.

mod events;
mod values;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};
use sluicegate_ledger::{
    Account, AnchorEvidence, AnchorRecord, BlockEvidence, Cursor, Dispute, Error, EventPage, Head,
    Landed, Status, TransactionId, cbor, cbor::channel as put,
};
use sluicegate_protocol::{
    Digest,
    channel::{Amount, ChannelId, FundingId},
};

use self::{
    events::{page, put_page},
    values::{
        MAX_SHORT, MAX_TEXT, anchor, block, error, landed, put_anchor, put_block, put_error,
        put_landed, put_status, status,
    },
};
use crate::{owner::Faults, transaction::MAX_TRANSACTION};

/// Longest message.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// A question to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// How an account stands.
    Account([u8; 32]),
    /// What only a ledger that allows faults does.
    Admin(Admin),
    /// The proof of an anchor.
    AnchorEvidence(Digest),
    /// The proof of a block.
    BlockEvidence(u64),
    /// The ledger's name.
    Describe,
    /// What was registered last for a channel.
    Dispute(ChannelId),
    /// Events behind a cursor.
    Events(Cursor),
    /// The lowest fee that is taken now.
    Fee,
    /// The first anchor of a digest.
    Find(Digest),
    /// How far the ledger is.
    Head,
    /// What lies there for a participant of a channel.
    Holdings(FundingId),
    /// Where the request with this key had its effect last.
    Landed(Digest),
    /// The newest anchor of an account.
    Newest([u8; 32]),
    /// Whether the outcome of a channel is fixed.
    Settled(ChannelId),
    /// What became of a transaction.
    Status(TransactionId),
    /// Takes an encoded transaction.
    Submit(Vec<u8>),
}

/// What tests and demonstrations do to a ledger that allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admin {
    /// Sets what goes wrong from now on.
    Faults(Faults),
    /// Produces a block now.
    Produce,
    /// Takes blocks back that are not final.
    Reorg {
        /// At most how many.
        blocks: u64,
        /// Whether their transactions are accepted again.
        keep: bool,
    },
}

/// The answer to a [`Question`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Account`].
    Account(Account),
    /// To [`Question::Find`] and [`Question::Newest`].
    Anchor(Option<AnchorRecord>),
    /// To [`Question::AnchorEvidence`].
    AnchorEvidence(AnchorEvidence),
    /// To [`Question::BlockEvidence`].
    BlockEvidence(BlockEvidence),
    /// To [`Question::Submit`] and [`Question::Admin`].
    Done,
    /// To [`Question::Dispute`].
    Dispute(Option<Box<Dispute>>),
    /// It did not work.
    Error(Error),
    /// To [`Question::Events`].
    Events(EventPage),
    /// To [`Question::Fee`].
    Fee(u64),
    /// To [`Question::Head`].
    Head {
        /// How far it is.
        head: Head,
        /// The signed head of its final blocks.
        signed: String,
    },
    /// To [`Question::Holdings`].
    Holdings(Amount),
    /// To [`Question::Landed`].
    Landed(Option<Landed>),
    /// To [`Question::Describe`].
    Name(String),
    /// To [`Question::Settled`].
    Settled(bool),
    /// To [`Question::Status`].
    Status(Status),
}

impl Question {
    /// Reads the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("question", bytes)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

impl Answer {
    /// Reads the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("answer", bytes)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

impl<C> Encode<C> for Question {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match self {
            Self::Describe => e.array(1)?.u8(0)?,
            Self::Head => e.array(1)?.u8(1)?,
            Self::Account(key) => e.array(2)?.u8(2)?.bytes(key)?,
            Self::Fee => e.array(1)?.u8(3)?,
            Self::Submit(bytes) => e.array(2)?.u8(4)?.bytes(bytes)?,
            Self::Status(id) => e.array(2)?.u8(5)?.bytes(id.0.as_bytes())?,
            Self::Events(cursor) => e.array(2)?.u8(6)?.bytes(&cursor.0)?,
            Self::Find(digest) => e.array(2)?.u8(7)?.bytes(digest.as_bytes())?,
            Self::Newest(key) => e.array(2)?.u8(8)?.bytes(key)?,
            Self::AnchorEvidence(digest) => e.array(2)?.u8(9)?.bytes(digest.as_bytes())?,
            Self::BlockEvidence(number) => e.array(2)?.u8(10)?.u64(*number)?,
            Self::Dispute(channel) => e.array(2)?.u8(14)?.bytes(channel.as_bytes())?,
            Self::Holdings(funding) => e.array(2)?.u8(15)?.bytes(funding.as_bytes())?,
            Self::Settled(channel) => e.array(2)?.u8(16)?.bytes(channel.as_bytes())?,
            Self::Landed(key) => e.array(2)?.u8(17)?.bytes(key.as_bytes())?,
            Self::Admin(Admin::Produce) => e.array(1)?.u8(11)?,
            Self::Admin(Admin::Reorg { blocks, keep }) => {
                e.array(3)?.u8(12)?.u64(*blocks)?.bool(*keep)?
            }
            Self::Admin(Admin::Faults(faults)) => {
                let Faults { delay_ms, fail, unknown, lose, base_fee } = *faults;
                e.array(6)?.u8(13)?.u64(delay_ms)?.u32(fail)?.u32(unknown)?.u32(lose)?;
                match base_fee {
                    Some(fee) => e.u64(fee)?,
                    None => e.null()?,
                }
            }
        };
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Question {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        Ok(match (cbor::open_array(d)?, d.u8()?) {
            (1, 0) => Self::Describe,
            (1, 1) => Self::Head,
            (2, 2) => Self::Account(cbor::fixed(d)?),
            (1, 3) => Self::Fee,
            (2, 4) => Self::Submit(cbor::bytes(d, MAX_TRANSACTION)?),
            (2, 5) => Self::Status(TransactionId(cbor::digest(d)?)),
            (2, 6) => Self::Events(Cursor(cbor::bytes(d, MAX_SHORT)?)),
            (2, 7) => Self::Find(cbor::digest(d)?),
            (2, 8) => Self::Newest(cbor::fixed(d)?),
            (2, 9) => Self::AnchorEvidence(cbor::digest(d)?),
            (2, 10) => Self::BlockEvidence(d.u64()?),
            (1, 11) => Self::Admin(Admin::Produce),
            (3, 12) => Self::Admin(Admin::Reorg { blocks: d.u64()?, keep: d.bool()? }),
            (6, 13) => {
                let (delay_ms, fail, unknown, lose) = (d.u64()?, d.u32()?, d.u32()?, d.u32()?);
                let base_fee = Option::<u64>::decode(d, ctx)?;
                let faults = Faults { delay_ms, fail, unknown, lose, base_fee };
                Self::Admin(Admin::Faults(faults))
            }
            (2, 14) => Self::Dispute(put::channel(d)?),
            (2, 15) => Self::Holdings(put::funding(d)?),
            (2, 16) => Self::Settled(put::channel(d)?),
            (2, 17) => Self::Landed(cbor::digest(d)?),
            _ => return Err(decode::Error::message("unknown question")),
        })
    }
}

impl<C> Encode<C> for Answer {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match self {
            Self::Done => e.array(1)?.u8(0)?,
            Self::Error(error) => return put_error(e.array(5)?.u8(1)?, error),
            Self::Name(name) => e.array(2)?.u8(2)?.str(name)?,
            Self::Head { head, signed } => {
                e.array(5)?.u8(3)?;
                put_block(e, &head.newest)?;
                put_block(e, &head.finalised)?;
                e.u64(head.time_ms)?.str(signed)?
            }
            Self::Account(Account { next_nonce, final_nonce, balance, time_ms }) => {
                e.array(5)?.u8(4)?.u64(*next_nonce)?.u64(*final_nonce)?.u64(*time_ms)?;
                return cbor::put_amount(e, *balance);
            }
            Self::Fee(fee) => e.array(2)?.u8(5)?.u64(*fee)?,
            Self::Status(status) => return put_status(e.array(2)?.u8(6)?, status),
            Self::Events(page) => return put_page(e.array(3)?.u8(7)?, page),
            Self::Anchor(None) => e.array(1)?.u8(8)?,
            Self::Anchor(Some(anchor)) => return put_anchor(e.array(6)?.u8(9)?, anchor),
            Self::AnchorEvidence(evidence) => {
                return evidence.encode(e.array(2)?.u8(10)?, ctx);
            }
            Self::BlockEvidence(evidence) => return evidence.encode(e.array(2)?.u8(11)?, ctx),
            Self::Dispute(None) => e.array(1)?.u8(12)?,
            Self::Dispute(Some(dispute)) => {
                return put::put_dispute(e.array(2)?.u8(13)?, dispute);
            }
            Self::Holdings(amount) => return put::put_amount(e.array(2)?.u8(14)?, amount),
            Self::Settled(is_settled) => e.array(2)?.u8(15)?.bool(*is_settled)?,
            Self::Landed(None) => e.array(1)?.u8(16)?,
            Self::Landed(Some(landed)) => return put_landed(e.array(4)?.u8(17)?, landed),
        };
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Answer {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        Ok(match (cbor::open_array(d)?, d.u8()?) {
            (1, 0) => Self::Done,
            (5, 1) => Self::Error(error(d)?),
            (2, 2) => Self::Name(cbor::text(d, MAX_TEXT)?),
            (5, 3) => {
                let (newest, finalised) = (block(d)?, block(d)?);
                let head = Head { newest, finalised, time_ms: d.u64()? };
                Self::Head { head, signed: cbor::text(d, sluicegate_ledger::evidence::MAX_HEAD)? }
            }
            (5, 4) => {
                let (next_nonce, final_nonce, time_ms) = (d.u64()?, d.u64()?, d.u64()?);
                let balance = cbor::amount(d)?;
                Self::Account(Account { next_nonce, final_nonce, balance, time_ms })
            }
            (2, 5) => Self::Fee(d.u64()?),
            (2, 6) => Self::Status(status(d)?),
            (3, 7) => Self::Events(page(d)?),
            (1, 8) => Self::Anchor(None),
            (6, 9) => Self::Anchor(Some(anchor(d)?)),
            (2, 10) => Self::AnchorEvidence(d.decode_with(ctx)?),
            (2, 11) => Self::BlockEvidence(d.decode_with(ctx)?),
            (1, 12) => Self::Dispute(None),
            (2, 13) => Self::Dispute(Some(Box::new(put::dispute(d)?))),
            (2, 14) => Self::Holdings(put::amount(d)?),
            (2, 15) => Self::Settled(d.bool()?),
            (1, 16) => Self::Landed(None),
            (4, 17) => Self::Landed(Some(landed(d)?)),
            _ => return Err(decode::Error::message("unknown answer")),
        })
    }
}
