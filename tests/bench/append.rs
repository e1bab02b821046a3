//! Readings that become durable, through the daemon's recorder, beside a raw append of their bytes.
//!
//! Guarantees: recorder and yardstick take turns, so that a busy disk slows both; every reading
//! that counts was acknowledged. Does not: measure the socket; readings come from memory.

use std::{
    fs::{self, File, OpenOptions},
    hint::black_box,
    io::Write,
    path::Path,
    rc::Rc,
    time::{Duration, Instant},
};

use sluicegate_daemon::{
    effects::Effects,
    recorder::{Event, Recorder},
};
use sluicegate_protocol::merkle::leaf_hash;

use crate::{
    Result,
    disk::{Counted, Syncing},
    machine,
    site::{self, PAYLOAD},
    stats::{grouped, median, rate, time, timed, whole},
    table::Table,
};

/// Readings that wait for each commit: the configured number, more, and as many as a commit takes.
const WAITING: [u64; 3] = [100, 1_000, 4_096];

/// Turns of recorder and yardstick.
const TURNS: u64 = 5;

/// Commits in one turn.
const COMMITS: u64 = 20;

/// What was measured.
pub(crate) struct Appends {
    pub(crate) table: Table,
    /// Durable readings a second when as many wait as one commit takes.
    pub(crate) best: f64,
}

/// Measures in a folder of its own.
pub(crate) fn measure(folder: &Path) -> Result<Appends> {
    let mut table = Table::new(
        "Durable readings",
        &[
            "readings per commit",
            "readings/s",
            "raw append + fdatasync, readings/s",
            "ratio",
            "one commit",
            "one raw fdatasync",
            "syncs of log files per commit",
            "bytes written per reading",
        ],
    );
    let (mut best, mut entry) = (0.0, 0);
    for waiting in WAITING {
        let run = Run::new(&folder.join(format!("append-{waiting}")), waiting)?;
        entry = run.entry;
        let run = run.finish()?;
        table.row(run.cells());
        best = run.readings;
    }
    let hashes = hashes(entry);
    table.note(&format!(
        "A payload has {PAYLOAD} bytes, its entry {entry}. The raw append writes the same bytes \
         (entries and payloads)\nto one file with one fdatasync per commit. Bytes written are \
         those that the kernel counted for the\nprocess (database, its write-ahead log, tail and \
         tiles), without what the file system adds.\nRaw SHA-256 leaf hashes of such entries: {} a second.",
        whole(hashes)
    ));
    Ok(Appends { table, best })
}

/// One number of waiting readings.
struct Run {
    waiting: u64,
    next: u64,
    recorder: Recorder<Counted>,
    disk: Rc<Counted>,
    raw: File,
    /// Bytes of a reading's entry.
    entry: usize,
}

/// Medians over the turns.
struct Measured {
    waiting: u64,
    readings: f64,
    raw: f64,
    syncs: f64,
    written: f64,
}

impl Run {
    fn new(folder: &Path, waiting: u64) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let disk = Rc::new(Counted::new(folder, Syncing::Always));
        let (plan, now) = (site::plan(folder), site::moment(0));
        let entropy = Box::new(site::entropy());
        let (recorder, _) = Recorder::open(disk.clone(), plan, now, entropy, Effects::none())?;
        let raw = OpenOptions::new().append(true).create(true).open(folder.join("raw"))?;
        let mut run = Self { waiting, next: 0, recorder, disk, raw, entry: 0 };
        // Not measured: the genesis leaf and the keys of the devices' first day.
        run.commit()?;
        let last = run.recorder.files().size() - 1;
        run.entry = run.recorder.files().entry(last)?.len();
        Ok(run)
    }

    fn finish(mut self) -> Result<Measured> {
        let (mut readings, mut raw, mut written) = (Vec::new(), Vec::new(), Vec::new());
        let (count, syncs) = (COMMITS * self.waiting, self.disk.syncs());
        for _ in 0..TURNS {
            raw.push(rate(count, self.raw_turn()?));
            let before = machine::written()?;
            readings.push(rate(count, self.turn()?));
            written.push((machine::written()? - before) as f64 / count as f64);
        }
        let syncs = (self.disk.syncs() - syncs) as f64 / (TURNS * COMMITS) as f64;
        let (readings, raw, written) = (median(readings), median(raw), median(written));
        Ok(Measured { waiting: self.waiting, readings, raw, syncs, written })
    }

    fn turn(&mut self) -> Result<Duration> {
        timed(|| (0..COMMITS).try_for_each(|_| self.commit())).map(|(took, ())| took)
    }

    fn commit(&mut self) -> Result<()> {
        let now = site::moment(self.next);
        for number in self.next..self.next + self.waiting {
            let taken = self.recorder.submit(now, site::reading(number));
            taken.map_err(|refused| format!("a reading was refused: {refused:?}"))?;
        }
        self.next += self.waiting;
        let events = self.recorder.drive(now)?;
        let done = events.iter().filter(|event| matches!(event, Event::Acknowledged(_))).count();
        if done as u64 == self.waiting {
            Ok(())
        } else {
            Err(format!("{done} acknowledged").into())
        }
    }

    fn raw_turn(&mut self) -> Result<Duration> {
        let bytes = vec![0x5a; (PAYLOAD + self.entry) * usize::try_from(self.waiting)?];
        let work = || -> Result<()> {
            for _ in 0..COMMITS {
                self.raw.write_all(&bytes)?;
                self.raw.sync_data()?;
            }
            Ok(())
        };
        timed(work).map(|(took, ())| took)
    }
}

impl Measured {
    fn cells(&self) -> [String; 8] {
        let one = |rate: f64| time(Duration::from_secs_f64(self.waiting as f64 / rate));
        [
            grouped(self.waiting),
            whole(self.readings),
            whole(self.raw),
            format!("{:.2}", self.readings / self.raw),
            one(self.readings),
            one(self.raw),
            format!("{:.1}", self.syncs),
            whole(self.written),
        ]
    }
}

/// Leaf hashes of entries as long as a reading's, a second.
fn hashes(length: usize) -> f64 {
    let (entry, start, mut count) = (vec![0x5a_u8; length], Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(1) {
        for _ in 0..1_000 {
            black_box(leaf_hash(black_box(&entry)));
        }
        count += 1_000;
    }
    rate(count, start.elapsed())
}
