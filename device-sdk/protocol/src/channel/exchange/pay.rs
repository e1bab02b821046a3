//! The device pays.
//!
//! Guarantees: a payment names the version that it builds on, so a request that comes twice is one: once a newer state
//! is signed by both, it is out of date. Does not: know whether the balance suffices.

use heapless::String;

use super::{MAX_MEMO, Message, Reader, Writer, text};
use crate::{
    Error,
    channel::{
        Amount, MAX_ASSETS,
        record::{read_amount, write_amount},
    },
};

/// What a device posts to `/channels/<id>/payments`; the answer is a [`SignRequest`](super::SignRequest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayRequest {
    /// The newest version that the gateway has shown: [`Current::version`](super::Current::version).
    pub version: u64,
    /// How much; more than nothing.
    pub amount: Amount,
    /// The place of the asset in the channel.
    pub asset: u8,
    /// What it is for; may be empty.
    pub memo: String<MAX_MEMO>,
}

impl PayRequest {
    fn check(&self) -> Result<(), Error> {
        if self.amount.is_zero() {
            return Err(Error::Record("a payment of nothing"));
        }
        if usize::from(self.asset) >= MAX_ASSETS {
            return Err(Error::Record("no channel has an asset in this place"));
        }
        Ok(())
    }
}

impl Message for PayRequest {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        self.check()?;
        writer.map(3 + usize::from(!self.memo.is_empty()));
        writer.unsigned(1);
        writer.unsigned(self.version);
        writer.unsigned(2);
        write_amount(&self.amount, writer);
        writer.unsigned(3);
        writer.unsigned(self.asset.into());
        if !self.memo.is_empty() {
            writer.unsigned(4);
            text::write(&self.memo, writer)?;
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let version = fields.required(1)?.unsigned()?;
        let amount = read_amount(fields.required(2)?)?;
        let asset = fields.required(3)?.unsigned()?;
        let memo = fields.optional(4)?.map(|memo| text::read("bytes of a memo", memo));
        let memo = memo.transpose()?.unwrap_or_default();
        fields.end()?;
        let request = Self { version, amount, asset, memo };
        request.check()?;
        Ok(request)
    }
}
