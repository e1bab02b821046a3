//! Records, and the books of keys, as the store holds them: deterministic CBOR.
//!
//! Guarantees: one encoding of a record; what is read was written by this code, down to the last byte, or is an error.
//! Records of the version before are read in theirs, and written in this one.
//! Does not: check a signature again; the store is ours.

use std::collections::VecDeque;

use minicbor::{
    Decode, Decoder, Encode, Encoder, decode::Error as Malformed, encode::Error as Unwritable,
    encode::Write,
};
use sluicegate_ledger::cbor;
use sluicegate_protocol::channel::{
    Address, Amount, ChannelId, PARTICIPANTS, Params, Signature, State,
};

use super::{
    Burned, Change, MAX_BURNED, MAX_REASON, MAX_REGISTRATIONS, OwnSignature, Pending, Record,
    Registration, SignedState, View,
};
use crate::{
    Error, Phase,
    key::{LastSigned, Spent},
};

const MAX_NAME: usize = 255;
const MAX_ROWS: u64 = 16;

/// What the store holds under a key of its own.
pub trait Stored: Sized + Encode<()> + for<'b> Decode<'b, ()> {
    /// What it is called in errors.
    const NAME: &'static str;

    /// The encoding.
    fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads the one encoding.
    fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode(Self::NAME, bytes).map_err(|_| Error::Damaged(Self::NAME))
    }
}

impl Stored for Record {
    const NAME: &'static str = "the record of a channel";

    fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let read = cbor::decode(Self::NAME, bytes).ok().or_else(|| record_of_before(bytes));
        read.ok_or(Error::Damaged(Self::NAME))
    }
}

/// A record in the one encoding of the version before.
fn record_of_before(bytes: &[u8]) -> Option<Record> {
    let record: Record = minicbor::decode(bytes).ok()?;
    let mut e = Encoder::new(Vec::new());
    put_record(&mut e, &record, put_view_of_before).ok()?;
    (e.into_writer() == bytes).then_some(record)
}

impl Stored for LastSigned {
    const NAME: &'static str = "the newest signature of a channel";
}

impl Stored for Spent {
    const NAME: &'static str = "what was spent of a limit";
}

type Written<W> = Result<(), Unwritable<<W as Write>::Error>>;

fn put_bytes<W: Write>(e: &mut Encoder<W>, bytes: &[u8]) -> Written<W> {
    e.bytes(bytes)?;
    Ok(())
}

fn put_state<W: Write>(e: &mut Encoder<W>, state: &State) -> Written<W> {
    let mut buffer = [0; State::MAX_ENCODED];
    let bytes = state.encode(&mut buffer).map_err(Unwritable::message)?;
    put_bytes(e, bytes)
}

fn state(d: &mut Decoder<'_>) -> Result<State, Malformed> {
    State::decode(d.bytes()?).map_err(Malformed::message)
}

fn put_params<W: Write>(e: &mut Encoder<W>, params: &Params) -> Written<W> {
    let mut buffer = [0; Params::MAX_ENCODED];
    let bytes = params.encode(&mut buffer).map_err(Unwritable::message)?;
    put_bytes(e, bytes)
}

fn params(d: &mut Decoder<'_>) -> Result<Params, Malformed> {
    Params::decode(d.bytes()?).map_err(Malformed::message)
}

fn signature(d: &mut Decoder<'_>) -> Result<Signature, Malformed> {
    Signature::from_bytes(&cbor::fixed(d)?).map_err(Malformed::message)
}

fn put_amount<W: Write>(e: &mut Encoder<W>, amount: Amount) -> Written<W> {
    put_bytes(e, &amount.to_minimal())
}

fn amount(d: &mut Decoder<'_>) -> Result<Amount, Malformed> {
    Amount::from_minimal(d.bytes()?).ok_or(Malformed::message("not an amount"))
}

/// Nothing is null.
fn put_option<W: Write, T>(
    e: &mut Encoder<W>,
    value: Option<&T>,
    put: impl Fn(&mut Encoder<W>, &T) -> Written<W>,
) -> Written<W> {
    match value {
        Some(value) => put(e, value),
        None => {
            e.null()?;
            Ok(())
        }
    }
}

fn option<'b, T>(
    d: &mut Decoder<'b>,
    read: impl Fn(&mut Decoder<'b>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    if d.datatype()? == minicbor::data::Type::Null {
        d.null()?;
        return Ok(None);
    }
    read(d).map(Some)
}

fn put_list<'v, W: Write, T: 'v>(
    e: &mut Encoder<W>,
    values: impl ExactSizeIterator<Item = &'v T>,
    put: impl Fn(&mut Encoder<W>, &T) -> Written<W>,
) -> Written<W> {
    e.array(values.len() as u64)?;
    for value in values {
        put(e, value)?;
    }
    Ok(())
}

fn list<'b, T>(
    d: &mut Decoder<'b>,
    limit: u64,
    read: impl Fn(&mut Decoder<'b>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let length = cbor::open_array(d)?;
    if length > limit {
        return Err(Malformed::message("a list is too long"));
    }
    (0..length).map(|_| read(d)).collect()
}

fn put_signature<W: Write>(e: &mut Encoder<W>, signature: &Signature) -> Written<W> {
    put_bytes(e, signature.as_bytes())
}

fn put_withdrawals<W: Write>(e: &mut Encoder<W>, all: &[Option<Signature>]) -> Written<W> {
    put_list(e, all.iter(), |e, one| put_option(e, one.as_ref(), put_signature))
}

fn withdrawals(d: &mut Decoder<'_>) -> Result<Vec<Option<Signature>>, Malformed> {
    list(d, MAX_ROWS, |d| option(d, signature))
}

fn put_row<W: Write>(e: &mut Encoder<W>, row: &[Amount; PARTICIPANTS]) -> Written<W> {
    put_list(e, row.iter(), |e, amount| put_amount(e, *amount))
}

fn row(d: &mut Decoder<'_>) -> Result<[Amount; PARTICIPANTS], Malformed> {
    cbor::array(d, PARTICIPANTS as u64)?;
    Ok([amount(d)?, amount(d)?])
}

fn place(d: &mut Decoder<'_>) -> Result<usize, Malformed> {
    let place = usize::from(d.u8()?);
    if place < PARTICIPANTS { Ok(place) } else { Err(Malformed::message("not a participant")) }
}

fn put_place<W: Write>(e: &mut Encoder<W>, place: usize) -> Written<W> {
    e.u8(u8::try_from(place).map_err(Unwritable::message)?)?;
    Ok(())
}

fn put_own<W: Write>(e: &mut Encoder<W>, own: &OwnSignature) -> Written<W> {
    e.array(2)?;
    put_signature(e, &own.state)?;
    put_withdrawals(e, &own.withdrawals)
}

fn own(d: &mut Decoder<'_>) -> Result<OwnSignature, Malformed> {
    cbor::array(d, 2)?;
    Ok(OwnSignature { state: signature(d)?, withdrawals: withdrawals(d)? })
}

fn put_signed<W: Write>(e: &mut Encoder<W>, signed: &SignedState) -> Written<W> {
    e.array(4)?;
    put_state(e, &signed.state)?;
    signed.signatures.iter().try_for_each(|signature| put_signature(e, signature))?;
    put_withdrawals(e, &signed.withdrawals)
}

fn signed(d: &mut Decoder<'_>) -> Result<SignedState, Malformed> {
    cbor::array(d, 4)?;
    let state = state(d)?;
    let signatures = [signature(d)?, signature(d)?];
    Ok(SignedState { state, signatures, withdrawals: withdrawals(d)? })
}

fn put_change<W: Write>(e: &mut Encoder<W>, change: &Change) -> Written<W> {
    let kind = match change {
        Change::Begin => 0,
        Change::Close => 1,
        Change::Pay { .. } => 2,
        Change::Receive => 3,
    };
    let Change::Pay { asset, amount } = change else {
        e.array(1)?.u8(kind)?;
        return Ok(());
    };
    e.array(3)?.u8(kind)?.u64(*asset as u64)?;
    put_amount(e, *amount)
}

fn change(d: &mut Decoder<'_>) -> Result<Change, Malformed> {
    let items = cbor::open_array(d)?;
    match (items, d.u8()?) {
        (1, 0) => Ok(Change::Begin),
        (1, 1) => Ok(Change::Close),
        (3, 2) => {
            let asset = usize::try_from(d.u64()?).map_err(Malformed::message)?;
            Ok(Change::Pay { asset, amount: amount(d)? })
        }
        (1, 3) => Ok(Change::Receive),
        _ => Err(Malformed::message("an unknown change")),
    }
}

fn put_pending<W: Write>(e: &mut Encoder<W>, pending: &Pending) -> Written<W> {
    e.array(5)?;
    put_state(e, &pending.state)?;
    put_place(e, pending.by)?;
    put_change(e, &pending.change)?;
    put_option(e, pending.own.as_ref(), put_own)?;
    put_option(e, pending.peer.as_ref(), put_signature)
}

fn pending(d: &mut Decoder<'_>) -> Result<Pending, Malformed> {
    cbor::array(d, 5)?;
    let (state, by, change) = (state(d)?, place(d)?, change(d)?);
    Ok(Pending { state, by, change, own: option(d, own)?, peer: option(d, signature)? })
}

fn put_burned<W: Write>(e: &mut Encoder<W>, burned: &Burned) -> Written<W> {
    e.array(2)?;
    put_state(e, &burned.state)?;
    put_own(e, &burned.own)
}

fn burned(d: &mut Decoder<'_>) -> Result<Burned, Malformed> {
    cbor::array(d, 2)?;
    Ok(Burned { state: state(d)?, own: own(d)? })
}

fn put_registration<W: Write>(e: &mut Encoder<W>, registration: &Registration) -> Written<W> {
    e.array(4)?.u64(registration.version)?;
    put_option(e, registration.hash.as_ref(), |e, hash| put_bytes(e, hash))?;
    e.u64(registration.timeout_s)?;
    put_option(e, registration.state.as_deref(), put_state)
}

fn registration(d: &mut Decoder<'_>) -> Result<Registration, Malformed> {
    cbor::array(d, 4)?;
    let (version, hash) = (d.u64()?, option(d, cbor::fixed)?);
    let (timeout_s, state) = (d.u64()?, option(d, state)?.map(Box::new));
    Ok(Registration { version, hash, timeout_s, state })
}

fn put_view<W: Write>(e: &mut Encoder<W>, view: &View) -> Written<W> {
    e.array(7)?;
    put_list(e, view.deposits.iter(), put_row)?;
    put_list(e, view.registrations.iter(), put_registration)?;
    put_option(e, view.concluded.as_ref(), put_number)?;
    put_list(e, view.withdrawn.iter(), |e, amount| put_amount(e, *amount))?;
    put_list(e, view.late.iter(), |e, amount| put_amount(e, *amount))?;
    put_option(e, view.concluded_in.as_ref(), put_number)?;
    put_list(e, view.known.iter(), put_row)
}

/// Without late deposits, and with whether we have withdrawn in place of how much.
fn put_view_of_before<W: Write>(e: &mut Encoder<W>, view: &View) -> Written<W> {
    e.array(4)?;
    put_list(e, view.deposits.iter(), put_row)?;
    put_list(e, view.registrations.iter(), put_registration)?;
    put_option(e, view.concluded.as_ref(), put_number)?;
    put_list(e, view.withdrawn.iter(), |e, amount| {
        e.bool(!amount.is_zero())?;
        Ok(())
    })
}

fn view(d: &mut Decoder<'_>) -> Result<View, Malformed> {
    let items = cbor::open_array(d)?;
    let deposits = list(d, MAX_ROWS, row)?;
    let registrations = VecDeque::from(list(d, MAX_REGISTRATIONS as u64, registration)?);
    let concluded = option(d, Decoder::u64)?;
    if items == 4 {
        let withdrawn = list(d, MAX_ROWS, withdrawn_or_not)?;
        let late = vec![Amount::ZERO; withdrawn.len()];
        let (known, concluded_in) = (vec![Default::default(); deposits.len()], None);
        return Ok(View {
            deposits,
            known,
            late,
            registrations,
            concluded,
            concluded_in,
            withdrawn,
        });
    }
    if items != 7 {
        return Err(Malformed::message("a view of another version"));
    }
    let (withdrawn, late) = (list(d, MAX_ROWS, amount)?, list(d, MAX_ROWS, amount)?);
    let (concluded_in, known) = (option(d, Decoder::u64)?, list(d, MAX_ROWS, row)?);
    Ok(View { deposits, known, late, registrations, concluded, concluded_in, withdrawn })
}

/// In views of before it stood there whether we have withdrawn, and not how much.
fn withdrawn_or_not(d: &mut Decoder<'_>) -> Result<Amount, Malformed> {
    Ok(if d.bool()? { Amount::MAX } else { Amount::ZERO })
}

fn put_number<W: Write>(e: &mut Encoder<W>, number: &u64) -> Written<W> {
    e.u64(*number)?;
    Ok(())
}

fn put_phase<W: Write>(e: &mut Encoder<W>, phase: Phase) -> Written<W> {
    let number = Phase::ALL.iter().position(|known| *known == phase).unwrap_or_default();
    e.u64(number as u64)?;
    Ok(())
}

fn phase(d: &mut Decoder<'_>) -> Result<Phase, Malformed> {
    let known = Phase::ALL.get(usize::from(d.u8()?)).copied();
    known.ok_or(Malformed::message("an unknown phase"))
}

fn put_record<W: Write>(
    e: &mut Encoder<W>,
    record: &Record,
    put_view: impl Fn(&mut Encoder<W>, &View) -> Written<W>,
) -> Written<W> {
    e.array(19)?.u8(1)?;
    put_bytes(e, record.id.as_bytes())?;
    put_phase(e, record.phase)?;
    e.str(&record.peer)?.str(&record.device)?.bool(record.sluicegate)?;
    put_place(e, record.own)?;
    put_bytes(e, record.receiver.as_bytes())?;
    put_params(e, &record.params)?;
    put_option(e, record.current.as_ref(), put_signed)?;
    put_option(e, record.pending.as_ref(), put_pending)?;
    e.u64(record.highest)?;
    put_list(e, record.burned.iter(), put_burned)?;
    put_option(e, record.payer.as_ref(), |e, place| put_place(e, *place))?;
    put_option(e, record.wish.as_ref(), put_change)?;
    put_view(e, &record.view)?;
    put_option(e, record.deadline_s.as_ref(), put_number)?;
    e.bool(record.restored)?;
    put_option(e, record.ended.as_ref(), |e, text| {
        e.str(text)?;
        Ok(())
    })
}

impl<C> Encode<C> for Record {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Written<W> {
        put_record(e, self, put_view)
    }
}

impl<'b, C> Decode<'b, C> for Record {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Malformed> {
        cbor::array(d, 19)?;
        cbor::tag(d, 1)?;
        Ok(Self {
            id: ChannelId::new(cbor::fixed(d)?),
            phase: phase(d)?,
            peer: cbor::text(d, MAX_NAME)?,
            device: cbor::text(d, MAX_NAME)?,
            sluicegate: d.bool()?,
            own: place(d)?,
            receiver: Address::new(cbor::fixed(d)?),
            params: params(d)?,
            current: option(d, signed)?,
            pending: option(d, pending)?,
            highest: d.u64()?,
            burned: list(d, MAX_BURNED as u64, burned)?,
            payer: option(d, place)?,
            wish: option(d, change)?,
            view: view(d)?,
            deadline_s: option(d, Decoder::u64)?,
            restored: d.bool()?,
            ended: option(d, |d| cbor::text(d, MAX_REASON))?,
        })
    }
}

impl<C> Encode<C> for LastSigned {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Written<W> {
        e.array(4)?.u64(self.version)?.bytes(&self.hash)?.bool(self.is_final)?;
        put_list(e, self.owned.iter(), |e, amount| put_amount(e, *amount))
    }
}

impl<'b, C> Decode<'b, C> for LastSigned {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Malformed> {
        cbor::array(d, 4)?;
        let (version, hash, is_final) = (d.u64()?, cbor::fixed(d)?, d.bool()?);
        Ok(Self { version, hash, is_final, owned: list(d, MAX_ROWS, amount)? })
    }
}

impl<C> Encode<C> for Spent {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Written<W> {
        e.array(2)?.u64(self.period)?;
        put_amount(e, self.amount)
    }
}

impl<'b, C> Decode<'b, C> for Spent {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, Malformed> {
        cbor::array(d, 2)?;
        Ok(Self { period: d.u64()?, amount: amount(d)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_of_before_is_read() {
        // No deposits, no registrations, version 3 concluded, withdrawn of the first asset and not of the second.
        let bytes = [0x84, 0x80, 0x80, 0x03, 0x82, 0xf5, 0xf4];
        let read = view(&mut Decoder::new(&bytes)).unwrap();
        assert_eq!((read.concluded, read.concluded_in), (Some(3), None));
        assert_eq!(read.withdrawn, vec![Amount::MAX, Amount::ZERO]);
        assert_eq!(read.late, vec![Amount::ZERO; 2]);
    }
}
