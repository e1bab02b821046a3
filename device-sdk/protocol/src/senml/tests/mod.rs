//! Tests of the packs: the RFC's examples, what is refused, numbers, and round trips.

mod numbers;
mod properties;
mod refused;
mod rfc;

use std::{format, string::String, vec::Vec};

use super::*;

/// The measurements of a pack, each as a line: name, time, unit, value, sum, update time.
fn lines(format: Format, bytes: &[u8]) -> Vec<String> {
    let pack = Pack::parse(format, bytes).unwrap();
    let lines: Vec<_> = pack.records().map(|record| line(&record)).collect();
    assert_eq!(lines.len(), pack.len());
    lines
}

fn line(record: &Record<'_>) -> String {
    let mut line = format!("{} @{}", record.name, record.time);
    if let Some(value) = record.value {
        line += &match value {
            Value::Bool(value) => format!(" {value}"),
            Value::Data(data) => format!(" {data:?}"),
            Value::Number(number) => format!(" {number}"),
            Value::Text(text) => format!(" {text:?}"),
        };
    }
    for (mark, part) in [("sum", record.sum), ("ut", record.update_time)] {
        line += &part.map(|number| format!(" {mark} {number}")).unwrap_or_default();
    }
    line + &record.unit.map(|unit| format!(" {unit}")).unwrap_or_default()
}

fn json(text: &str) -> Vec<String> {
    lines(Format::Json, text.as_bytes())
}

/// The error's text.
fn refusal(format: Format, bytes: &[u8]) -> String {
    match Pack::parse(format, bytes) {
        Ok(_) => panic!("accepted: {bytes:02x?}"),
        Err(error) => format!("{error}"),
    }
}

/// The bytes of `a1 02 …`.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|char| char.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}
