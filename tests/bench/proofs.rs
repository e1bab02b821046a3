//! Proofs from the large log: how long they take, how long they are, how long a verifier takes.
//!
//! Guarantees: the bytes are those of `sluicegate prove`, and the verifier's verdict on each kind
//! is checked. "Cold" means that tiles and database were dropped from the page cache before.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use sluicegate_daemon::{
    clock::Clock,
    desk::{Desk, Setup},
    effects::Effects,
    prove::{Form, Question, Which, prove},
};
use sluicegate_notary::{
    anchoring::Cadence,
    policy::Policy,
    proof,
    tile::{Kind, Tile, WIDTH},
    verify::{Verdict, verify},
};
use sluicegate_protocol::{
    Checkpoint,
    note::{Note, VerifierKey},
};

use crate::{
    Result,
    chain::Chain,
    large::Large,
    machine,
    site::{self, ORIGIN},
    stats::{Noise, Times, grouped, ratio, time, timed},
    table::Table,
};

/// Measurements of each kind, and when to stop earlier.
const COUNT: usize = 2_000;
const LIMIT: Duration = Duration::from_secs(6);

/// What was measured.
pub(crate) struct Proofs {
    pub(crate) table: Table,
    /// An inclusion path from the files, warm: median and bytes.
    pub(crate) path: (Duration, usize),
    /// A bundle of one reading without evidence of a ledger, as `sluicegate prove` builds it.
    pub(crate) bundle: (Duration, usize),
}

/// Measures the log in `folder`; its newest checkpoint becomes an anchored one.
pub(crate) fn measure(folder: &Path, large: &Large, mut chain: Chain) -> Result<Proofs> {
    let (opening, mut desk) = timed(|| Ok(Desk::open(setup(folder))?))?;
    // There is no ledger to compare with; checkpoints may be shown.
    desk.compared();
    let head = ["what", "median", "99 %", "median, cold", "99 %, cold", "bytes", "ratio"];
    let table = Table::new(format!("A log of {} leaves", grouped(large.leaves)), &head);
    let (noise, yardstick) = (Noise(0x5eed), Duration::ZERO);
    let mut bench = Bench { folder, large, desk, table, noise, yardstick };
    bench.table.row(["open log and database", &time(opening), "", "", "", "", ""]);
    bench.files()?;
    let path = bench.path()?;
    let text = bench.prove("tlog-proof", Form::TlogProof)?;
    let bundle = bench.prove("bundle", Form::Sgp)?;
    bench.anchor(&mut chain)?;
    let anchored = bench.prove("bundle with anchor and beacon", Form::Sgp)?;
    bench.signature(&text)?;
    bench.verify("verify tlog-proof", &text, Verdict::NotAnchored)?;
    bench.verify("verify bundle", &bundle, Verdict::NotAnchored)?;
    bench.verify("verify bundle with anchor and beacon", &anchored, Verdict::Valid)?;
    bench.table.note(
        "The ratio is to the yardstick above: reading the tiles, verifying a signature. What takes \
         too long to be\nmeasured a hundred times shows its slowest under \"99 %\".",
    );
    Ok(Proofs { table: bench.table, path, bundle: (bundle.median, bundle.file.len()) })
}

/// Proofs of one kind.
struct Built {
    median: Duration,
    /// One of them.
    file: Vec<u8>,
}

struct Bench<'a> {
    folder: &'a Path,
    large: &'a Large,
    desk: Desk,
    table: Table,
    noise: Noise,
    /// What the rows that follow are compared with.
    yardstick: Duration,
}

impl Bench<'_> {
    /// The yardstick of proofs: reading the files that one is made of.
    fn files(&mut self) -> Result<()> {
        let bytes = self.tiles_of(0).map(|file| fs::metadata(file).map(|file| file.len()));
        let bytes = bytes.into_iter().sum::<io::Result<u64>>()?;
        let times = self.warm_and_cold(|bench, number| {
            let files = bench.tiles_of(number);
            let read = || Ok(files.iter().try_for_each(|file| fs::read(file).map(drop))?);
            timed(read).map(|(took, ())| took)
        })?;
        self.yardstick = times.0.median();
        self.row("read the three tiles of a leaf", &times.0, Some(&times.1), bytes);
        Ok(())
    }

    fn path(&mut self) -> Result<(Duration, usize)> {
        let mut bytes = 0;
        let times = self.warm_and_cold(|bench, number| {
            let (files, index) = (bench.desk.recorder.files(), bench.large.index(number));
            let size = files.size();
            let (took, path) = timed(|| Ok(proof::inclusion(&files.nodes(), index, size)?))?;
            bytes = path.len() * 32;
            Ok(took)
        })?;
        self.row("inclusion path", &times.0, Some(&times.1), bytes as u64);
        Ok((times.0.median(), bytes))
    }

    /// Proofs of random readings, as the daemon builds them for `sluicegate prove`.
    fn prove(&mut self, what: &str, form: Form) -> Result<Built> {
        let mut file = Vec::new();
        let times = self.warm_and_cold(|bench, number| {
            let (device, seq) = site::device_and_seq(number);
            let (device, which) = (site::device(device), Which::Seq(seq));
            let question = Question { device, which, form, log: None };
            let (took, proof) = timed(|| Ok(prove(&mut bench.desk, &question)?))?;
            file = proof.bytes;
            Ok(took)
        })?;
        self.row(what, &times.0, Some(&times.1), file.len() as u64);
        Ok(Built { median: times.0.median(), file })
    }

    /// Anchors the newest checkpoint in the ledger's last block; the ledger proves the beacons too.
    fn anchor(&mut self, chain: &mut Chain) -> Result<()> {
        let fresh = self.desk.fresh_checkpoint()?;
        let (size, note) = fresh.ok_or("the log shows no checkpoint")?;
        let digest = Checkpoint::parse(Note::parse(&note)?.text())?.digest();
        let (evidence, store) = (chain.anchor(digest)?, self.desk.recorder.store());
        store.begin_anchor(&digest, size, &note, 0)?;
        store.finish_anchor(&digest, Chain::last(), Some(&evidence.to_bytes()), 0)?;
        for (index, number) in &self.large.beacons {
            store.prove_beacon(*index, &chain.evidence(*number)?.to_bytes())?;
        }
        Ok(())
    }

    /// The yardstick of verification: one Ed25519 signature.
    fn signature(&mut self, proof: &Built) -> Result<()> {
        let text = String::from_utf8(proof.file.clone())?;
        let (_, checkpoint) = text.split_once("\n\n").ok_or("the tlog-proof has no checkpoint")?;
        let key = site::identity().verifier_key(ORIGIN)?;
        let (note, key) = (Note::parse(checkpoint)?, VerifierKey::parse(&key)?);
        let one = || timed(|| Ok(note.verify(&key)?)).map(|(took, ())| took);
        let times = Times::measure(COUNT, LIMIT, one)?;
        self.yardstick = times.median();
        self.row("verify one Ed25519 signature", &times, None, checkpoint.len() as u64);
        Ok(())
    }

    fn verify(&mut self, what: &str, proof: &Built, expected: Verdict) -> Result<()> {
        let key = site::identity().verifier_key(ORIGIN)?;
        let policy = format!("log {key}\n{}quorum none\n", Chain::policy_line()?);
        let policy = Policy::parse(policy.as_bytes())?;
        let times = Times::measure(COUNT, LIMIT, || {
            let (took, report) = timed(|| Ok(verify(&proof.file, &policy)))?;
            if report.verdict == expected { Ok(took) } else { Err(report.summary.into()) }
        })?;
        self.row(what, &times, None, proof.file.len() as u64);
        Ok(())
    }

    /// Measures random readings: first with everything in memory, then from the disk.
    fn warm_and_cold(
        &mut self,
        mut one: impl FnMut(&mut Self, u64) -> Result<Duration>,
    ) -> Result<(Times, Times)> {
        // What the newest incomplete tiles hold is in memory anyway.
        let last = self.large.readings - u64::from(WIDTH).pow(2);
        let warm = Times::measure(COUNT, LIMIT, || {
            let number = self.noise.below(last);
            self.tiles_of(number).iter().try_for_each(|file| fs::read(file).map(drop))?;
            one(self, number)
        })?;
        let cold = Times::measure(COUNT / 10, LIMIT, || {
            let number = self.noise.below(last);
            self.tiles_of(number).iter().try_for_each(|file| machine::forget(file))?;
            machine::forget(&site::database(self.folder))?;
            one(self, number)
        })?;
        Ok((warm, cold))
    }

    /// The files that lead from a reading to the hashes that are always in memory.
    fn tiles_of(&self, number: u64) -> [PathBuf; 3] {
        let index = self.large.index(number) / u64::from(WIDTH);
        let of = |kind, index| Tile { kind, index, width: WIDTH };
        let upper = of(Kind::Hashes(1), index / u64::from(WIDTH));
        [of(Kind::Entries, index), of(Kind::Hashes(0), index), upper]
            .map(|tile| self.folder.join("log/1").join(tile.to_string()))
    }

    fn row(&mut self, what: &str, warm: &Times, cold: Option<&Times>, bytes: u64) {
        let of = |times: &Times| [time(times.median()), time(times.p99())];
        let cold = cold.map(of).unwrap_or_default();
        let ratio = format!("{:.1}", ratio(warm.median(), self.yardstick));
        let cells = [what.to_owned()].into_iter().chain(of(warm)).chain(cold);
        self.table.row(cells.chain([grouped(bytes), ratio]));
    }
}

fn setup(folder: &Path) -> Setup {
    Setup {
        state: folder.to_owned(),
        plan: site::plan(folder),
        cadence: Cadence {
            interval_ms: 60_000,
            heartbeat_ms: 60_000,
            max_leaves: 0,
            retry_ms: 60_000,
        },
        retention: BTreeMap::new(),
        publish_interval_ms: 60_000,
        effects: Effects::none(),
        clock: Clock::start(),
    }
}
