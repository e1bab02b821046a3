//! What holds for all packs: they come back as they were written, and no input panics.

use std::{string::ToString, vec};

use proptest::{collection, option, prelude::*};

use super::*;

fn decimals() -> impl Strategy<Value = Decimal> {
    let digits = prop_oneof![any::<i64>(), -1000..1000_i64];
    (digits, -40..40_i16).prop_map(|(mantissa, exponent)| Decimal::new(mantissa, exponent))
}

#[derive(Debug, Clone)]
struct Owned {
    base_name: Option<String>,
    base_unit: Option<String>,
    name: String,
    numbers: [Option<Decimal>; 3],
    value: OwnedValue,
}

#[derive(Debug, Clone)]
enum OwnedValue {
    Bool(bool),
    Data(Vec<u8>),
    Number(Decimal),
    Text(String),
}

impl Owned {
    fn record(&self) -> NewRecord<'_> {
        let mut record = NewRecord::new().name(&self.name);
        if let Some(base_name) = &self.base_name {
            record = record.base_name(base_name);
        }
        if let Some(unit) = &self.base_unit {
            record = record.base_unit(unit);
        }
        let [time, sum, update_time] = self.numbers;
        record = time.map_or(record, |time| record.time(time));
        record = sum.map_or(record, |sum| record.sum(sum));
        record = update_time.map_or(record, |time| record.update_time(time));
        match &self.value {
            OwnedValue::Bool(value) => record.bool(*value),
            OwnedValue::Data(bytes) => record.data(bytes),
            OwnedValue::Number(number) => record.number(*number),
            OwnedValue::Text(text) => record.text(text),
        }
    }
}

fn records() -> impl Strategy<Value = Vec<Owned>> {
    let value = prop_oneof![
        any::<bool>().prop_map(OwnedValue::Bool),
        collection::vec(any::<u8>(), 0..40).prop_map(OwnedValue::Data),
        decimals().prop_map(OwnedValue::Number),
        any::<String>().prop_map(OwnedValue::Text),
    ];
    let numbers = [option::of(decimals()), option::of(decimals()), option::of(decimals())];
    let record = (
        option::of("[a-z][a-z:./_-]{0,8}"),
        option::of("[A-Za-z/%]{1,4}"),
        "[a-z0-9]{1,8}",
        numbers,
        value,
    )
        .prop_map(|(base_name, base_unit, name, numbers, value)| Owned {
            base_name,
            base_unit,
            name,
            numbers,
            value,
        });
    collection::vec(record, 1..40)
}

fn write(format: Format, records: &[Owned], buffer: &mut [u8]) -> usize {
    let mut writer = Writer::new(format, buffer);
    records.iter().for_each(|record| writer.push(&record.record()).unwrap());
    writer.finish().unwrap().len()
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in records()) {
        let (mut text, mut bytes) = (vec![0; 65_536], vec![0; 65_536]);
        let length = write(Format::Json, &records, &mut text);
        let text = lines(Format::Json, &text[..length]);
        let length = write(Format::Cbor, &records, &mut bytes);
        prop_assert_eq!(&text, &lines(Format::Cbor, &bytes[..length]));
        prop_assert_eq!(text.len(), records.len());
        for (line, record) in text.iter().zip(&records) {
            let value = match &record.value {
                OwnedValue::Bool(value) => value.to_string(),
                OwnedValue::Data(bytes) => format!("{bytes:?}"),
                OwnedValue::Number(number) => number.to_string(),
                OwnedValue::Text(text) => format!("\"{text}\""),
            };
            let time = record.numbers[0].unwrap_or_default();
            let expected = format!("{} @{time} {value}", record.name);
            prop_assert!(line.contains(&expected), "{} without {}", line, expected);
        }
    }

    #[test]
    fn a_pack_fills_any_buffer_or_says_so(records in records(), size in 0..200_usize) {
        for format in [Format::Json, Format::Cbor] {
            let mut buffer = vec![0; size];
            let mut writer = Writer::new(format, &mut buffer);
            let fit = records.iter().take_while(|record| writer.push(&record.record()).is_ok());
            let fit = fit.count();
            match writer.finish() {
                Ok(pack) => prop_assert_eq!(Pack::parse(format, pack).unwrap().len(), fit),
                Err(error) => prop_assert!(fit == 0 && error == Error::SenmlPack("no measurement")),
            }
        }
    }

    #[test]
    fn decimals_come_back(number in decimals(), wide in any::<(i64, i16)>()) {
        prop_assert_eq!(number.to_string().parse(), Ok(number));
        let wide = Decimal::new(wide.0, wide.1);
        prop_assert_eq!(wide.to_string().parse(), Ok(wide));
    }

    #[test]
    fn doubles_come_back(bits in any::<u64>(), single in any::<u32>()) {
        let value = f64::from_bits(bits);
        if let Ok(decimal) = Decimal::from_f64(value) {
            prop_assert_eq!(decimal.to_string().parse::<f64>(), Ok(value));
        }
        if let Ok(decimal) = Decimal::from_single(single) {
            prop_assert_eq!(decimal.to_string().parse::<f32>(), Ok(f32::from_bits(single)));
        }
    }

    #[test]
    fn the_sum_and_the_order_agree(a in decimals(), b in decimals(), c in -1000..1000_i32) {
        if let Some(sum) = a.checked_add(b) {
            prop_assert_eq!(sum.cmp(&a), b.cmp(&Decimal::ZERO));
            prop_assert_eq!(b.checked_add(a), Some(sum));
        }
        let sum = Decimal::from(c).checked_add(Decimal::new(5, -1));
        prop_assert_eq!(sum.and_then(|sum| sum.scaled(0)), Some(c.into()));
    }

    #[test]
    fn no_bytes_panic(
        bytes in collection::vec(any::<u8>(), 0..200),
        text in "[\\[{\"nv:,1}\\]a.e-]{0,60}",
    ) {
        let _ = Pack::parse(Format::Cbor, &bytes);
        let _ = Pack::parse(Format::Json, &bytes);
        let _ = Pack::parse(Format::Json, text.as_bytes());
    }

    #[test]
    fn a_changed_byte_panics_nowhere(records in records(), at: usize, byte: u8) {
        for format in [Format::Json, Format::Cbor] {
            let mut buffer = vec![0; 65_536];
            let length = write(format, &records, &mut buffer);
            buffer[at % length] = byte;
            if let Ok(pack) = Pack::parse(format, &buffer[..length]) {
                prop_assert_eq!(pack.records().count(), pack.len());
            }
        }
    }
}
