//! How values of the port are written inside messages.

use minicbor::{Decoder, Encoder, decode, encode, encode::Write};
use sluicegate_ledger::{
    AccountId, AnchorRecord, BlockRef, Error, Landed, Status, TransactionId, cbor,
};

/// Longest text of an error.
pub(super) const MAX_TEXT: usize = 512;
/// Longest account name and cursor.
pub(super) const MAX_SHORT: usize = 64;

pub(super) fn put_block<W: Write>(
    e: &mut Encoder<W>,
    block: &BlockRef,
) -> Result<(), encode::Error<W::Error>> {
    e.array(2)?.u64(block.number)?.bytes(block.hash.as_bytes())?;
    Ok(())
}

pub(super) fn block(d: &mut Decoder<'_>) -> Result<BlockRef, decode::Error> {
    cbor::array(d, 2)?;
    Ok(BlockRef { number: d.u64()?, hash: cbor::digest(d)? })
}

pub(super) fn put_status<W: Write>(
    e: &mut Encoder<W>,
    status: &Status,
) -> Result<(), encode::Error<W::Error>> {
    let (kind, block) = match status {
        Status::Unknown => (0, None),
        Status::Pending => (1, None),
        Status::Included { block } => (2, Some(block)),
        Status::Final { block } => (3, Some(block)),
        Status::Failed { block, is_final: false } => (4, Some(block)),
        Status::Failed { block, is_final: true } => (5, Some(block)),
    };
    e.array(1 + u64::from(block.is_some()))?.u8(kind)?;
    block.map_or(Ok(()), |block| put_block(e, block))
}

pub(super) fn status(d: &mut Decoder<'_>) -> Result<Status, decode::Error> {
    Ok(match (cbor::open_array(d)?, d.u8()?) {
        (1, 0) => Status::Unknown,
        (1, 1) => Status::Pending,
        (2, 2) => Status::Included { block: block(d)? },
        (2, 3) => Status::Final { block: block(d)? },
        (2, 4) => Status::Failed { block: block(d)?, is_final: false },
        (2, 5) => Status::Failed { block: block(d)?, is_final: true },
        _ => return Err(decode::Error::message("unknown status")),
    })
}

/// The five fields of an anchor, without an array of their own.
pub(super) fn put_anchor<W: Write>(
    e: &mut Encoder<W>,
    anchor: &AnchorRecord,
) -> Result<(), encode::Error<W::Error>> {
    e.bytes(anchor.digest.as_bytes())?.bytes(&anchor.account.0)?;
    e.bytes(anchor.transaction.0.as_bytes())?;
    put_block(e, &anchor.block)?;
    e.bool(anchor.is_final)?;
    Ok(())
}

pub(super) fn anchor(d: &mut Decoder<'_>) -> Result<AnchorRecord, decode::Error> {
    let (digest, account) = (cbor::digest(d)?, AccountId(cbor::bytes(d, MAX_SHORT)?));
    let transaction = TransactionId(cbor::digest(d)?);
    Ok(AnchorRecord { digest, account, transaction, block: block(d)?, is_final: d.bool()? })
}

/// The three fields of where something was done, without an array of their own.
pub(super) fn put_landed<W: Write>(
    e: &mut Encoder<W>,
    landed: &Landed,
) -> Result<(), encode::Error<W::Error>> {
    e.bytes(landed.transaction.0.as_bytes())?;
    put_block(e, &landed.block)?;
    e.bool(landed.is_final)?;
    Ok(())
}

pub(super) fn landed(d: &mut Decoder<'_>) -> Result<Landed, decode::Error> {
    let transaction = TransactionId(cbor::digest(d)?);
    Ok(Landed { transaction, block: block(d)?, is_final: d.bool()? })
}

/// The four fields of an error: kind, two amounts, text.
pub(super) fn put_error<W: Write>(
    e: &mut Encoder<W>,
    error: &Error,
) -> Result<(), encode::Error<W::Error>> {
    let other;
    let (kind, first, second, text) = match error {
        Error::CursorUnknown => (0, 0, 0, ""),
        Error::FeeTooLow { needed } => (1, *needed, 0, ""),
        Error::Malformed(_) => (2, 0, 0, ""),
        Error::NonceUsed { next } => (3, u128::from(*next), 0, ""),
        Error::NotFinal => (4, 0, 0, ""),
        Error::NotFound => (5, 0, 0, ""),
        Error::Rejected(text) => (6, 0, 0, text.as_str()),
        Error::ResultUnknown(text) => (7, 0, 0, text.as_str()),
        Error::Unavailable(text) => (8, 0, 0, text.as_str()),
        Error::Unfunded { needed, balance } => (9, *needed, *balance, ""),
        error => {
            other = error.to_string();
            (8, 0, 0, other.as_str())
        }
    };
    e.u8(kind)?;
    cbor::put_amount(e, first)?;
    cbor::put_amount(e, second)?;
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|at| *at <= MAX_TEXT);
    e.str(&text[..end.last().unwrap_or(0)])?;
    Ok(())
}

pub(super) fn error(d: &mut Decoder<'_>) -> Result<Error, decode::Error> {
    let kind = d.u8()?;
    let (first, second) = (cbor::amount(d)?, cbor::amount(d)?);
    let text = cbor::text(d, MAX_TEXT)?;
    Ok(match kind {
        0 => Error::CursorUnknown,
        1 => Error::FeeTooLow { needed: first },
        2 => Error::Malformed("question"),
        3 => Error::NonceUsed { next: u64::try_from(first).map_err(decode::Error::message)? },
        4 => Error::NotFinal,
        5 => Error::NotFound,
        6 => Error::Rejected(text),
        7 => Error::ResultUnknown(text),
        8 => Error::Unavailable(text),
        9 => Error::Unfunded { needed: first, balance: second },
        _ => return Err(decode::Error::message("unknown error")),
    })
}
