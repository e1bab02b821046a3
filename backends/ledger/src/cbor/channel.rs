//! How the values of channels are written inside other values.
//!
//! Guarantees: as [`super::decode`] wants it, one encoding of each; a state that is read passes its own check, and is
//! no longer than the longest. Does not: compare a state with its parameters.

use alloc::vec::Vec;

use minicbor::{
    Decoder, Encoder, decode::Error as Malformed, encode::Error as Unwritable, encode::Write,
};
use sluicegate_protocol::channel::{
    Address, Amount, Asset, ChannelId, ETHEREUM, FundingId, MAX_CC, Params, Participant, Signature,
    State,
};

use super::{bytes, fixed, open_array};
use crate::{Dispute, Phase, SignedState};

/// Writes parameters, as a byte string.
pub fn put_params<W: Write>(
    e: &mut Encoder<W>,
    params: &Params,
) -> Result<(), Unwritable<W::Error>> {
    let mut buffer = [0; Params::MAX_ENCODED];
    let bytes = params.encode(&mut buffer).map_err(|_| Unwritable::message("parameters"))?;
    e.bytes(bytes)?;
    Ok(())
}

/// Reads parameters.
pub fn params(d: &mut Decoder<'_>) -> Result<Params, Malformed> {
    Params::decode(d.bytes()?).map_err(|_| Malformed::message("parameters"))
}

/// Writes a state, as a byte string.
pub fn put_state<W: Write>(e: &mut Encoder<W>, state: &State) -> Result<(), Unwritable<W::Error>> {
    let mut buffer = [0; State::MAX_ENCODED];
    let bytes = state.encode(&mut buffer).map_err(|_| Unwritable::message("state"))?;
    e.bytes(bytes)?;
    Ok(())
}

/// Reads a state.
pub fn state(d: &mut Decoder<'_>) -> Result<State, Malformed> {
    State::decode(d.bytes()?).map_err(|_| Malformed::message("state"))
}

/// Writes a signed state: three items, without an array of their own.
pub fn put_signed<W: Write>(
    e: &mut Encoder<W>,
    signed: &SignedState,
) -> Result<(), Unwritable<W::Error>> {
    put_state(e, &signed.state)?;
    signed.signatures.iter().try_for_each(|signature| e.bytes(signature.as_bytes()).map(|_| ()))
}

/// Reads a signed state.
pub fn signed(d: &mut Decoder<'_>) -> Result<SignedState, Malformed> {
    Ok(SignedState { state: state(d)?, signatures: [signature(d)?, signature(d)?] })
}

/// Reads a signature that the contracts would take.
pub fn signature(d: &mut Decoder<'_>) -> Result<Signature, Malformed> {
    Signature::from_bytes(&fixed(d)?).map_err(|_| Malformed::message("signature"))
}

/// Reads a channel's identity.
pub fn channel(d: &mut Decoder<'_>) -> Result<ChannelId, Malformed> {
    fixed(d).map(ChannelId::new)
}

/// Reads what a deposit is known by.
pub fn funding(d: &mut Decoder<'_>) -> Result<FundingId, Malformed> {
    fixed(d).map(FundingId::new)
}

/// Writes an amount: as few bytes as hold it, big endian.
pub fn put_amount<W: Write>(
    e: &mut Encoder<W>,
    amount: &Amount,
) -> Result<(), Unwritable<W::Error>> {
    e.bytes(&amount.to_minimal())?;
    Ok(())
}

/// Reads an amount.
pub fn amount(d: &mut Decoder<'_>) -> Result<Amount, Malformed> {
    Amount::from_minimal(d.bytes()?).ok_or(Malformed::message("amount"))
}

/// Writes an asset: `[1, chain, holder]` or `[backend, asset]`.
pub fn put_asset<W: Write>(e: &mut Encoder<W>, asset: &Asset) -> Result<(), Unwritable<W::Error>> {
    match asset {
        Asset::Ethereum { chain_id, holder } => {
            put_amount(e.array(3)?.u32(ETHEREUM)?, chain_id)?;
            e.bytes(holder.as_bytes())?;
        }
        Asset::Other { backend, id } => {
            e.array(2)?.u32(*backend)?.bytes(id)?;
        }
    }
    Ok(())
}

/// Reads an asset.
pub fn asset(d: &mut Decoder<'_>) -> Result<Asset, Malformed> {
    match (open_array(d)?, d.u32()?) {
        (3, ETHEREUM) => Ok(Asset::ethereum(amount(d)?, Address::new(fixed(d)?))),
        (2, backend) => Asset::other(backend, d.bytes()?).map_err(|_| Malformed::message("asset")),
        _ => Err(Malformed::message("asset")),
    }
}

/// The encoding of an asset.
pub fn asset_bytes(asset: &Asset) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing into a vector can't fail.
    let _ = put_asset(&mut Encoder::new(&mut bytes), asset);
    bytes
}

/// Writes a participant: `[address]` or `[address, backend, address there]`.
pub fn put_participant<W: Write>(
    e: &mut Encoder<W>,
    participant: &Participant,
) -> Result<(), Unwritable<W::Error>> {
    e.array(if participant.cc.is_some() { 3 } else { 1 })?;
    e.bytes(participant.address.as_bytes())?;
    if let Some(cc) = &participant.cc {
        e.u32(cc.backend)?.bytes(&cc.bytes)?;
    }
    Ok(())
}

/// Reads a participant.
pub fn participant(d: &mut Decoder<'_>) -> Result<Participant, Malformed> {
    let items = open_array(d)?;
    let address = Address::new(fixed(d)?);
    match items {
        1 => Ok(Participant::new(address)),
        3 => Participant::with_cc(address, d.u32()?, &bytes(d, MAX_CC)?)
            .map_err(|_| Malformed::message("participant")),
        _ => Err(Malformed::message("participant")),
    }
}

/// Writes a dispute.
pub fn put_dispute<W: Write>(
    e: &mut Encoder<W>,
    dispute: &Dispute,
) -> Result<(), Unwritable<W::Error>> {
    let phase = match dispute.phase {
        Phase::Dispute => 0,
        Phase::ForceExecution => 1,
        Phase::Concluded => 2,
    };
    e.array(if dispute.signed.is_some() { 9 } else { 6 })?;
    e.u64(dispute.version)?.bytes(dispute.state.as_bytes())?.u64(dispute.timeout)?;
    e.u64(dispute.challenge_duration)?.bool(dispute.has_app)?.u8(phase)?;
    dispute.signed.as_ref().map_or(Ok(()), |signed| put_signed(e, signed))
}

/// Reads a dispute.
pub fn dispute(d: &mut Decoder<'_>) -> Result<Dispute, Malformed> {
    let items = open_array(d)?;
    let (version, hash, timeout) = (d.u64()?, fixed(d)?, d.u64()?);
    let (challenge_duration, has_app) = (d.u64()?, d.bool()?);
    let phase = match d.u8()? {
        0 => Phase::Dispute,
        1 => Phase::ForceExecution,
        2 => Phase::Concluded,
        _ => return Err(Malformed::message("unknown phase")),
    };
    let signed = match items {
        6 => None,
        9 => Some(alloc::sync::Arc::new(signed(d)?)),
        _ => return Err(Malformed::message("dispute")),
    };
    let state = sluicegate_protocol::channel::StateHash::new(hash);
    Ok(Dispute { version, state, timeout, challenge_duration, has_app, phase, signed })
}

/// Reads an array of at most `limit` items.
pub fn few<T>(
    d: &mut Decoder<'_>,
    limit: usize,
    read: impl Fn(&mut Decoder<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = open_array(d)?;
    if count > limit as u64 {
        return Err(Malformed::message("more than fits"));
    }
    (0..count).map(|_| read(d)).collect()
}
