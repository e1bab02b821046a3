//! `make demo`: readings go in, checkpoints are anchored, the gateway is killed and comes back,
//! bundles are proved, verified, tampered with and forged. Ends with a page to look at,
//! `target/demo/report.html`, and with `demo: ok`.
//!
//! Guarantees: exit code 0 only if every expectation held; no process is left behind; writes below
//! `target/demo` only.
//! Order: the one of [`story`]; each module holds one part of it. `demo generate` prints the
//! recorded hour instead.

mod checks;
mod data;
mod failure;
mod figures;
mod generate;
mod page;
mod plot;
mod process;
mod proofs;
mod record;
mod site;
mod told;
mod watch;

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use self::{
    checks::Feed,
    data::Row,
    failure::{Doing, Failure, Result, expect},
    process::{Process, wait_for},
    proofs::{Case, Judged, POLICY, Reading, verify},
    record::{Crash, Record},
    site::{Ledger, Site},
    told::Told,
    watch::{Status, Watch, now_ms},
};

/// Readings that the feeder sends each second: the recorded hour takes nine.
const RATE: &str = "150";

/// How long the gateway stays down.
const DOWN: Duration = Duration::from_millis(1200);

/// Longest wait for the feeder, and for an anchor.
const PATIENCE: Duration = Duration::from_secs(40);

/// Longest wait for a clean end (design: under two seconds).
const STOP: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some("generate") {
        print!("{}", generate::hour());
        return ExitCode::SUCCESS;
    }
    match story() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("demo: failed: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// The whole demo.
fn story() -> Result<()> {
    process::watch_signals()?;
    let _alone = enter_folder()?;
    let (told, rows) = (Told::start(), data::rows());

    let site = Site::create("gateway", Ledger::Served)?;
    let ledger = site.start_ledger()?;
    let gateway = site.start_gateway("gateway")?;
    told.say("The ledger and the gateway run, two processes with fresh keys.");
    let watch = Watch::start({
        let site = site.clone();
        move || site.status_command()
    });
    let (gateway, crash) = feed_through_a_crash(&told, &site, gateway, &watch, rows.len())?;
    let status = wait_for_anchor(&told, &site)?;
    let samples = watch.finish();
    feed_again(&told, &site, rows.len())?;

    let policy = site.policy(POLICY)?;
    let readings = prove_devices(&told, &site, &rows)?;
    let judged = judge(&told, &site, &rows)?;
    stop(&told, gateway, ledger)?;
    let effects = checks::effects(&site.path("effects.log"))?;
    let sent: usize = effects.values().sum();
    told.say(format!("Each of the {sent} effects that left the gateway was durable before."));

    let (devices, steps) = (data::devices(&rows), told.steps());
    let record =
        Record { crash, status, devices, samples, effects, readings, policy, judged, steps };
    fs::write("report.html", page::html(&record)).doing("report.html")?;
    println!("\nreport: target/demo/report.html\npolicy: target/demo/{POLICY}\ndemo: ok");
    Ok(())
}

/// An empty `target/demo` becomes the current folder: names of sockets stay short. It is this
/// demo's alone until the returned handle is dropped.
fn enter_folder() -> Result<File> {
    let folder = workspace().join("target/demo");
    fs::create_dir_all(&folder).doing(folder.display())?;
    let handle = File::open(&folder).doing(folder.display())?;
    let locked = flock(&handle, FlockOperation::NonBlockingLockExclusive);
    locked
        .map_err(|_| Failure::new("another demo runs in target/demo; wait until it has ended"))?;
    for entry in fs::read_dir(&folder).doing(folder.display())? {
        let path = entry.doing(folder.display())?.path();
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.doing(path.display())?;
    }
    env::set_current_dir(&folder).doing(folder.display())?;
    Ok(handle)
}

fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// The feeder sends the hour; in the middle of it the gateway is killed, and started again a little
/// later.
fn feed_through_a_crash(
    told: &Told,
    site: &Site,
    gateway: Process,
    watch: &Watch,
    rows: usize,
) -> Result<(Process, Crash)> {
    let started_ms = now_ms();
    let mut feed = site.start_feed("feed", RATE, &hour())?;
    told.say(format!("An hour of three devices is fed, {rows} readings, {RATE} each second."));
    let half = wait_for(PATIENCE, || {
        let ended = feed.poll()?.is_some();
        let size = usize::try_from(watch.size()).unwrap_or(usize::MAX);
        Ok((ended || size >= rows / 2).then_some(!ended))
    })?;
    expect(half == Some(true), || "the log does not grow; see target/demo/feed.log".to_owned())?;
    gateway.kill()?;
    let (killed_ms, size) = (now_ms(), watch.size());
    told.say(format!("The gateway is killed (SIGKILL) while the log has {size} entries."));
    thread::sleep(DOWN);
    let mut gateway = site.start_gateway("gateway")?;
    let ready_ms = now_ms();
    told.say("It runs again. The feeder sends what was not acknowledged once more.");
    let feed = Feed::parse(&feed.wait_end_with(&mut gateway, PATIENCE)?)?;
    feed.check(rows)?;
    let Feed { acknowledged, repeated, .. } = feed;
    told.say(format!("All {acknowledged} readings are acknowledged, {repeated} of them repeated."));
    Ok((gateway, Crash { started_ms, killed_ms, ready_ms, feed }))
}

/// The same once more: every reading has its sequence number, so the log knows it and does not take
/// it twice.
fn feed_again(told: &Told, site: &Site, rows: usize) -> Result<()> {
    let mut feed = site.start_feed("feed-again", "max", &hour())?;
    let feed = Feed::parse(&feed.wait_end(PATIENCE)?)?;
    feed.check(rows)?;
    expect(feed.repeated == rows, || format!("fed again: {feed:?}, of {rows} none is new"))?;
    told.say(format!("The same hour is fed again: all {rows} readings are known, none is added."));
    Ok(())
}

fn hour() -> PathBuf {
    workspace().join("tests/demo/data/hour.csv")
}

fn wait_for_anchor(told: &Told, site: &Site) -> Result<Status> {
    let size = site.status()?.size;
    let status = site.wait_anchored(size, PATIENCE)?;
    expect(status.alarms.is_empty(), || format!("the gateway raised {:?}", status.alarms))?;
    let anchors = status.anchors();
    let last = anchors.last().ok_or_else(|| Failure::new("the status shows no anchor"))?;
    let (anchors, size, block) = (anchors.len(), last.size, last.block);
    told.say(format!("{size} entries are anchored; {anchors} anchors, the last in block {block}."));
    Ok(status)
}

/// The devices of the recorded hour, and the bundles of all that they sent.
const DEVICES: [(&str, &str); 3] =
    [("meter-1", "meter-1.sgp"), ("tank-1", "tank-1.sgp"), ("charger-1", "charger-1.sgp")];

/// Proves everything of each device, and compares with what was fed.
fn prove_devices(told: &Told, site: &Site, rows: &[Row]) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for (device, file) in DEVICES {
        let size = site.prove(&["--device", device], file)?.len();
        let what = "all readings of a device";
        let report = verify(site, &Case { key: "", file, what, fails_at: None })?.report;
        let count = report.readings.len();
        told.say(format!("{file}: {count} readings proved and verified, {} kB.", size / 1000));
        readings.extend(report.readings);
    }
    checks::exactly_once(rows, &readings)?;
    told.say("Every acknowledged reading is in the log exactly once, with its value.");
    Ok(readings)
}

/// One bundle that holds, and those that have to be refused.
fn judge(told: &Told, site: &Site, rows: &[Row]) -> Result<Vec<Judged>> {
    let reading = highest(rows)?;
    let seq = reading.seq.to_string();
    let one = ["--device", reading.device, "--seq", &seq];
    let good = site.prove(&one, "reading.sgp")?;
    write("tampered.sgp", &proofs::change_value(&good)?)?;
    write("flipped.sgp", &proofs::flip_bit(&good))?;
    forge(&one)?;
    CASES.iter().map(|case| show(told, verify(site, case)?)).collect()
}

const CASES: [Case; 4] = [
    Case {
        key: "good",
        file: "reading.sgp",
        what: "One reading, proved by the gateway",
        fails_at: None,
    },
    Case {
        key: "tampered",
        file: "tampered.sgp",
        what: "The same with another value and a checksum that fits",
        fails_at: Some("openings"),
    },
    Case {
        key: "flipped",
        file: "flipped.sgp",
        what: "The same with one bit flipped",
        fails_at: Some("format"),
    },
    Case {
        key: "forged",
        file: "forged.sgp",
        what: "A lower value, proved with the keys of another gateway",
        fails_at: Some("signer"),
    },
];

fn show(told: &Told, judged: Judged) -> Result<Judged> {
    let Judged { case: Case { file, what, .. }, text, report, .. } = &judged;
    told.say(format!("{what}: verify {file} exits {}.", report.exit_code));
    told.detail(&proofs::brief(text));
    Ok(judged)
}

/// The reading of the meter with the highest value: somebody could wish to change it.
fn highest(rows: &[Row]) -> Result<Row> {
    let meter = rows.iter().filter(|row| row.device == "meter-1");
    let highest = meter.max_by_key(|row| row.value.parse::<u64>().ok());
    highest.copied().ok_or_else(|| Failure::new("the data file has no meter-1"))
}

/// Somebody else's gateway, with the same names and keys of its own, logs and anchors lower values.
fn forge(what: &[&str]) -> Result<()> {
    let site = Site::create("forger", Ledger::InProcess)?;
    let gateway = site.start_gateway("forger")?;
    let header = generate::HEADER;
    let rows = data::HOUR.lines().filter(|line| line.contains(",meter-1,"));
    let cheaper = rows.filter_map(|row| Some(format!("{},40\n", row.rsplit_once(',')?.0)));
    let file = site.path("forged.csv");
    write(&file, format!("{header}\n{}", cheaper.collect::<String>()).as_bytes())?;
    let mut feed = site.start_feed("forger-feed", "max", Path::new(&file))?;
    Feed::parse(&feed.wait_end(PATIENCE)?)?;
    site.wait_anchored(site.status()?.size, PATIENCE)?;
    site.prove(what, "forged.sgp")?;
    gateway.stop(STOP).map(drop)
}

fn stop(told: &Told, gateway: Process, ledger: Process) -> Result<()> {
    let took = gateway.stop(STOP)?.as_millis();
    ledger.stop(STOP)?;
    told.say(format!("Gateway and ledger were asked to end and did; the gateway took {took} ms."));
    Ok(())
}

fn write(file: &str, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).doing(file)
}
