//! Writing packs, for devices.
//!
//! Guarantees: the same records give the same bytes, in CBOR with the keys in the order of RFC 8949
//! §4.2.1; numbers are integers or decimal fractions, so nothing is rounded; a record that is refused
//! leaves the pack as it was, so a device can send what fits and go on with a new pack.
//! Does not: allocate, or write versions and labels that RFC 8428 does not define.

use core::fmt::{self, Write};

use base64ct::{Base64UrlUnpadded, Encoding};

use super::{Format, decimal::Decimal, label::Label, text::check_name};
use crate::Error;

/// A record to be written: what is not set is left out.
///
/// `NewRecord::new().name("voltage").unit("V").number(Decimal::new(1201, -1))`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NewRecord<'a> {
    base_name: Option<&'a str>,
    base_sum: Option<Decimal>,
    base_time: Option<Decimal>,
    base_unit: Option<&'a str>,
    base_value: Option<Decimal>,
    name: Option<&'a str>,
    sum: Option<Decimal>,
    time: Option<Decimal>,
    unit: Option<&'a str>,
    update_time: Option<Decimal>,
    value: Option<NewValue<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NewValue<'a> {
    Bool(bool),
    Data(&'a [u8]),
    Number(Decimal),
    Text(&'a str),
}

impl<'a> NewRecord<'a> {
    /// A record without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Prepends this to the names from this record on.
    pub fn base_name(self, name: &'a str) -> Self {
        Self { base_name: Some(name), ..self }
    }

    /// Adds this to the sums from this record on.
    pub fn base_sum(self, sum: Decimal) -> Self {
        Self { base_sum: Some(sum), ..self }
    }

    /// Adds this to the times from this record on, in seconds.
    pub fn base_time(self, time: Decimal) -> Self {
        Self { base_time: Some(time), ..self }
    }

    /// The unit of records without one, from this record on.
    pub fn base_unit(self, unit: &'a str) -> Self {
        Self { base_unit: Some(unit), ..self }
    }

    /// Adds this to the numbers from this record on.
    pub fn base_value(self, value: Decimal) -> Self {
        Self { base_value: Some(value), ..self }
    }

    /// What was measured.
    pub fn name(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// The unit of the value.
    pub fn unit(self, unit: &'a str) -> Self {
        Self { unit: Some(unit), ..self }
    }

    /// When it was measured: seconds since 1970, or before now if negative (RFC 8428 §4.5.3).
    pub fn time(self, time: Decimal) -> Self {
        Self { time: Some(time), ..self }
    }

    /// The integral of the value over time.
    pub fn sum(self, sum: Decimal) -> Self {
        Self { sum: Some(sum), ..self }
    }

    /// Seconds until the next measurement at the latest.
    pub fn update_time(self, time: Decimal) -> Self {
        Self { update_time: Some(time), ..self }
    }

    /// The value is this truth value, and no other.
    pub fn bool(self, value: bool) -> Self {
        Self { value: Some(NewValue::Bool(value)), ..self }
    }

    /// The value is these octets, and no other.
    pub fn data(self, value: &'a [u8]) -> Self {
        Self { value: Some(NewValue::Data(value)), ..self }
    }

    /// The value is this number, and no other.
    pub fn number(self, value: Decimal) -> Self {
        Self { value: Some(NewValue::Number(value)), ..self }
    }

    /// The value is this text, and no other.
    pub fn text(self, value: &'a str) -> Self {
        Self { value: Some(NewValue::Text(value)), ..self }
    }

    fn field(&self, label: Label) -> Option<NewValue<'a>> {
        let number = |number: Option<Decimal>| number.map(NewValue::Number);
        let text = |text: Option<&'a str>| text.map(NewValue::Text);
        match label {
            Label::BaseName => text(self.base_name),
            Label::BaseSum => number(self.base_sum),
            Label::BaseTime => number(self.base_time),
            Label::BaseUnit => text(self.base_unit),
            Label::BaseValue => number(self.base_value),
            Label::BaseVersion => None,
            Label::BoolValue => self.value.filter(|value| matches!(value, NewValue::Bool(_))),
            Label::DataValue => self.value.filter(|value| matches!(value, NewValue::Data(_))),
            Label::Name => text(self.name),
            Label::Sum => number(self.sum),
            Label::TextValue => self.value.filter(|value| matches!(value, NewValue::Text(_))),
            Label::Time => number(self.time),
            Label::Unit => text(self.unit),
            Label::UpdateTime => number(self.update_time),
            Label::Value => self.value.filter(|value| matches!(value, NewValue::Number(_))),
        }
    }

    fn count(&self, labels: impl Fn(Label) -> bool) -> usize {
        let present = |label: &Label| self.field(*label).is_some() && labels(*label);
        Label::JSON.iter().filter(|label| present(label)).count()
    }
}

/// The base fields in force, as far as a record may become wrong with them.
#[derive(Debug, Clone, Copy, Default)]
struct InForce<'a> {
    name: &'a str,
    sum: Decimal,
    time: Decimal,
    value: Decimal,
}

impl<'a> InForce<'a> {
    /// What is in force from `record` on, if the record is one that may be written.
    fn with(self, record: &NewRecord<'a>) -> Result<Self, &'static str> {
        let next = Self {
            name: record.base_name.unwrap_or(self.name),
            sum: record.base_sum.unwrap_or(self.sum),
            time: record.base_time.unwrap_or(self.time),
            value: record.base_value.unwrap_or(self.value),
        };
        if record.count(|_| true) == 0 {
            return Err("no field");
        }
        if record.count(|label| !label.is_base()) == 0 {
            return Ok(next);
        }
        if record.value.is_none() && record.sum.is_none() {
            return Err("neither a value nor a sum");
        }
        check_name(next.name.chars().chain(record.name.unwrap_or_default().chars()))?;
        let number = match record.value {
            Some(NewValue::Number(number)) => number,
            _ => Decimal::ZERO,
        };
        let own = [record.sum.unwrap_or_default(), record.time.unwrap_or_default(), number];
        let mut sums = own.into_iter().zip([next.sum, next.time, next.value]);
        let exact = sums.all(|(own, base)| own.checked_add(base).is_some());
        if exact { Ok(next) } else { Err("the sum with the base field needs more than 64 bits") }
    }
}

/// Writes a pack into a buffer.
#[derive(Debug)]
pub struct Writer<'b, 'a> {
    format: Format,
    out: Out<'b>,
    records: usize,
    in_force: InForce<'a>,
    /// There is at least one measurement.
    measured: bool,
}

impl<'b, 'a> Writer<'b, 'a> {
    /// Begins a pack at the start of the buffer.
    pub fn new(format: Format, buffer: &'b mut [u8]) -> Self {
        let in_force = InForce::default();
        Self { format, out: Out { buffer, at: 1 }, records: 0, in_force, measured: false }
    }

    /// Appends a record. An error leaves the pack as it was.
    ///
    /// Errors: [`Error::SenmlRecord`] for a record that [`super::Pack::parse`] would refuse,
    /// [`Error::BufferFull`] if the pack does not fit with it.
    pub fn push(&mut self, record: &NewRecord<'a>) -> Result<(), Error> {
        let fault = |rule| Error::SenmlRecord { record: self.records, rule };
        let in_force = self.in_force.with(record).map_err(fault)?;
        let at = self.out.at;
        let written = match self.format {
            Format::Cbor => self.out.cbor(record),
            Format::Json => self.out.json(record, self.records == 0),
        };
        // The end of the pack, or a longer head, has to fit behind it as well.
        if written.is_err() || self.out.free() < self.end_length() {
            self.out.at = at;
            return Err(Error::BufferFull);
        }
        self.in_force = in_force;
        self.records = self.records.saturating_add(1);
        self.measured |= record.value.is_some() || record.sum.is_some();
        Ok(())
    }

    /// How many bytes the pack has so far, without its end.
    pub const fn written(&self) -> usize {
        self.out.at
    }

    /// Ends the pack and gives its bytes.
    ///
    /// Errors: [`Error::SenmlPack`] if no measurement was written.
    pub fn finish(self) -> Result<&'b [u8], Error> {
        if !self.measured {
            return Err(Error::SenmlPack("no measurement"));
        }
        let mut head = [0; 9];
        let (head, end): (&[u8], &[u8]) = match self.format {
            Format::Cbor => {
                let records = u64::try_from(self.records).map_err(|_| Error::BufferFull)?;
                (cbor_head(&mut head, 4, records), b"")
            }
            Format::Json => (b"[", b"]"),
        };
        let Out { buffer, at } = self.out;
        let body = at.saturating_sub(1).saturating_add(head.len());
        let pack = buffer.get_mut(..body.saturating_add(end.len())).ok_or(Error::BufferFull)?;
        pack.copy_within(1..at, head.len());
        pack[..head.len()].copy_from_slice(head);
        pack[body..].copy_from_slice(end);
        Ok(pack)
    }

    /// Bytes that the end of the pack, or a longer head, still takes.
    fn end_length(&self) -> usize {
        match (self.format, self.records) {
            (Format::Json, _) => 1,
            (Format::Cbor, 0..23) => 0,
            (Format::Cbor, 23..255) => 1,
            (Format::Cbor, 255..65_535) => 2,
            (Format::Cbor, _) => 4,
        }
    }
}

/// The bytes so far.
#[derive(Debug)]
struct Out<'b> {
    buffer: &'b mut [u8],
    /// Where the next byte goes. The first byte is kept free for the head of the array.
    at: usize,
}

impl Out<'_> {
    fn json(&mut self, record: &NewRecord<'_>, first: bool) -> Result<(), Error> {
        self.put(if first { b"{" } else { b",{" })?;
        let mut first = true;
        for label in Label::JSON {
            let Some(value) = record.field(label) else { continue };
            self.put(if core::mem::take(&mut first) { b"\"" } else { b",\"" })?;
            self.put(label.name().as_bytes())?;
            self.put(b"\":")?;
            match value {
                NewValue::Bool(value) => self.put(if value { b"true" } else { b"false" })?,
                NewValue::Data(bytes) => self.json_base64(bytes)?,
                NewValue::Number(number) => self.print(format_args!("{number}"))?,
                NewValue::Text(text) => self.json_string(text)?,
            }
        }
        self.put(b"}")
    }

    fn json_string(&mut self, text: &str) -> Result<(), Error> {
        self.put(b"\"")?;
        for char in text.chars() {
            match char {
                '"' => self.put(b"\\\"")?,
                '\\' => self.put(b"\\\\")?,
                '\0'..' ' => self.print(format_args!("\\u{:04x}", u32::from(char)))?,
                char => self.put(char.encode_utf8(&mut [0; 4]).as_bytes())?,
            }
        }
        self.put(b"\"")
    }

    fn json_base64(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.put(b"\"")?;
        let free = self.buffer.get_mut(self.at..).ok_or(Error::BufferFull)?;
        let text = Base64UrlUnpadded::encode(bytes, free).map_err(|_| Error::BufferFull)?;
        self.at = self.at.saturating_add(text.len());
        self.put(b"\"")
    }

    fn cbor(&mut self, record: &NewRecord<'_>) -> Result<(), Error> {
        self.head(5, u64::try_from(record.count(|_| true)).map_err(|_| Error::BufferFull)?)?;
        for label in Label::CBOR {
            let Some(value) = record.field(label) else { continue };
            self.cbor_integer(label.number().into())?;
            match value {
                NewValue::Bool(value) => self.put(&[if value { 0xf5 } else { 0xf4 }])?,
                NewValue::Data(bytes) => self.cbor_bytes(2, bytes)?,
                NewValue::Number(number) => self.cbor_number(number)?,
                NewValue::Text(text) => self.cbor_bytes(3, text.as_bytes())?,
            }
        }
        Ok(())
    }

    fn cbor_bytes(&mut self, major: u8, bytes: &[u8]) -> Result<(), Error> {
        self.head(major, u64::try_from(bytes.len()).map_err(|_| Error::BufferFull)?)?;
        self.put(bytes)
    }

    /// An integer if it is one that fits, a decimal fraction otherwise (RFC 8949 §3.4.4).
    fn cbor_number(&mut self, number: Decimal) -> Result<(), Error> {
        if let Some(integer) = number.scaled(0).filter(|_| number.exponent() >= 0) {
            return self.cbor_integer(integer);
        }
        self.head(6, 4)?;
        self.head(4, 2)?;
        self.cbor_integer(number.exponent().into())?;
        self.cbor_integer(number.mantissa())
    }

    fn cbor_integer(&mut self, value: i64) -> Result<(), Error> {
        // The complement of a negative number is -1 minus it.
        let major = u8::from(value < 0);
        self.head(major, if value < 0 { (!value).unsigned_abs() } else { value.unsigned_abs() })
    }

    fn head(&mut self, major: u8, argument: u64) -> Result<(), Error> {
        let mut head = [0; 9];
        self.put(cbor_head(&mut head, major, argument))
    }

    fn free(&self) -> usize {
        self.buffer.len().saturating_sub(self.at)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let end = self.at.checked_add(bytes.len()).ok_or(Error::BufferFull)?;
        let place = self.buffer.get_mut(self.at..end).ok_or(Error::BufferFull)?;
        place.copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    fn print(&mut self, text: fmt::Arguments<'_>) -> Result<(), Error> {
        self.write_fmt(text).map_err(|_| Error::BufferFull)
    }
}

impl Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// The shortest head of an item (RFC 8949 §3).
fn cbor_head(head: &mut [u8; 9], major: u8, argument: u64) -> &[u8] {
    let bytes = argument.to_be_bytes();
    let (info, length) = match argument {
        0..24 => (bytes[7], 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    head[0] = major << 5 | info;
    head[1..=length].copy_from_slice(&bytes[8 - length..]);
    &head[..=length]
}
