//! What devices measured, read out of the bundles of all that they sent.

use sluicegate_notary::verify::utc;
use sluicegate_protocol::senml::{Decimal, Format, Pack, Record, Value};

use crate::{
    failure::{Failure, Result},
    proofs::Reading,
};

/// One measured value.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    /// The reading that it came with.
    pub(crate) seq: u64,
    /// What was measured, without the device.
    pub(crate) name: String,
    pub(crate) unit: String,
    /// When it was measured, by the device's clock.
    pub(crate) ms: u64,
    /// When it was logged.
    pub(crate) logged_ms: u64,
    /// In thousandths of the unit.
    pub(crate) thousandths: i32,
}

impl Measured {
    /// A row for `sluicegate feed` with another value.
    pub(crate) fn row(&self, value: &str) -> String {
        let Self { seq, name, unit, ms, .. } = self;
        format!("{},{},{seq},{name},{unit},{value}", utc(*ms), crate::METER)
    }
}

/// All values of a device with this name, in the order of their times.
pub(crate) fn series(readings: &[Reading], device: &str, name: &str) -> Vec<Measured> {
    let of_device = readings.iter().filter(|reading| reading.device == device);
    let mut all: Vec<Measured> =
        of_device.flat_map(values).filter(|value| value.name == name).collect();
    all.sort_by_key(|value| value.ms);
    all
}

/// The highest power of the meter: somebody could wish to change it.
pub(crate) fn highest(readings: &[Reading], device: &str) -> Result<Measured> {
    let power = series(readings, device, "power").into_iter();
    let highest = power.max_by_key(|value| value.thousandths);
    highest.ok_or_else(|| Failure::new("the log has no power of the meter"))
}

/// The values of a reading; none of the gateway's own records.
pub(crate) fn values(reading: &Reading) -> Vec<Measured> {
    let format = Format::from_content_format(reading.content_format);
    let pack = format.and_then(|format| Pack::parse(format, reading.payload().as_bytes()).ok());
    let Some((pack, seq)) = pack.zip(reading.seq) else { return Vec::new() };
    pack.records().filter_map(|record| value(reading, seq, &record)).collect()
}

fn value(reading: &Reading, seq: u64, record: &Record<'_>) -> Option<Measured> {
    let Some(Value::Number(number)) = record.value else { return None };
    let name = record.name.to_string();
    let (device, name) = name.rsplit_once(':')?;
    Some(Measured {
        seq,
        name: (device == reading.device).then(|| name.to_owned())?,
        unit: record.unit.map(|unit| unit.to_string()).unwrap_or_default(),
        ms: u64::try_from(thousandths(record.time)?).ok()?,
        logged_ms: reading.time_ms,
        thousandths: i32::try_from(thousandths(number)?).ok()?,
    })
}

fn thousandths(number: Decimal) -> Option<i64> {
    number.scaled(3)
}
