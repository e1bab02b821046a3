//! What the device answers to a request: signatures, or why not.
//!
//! Guarantees: what [`Signatures::of`] makes, [`Signatures::verify`] takes, and nothing else that the contracts would
//! not take. Does not: decide; see [`Refusal`] for why a device may not want to.

use heapless::Vec;

use super::{Message, Reader, Refusal, Writer};
use crate::{
    Error,
    channel::{
        Address, Amount, ChannelId, MAX_ASSETS, Participant, Signature, SigningKey, State,
        WithdrawalAuth,
        record::{TOO_MANY, read_all},
    },
};

const NO_ASSET: Error = Error::Record("there is no asset");
const OTHER_ASSETS: Error = Error::Record("the authorisations are not those of the balances");

/// What a device posts to `/channels/<id>/signatures`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignAnswer {
    /// The number of the request.
    pub number: u64,
    /// The signatures, or why there are none.
    pub outcome: Result<Signatures, Refusal>,
}

/// All that a participant signs with a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// The signature of the state.
    pub state: Signature,
    /// For each asset the authorisation to withdraw its balance; none where that is nothing.
    pub withdrawals: Vec<Option<Signature>, MAX_ASSETS>,
}

impl Signatures {
    /// Signs a state as this participant, whose place is `own`, and the withdrawals of its balances to `receiver`.
    pub fn of(
        key: &SigningKey,
        state: &State,
        participant: &Participant,
        own: usize,
        receiver: &Address,
    ) -> Result<Self, Error> {
        let mut withdrawals = Vec::new();
        for amount in owned(state, own) {
            let to_sign = authorisation(&state.channel, participant, receiver, amount);
            let signature = to_sign.map(|it| key.sign_withdrawal(&it)).transpose()?;
            withdrawals.push(signature).map_err(|_| TOO_MANY)?;
        }
        Ok(Self { state: key.sign_state(state)?, withdrawals })
    }

    /// Whether this participant, whose place is `own`, signed the state and exactly these withdrawals to `receiver`.
    pub fn verify(
        &self,
        state: &State,
        participant: &Participant,
        own: usize,
        receiver: &Address,
    ) -> Result<(), Error> {
        self.state.verify_state(state, &participant.address)?;
        if self.withdrawals.len() != state.outcome.balances.len() {
            return Err(OTHER_ASSETS);
        }
        for (signature, amount) in self.withdrawals.iter().zip(owned(state, own)) {
            match (signature, authorisation(&state.channel, participant, receiver, amount)) {
                (Some(signature), Some(signed)) => signature.verify_withdrawal(&signed)?,
                (None, None) => {}
                _ => return Err(OTHER_ASSETS),
            }
        }
        Ok(())
    }
}

/// The balances of the participant with this place.
fn owned(state: &State, own: usize) -> impl Iterator<Item = Amount> {
    state.outcome.balances.iter().map(move |row| row.get(own).copied().unwrap_or_default())
}

/// What is signed to withdraw a balance; nothing if that is nothing.
fn authorisation(
    channel: &ChannelId,
    participant: &Participant,
    receiver: &Address,
    amount: Amount,
) -> Option<WithdrawalAuth> {
    let (participant, receiver) = (participant.clone(), *receiver);
    let authorisation = WithdrawalAuth { channel: *channel, participant, receiver, amount };
    (!amount.is_zero()).then_some(authorisation)
}

impl Message for SignAnswer {
    fn write(&self, writer: &mut Writer<'_>) -> Result<(), Error> {
        writer.map(if self.outcome.is_ok() { 3 } else { 2 });
        writer.unsigned(1);
        writer.unsigned(self.number);
        match &self.outcome {
            Ok(Signatures { state, withdrawals }) => {
                if withdrawals.is_empty() {
                    return Err(NO_ASSET);
                }
                writer.unsigned(2);
                writer.bytes(state.as_bytes());
                writer.unsigned(3);
                writer.array(withdrawals.len());
                for signature in withdrawals {
                    writer.bytes(signature.as_ref().map_or(&[], |it| it.as_bytes()));
                }
            }
            Err(refusal) => {
                writer.unsigned(4);
                refusal.write(writer);
            }
        }
        Ok(())
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let number = fields.required(1)?.unsigned()?;
        let outcome = match fields.optional(2)? {
            Some(state) => {
                let state = Signature::from_bytes(&state.bytes_of()?)?;
                let withdrawals = read_all(fields.required(3)?, read_withdrawal)?;
                Ok(Signatures { state, withdrawals })
            }
            None => Err(Refusal::read(fields.required(4)?)?),
        };
        fields.end()?;
        Ok(Self { number, outcome })
    }
}

fn read_withdrawal(reader: &mut Reader<'_>) -> Result<Option<Signature>, Error> {
    match reader.bytes()? {
        [] => Ok(None),
        bytes => {
            let wrong = Error::Record("a byte string has another length");
            Signature::from_bytes(bytes.try_into().map_err(|_| wrong)?).map(Some)
        }
    }
}
