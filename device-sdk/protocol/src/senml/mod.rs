//! SenML packs (RFC 8428): what a device sends as one reading, in JSON and CBOR.
//!
//! Guarantees: [`Pack::parse`] accepts what RFC 8428 allows and nothing else, up to [`MAX_NAME`] and
//! bounds on what is not understood, and says which record breaks which rule; records come out
//! resolved (§4.6); numbers stay exact. No allocation, bounded nesting, work that grows with the
//! input and not faster. What [`Writer`] writes, `parse` accepts.
//! Does not: sort records by time, know units, or turn relative times into absolute ones, because
//! only the receiver knows when it received ([`Record::is_relative`]).
//!
//! Order of calls: `Pack::parse(format, bytes)?.records()` to read; [`Writer::new`], `push` a
//! [`NewRecord`] each, `finish` to write. The RFC's examples are in `tests/`.

mod cbor;
mod decimal;
mod label;
mod resolve;
#[cfg(test)]
mod tests;
mod text;
mod write;

use core::iter::FusedIterator;

pub use decimal::Decimal;
pub(crate) use decimal::Literal;
use label::{Key, Label};
use resolve::{Base, Fields};
pub use text::{Bytes, Chars, Data, Name, Text};
pub use write::{NewRecord, Writer};

use crate::{Error, json};

/// The newest version of SenML that is understood (RFC 8428 §4.4).
pub const VERSION: u8 = 10;

/// Times below this are relative to now, from it on they are seconds since 1970 (RFC 8428 §4.5.3).
pub const FIRST_ABSOLUTE: Decimal = Decimal::new(1 << 28, 0);

/// How many characters a name may have, its base name included.
pub const MAX_NAME: usize = 255;

/// How deep a value that is not understood may nest.
pub(crate) const MAX_DEPTH: u8 = 4;

/// How many fields of one record may be unknown: each is compared with the others.
const MAX_UNKNOWN: usize = 8;

/// How a pack is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/senml+cbor`.
    Cbor,
    /// `application/senml+json`.
    Json,
}

impl Format {
    /// The CoAP content format (RFC 8428 §12.3).
    pub const fn content_format(self) -> u16 {
        match self {
            Self::Cbor => 112,
            Self::Json => 110,
        }
    }

    /// The format with this CoAP content format.
    pub const fn from_content_format(number: u16) -> Option<Self> {
        match number {
            112 => Some(Self::Cbor),
            110 => Some(Self::Json),
            _ => None,
        }
    }
}

/// A pack that has been checked as a whole.
#[derive(Clone, Copy)]
pub struct Pack<'a> {
    start: Walk<'a>,
    len: usize,
    version: u8,
}

impl<'a> Pack<'a> {
    /// Checks a pack; it has at least one measurement.
    ///
    /// An error names the record, counted from 0, and the rule; its text is fit for a diagnostic
    /// payload.
    pub fn parse(format: Format, bytes: &'a [u8]) -> Result<Self, Error> {
        let reader = Reader::open(format, bytes).map_err(Error::SenmlPack)?;
        let start = Walk { reader, base: Base::default(), next: 0 };
        let (mut walk, mut len) = (start, 0_usize);
        while walk.step()?.is_some() {
            len = len.saturating_add(1);
        }
        if len == 0 {
            return Err(Error::SenmlPack("no measurement"));
        }
        Ok(Self { start, len, version: walk.base.version() })
    }

    /// The measurements in the order of the pack, resolved.
    pub fn records(&self) -> Records<'a> {
        Records { walk: self.start, left: self.len }
    }

    /// How many measurements there are: records that hold more than base fields.
    #[allow(clippy::len_without_is_empty)]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// The version of all its records.
    pub const fn version(&self) -> u8 {
        self.version
    }
}

/// One measurement with everything that applies to it (RFC 8428 §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the pack, from 0; records with base fields only are counted too.
    pub index: usize,
    /// What was measured; see §4.5.1 for its characters.
    pub name: Name<'a>,
    /// The unit of the value, as registered with IANA; the sum's is this times seconds.
    pub unit: Option<Text<'a>>,
    /// The value; if there is none, there is a sum.
    pub value: Option<Value<'a>>,
    /// The integral of the value over time.
    pub sum: Option<Decimal>,
    /// Seconds since 1970, or since about now: see [`Record::is_relative`].
    pub time: Decimal,
    /// Seconds until the next measurement at the latest.
    pub update_time: Option<Decimal>,
}

impl Record<'_> {
    /// Whether the time counts from when the pack was sent; negative is before (§4.5.3).
    pub fn is_relative(&self) -> bool {
        self.time < FIRST_ABSOLUTE
    }
}

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `vb`.
    Bool(bool),
    /// `vd`.
    Data(Data<'a>),
    /// `v`.
    Number(Decimal),
    /// `vs`.
    Text(Text<'a>),
}

/// The records of a [`Pack`].
#[derive(Clone)]
pub struct Records<'a> {
    walk: Walk<'a>,
    left: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        self.left = self.left.checked_sub(1)?;
        // The same walk has already succeeded in `Pack::parse`.
        self.walk.step().ok().flatten()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Records<'_> {}
impl FusedIterator for Records<'_> {}

/// The way through a pack: where the reader is, and the base fields in force there.
#[derive(Clone, Copy)]
struct Walk<'a> {
    reader: Reader<'a>,
    base: Base<'a>,
    /// The place of the next record.
    next: usize,
}

impl<'a> Walk<'a> {
    /// Goes to the next measurement.
    fn step(&mut self) -> Result<Option<Record<'a>>, Error> {
        while self.reader.next_record().map_err(Error::SenmlPack)? {
            let record = self.next;
            self.next = record.saturating_add(1);
            let fields = Fields::read(&mut self.reader).map_err(|fault| fault.at(record))?;
            if let Some(found) = self.base.resolve(fields, record).map_err(|f| f.at(record))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// A number that is in the grammar, or why it can't be taken.
type Number = Result<Decimal, &'static str>;

/// What stands behind a key.
#[derive(Clone, Copy)]
enum Item<'a> {
    Bool(bool),
    Bytes(&'a [u8]),
    Number(Number),
    Text(Text<'a>),
    /// Something that no field of RFC 8428 may be.
    Other,
}

/// The reader of one of the formats.
#[derive(Clone, Copy)]
enum Reader<'a> {
    Cbor(cbor::Reader<'a>),
    Json(json::Reader<'a>),
}

impl<'a> Reader<'a> {
    fn open(format: Format, bytes: &'a [u8]) -> Result<Self, &'static str> {
        match format {
            Format::Cbor => cbor::Reader::open(bytes).map(Self::Cbor),
            Format::Json => {
                json::Reader::open(bytes, '[')?.map(Self::Json).ok_or("not a JSON array")
            }
        }
    }

    fn next_record(&mut self) -> Result<bool, &'static str> {
        match self {
            Self::Cbor(reader) => reader.next_record(),
            Self::Json(reader) => reader.next_object(),
        }
    }

    fn next_field(&mut self) -> Result<Option<(Key<'a>, Item<'a>)>, &'static str> {
        match self {
            Self::Cbor(reader) => reader.next_field(),
            Self::Json(reader) => Ok(reader.next_member()?.map(from_json)),
        }
    }
}

fn from_json<'a>((label, value): (Text<'a>, json::Value<'a>)) -> (Key<'a>, Item<'a>) {
    let key = Label::from_name(label).map_or(Key::Text(label), Key::Known);
    let item = match value {
        json::Value::Bool(value) => Item::Bool(value),
        json::Value::Number(text) => {
            Item::Number(Literal::parse(text).ok_or("not a number").and_then(|n| n.decimal()))
        }
        json::Value::Other => Item::Other,
        json::Value::Text(text) => Item::Text(text),
    };
    (key, item)
}
