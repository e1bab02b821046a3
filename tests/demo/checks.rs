//! What the demo checks by itself: nothing lost, nothing twice, nothing visible before it was
//! durable.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
};

use crate::{
    data::Row,
    failure::{Doing, Failure, Result, expect},
    proofs::Reading,
};

/// The last line of `sluicegate feed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feed {
    pub(crate) acknowledged: usize,
    pub(crate) repeated: usize,
    pub(crate) refused: usize,
}

impl Feed {
    /// Reads `feed: N readings acknowledged, R of them repeated, F refused`.
    pub(crate) fn parse(line: &str) -> Result<Self> {
        let numbers: Vec<usize> = line
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|text| text.parse().ok())
            .collect();
        match numbers[..] {
            [acknowledged, repeated, refused] if line.starts_with("feed: ") => {
                Ok(Self { acknowledged, repeated, refused })
            }
            _ => Err(Failure::new(format!("the feeder ended without a summary: {line}"))),
        }
    }

    /// Everything was acknowledged.
    pub(crate) fn check(&self, rows: usize) -> Result<()> {
        expect(self.acknowledged == rows && self.refused == 0, || {
            format!(
                "of {rows} readings, {} were acknowledged, {} refused",
                self.acknowledged, self.refused
            )
        })
    }
}

/// Records of the effects log, by what they are about.
pub(crate) type Effects = BTreeMap<String, usize>;

/// What must have left the gateway in a run of the demo.
const KINDS: [&str; 3] = ["acknowledgement", "checkpoint", "submission"];

/// Every `sent` has an earlier `durable` with the same hash. Gives the number of `sent` of each
/// kind.
pub(crate) fn effects(file: &str) -> Result<Effects> {
    let text = fs::read_to_string(file).doing(file)?;
    let (mut durable, mut sent) = (HashSet::new(), Effects::new());
    for (number, line) in (1..).zip(text.lines()) {
        let Some((order, record)) = line.split_once(' ') else {
            return Err(Failure::new(format!("{file}:{number}: not a record: {line}")));
        };
        let kind = record.split(' ').next().unwrap_or_default();
        match order {
            "durable" => drop(durable.insert(record)),
            "sent" if durable.contains(record) => *sent.entry(kind.to_owned()).or_default() += 1,
            _ => return Err(Failure::new(format!("{file}:{number}: sent before durable: {line}"))),
        }
    }
    for kind in KINDS {
        expect(sent.contains_key(kind), || format!("{file}: no {kind} was sent"))?;
    }
    Ok(sent)
}

/// The bundles show each row of the file exactly once, with its value.
pub(crate) fn exactly_once(rows: &[Row], readings: &[Reading]) -> Result<()> {
    expect(rows.len() == readings.len(), || {
        format!("the log proves {} readings, the file has {}", readings.len(), rows.len())
    })?;
    let mut logged = BTreeMap::new();
    for reading in readings {
        let key = (reading.device.as_str(), reading.seq);
        let repeated = logged.insert(key, reading);
        expect(repeated.is_none(), || format!("the log has {key:?} twice"))?;
    }
    for row in rows {
        let reading = logged.get(&(row.device, Some(row.seq)));
        let reading =
            reading.ok_or_else(|| Failure::new(format!("the log does not have {row:?}")))?;
        expect(reading.shows(row), || format!("{row:?} was logged as {}", reading.payload()))?;
    }
    Ok(())
}
