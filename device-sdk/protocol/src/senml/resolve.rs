//! From the fields of a record and the base fields in force to one measurement (RFC 8428 §4.6).

use super::{
    Item, MAX_UNKNOWN, Reader, Record, VERSION, Value,
    decimal::Decimal,
    label::{Key, Label},
    text::{Data, Name, Text},
};
use crate::Error;

/// What is wrong with a record: the rule, and the field if it is about one.
pub(super) struct Fault {
    field: Option<Label>,
    rule: &'static str,
}

impl Fault {
    pub(super) fn at(self, record: usize) -> Error {
        match self.field {
            Some(field) => Error::SenmlField { record, field: field.name(), rule: self.rule },
            None => Error::SenmlRecord { record, rule: self.rule },
        }
    }
}

impl From<&'static str> for Fault {
    fn from(rule: &'static str) -> Self {
        Self { field: None, rule }
    }
}

/// The base fields in force.
#[derive(Clone, Copy, Default)]
pub(super) struct Base<'a> {
    name: Text<'a>,
    sum: Option<Decimal>,
    time: Decimal,
    unit: Option<Text<'a>>,
    value: Decimal,
    /// The version of all records, known from the first on.
    version: Option<u8>,
}

impl<'a> Base<'a> {
    pub(super) fn version(&self) -> u8 {
        self.version.unwrap_or(VERSION)
    }

    /// The measurement of a record; `None` if it only sets base fields.
    pub(super) fn resolve(
        &mut self,
        fields: Fields<'a>,
        index: usize,
    ) -> Result<Option<Record<'a>>, Fault> {
        self.update(&fields)?;
        if fields.only_base() {
            return Ok(None);
        }
        let field = |field| move |rule| Fault { field: Some(field), rule };
        let value = match fields.value {
            Some(Value::Number(value)) => {
                Some(Value::Number(sum(value, self.value).map_err(field(Label::Value))?))
            }
            value => value,
        };
        if value.is_none() && fields.sum.is_none() {
            return Err("neither a value nor a sum".into());
        }
        let total = match (fields.sum, self.sum) {
            (Some(own), Some(base)) => Some(sum(own, base).map_err(field(Label::Sum))?),
            (own, base) => own.or(base),
        };
        let time = fields.time.unwrap_or_default();
        Ok(Some(Record {
            index,
            name: Name::new(self.name, fields.name.unwrap_or_default())
                .map_err(field(Label::Name))?,
            unit: fields.unit.or(self.unit),
            value,
            sum: total,
            time: sum(time, self.time).map_err(field(Label::Time))?,
            update_time: fields.update_time,
        }))
    }

    fn update(&mut self, fields: &Fields<'a>) -> Result<(), Fault> {
        let own = &fields.base;
        let version = *self.version.get_or_insert(own.version.unwrap_or(VERSION));
        if own.version.is_some_and(|own| own != version) {
            let rule = "not the version of the records before";
            return Err(Fault { field: Some(Label::BaseVersion), rule });
        }
        self.name = if fields.has(Label::BaseName) { own.name } else { self.name };
        self.time = if fields.has(Label::BaseTime) { own.time } else { self.time };
        self.value = if fields.has(Label::BaseValue) { own.value } else { self.value };
        self.unit = own.unit.or(self.unit);
        self.sum = own.sum.or(self.sum);
        Ok(())
    }
}

fn sum(left: Decimal, right: Decimal) -> Result<Decimal, &'static str> {
    left.checked_add(right).ok_or("the sum with the base field needs more than 64 bits")
}

/// The fields of one record, each of the type that it has to be.
#[derive(Default)]
pub(super) struct Fields<'a> {
    base: Base<'a>,
    name: Option<Text<'a>>,
    sum: Option<Decimal>,
    time: Option<Decimal>,
    unit: Option<Text<'a>>,
    update_time: Option<Decimal>,
    value: Option<Value<'a>>,
    /// One bit for each label that was there.
    seen: u32,
    unknown: [Option<Key<'a>>; MAX_UNKNOWN],
}

impl<'a> Fields<'a> {
    /// Reads all fields of the record that the reader is in.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, Fault> {
        let mut fields = Self::default();
        let mut empty = true;
        while let Some((key, item)) = reader.next_field()? {
            empty = false;
            match key {
                Key::Known(label) => {
                    fields.set(label, item).map_err(|rule| Fault { field: Some(label), rule })?
                }
                key => fields.pass(key)?,
            }
        }
        if empty { Err("no field".into()) } else { Ok(fields) }
    }

    /// Whether the record has base fields and, as far as it is understood, no others.
    fn only_base(&self) -> bool {
        let mut known = Label::JSON.into_iter().filter(|label| self.has(*label));
        let unknown_base = self.unknown.iter().flatten().any(Key::is_base);
        known.all(Label::is_base) && (self.seen != 0 || unknown_base)
    }

    fn has(&self, label: Label) -> bool {
        self.seen & bit(label) != 0
    }

    fn set(&mut self, label: Label, item: Item<'a>) -> Result<(), &'static str> {
        if self.has(label) {
            return Err("twice in one record");
        }
        self.seen |= bit(label);
        match label {
            Label::BaseName => self.base.name = text(item)?,
            Label::BaseSum => self.base.sum = Some(number(item)?),
            Label::BaseTime => self.base.time = number(item)?,
            Label::BaseUnit => self.base.unit = Some(text(item)?),
            Label::BaseValue => self.base.value = number(item)?,
            Label::BaseVersion => self.base.version = Some(version(item)?),
            Label::Name => self.name = Some(text(item)?),
            Label::Sum => self.sum = Some(number(item)?),
            Label::Time => self.time = Some(number(item)?),
            Label::Unit => self.unit = Some(text(item)?),
            Label::UpdateTime => self.update_time = Some(number(item)?),
            Label::BoolValue | Label::DataValue | Label::TextValue | Label::Value => {
                let value = value(label, item)?;
                if self.value.replace(value).is_some() {
                    return Err("a second value in one record");
                }
            }
        }
        Ok(())
    }

    /// Passes a field that RFC 8428 does not define (§4.4).
    fn pass(&mut self, key: Key<'a>) -> Result<(), &'static str> {
        if matches!(key, Key::Text(label) if label.chars().last() == Some('_')) {
            return Err("a label ends in _ and is not understood");
        }
        if self.unknown.contains(&Some(key)) {
            return Err("a label twice in one record");
        }
        let free = self.unknown.iter_mut().find(|place| place.is_none());
        *free.ok_or("too many labels that are not understood")? = Some(key);
        Ok(())
    }
}

const fn bit(label: Label) -> u32 {
    1 << label as u32
}

fn value<'a>(label: Label, item: Item<'a>) -> Result<Value<'a>, &'static str> {
    Ok(match (label, item) {
        (Label::BoolValue, Item::Bool(value)) => Value::Bool(value),
        (Label::BoolValue, _) => return Err("not a boolean"),
        (Label::DataValue, Item::Bytes(bytes)) => Value::Data(Data::raw(bytes)),
        (Label::DataValue, Item::Text(text)) => Value::Data(Data::base64(text)?),
        (Label::DataValue, _) => return Err("not octets"),
        (Label::TextValue, item) => Value::Text(text(item)?),
        (_, item) => Value::Number(number(item)?),
    })
}

fn text<'a>(item: Item<'a>) -> Result<Text<'a>, &'static str> {
    if let Item::Text(text) = item { Ok(text) } else { Err("not a text") }
}

fn number(item: Item<'_>) -> Result<Decimal, &'static str> {
    if let Item::Number(number) = item { number } else { Err("not a number") }
}

fn version(item: Item<'_>) -> Result<u8, &'static str> {
    let number = number(item)?;
    let version = if number.exponent() < 0 { 0 } else { number.scaled(0).unwrap_or(i64::MAX) };
    match u8::try_from(version) {
        Ok(version @ 1..=VERSION) => Ok(version),
        _ if version <= 0 => Err("not a positive integer"),
        _ => Err("newer than version 10"),
    }
}
