//! What happened in the run, as the page shows it.

use crate::{
    checks::Effects,
    plant::{Command, Span},
    proofs::{Judged, Reading},
    station::Run,
    told::Step,
    watch::{Sample, Status},
};

/// The run.
pub(crate) struct Record {
    pub(crate) events: Events,
    /// The gateway's status at the end.
    pub(crate) status: Status,
    pub(crate) samples: Vec<Sample>,
    pub(crate) effects: Effects,
    /// All entries of the devices, as their bundles show them.
    pub(crate) readings: Vec<Reading>,
    pub(crate) policy: String,
    /// The bundles of the page's verification panel.
    pub(crate) judged: Vec<Judged>,
    pub(crate) steps: Vec<Step>,
    /// The charging station.
    pub(crate) runs: Vec<Run>,
}

/// What happened while the devices measured; wall times in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    pub(crate) started_ms: u64,
    pub(crate) ended_ms: u64,
    /// The meter had no network.
    pub(crate) cut: Span,
    /// The gateway was down.
    pub(crate) down: Span,
    pub(crate) commands: [Command; 2],
}
