//! Damaged files: the gateway starts, an alarm says what happened, readings go on, and repeats get
//! their old index as long as the log is there that holds it.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
};

use serde_json::Value;

use crate::{
    effects,
    logged::{Seen, folder},
    place::{Place, alarms, rows},
    process::Process,
};

/// Enough for two full tiles and a tail.
const ROWS: u64 = 600;

/// A stopped gateway with a log, and what its readers and devices know of it.
struct Stopped {
    place: Place,
    seen: Seen,
    first: u64,
    last: u64,
    _ledger: Process,
}

impl Stopped {
    fn new() -> Self {
        let place = Place::new();
        let (ledger, gateway) = (place.ledger(), place.gateway());
        place.feed(&rows("meter-1", 0..ROWS));
        place.wait_anchored();
        let mut client = place.client();
        let (first, last) = (client.index("meter-1", 0), client.index("meter-1", ROWS - 1));
        gateway.stop();
        let mut seen = Seen::default();
        seen.note(&folder(&place, 1));
        copy_log(&place);
        Self { place, seen, first, last, _ledger: ledger }
    }

    /// The gateway starts with an alarm that says `told`, and does what it did before, except for
    /// what is `lost`.
    fn assert_goes_on(mut self, told: &str, lost: &Lost) {
        let place = &self.place;
        let gateway = place.gateway();
        place.wait_status("an alarm", |status| alarms(status).contains(told));
        if *lost == Lost::Log {
            // Nothing of it can be proved any more, so devices that send again are logged again.
            assert_eq!(place.feed(&rows("meter-1", 0..ROWS)), 0);
        } else {
            let mut client = place.client();
            let again = (client.index("meter-1", 0), client.index("meter-1", ROWS - 1));
            assert_eq!(again, (self.first, self.last));
        }
        assert_eq!(place.feed(&rows("meter-1", ROWS - 50..ROWS + 50)), 50);
        let status = lost.wait_anchored(place);
        assert_eq!(status["origin"] == FIRST, *lost == Lost::Nothing, "{status}");
        let bundle = place.prove(&["meter-1", "--seq", &ROWS.to_string()], "new.sgp");
        let (code, report) = place.verify(&bundle, &place.policy(), &[]);
        assert_eq!(code, if *lost == Lost::Database { 2 } else { 0 }, "{report}");
        self.seen.report(&report);
        gateway.stop();
        effects::assert_persisted_before_sent(place);
        let kept = if *lost == Lost::Nothing { folder(place, 1) } else { place.path("undamaged") };
        self.seen.assert_kept(&kept);
        // Told once: a further start finds all in order.
        let gateway = place.gateway();
        assert!(!alarms(&lost.wait_anchored(place)).contains(told));
        gateway.stop();
    }
}

/// What the damage cost.
#[derive(PartialEq, Eq)]
enum Lost {
    /// The database, and with it what was spent today: nothing more is paid before tomorrow.
    Database,
    /// The log, which was set aside: another one goes on.
    Log,
    Nothing,
}

impl Lost {
    /// Waits until all is anchored, or until the gateway tells that it may not pay.
    fn wait_anchored(&self, place: &Place) -> Value {
        match self {
            Self::Database => {
                place.wait_status("a ceiling", |status| alarms(status).contains("ceiling"))
            }
            Self::Log | Self::Nothing => place.wait_anchored(),
        }
    }
}

const FIRST: &str = "scenario.example/gw/1";

fn copy_log(place: &Place) {
    let (from, to) = (folder(place, 1), place.path("undamaged"));
    for index in 0..ROWS / 256 {
        copy_file(&from, &to, &format!("tile/entries/{index:03}"));
    }
    let partial = fs::read_dir(from.join("tile/entries/002.p")).unwrap();
    for name in partial.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        copy_file(&from, &to, &format!("tile/entries/002.p/{name}"));
    }
    copy_file(&from, &to, "checkpoint");
}

fn copy_file(from: &Path, to: &Path, name: &str) {
    fs::create_dir_all(to.join(name).parent().unwrap()).unwrap();
    fs::copy(from.join(name), to.join(name)).unwrap();
}

/// Writes garbage over a part of a file.
fn spoil(file: &Path, position: u64, length: usize) {
    let mut opened = OpenOptions::new().write(true).open(file).unwrap();
    opened.seek(SeekFrom::Start(position)).unwrap();
    opened.write_all(&b"\xde\xad\xbe\xef".repeat(length / 4)).unwrap();
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

#[test]
fn a_database_that_is_none_is_set_aside_and_rebuilt_from_the_log() {
    let stopped = Stopped::new();
    spoil(&stopped.place.path("state/gateway.db"), 0, 4_096);
    // Without its database the gateway can't know the anchors it paid for: the ledger's newest one
    // looks like that of a later state, so that a new origin is the safe way on.
    stopped.assert_goes_on("the database was damaged", &Lost::Database);
}

#[test]
fn a_database_with_spoilt_pages_is_set_aside_when_they_are_met() {
    let stopped = Stopped::new();
    let database = stopped.place.path("state/gateway.db");
    let rest = usize::try_from(length(&database)).unwrap() - 4_096;
    spoil(&database, 4_096, rest);
    stopped.assert_goes_on("the database was damaged", &Lost::Database);
}

#[test]
fn a_spoilt_tile_of_hashes_is_written_anew() {
    let stopped = Stopped::new();
    spoil(&folder(&stopped.place, 1).join("tile/0/000"), 640, 320);
    stopped.assert_goes_on("damaged tiles of the log were written anew", &Lost::Nothing);
}

#[test]
fn a_spoilt_tile_of_entries_closes_the_log() {
    let stopped = Stopped::new();
    let tile = folder(&stopped.place, 1).join("tile/entries/000");
    spoil(&tile, length(&tile) / 2, 64);
    spoil(&folder(&stopped.place, 1).join("tile/0/000"), 640, 320);
    stopped.assert_goes_on("is damaged", &Lost::Log);
}

#[test]
fn a_tail_with_garbage_behind_it_is_cut_off_and_one_with_garbage_in_it_closes_the_log() {
    let stopped = Stopped::new();
    let tail = folder(&stopped.place, 1).join("tail-512");
    let good = length(&tail);
    OpenOptions::new().append(true).open(&tail).unwrap().write_all(b"torn by a power cut").unwrap();
    let gateway = stopped.place.gateway();
    assert_eq!(stopped.place.wait_anchored()["origin"], FIRST);
    gateway.stop();
    assert_eq!(length(&tail), good);
    spoil(&tail, good / 2, 64);
    stopped.assert_goes_on("leaves are left of", &Lost::Log);
}

#[test]
fn a_configuration_that_makes_no_sense_any_more_is_replaced_by_the_last_good_one() {
    let stopped = Stopped::new();
    let file = stopped.place.path("sluicegate.toml");
    let good = fs::read(&file).unwrap();
    spoil(&file, 0, 64);
    let gateway = stopped.place.gateway();
    let status = stopped.place.status();
    assert!(alarms(&status).contains("sluicegate.toml"), "{status}");
    assert!(alarms(&status).contains("the last one that worked"), "{status}");
    let mut client = stopped.place.client();
    assert_eq!(client.index("meter-1", 0), stopped.first);
    client.log_new("meter-1", ROWS);
    // So do the commands beside it, with a word.
    let config = ["--config", "sluicegate.toml"];
    let policy = stopped.place.run(&[&["policy", "--out", "policy"], &config[..]].concat());
    let prove = ["prove", "--device", "meter-1", "--seq", "7", "--out", "seven.sgp"];
    let proof = stopped.place.run(&[&prove[..], &config].concat());
    let mut feed = stopped.place.start(&[&["feed", "-"], &config[..]].concat());
    feed.pipe(&rows("meter-1", 0..3));
    for ended in [policy, proof, feed.end()] {
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        assert!(ended.err.contains("the last one that worked"), "{}", ended.err);
    }
    gateway.stop();
    fs::write(file, good).unwrap();
    let _gateway = stopped.place.gateway();
    assert_eq!(alarms(&stopped.place.wait_anchored()), "");
}
