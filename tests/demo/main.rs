//! `make demo`: three devices send readings and take commands, one loses its network, the gateway
//! is killed and comes back; then checkpoints are anchored, bundles proved, verified, tampered with
//! and forged. Ends with a page to look at, `target/demo/report.html`, and with `demo: ok`.
//!
//! Guarantees: exit code 0 only if every expectation held; no process is left behind; writes below
//! `target/demo` only.
//! `demo charging` plays the charging station only.
//! Order: the one of [`story`]; each module holds one part of it.

mod broker;
mod checks;
mod failure;
mod figures;
mod fleet;
mod measured;
mod page;
mod plant;
mod plot;
mod process;
mod proofs;
mod record;
mod site;
mod station;
mod told;
mod watch;

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use rustix::fs::{FlockOperation, flock};

use self::{
    checks::Heard,
    failure::{Doing, Failure, Result, expect},
    fleet::{DEVICES, METER, VALVE},
    plant::Plant,
    proofs::{Case, Judged, POLICY, Reading, verify},
    record::{Events, Record},
    site::{Role, Site},
    told::Told,
    watch::{Status, Watch, now_ms},
};

/// What must have left the gateway of the devices.
const EFFECTS: [&str; 3] = ["acknowledgement", "checkpoint", "submission"];

/// Longest wait for an anchor.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest wait for the forger's clean end.
const STOP: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let played = match env::args().nth(1).as_deref() {
        None => story(),
        Some("charging") => charging(),
        Some(part) => Err(Failure::new(format!("there is no part {part:?}: charging, or all"))),
    };
    match played {
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
    let told = Told::start();

    let plant = Plant::start(&told)?;
    let watch = Watch::start({
        let site = plant.site.clone();
        move || site.status_command()
    });
    let (plant, heard, events) = work(&told, plant, &watch)?;
    let site = plant.site.clone();
    let status = wait_for_anchor(&told, &site)?;
    let samples = watch.finish();

    let policy = site.policy(POLICY)?;
    let readings = prove_devices(&told, &site, &heard)?;
    checks::valve(&readings, &events.commands, &heard)?;
    told.say("Each command was carried out once; commands, results and states are in the log.");
    told.detail(&site.show(VALVE)?);
    let judged = judge(&told, &site, &readings)?;
    plant.stop(&told)?;
    let effects = checks::effects(&site.path("effects.log"), &EFFECTS)?;
    let sent: usize = effects.values().sum();
    told.say(format!("Each of the {sent} effects that left the gateway was durable before."));
    let runs = station::play(&told)?;

    let steps = told.steps();
    let record = Record { events, status, samples, effects, readings, policy, judged, steps, runs };
    fs::write("report.html", page::html(&record)).doing("report.html")?;
    println!("\nreport: target/demo/report.html\npolicy: target/demo/{POLICY}\ndemo: ok");
    Ok(())
}

/// The charging station alone, without a page.
fn charging() -> Result<()> {
    process::watch_signals()?;
    let _alone = enter_folder()?;
    station::play(&Told::start())?;
    println!("\ndemo: ok");
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

/// What happens while the devices measure, two readings a second.
fn work(told: &Told, mut plant: Plant, watch: &Watch) -> Result<(Plant, Vec<Heard>, Events)> {
    let started_ms = now_ms();
    plant.settle(10)?;
    let closed = plant.act(told, "closed")?;
    plant.settle(8)?;
    let cut = plant.cut_network(told)?;
    plant.settle(8)?;
    let (mut plant, down) = plant.kill_gateway(told, watch.size())?;
    plant.settle(8)?;
    let open = plant.act(told, "open")?;
    plant.settle(10)?;
    let heard = plant.finish()?;
    let count: usize = heard.iter().map(|(_, said)| said.logged.len()).sum();
    told.say(format!("The devices end: all their {count} readings are acknowledged."));
    let ended_ms = now_ms();
    Ok((plant, heard, Events { started_ms, ended_ms, cut, down, commands: [closed, open] }))
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

/// Proves everything of each device, and compares with what the device knows.
fn prove_devices(told: &Told, site: &Site, heard: &[Heard]) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for device in DEVICES {
        let file = device.file;
        let size = site.prove(&["--device", device.name], file)?.len();
        let what = "everything of a device";
        let report = verify(site, &Case { key: "", file, what, fails_at: None })?.report;
        let count = report.readings.len();
        told.say(format!("{file}: {count} entries proved and verified, {} kB.", size / 1000));
        readings.extend(report.readings);
    }
    checks::exactly_once(heard, &readings)?;
    told.say("Every acknowledged reading is in the log exactly once, where the device was told.");
    Ok(readings)
}

/// One bundle that holds, and those that have to be refused.
fn judge(told: &Told, site: &Site, readings: &[Reading]) -> Result<Vec<Judged>> {
    let reading = measured::highest(readings, METER)?;
    let seq = reading.seq.to_string();
    let one = ["--device", METER, "--seq", &seq];
    let good = site.prove(&one, "reading.sgp")?;
    write("tampered.sgp", &proofs::change_value(&good)?)?;
    write("flipped.sgp", &proofs::flip_bit(&good))?;
    forge(&one, &reading.row("40"))?;
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

/// Somebody else's gateway, with the same names and keys of its own, logs and anchors this row.
fn forge(what: &[&str], row: &str) -> Result<()> {
    let site = Site::create("forger", Role::Alone)?;
    let gateway = site.start_gateway("forger")?;
    let file = site.path("forged.csv");
    write(&file, format!("time,device,seq,name,unit,value\n{row}\n").as_bytes())?;
    site.feed(Path::new(&file))?;
    site.wait_anchored(site.status()?.size, PATIENCE)?;
    site.prove(what, "forged.sgp")?;
    gateway.stop(STOP).map(drop)
}

fn write(file: &str, bytes: &[u8]) -> Result<()> {
    fs::write(file, bytes).doing(file)
}
