//! Sequence numbers that a device skipped, less those that came later.
//!
//! Guarantees: a number that any reading of the bundle has is not missing. Does not: know of late readings that the
//! bundle leaves out, so that "missing" always means "not shown here".

use alloc::{collections::BTreeMap, vec::Vec};

use super::content::Content;
use crate::entry::{Pseudonym, Reading};

/// A device by its name, which outlives an epoch, or by what the log calls it.
type Device<'a> = Result<&'a str, Pseudonym>;

/// The sequence numbers shown of each device, ascending.
pub(super) struct Gaps<'a> {
    shown: BTreeMap<Device<'a>, Vec<u64>>,
}

impl<'a> Gaps<'a> {
    pub(super) fn of(content: &'a Content<'_>) -> Self {
        let mut shown: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for (_, _, reading) in content.readings() {
            shown.entry(device(content, reading)).or_default().extend(reading.seq);
        }
        for numbers in shown.values_mut() {
            numbers.sort_unstable();
            numbers.dedup();
        }
        Self { shown }
    }

    /// How many of the numbers that were skipped before this reading are not shown.
    pub(super) fn missing(&self, content: &'a Content<'_>, reading: &Reading) -> u64 {
        let numbers = self.shown.get(&device(content, reading));
        let (Some(seq), Some(numbers)) = (reading.seq, numbers) else { return reading.gap };
        let below = |bound| numbers.partition_point(|number| *number < bound) as u64;
        let late = below(seq).saturating_sub(below(seq.saturating_sub(reading.gap)));
        reading.gap.saturating_sub(late)
    }
}

fn device<'a>(content: &'a Content<'_>, reading: &Reading) -> Device<'a> {
    content.device(&reading.pseudonym).ok_or(reading.pseudonym)
}
