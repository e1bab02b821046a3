//! What happened in the run, as the page shows it.

use crate::{
    checks::{Effects, Feed},
    data::{Device, Row},
    proofs::{Judged, Reading},
    told::Step,
    watch::{Sample, Status},
};

/// The run.
pub(crate) struct Record {
    pub(crate) crash: Crash,
    /// The gateway's status at the end.
    pub(crate) status: Status,
    pub(crate) devices: Vec<Device>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) effects: Effects,
    /// All readings, as the bundles of the whole devices show them.
    pub(crate) readings: Vec<Reading>,
    pub(crate) policy: String,
    /// The bundles of the page's verification panel.
    pub(crate) judged: Vec<Judged>,
    pub(crate) steps: Vec<Step>,
}

/// The feeding and the crash in the middle of it; wall times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crash {
    pub(crate) started_ms: u64,
    pub(crate) killed_ms: u64,
    pub(crate) ready_ms: u64,
    pub(crate) feed: Feed,
}

impl Record {
    /// When the devices measured the last reading that was logged before the kill, in seconds since
    /// midnight.
    pub(crate) fn last_before_kill(&self) -> Option<u32> {
        let before = self.readings.iter().filter(|reading| reading.time_ms < self.crash.killed_ms);
        let row = |reading: &Reading| {
            let (_, rows) = self.devices.iter().find(|(name, _)| *name == reading.device)?;
            rows.iter().find(|row| Some(row.seq) == reading.seq).map(Row::second)
        };
        before.filter_map(row).max()
    }
}
