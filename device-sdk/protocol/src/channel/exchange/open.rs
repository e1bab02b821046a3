//! The device asks for a channel.
//!
//! Guarantees: the share is the device's part in the channel's nonce, so that a device that draws it at random knows
//! the channel to be new, and a request that comes twice is one. Does not: know whether there is such a peer.

use heapless::String;

use super::{MAX_NAME, Message, Reader, Writer, text};
use crate::{
    Error,
    channel::{
        Amount, Asset, Rule,
        record::{read_amount, write_amount},
    },
};

/// What a device posts to `/channels`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// The name of the peer, as the gateway knows it.
    pub peer: String<MAX_NAME>,
    /// What is paid with.
    pub asset: Asset,
    /// What the device has of it at first.
    pub own_deposit: Amount,
    /// What the peer has of it at first.
    pub peer_deposit: Amount,
    /// How long a dispute can be answered, in seconds.
    pub challenge_duration: u64,
    /// The proposer's share in the nonce; random, and the same when the request is repeated.
    pub share: [u8; 32],
}

impl OpenRequest {
    fn check(&self) -> Result<(), Error> {
        self.asset.check()?;
        self.own_deposit.checked_add(self.peer_deposit).ok_or(Rule::AmountTooLarge)?;
        if self.challenge_duration == 0 {
            return Err(Rule::NoChallengeDuration.into());
        }
        Ok(())
    }
}

impl Message for OpenRequest {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        self.check()?;
        writer.map(6);
        writer.unsigned(1);
        text::write(&self.peer, writer)?;
        writer.unsigned(2);
        self.asset.write(0, writer);
        writer.unsigned(3);
        write_amount(&self.own_deposit, writer);
        writer.unsigned(4);
        write_amount(&self.peer_deposit, writer);
        writer.unsigned(5);
        writer.unsigned(self.challenge_duration);
        writer.unsigned(6);
        writer.bytes(&self.share);
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let request = Self {
            peer: text::read("bytes of a name", fields.required(1)?)?,
            asset: Asset::read(0, fields.required(2)?)?,
            own_deposit: read_amount(fields.required(3)?)?,
            peer_deposit: read_amount(fields.required(4)?)?,
            challenge_duration: fields.required(5)?.unsigned()?,
            share: fields.required(6)?.bytes_of()?,
        };
        fields.end()?;
        request.check()?;
        Ok(request)
    }
}
