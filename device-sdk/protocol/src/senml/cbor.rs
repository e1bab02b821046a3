//! SenML CBOR (RFC 8428 §6) as a stream of keys and values, well-formed RFC 8949.
//!
//! Guarantees: everything is checked, also what is not understood; nesting and work are bounded.
//! Does not: know what a field means; take indefinite lengths for the pack, strings or octets.
//!
//! A reader of heads and a writer of heads, and no library: decimal fractions and half-precision
//! floats have to be read from their bits, and without a heap `minicbor` does not skip everything.

use super::{
    Item, MAX_DEPTH, Number,
    decimal::Decimal,
    label::{Key, Label},
    text::Text,
};

const CUT: &str = "the pack ends too early";
const NOT_WELL_FORMED: &str = "not well-formed CBOR";
const INDEFINITE: &str = "a string or the pack has no definite length";

/// Where the reader is in the bytes of a pack.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    /// Records that the array still holds.
    records: u64,
    /// Fields that the open record still holds; `None` if it ends with a break.
    fields: Option<u64>,
}

/// The first byte of an item and its argument (RFC 8949 §3).
struct Head {
    major: u8,
    info: u8,
    argument: u64,
}

const BREAK: u8 = 0xff;
const INDEFINITE_INFO: u8 = 31;

impl<'a> Reader<'a> {
    /// Goes to the first record.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let mut reader = Self { rest: bytes, records: 0, fields: Some(0) };
        match reader.head()? {
            Head { major: 4, info: INDEFINITE_INFO, .. } => Err(INDEFINITE),
            Head { major: 4, argument, .. } => Ok(Self { records: argument, ..reader }),
            _ => Err("not a CBOR array"),
        }
    }

    /// Goes into the next record; `false` at the end of the pack.
    pub(super) fn next_record(&mut self) -> Result<bool, &'static str> {
        let Some(records) = self.records.checked_sub(1) else {
            return if self.rest.is_empty() { Ok(false) } else { Err("bytes behind the pack") };
        };
        self.records = records;
        let Head { major: 5, info, argument } = self.head()? else {
            return Err("a record is not a CBOR map");
        };
        self.fields = (info != INDEFINITE_INFO).then_some(argument);
        Ok(true)
    }

    /// Reads the next field; `None` at the end of the record.
    pub(super) fn next_field(&mut self) -> Result<Option<(Key<'a>, Item<'a>)>, &'static str> {
        if self.fields == Some(0) || self.fields.is_none() && self.take_break() {
            return Ok(None);
        }
        self.fields = self.fields.map(|fields| fields - 1);
        let key = match self.head()? {
            Head { major: 0, argument, .. } => Key::Number(argument.into()),
            Head { major: 1, argument, .. } => Key::Number(-1 - i128::from(argument)),
            Head { major: 3, info, argument } => Key::Text(self.text(info, argument)?),
            _ => return Err("a label is neither an integer nor a text"),
        };
        let key = match key {
            Key::Number(number) => Label::from_number(number).map_or(key, Key::Known),
            // §6: "any extensions will use string map keys", the known ones integers.
            Key::Text(text) if Label::from_name(text).is_some() => {
                return Err("a label of RFC 8428 is not an integer");
            }
            key => key,
        };
        let major = self.rest.first().map_or(0, |first| first >> 5);
        let item = match (key, self.value(0)?) {
            // §6: octets are octets, and the version is an unsigned integer.
            (Key::Known(Label::DataValue), Item::Text(_)) => Item::Other,
            (Key::Known(Label::BaseVersion), _) if major != 0 => Item::Other,
            (_, item) => item,
        };
        Ok(Some((key, item)))
    }

    fn value(&mut self, depth: u8) -> Result<Item<'a>, &'static str> {
        let head = self.head()?;
        match (head.major, head.info) {
            (0, _) => Ok(Item::Number(Decimal::from_wide(head.argument.into(), 0))),
            (1, _) => Ok(Item::Number(Decimal::from_wide(-1 - i128::from(head.argument), 0))),
            (2, info) => Ok(Item::Bytes(self.bytes(info, head.argument)?)),
            (3, info) => Ok(Item::Text(self.text(info, head.argument)?)),
            (7, _) => simple(&head),
            _ if depth >= MAX_DEPTH => Err("a value is nested too deep"),
            (6, _) if head.argument == 4 => self.decimal_fraction(depth + 1),
            (6, _) => self.value(depth + 1).map(|_| Item::Other),
            (major, info) => self.container(major, info, head.argument, depth + 1),
        }
    }

    /// Exponent and mantissa behind tag 4 (RFC 8949 §3.4.4).
    fn decimal_fraction(&mut self, depth: u8) -> Result<Item<'a>, &'static str> {
        let Head { major: 4, argument: 2, .. } = self.head()? else {
            return Err("a decimal fraction is not an array of two");
        };
        let exponent = self.integer(depth)?;
        let mantissa = self.integer(depth)?;
        Ok(Item::Number(mantissa.and_then(|mantissa| {
            let exponent = i32::try_from(exponent?).map_err(|_| "the exponent is out of range")?;
            Decimal::from_wide(mantissa, exponent)
        })))
    }

    /// A part of a decimal fraction; an error of its own if it is one that can't be understood.
    #[allow(clippy::type_complexity)]
    fn integer(&mut self, depth: u8) -> Result<Result<i128, &'static str>, &'static str> {
        let mut ahead = *self;
        match ahead.head()? {
            Head { major: 0, argument, .. } => {
                *self = ahead;
                Ok(Ok(argument.into()))
            }
            Head { major: 1, argument, .. } => {
                *self = ahead;
                Ok(Ok(-1 - i128::from(argument)))
            }
            _ => self.value(depth).map(|_| Err("a decimal fraction of other than two integers")),
        }
    }

    /// Passes an array or map of a field that is not understood.
    fn container(
        &mut self,
        major: u8,
        info: u8,
        length: u64,
        depth: u8,
    ) -> Result<Item<'a>, &'static str> {
        let mut left = (info != INDEFINITE_INFO).then_some(length);
        while left != Some(0) {
            if left.is_none() && self.take_break() {
                break;
            }
            self.value(depth)?;
            if major == 5 {
                self.value(depth)?;
            }
            left = left.map(|left| left - 1);
        }
        Ok(Item::Other)
    }

    fn text(&mut self, info: u8, length: u64) -> Result<Text<'a>, &'static str> {
        let bytes = self.bytes(info, length)?;
        core::str::from_utf8(bytes).map(Text::plain).map_err(|_| "a text is not UTF-8")
    }

    fn bytes(&mut self, info: u8, length: u64) -> Result<&'a [u8], &'static str> {
        if info == INDEFINITE_INFO {
            return Err(INDEFINITE);
        }
        let length = usize::try_from(length).map_err(|_| CUT)?;
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(CUT)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn head(&mut self) -> Result<Head, &'static str> {
        let (first, rest) = self.rest.split_first().ok_or(CUT)?;
        let (major, info) = (first >> 5, first & 31);
        let length = match info {
            0..24 => 0,
            24..28 => 1 << (info - 24),
            // Only arrays, maps and strings have indefinite lengths.
            INDEFINITE_INFO if (2..=5).contains(&major) => 0,
            _ => return Err(NOT_WELL_FORMED),
        };
        let (argument, rest) = rest.split_at_checked(length).ok_or(CUT)?;
        self.rest = rest;
        let wide = argument.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Ok(Head { major, info, argument: if length == 0 { info.into() } else { wide } })
    }

    fn take_break(&mut self) -> bool {
        let rest = self.rest.strip_prefix(&[BREAK]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}

/// Floats and simple values (RFC 8949 §3.3).
fn simple<'a>(head: &Head) -> Result<Item<'a>, &'static str> {
    let number: Number = match (head.info, head.argument) {
        (20, _) => return Ok(Item::Bool(false)),
        (21, _) => return Ok(Item::Bool(true)),
        (25, bits) => Decimal::from_half(u16::try_from(bits).map_err(|_| NOT_WELL_FORMED)?),
        (26, bits) => Decimal::from_single(u32::try_from(bits).map_err(|_| NOT_WELL_FORMED)?),
        (27, bits) => Decimal::from_double(bits),
        (24, 0..32) => return Err(NOT_WELL_FORMED),
        _ => return Ok(Item::Other),
    };
    Ok(Item::Number(number))
}
