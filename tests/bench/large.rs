//! The large log: built once through the recorder, its files written without syncs.
//!
//! Guarantees: bytes are those that the daemon writes, database included; all of it is on disk at
//! the end. Every day begins with a beacon and ends with a summary per device.

use std::{
    fs,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use sluicegate_daemon::{effects::Effects, recorder::Recorder};

use crate::{
    Result,
    chain::Chain,
    disk::{Counted, Syncing},
    machine,
    site::{self, DEVICES, READINGS_PER_DAY},
};

/// Readings of each commit; a divisor of a day's.
const COMMIT: u64 = 4_000;

/// Blocks of the ledger between two beacons.
const BLOCKS_A_DAY: u64 = 14_400;

/// The log, on disk.
pub(crate) struct Large {
    pub(crate) readings: u64,
    pub(crate) leaves: u64,
    pub(crate) days: u64,
    pub(crate) took: Duration,
    pub(crate) written: u64,
    pub(crate) database: u64,
    pub(crate) files: u64,
    /// Leaf indexes of the beacons, with the numbers of their blocks.
    pub(crate) beacons: Vec<(u64, u64)>,
}

impl Large {
    /// The leaf of the reading with this number.
    pub(crate) fn index(&self, number: u64) -> u64 {
        let (per_day, day) = (DEVICES * READINGS_PER_DAY, number / (DEVICES * READINGS_PER_DAY));
        let beacon = usize::try_from(day).ok().and_then(|day| self.beacons.get(day));
        beacon.map_or(0, |(beacon, _)| beacon + 1 + number % per_day)
    }
}

/// Builds a log of at least `leaves` leaves, in whole days.
pub(crate) fn build(folder: &Path, leaves: u64, chain: &Chain) -> Result<Large> {
    fs::create_dir_all(folder)?;
    let (start, before) = (Instant::now(), machine::written()?);
    let disk = Rc::new(Counted::new(folder, Syncing::Never));
    let (plan, now, entropy) = (site::plan(folder), site::moment(0), Box::new(site::entropy()));
    let (mut recorder, _) = Recorder::open(disk, plan, now, entropy, Effects::none())?;
    recorder.drive(now)?;
    let (mut beacons, mut readings, mut days) = (Vec::new(), 0, 0);
    while recorder.files().size() < leaves {
        let number = days % 60 * BLOCKS_A_DAY + 1;
        beacons.push((recorder.files().size(), number));
        recorder.append_beacon(site::moment(readings), chain.beacon(number));
        day(&mut recorder, readings)?;
        (readings, days) = (readings + DEVICES * READINGS_PER_DAY, days + 1);
        eprint!("\rbuilding the large log: {readings} readings");
    }
    eprintln!();
    recorder.want_checkpoint();
    recorder.drive(site::moment(readings))?;
    let leaves = recorder.files().size();
    recorder.store().checkpoint_wal()?;
    recorder.close();
    machine::sync_all(folder)?;
    let (took, written) = (start.elapsed(), machine::written()? - before);
    let database = fs::metadata(site::database(folder))?.len();
    let files = machine::size_of(&folder.join("log"))?;
    Ok(Large { readings, leaves, days, took, written, database, files, beacons })
}

/// Logs one day from reading `first` on, and its summaries.
fn day(recorder: &mut Recorder<Counted>, first: u64) -> Result<()> {
    let end = first + DEVICES * READINGS_PER_DAY;
    for start in (first..end).step_by(usize::try_from(COMMIT)?) {
        for number in start..start + COMMIT {
            let taken = recorder.submit(site::moment(number), site::reading(number));
            taken.map_err(|refused| format!("a reading was refused: {refused:?}"))?;
        }
        recorder.drive(site::moment(start + COMMIT - 1))?;
    }
    recorder.handle_timer(site::moment(end));
    recorder.drive(site::moment(end)).map(drop).map_err(Into::into)
}
