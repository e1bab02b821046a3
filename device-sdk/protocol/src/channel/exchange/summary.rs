//! What a device sees of its channels: which there are, and how each of them stands.
//!
//! Guarantees: a request in a summary is one of its channel. Does not: prove anything; the balances are the gateway's
//! word, the device's own books are what it signs by.

use heapless::Vec;

use super::{Message, Reader, SignRequest, Writer, read_place, write_place};
use crate::{
    Error,
    channel::{
        Amount, ChannelId, MAX_ASSETS, PARTICIPANTS, Rule,
        record::{SPELLED_OUT, read_all, read_amount, write_amount},
    },
};

/// Channels in one list.
pub const MAX_LISTED: usize = 30;

/// What a gateway answers to `GET /channels`: those that are not over, the newest first, then those whose end the device
/// has not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Channels(
    /// Their ids; each has a resource of its own below.
    pub Vec<ChannelId, MAX_LISTED>,
);

/// What a gateway answers to `GET /channels/<id>`, and again whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The channel.
    pub id: ChannelId,
    /// The newest state that both have signed; none while version 0 is being signed.
    pub current: Option<Current>,
    /// Where the channel is in its life.
    pub phase: Phase,
    /// What waits for the device's signature.
    pub pending: Option<SignRequest>,
}

/// The newest state that both have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Its version.
    pub version: u64,
    /// For each asset what the device has, and what its peer has.
    pub balances: Vec<[Amount; PARTICIPANTS], MAX_ASSETS>,
}

/// Where a channel is in its life, once it has an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Version 0 is being signed.
    Exchanging,
    /// Deposits are under way.
    Funding,
    /// Payments are possible.
    Open,
    /// An update of the device is under way.
    Proposed,
    /// An update of the peer is under way.
    Asked,
    /// A final state is signed by both; its conclusion is under way.
    Final,
    /// A state is registered on the ledger; nothing more is signed.
    Disputed,
    /// The outcome is fixed; withdrawals are under way.
    Concluded,
    /// What was the device's is withdrawn.
    Withdrawn,
    /// Ended before the device's deposit.
    Abandoned,
}

impl Phase {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Exchanging,
        Self::Funding,
        Self::Open,
        Self::Proposed,
        Self::Asked,
        Self::Final,
        Self::Disputed,
        Self::Concluded,
        Self::Withdrawn,
        Self::Abandoned,
    ];

    /// Its name, as people read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exchanging => "exchanging",
            Self::Funding => "funding",
            Self::Open => "open",
            Self::Proposed => "proposed",
            Self::Asked => "asked",
            Self::Final => "final",
            Self::Disputed => "disputed",
            Self::Concluded => "concluded",
            Self::Withdrawn => "withdrawn",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether nothing will change any more.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Abandoned)
    }
}

impl Message for Channels {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.map(usize::from(!self.0.is_empty()));
        if !self.0.is_empty() {
            writer.unsigned(1);
            writer.array(self.0.len());
            self.0.iter().for_each(|id| writer.bytes(id.as_bytes()));
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let id = |reader: &mut Reader<'_>| reader.bytes_of().map(ChannelId::new);
        let ids = fields.optional(1)?.map(|list| read_all(list, id)).transpose()?;
        fields.end()?;
        Ok(Self(ids.unwrap_or_default()))
    }
}

impl Summary {
    fn check(&self) -> Result<(), Error> {
        match &self.pending {
            Some(request) if request.state.channel != self.id => Err(Rule::OtherChannel.into()),
            _ => Ok(()),
        }
    }
}

impl Message for Summary {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        self.check()?;
        let optional = 2 * usize::from(self.current.is_some());
        writer.map(2 + optional + usize::from(self.pending.is_some()));
        writer.unsigned(1);
        writer.bytes(self.id.as_bytes());
        if let Some(current) = &self.current {
            current.write(writer)?;
        }
        writer.unsigned(4);
        write_place(&Phase::ALL, &self.phase, writer);
        if let Some(request) = &self.pending {
            writer.unsigned(5);
            request.write(writer)?;
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let id = ChannelId::new(fields.required(1)?.bytes_of()?);
        let current = match fields.optional(2)?.map(Reader::unsigned).transpose()? {
            Some(version) => {
                let balances = read_all(fields.required(3)?, read_balances)?;
                Some(Current { version, balances })
            }
            None => None,
        };
        let phase = read_place(&Phase::ALL, fields.required(4)?)?;
        let pending = fields.optional(5)?.map(SignRequest::read).transpose()?;
        fields.end()?;
        let summary = Self { id, current, phase, pending };
        summary.check()?;
        Ok(summary)
    }
}

impl Current {
    /// The two fields of a summary.
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        if self.balances.is_empty() {
            return Err(SPELLED_OUT);
        }
        writer.unsigned(2);
        writer.unsigned(self.version);
        writer.unsigned(3);
        writer.array(self.balances.len());
        for row in &self.balances {
            writer.array(PARTICIPANTS);
            row.iter().for_each(|amount| write_amount(amount, writer));
        }
        Ok(())
    }
}

fn read_balances(reader: &mut Reader<'_>) -> Result<[Amount; PARTICIPANTS], Error> {
    reader.array_of(PARTICIPANTS)?;
    Ok([read_amount(reader)?, read_amount(reader)?])
}
