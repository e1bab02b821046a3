//! The value of a meter's counter in a payload of the log.
//!
//! Guarantees: of several values in one pack the newest counts; a value that does not fit is named. Does not: look at
//! clocks; the order of the log counts, and within a pack the order of its times.

use sluicegate_protocol::senml::{Decimal, Format, Pack, Record, Value};

use crate::{config, senml};

/// What is in a payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// No word of this counter.
    Nothing,
    /// What the counter shows.
    Value(Decimal),
    /// Something that can't be counted, and why.
    Wrong(String),
}

/// Looks for the meter's record. The gateway's own records and what is no pack have none.
pub(super) fn counter(meter: &config::Meter, payload: &[u8]) -> Found {
    let json = Pack::parse(Format::Json, payload);
    let Ok(pack) = json.or_else(|_| Pack::parse(Format::Cbor, payload)) else {
        return Found::Nothing;
    };
    let is_its = |record: &Record<'_>| {
        let name: String = record.name.chars().collect();
        senml::resource(&meter.device, &name) == meter.record
    };
    // Of equal times the last one counts.
    let newest = pack.records().filter(is_its).max_by(|a, b| a.time.cmp(&b.time));
    newest.map_or(Found::Nothing, |record| value(meter, &record))
}

fn value(meter: &config::Meter, record: &Record<'_>) -> Found {
    let unit: String = record.unit.map(|unit| unit.chars().collect()).unwrap_or_default();
    if unit != meter.unit {
        return Found::Wrong(format!(
            "a reading in {unit:?} does not count; the tariff is for {:?}",
            meter.unit
        ));
    }
    match record.value {
        Some(Value::Number(number)) => Found::Value(number),
        _ => Found::Wrong("a reading without a number does not count".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_channels::meter::{Price, Side, Tariff};

    use super::*;

    fn meter() -> config::Meter {
        let payer = Price { peer: "car".to_owned(), price: 1_u64.into() };
        let side = Side::Sells(payer);
        config::Meter {
            device: "charger-1".to_owned(),
            record: "energy".to_owned(),
            unit: "Wh".to_owned(),
            tariff: Tariff { step: Decimal::new(10, 0), max_steps: 1, side },
            actuator: None,
        }
    }

    fn found(json: &str) -> Found {
        counter(&meter(), json.as_bytes())
    }

    #[test]
    fn the_newest_value_of_the_record_counts() {
        for name in ["energy", "charger-1/energy", "charger-1:energy"] {
            let pack = format!(
                r#"[{{"n":"{name}","u":"Wh","v":7.5,"t":5}},{{"n":"power","u":"W","v":9}},
                    {{"n":"{name}","u":"Wh","v":7,"t":-60}}]"#
            );
            assert_eq!(found(&pack), Found::Value(Decimal::new(75, -1)));
        }
        // Without times the last one is the newest. CBOR: [{0: "energy", 1: "Wh", 2: 12}].
        assert_eq!(
            found(r#"[{"n":"energy","u":"Wh","v":1},{"n":"energy","u":"Wh","v":2}]"#),
            Found::Value(Decimal::new(2, 0))
        );
        let cbor = b"\x81\xa3\x00\x66energy\x01\x62Wh\x02\x0c";
        assert_eq!(counter(&meter(), cbor), Found::Value(Decimal::new(12, 0)));
    }

    #[test]
    fn what_does_not_fit_does_not_count() {
        for other in [r#"[{"n":"power","u":"W","v":9}]"#, r#"{"id":7}"#, "", "\u{0}"] {
            assert_eq!(found(other), Found::Nothing, "{other}");
        }
        for (wrong, named) in [
            (r#"[{"n":"energy","u":"kWh","v":9}]"#, "kWh"),
            (r#"[{"n":"energy","v":9}]"#, "\"\""),
            (r#"[{"n":"energy","u":"Wh","vs":"9"}]"#, "without a number"),
        ] {
            assert!(matches!(found(wrong), Found::Wrong(reason) if reason.contains(named)));
        }
    }
}
