//! How events are written inside messages: `[finality, [kind, …], transaction, block]`.

use std::sync::Arc;

use minicbor::{Decoder, Encoder, decode, encode, encode::Write};
use sluicegate_ledger::{
    AccountId, Cursor, Event, EventKind, EventPage, Finality, Movement, TransactionId, cbor,
    cbor::channel as put,
};
use sluicegate_protocol::channel::Address;

use super::values::{MAX_SHORT, block, put_block};
use crate::chain::MAX_EVENTS;

pub(super) fn put_page<W: Write>(
    e: &mut Encoder<W>,
    page: &EventPage,
) -> Result<(), encode::Error<W::Error>> {
    e.array(page.events.len() as u64)?;
    page.events.iter().try_for_each(|event| put_event(e, event))?;
    e.bytes(&page.next.0)?;
    Ok(())
}

pub(super) fn page(d: &mut Decoder<'_>) -> Result<EventPage, decode::Error> {
    let events = put::few(d, MAX_EVENTS, event)?;
    Ok(EventPage { events, next: Cursor(cbor::bytes(d, MAX_SHORT)?) })
}

fn put_event<W: Write>(e: &mut Encoder<W>, event: &Event) -> Result<(), encode::Error<W::Error>> {
    let finality = match event.finality {
        Finality::Included => 0,
        Finality::Final => 1,
        Finality::Retracted => 2,
    };
    e.array(4)?.u8(finality)?;
    put_kind(e, &event.kind)?;
    e.bytes(event.transaction.0.as_bytes())?;
    put_block(e, &event.block)
}

fn event(d: &mut Decoder<'_>) -> Result<Event, decode::Error> {
    cbor::array(d, 4)?;
    let finality = match d.u8()? {
        0 => Finality::Included,
        1 => Finality::Final,
        2 => Finality::Retracted,
        _ => return Err(decode::Error::message("unknown finality")),
    };
    let (kind, transaction) = (kind(d)?, TransactionId(cbor::digest(d)?));
    Ok(Event { kind, transaction, block: block(d)?, finality })
}

fn put_kind<W: Write>(e: &mut Encoder<W>, kind: &EventKind) -> Result<(), encode::Error<W::Error>> {
    match kind {
        EventKind::Anchored { digest, account } => {
            e.array(3)?.u8(1)?.bytes(digest.as_bytes())?.bytes(&account.0)?;
        }
        EventKind::Deposited(paid) => put_movement(e.array(4)?.u8(2)?, paid)?,
        EventKind::Registered { channel, version, timeout, signed } => {
            e.array(if signed.is_some() { 7 } else { 4 })?.u8(3)?;
            e.bytes(channel.as_bytes())?.u64(*version)?.u64(*timeout)?;
            return signed.as_ref().map_or(Ok(()), |signed| put::put_signed(e, signed));
        }
        EventKind::Progressed { channel, version, timeout } => {
            e.array(4)?.u8(4)?.bytes(channel.as_bytes())?.u64(*version)?.u64(*timeout)?;
        }
        EventKind::Concluded { channel, version } => {
            e.array(3)?.u8(5)?.bytes(channel.as_bytes())?.u64(*version)?;
        }
        EventKind::Withdrawn { paid, receiver } => {
            put_movement(e.array(5)?.u8(7)?, paid)?;
            e.bytes(receiver.as_bytes())?;
        }
    }
    Ok(())
}

fn kind(d: &mut Decoder<'_>) -> Result<EventKind, decode::Error> {
    Ok(match (cbor::open_array(d)?, d.u8()?) {
        (3, 1) => EventKind::Anchored {
            digest: cbor::digest(d)?,
            account: AccountId(cbor::bytes(d, MAX_SHORT)?),
        },
        (4, 2) => EventKind::Deposited(Box::new(movement(d)?)),
        (items @ (4 | 7), 3) => {
            let (channel, version, timeout) = (put::channel(d)?, d.u64()?, d.u64()?);
            let signed = if items == 7 { Some(Arc::new(put::signed(d)?)) } else { None };
            EventKind::Registered { channel, version, timeout, signed }
        }
        (4, 4) => EventKind::Progressed {
            channel: put::channel(d)?,
            version: d.u64()?,
            timeout: d.u64()?,
        },
        (3, 5) => EventKind::Concluded { channel: put::channel(d)?, version: d.u64()? },
        (5, 7) => EventKind::Withdrawn {
            paid: Box::new(movement(d)?),
            receiver: Address::new(cbor::fixed(d)?),
        },
        _ => return Err(decode::Error::message("unknown event")),
    })
}

/// The three fields of a movement, without an array of their own.
fn put_movement<W: Write>(
    e: &mut Encoder<W>,
    paid: &Movement,
) -> Result<(), encode::Error<W::Error>> {
    e.bytes(paid.funding.as_bytes())?;
    put::put_asset(e, &paid.asset)?;
    put::put_amount(e, &paid.amount)
}

fn movement(d: &mut Decoder<'_>) -> Result<Movement, decode::Error> {
    Ok(Movement { funding: put::funding(d)?, asset: put::asset(d)?, amount: put::amount(d)? })
}
