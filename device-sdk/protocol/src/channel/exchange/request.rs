//! The gateway asks the device to sign the next state of a channel.
//!
//! Guarantees: parameters and state can each be settled. Does not: say that they belong together, or that the state
//! may follow; the device finds out for itself.

use super::{Message, Reader, Writer, read_place, write_place};
use crate::{
    Error,
    channel::{Address, Params, State},
};

/// What is pending in a [`Summary`](super::Summary), or answers a [`PayRequest`](super::PayRequest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignRequest {
    /// The gateway's number of the request, which the answer repeats.
    pub number: u64,
    /// What the channel is; in the first request of a channel, and in none after that was answered.
    pub opening: Option<Opening>,
    /// The state to sign.
    pub state: State,
    /// Why.
    pub why: Why,
    /// Who is paid by the withdrawals that are authorised with it.
    pub receiver: Address,
}

/// What the first request of a channel has besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The parameters.
    pub params: Params,
    /// The peer's share in the nonce, if the first was the one of an [`OpenRequest`](super::OpenRequest).
    pub peer_share: Option<[u8; 32]>,
}

/// Why a state is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The channel opens: version 0.
    Open,
    /// The device pays.
    Pay,
    /// The device is paid.
    Receive,
    /// The channel closes: the last state.
    Final,
    /// Funds are locked for another channel, or freed.
    Lock,
}

impl Why {
    const ALL: [Self; 5] = [Self::Open, Self::Pay, Self::Receive, Self::Final, Self::Lock];
}

impl Message for SignRequest {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        let share = self.opening.as_ref().and_then(|opening| opening.peer_share);
        let optional = usize::from(self.opening.is_some()) + usize::from(share.is_some());
        writer.map(4 + optional);
        writer.unsigned(1);
        writer.unsigned(self.number);
        if let Some(opening) = &self.opening {
            writer.unsigned(2);
            opening.params.encode_to(writer.0)?;
        }
        if let Some(share) = share {
            writer.unsigned(3);
            writer.bytes(&share);
        }
        writer.unsigned(4);
        self.state.encode_to(writer.0)?;
        writer.unsigned(5);
        write_place(&Why::ALL, &self.why, writer);
        writer.unsigned(6);
        writer.bytes(self.receiver.as_bytes());
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let number = fields.required(1)?.unsigned()?;
        let opening = match fields.optional(2)?.map(Params::read).transpose()? {
            Some(params) => {
                let peer_share = fields.optional(3)?.map(Reader::bytes_of).transpose()?;
                Some(Opening { params, peer_share })
            }
            None => None,
        };
        let state = State::read(fields.required(4)?)?;
        let why = read_place(&Why::ALL, fields.required(5)?)?;
        let receiver = Address::new(fields.required(6)?.bytes_of()?);
        fields.end()?;
        Ok(Self { number, opening, state, why, receiver })
    }
}
