//! Deterministic CBOR (RFC 8949 §4.2.1), the little of it that channels need: unsigned integers, byte strings, texts,
//! booleans, arrays, and maps with small integer keys in rising order.
//!
//! Guarantees: the reader takes only what the writer writes; every other form of a value is an error, and nothing
//! panics. Does not: read tags, floats or negative numbers, or skip what it does not know.

use super::abi::Sink;
use crate::Error;

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const FALSE: u8 = 0xf4;
const TRUE: u8 = 0xf5;

const CUT: Error = Error::Record("it ends too early");
const KIND: Error = Error::Record("an item is of another kind");
const TOO_LARGE: Error = Error::Record("a number is too large");

/// Writes items into a sink.
pub struct Writer<'a>(
    /// Where they go.
    pub &'a mut dyn Sink,
);

impl Writer<'_> {
    /// An unsigned integer.
    pub fn unsigned(&mut self, number: u64) {
        self.head(UNSIGNED, number);
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.put(bytes);
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.put(text.as_bytes());
    }

    /// A boolean.
    pub fn boolean(&mut self, value: bool) {
        self.0.put(&[if value { TRUE } else { FALSE }]);
    }

    /// The head of an array; its items follow.
    pub fn array(&mut self, items: usize) {
        self.head(ARRAY, items as u64);
    }

    /// The head of a map; for each field the key follows, see [`Writer::unsigned`], and its value.
    pub fn map(&mut self, fields: usize) {
        self.head(MAP, fields as u64);
    }

    /// The first byte of an item and its argument, as short as it can be.
    fn head(&mut self, major: u8, argument: u64) {
        let bytes = argument.to_be_bytes();
        let (info, argument) = match argument {
            0..24 => (bytes[7], &bytes[8..]),
            24..0x100 => (24, &bytes[7..]),
            0x100..0x1_0000 => (25, &bytes[6..]),
            0x1_0000..0x1_0000_0000 => (26, &bytes[4..]),
            _ => (27, &bytes[..]),
        };
        self.0.put(&[major << 5 | info]);
        self.0.put(argument);
    }
}

/// Reads items one by one.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// An unsigned integer.
    pub fn unsigned<T: TryFrom<u64>>(&mut self) -> Result<T, Error> {
        T::try_from(self.head(UNSIGNED)?).map_err(|_| TOO_LARGE)
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = usize::try_from(self.head(BYTES)?).map_err(|_| CUT)?;
        self.take(length)
    }

    /// A byte string of exactly `N` bytes.
    pub fn bytes_of<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let wrong = Error::Record("a byte string has another length");
        self.bytes()?.try_into().map_err(|_| wrong)
    }

    /// A text.
    pub fn text(&mut self) -> Result<&'a str, Error> {
        let length = usize::try_from(self.head(TEXT)?).map_err(|_| CUT)?;
        let bytes = self.take(length)?;
        core::str::from_utf8(bytes).map_err(|_| Error::Record("a text is not UTF-8"))
    }

    /// A boolean.
    pub fn boolean(&mut self) -> Result<bool, Error> {
        match self.take(1)? {
            [FALSE] => Ok(false),
            [TRUE] => Ok(true),
            _ => Err(KIND),
        }
    }

    /// The head of an array: how many items follow.
    pub fn array(&mut self) -> Result<usize, Error> {
        usize::try_from(self.head(ARRAY)?).map_err(|_| TOO_LARGE)
    }

    /// The head of an array of exactly this many items.
    pub fn array_of(&mut self, items: usize) -> Result<(), Error> {
        if self.array()? != items {
            return Err(Error::Record("an array has another length"));
        }
        Ok(())
    }

    /// The head of a map, whose fields are then asked for in their order.
    pub fn map(&mut self) -> Result<Fields<'_, 'a>, Error> {
        let left = self.head(MAP)?;
        Ok(Fields { reader: self, left })
    }

    /// Whether nothing follows.
    pub const fn end(&self) -> Result<(), Error> {
        if self.rest.is_empty() { Ok(()) } else { Err(Error::Record("bytes behind the end")) }
    }

    /// The argument of an item of this major type in its shortest form.
    fn head(&mut self, major: u8) -> Result<u64, Error> {
        let first = self.rest.first().ok_or(CUT)?;
        if first >> 5 != major {
            return Err(KIND);
        }
        let (length, least) = match first & 31 {
            info @ 0..24 => {
                self.take(1)?;
                return Ok(info.into());
            }
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(Error::Record("an item has no definite length")),
        };
        let bytes = &self.take(1 + length)?[1..];
        let argument = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        if argument < least {
            return Err(Error::Record("a number is not in its shortest form"));
        }
        Ok(argument)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(CUT)?;
        self.rest = rest;
        Ok(bytes)
    }
}

/// The fields of an open map.
#[derive(Debug)]
pub struct Fields<'r, 'a> {
    reader: &'r mut Reader<'a>,
    left: u64,
}

impl<'a> Fields<'_, 'a> {
    /// The value of the next field, which must have this key.
    pub fn required(&mut self, key: u64) -> Result<&mut Reader<'a>, Error> {
        self.optional(key)?.ok_or(Error::Record("a field is missing or not in its place"))
    }

    /// The value of the next field, if it has this key.
    pub fn optional(&mut self, key: u64) -> Result<Option<&mut Reader<'a>>, Error> {
        let mut ahead = self.reader.clone();
        if self.left == 0 || ahead.unsigned::<u64>()? != key {
            return Ok(None);
        }
        *self.reader = ahead;
        self.left -= 1;
        Ok(Some(self.reader))
    }

    /// Whether no field is left.
    pub const fn end(self) -> Result<(), Error> {
        if self.left == 0 { Ok(()) } else { Err(Error::Record("a field is not known here")) }
    }
}
