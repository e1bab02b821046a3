//! Protocol buffers as far as go-perun's schema needs them: varints, bytes, and fields in rising order.
//!
//! Guarantees: varints are minimal, a field that stands for its default is not there, and fields come in the order of
//! their numbers, as every common encoder writes them; so a second one of a field that is there once is an error.
//! Fields with numbers beyond the schema's are passed over: a newer peer may write them. Copies nothing.
//! Does not: know groups, or lists of numbers that aren't packed; go-perun writes neither.
//!
//! Reading is one call for each field of the schema, in order, and [`Fields::end`]. Written here and not generated:
//! a generated decoder takes every order and every duplicate, and reserves memory as it likes.

use crate::Error;

/// The types of fields on the wire.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// Bytes of the longest varint.
const MAX_VARINT: usize = 10;

/// The fields of a message that are left to read.
#[derive(Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The number of the next field, 0 behind the last.
    pub(super) fn next(&self) -> Result<u64, Error> {
        if self.0.is_empty() {
            return Ok(0);
        }
        Ok(Self(self.0).varint()? >> 3)
    }

    /// A number, 0 if the field isn't there.
    pub(super) fn number(&mut self, field: u64) -> Result<u64, Error> {
        if !self.take(field, VARINT)? {
            return Ok(0);
        }
        match self.varint()? {
            0 => Err(Error::Malformed("a field stands for its default")),
            number => Ok(number),
        }
    }

    pub(super) fn bool(&mut self, field: u64) -> Result<bool, Error> {
        match self.number(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Malformed("a truth value is neither 0 nor 1")),
        }
    }

    /// Bytes, none if the field isn't there.
    pub(super) fn bytes(&mut self, field: u64) -> Result<&'a [u8], Error> {
        match self.item(field)? {
            Some([]) => Err(Error::Malformed("a field stands for its default")),
            bytes => Ok(bytes.unwrap_or_default()),
        }
    }

    /// Exactly so many bytes.
    pub(super) fn array<const N: usize>(&mut self, field: u64) -> Result<[u8; N], Error> {
        exactly(self.bytes(field)?)
    }

    /// The fields of a message that has to be there.
    pub(super) fn message(&mut self, field: u64) -> Result<Self, Error> {
        self.item(field)?.map(Self).ok_or(Error::Malformed("a part of a message is missing"))
    }

    /// The next item of a list, `None` behind the last; an item may be empty.
    pub(super) fn item(&mut self, field: u64) -> Result<Option<&'a [u8]>, Error> {
        if !self.take(field, BYTES)? {
            return Ok(None);
        }
        self.block().map(Some)
    }

    /// The items of a list.
    pub(super) fn items<T>(
        &mut self,
        field: u64,
        mut read: impl FnMut(&'a [u8]) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        while let Some(item) = self.item(field)? {
            items.push(read(item)?);
        }
        Ok(items)
    }

    /// A packed list of numbers below 2^16.
    pub(super) fn packed(&mut self, field: u64) -> Result<Vec<u16>, Error> {
        let mut rest = Self(self.bytes(field)?);
        let mut numbers = Vec::new();
        while !rest.0.is_empty() {
            numbers.push(small(rest.varint()?)?);
        }
        Ok(numbers)
    }

    /// Passes over fields with numbers above the schema's last.
    pub(super) fn end(mut self, last: u64) -> Result<(), Error> {
        while !self.0.is_empty() {
            let tag = self.varint()?;
            if tag >> 3 <= last {
                return Err(Error::Malformed("fields are not in order"));
            }
            self.pass(tag & 7)?;
        }
        Ok(())
    }

    fn pass(&mut self, kind: u64) -> Result<(), Error> {
        match kind {
            VARINT => self.varint().map(drop),
            FIXED64 => self.split(8).map(drop),
            BYTES => self.block().map(drop),
            FIXED32 => self.split(4).map(drop),
            _ => Err(Error::Malformed("a field of a type that there is not")),
        }
    }

    /// Whether the next field is this one; a lower one should have come before, and a higher one leaves this one out.
    fn take(&mut self, field: u64, kind: u64) -> Result<bool, Error> {
        let next = self.next()?;
        if next != field {
            return if next == 0 || next > field { Ok(false) } else { Err(DISORDER) };
        }
        if self.varint()? & 7 != kind {
            return Err(Error::Malformed("a field of another type"));
        }
        Ok(true)
    }

    fn block(&mut self) -> Result<&'a [u8], Error> {
        let length = self.varint()?;
        self.split(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn split(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let split = self.0.split_at_checked(length);
        let (bytes, rest) = split.ok_or(Error::Malformed("a field is longer than its message"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn varint(&mut self) -> Result<u64, Error> {
        let mut number = 0_u64;
        for (place, byte) in self.0.iter().take(MAX_VARINT).enumerate() {
            let bits = u64::from(byte & 0x7f);
            number |= bits << (7 * place);
            if byte & 0x80 == 0 {
                let minimal = place == 0 || bits != 0;
                let fits = place < MAX_VARINT - 1 || bits <= 1;
                self.0 = &self.0[place + 1..];
                return if minimal && fits { Ok(number) } else { Err(VARINT_FORM) };
            }
        }
        Err(VARINT_FORM)
    }
}

const DISORDER: Error = Error::Malformed("fields are not in order");
const VARINT_FORM: Error = Error::Malformed("a number is not in its one encoding");

/// Bytes of a length that is fixed.
pub(super) fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Malformed("a field has not the length that it must have"))
}

/// A number of 16 bits.
pub(super) fn small(number: u64) -> Result<u16, Error> {
    u16::try_from(number).map_err(|_| Error::Malformed("a number is above 65,535"))
}

/// A message that is being written.
#[derive(Debug, Default)]
pub(super) struct Writer(pub(super) Vec<u8>);

impl Writer {
    /// A number, unless it is 0.
    pub(super) fn number(&mut self, field: u64, number: u64) {
        if number != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(number);
        }
    }

    /// Bytes, unless there are none.
    pub(super) fn bytes(&mut self, field: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.item(field, bytes);
        }
    }

    /// An item of a list, even if it is empty.
    pub(super) fn item(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message, even if it is empty.
    pub(super) fn message(&mut self, field: u64, fields: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        fields(&mut inner);
        self.item(field, &inner.0);
    }

    /// The same of a message that may have no encoding.
    pub(super) fn try_message(
        &mut self,
        field: u64,
        fields: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut inner = Self::default();
        fields(&mut inner)?;
        self.item(field, &inner.0);
        Ok(())
    }

    /// A packed list of numbers.
    pub(super) fn packed(&mut self, field: u64, numbers: &[u16]) {
        let mut inner = Self::default();
        numbers.iter().for_each(|number| inner.varint(u64::from(*number)));
        self.bytes(field, &inner.0);
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.0.push(number.to_le_bytes()[0]);
    }
}
