//! The books as the storage holds them: deterministic CBOR, and a checksum behind it.
//!
//! ```text
//! record = {0: format, 1: counter, 2: channel, 3: own place, 4: address, ? 5: [backend, address there], 6: version,
//!           7: hash, 8: final, 9: receiver, 10: frame of assets, 11: frame of locked funds,
//!           12: [+ [owned, total, spent]]} ‖ the first 8 bytes of the SHA-256 hash of that
//! ```
//!
//! Guarantees: a record that is torn, cut or of another format is not read. Does not: notice a slot that holds an
//! older record again; the storage does not do that.

use sluicegate_protocol::{
    channel::{
        Address, Amount, CcAddress, ChannelId, MAX_ASSETS, PARTICIPANTS, Participant,
        abi::Buffer,
        cbor::{Reader, Writer},
    },
    sha256,
};

use super::book::{Book, Row};
use crate::{Bytes, Error};

/// Bytes of the longest record.
pub const MAX_RECORD: usize = 770;

/// The only format there is.
const FORMAT: u64 = 1;

const CHECKSUM: usize = 8;

const FORM: Error = Error::Record("it is not of the form that is written");

pub(super) fn write(counter: u64, book: &Book) -> Result<Bytes<MAX_RECORD>, Error> {
    let mut record = Bytes::EMPTY;
    let mut buffer = Buffer::new(record.room());
    write_book(counter, book, &mut Writer(&mut buffer));
    let length = buffer.finish()?.len();
    record.set_len(length);
    let checksum = checksum(record.as_slice());
    record.push(&checksum)?;
    Ok(record)
}

fn write_book(counter: u64, book: &Book, writer: &mut Writer<'_>) {
    let Participant { address, cc } = &book.participant;
    writer.map(12 + usize::from(cc.is_some()));
    let numbers = [(0, FORMAT), (1, counter)];
    numbers.into_iter().for_each(|(key, number)| field(writer, key).unsigned(number));
    field(writer, 2).bytes(book.channel.as_bytes());
    field(writer, 3).unsigned(book.own.into());
    field(writer, 4).bytes(address.as_bytes());
    if let Some(CcAddress { backend, bytes }) = cc {
        field(writer, 5).array(2);
        writer.unsigned((*backend).into());
        writer.bytes(bytes);
    }
    field(writer, 6).unsigned(book.version);
    field(writer, 7).bytes(&book.hash);
    field(writer, 8).boolean(book.is_final);
    field(writer, 9).bytes(book.receiver.as_bytes());
    field(writer, 10).bytes(&book.assets);
    field(writer, 11).bytes(&book.locked);
    field(writer, 12).array(book.rows.iter().flatten().count());
    for Row { owned, total, spent } in book.rows.iter().flatten() {
        writer.array(3);
        [owned, total, spent].into_iter().for_each(|it| writer.bytes(&it.to_minimal()));
    }
}

fn field<'w, 's>(writer: &'w mut Writer<'s>, key: u64) -> &'w mut Writer<'s> {
    writer.unsigned(key);
    writer
}

/// The counter and the books in a slot.
pub(super) fn read(record: &[u8]) -> Result<(u64, Book), Error> {
    let split = record.len().checked_sub(CHECKSUM).and_then(|at| record.split_at_checked(at));
    let (book, found) = split.ok_or(Error::Record("it is empty or cut"))?;
    if found != checksum(book) {
        return Err(Error::Record("it is torn"));
    }
    let mut reader = Reader::new(book);
    let read = read_book(&mut reader).map_err(|_| FORM)?;
    reader.end().map_err(|_| FORM)?;
    Ok(read)
}

fn read_book(reader: &mut Reader<'_>) -> Result<(u64, Book), Error> {
    let mut fields = reader.map()?;
    if fields.required(0)?.unsigned::<u64>()? != FORMAT {
        return Err(FORM);
    }
    let counter = fields.required(1)?.unsigned()?;
    let channel = ChannelId::new(fields.required(2)?.bytes_of()?);
    let own = fields.required(3)?.unsigned()?;
    if usize::from(own) >= PARTICIPANTS {
        return Err(FORM);
    }
    let address = Address::new(fields.required(4)?.bytes_of()?);
    let participant = match fields.optional(5)? {
        Some(cc) => {
            cc.array_of(2)?;
            Participant::with_cc(address, cc.unsigned()?, cc.bytes()?)?
        }
        None => Participant::new(address),
    };
    let book = Book {
        channel,
        own,
        participant,
        version: fields.required(6)?.unsigned()?,
        hash: fields.required(7)?.bytes_of()?,
        is_final: fields.required(8)?.boolean()?,
        receiver: Address::new(fields.required(9)?.bytes_of()?),
        assets: fields.required(10)?.bytes_of()?,
        locked: fields.required(11)?.bytes_of()?,
        rows: read_rows(fields.required(12)?)?,
    };
    fields.end()?;
    Ok((counter, book))
}

fn read_rows(reader: &mut Reader<'_>) -> Result<[Option<Row>; MAX_ASSETS], Error> {
    let count = reader.array()?;
    if count > MAX_ASSETS {
        return Err(FORM);
    }
    let mut rows = [None; MAX_ASSETS];
    for row in rows.iter_mut().take(count) {
        reader.array_of(3)?;
        let (owned, total) = (amount(reader)?, amount(reader)?);
        *row = Some(Row { owned, total, spent: amount(reader)? });
    }
    Ok(rows)
}

fn amount(reader: &mut Reader<'_>) -> Result<Amount, Error> {
    Amount::from_minimal(reader.bytes()?).ok_or(FORM)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut checksum = [0; CHECKSUM];
    let digest = sha256(&[bytes]);
    checksum.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
    checksum
}
