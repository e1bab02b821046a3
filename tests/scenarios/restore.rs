//! A restored backup, declared and not, also twice: a new origin, a predecessor in its genesis, no
//! contradiction, old proofs hold, and what it acknowledged is logged again.

use std::{fs, path::Path};

use serde_json::{Value, json};
use sluicegate_notary::entry::Body;

use crate::{
    client::reading,
    logged::{Seen, entries, folder, published},
    place::{Place, alarms, rows},
    process::Process,
};

const FIRST: &str = "scenario.example/gw/1";

/// Whether the gateway told of a log behind the first.
fn goes_on_anew(status: &Value) -> bool {
    status["origin"].as_str().unwrap().starts_with("scenario.example/gw/1/")
}

/// A gateway whose state is a backup again, older than what its ledger and its readers have seen.
struct Restored {
    place: Place,
    seen: Seen,
    ledger: Option<Process>,
}

impl Restored {
    fn new() -> Self {
        let place = Place::new();
        let (ledger, gateway) = (place.ledger(), place.gateway());
        place.feed(&rows("meter-1", 0..300));
        place.wait_anchored();
        place.prove(&["meter-1", "--seq", "7"], "before.sgp");
        gateway.stop();
        copy(&place.path("state"), &place.path("backup"));
        let gateway = place.gateway();
        place.feed(&rows("meter-1", 300..700));
        place.wait_anchored();
        place.prove(&["meter-1", "--seq", "600"], "lost.sgp");
        gateway.stop();
        let mut restored = Self { place, seen: Seen::default(), ledger: Some(ledger) };
        restored.see(1);
        fs::rename(restored.place.path("state"), restored.place.path("lost")).unwrap();
        fs::rename(restored.place.path("backup"), restored.place.path("state")).unwrap();
        restored
    }

    /// Somebody reads the folder of a log, and both old bundles.
    fn see(&mut self, log: u32) {
        self.seen.note(&folder(&self.place, log));
        let policy = self.place.policy();
        for name in ["before.sgp", "lost.sgp"] {
            let (code, report) = self.place.verify(&self.place.path(name), &policy, &[]);
            assert_eq!(code, 0, "{name}: {report}");
            self.seen.report(&report);
        }
    }

    /// The gateway went on with a new origin, and nothing that anyone saw contradicts.
    fn assert_went_on(&mut self, gateway: Process) {
        let place = &self.place;
        assert_eq!(place.feed(&rows("meter-1", 250..800)), 50, "what the backup holds");
        let status = place.wait_anchored();
        let second = status["origin"].as_str().unwrap();
        let policy = place.policy();
        for (seq, origin) in [("7", FIRST), ("600", second)] {
            let bundle = place.prove(&["meter-1", "--seq", seq], "after.sgp");
            let (code, report) = place.verify(&bundle, &policy, &[]);
            assert_eq!((code, &report["log"]["origin"]), (0, &origin.into()), "{report}");
            self.seen.report(&report);
        }
        gateway.stop();
        let number = second.rsplit('/').next().unwrap().parse().unwrap();
        self.see(number);
        let genesis = entries(&folder(&self.place, number)).swap_remove(0);
        let Body::Genesis(genesis) = genesis.body else { panic!("{genesis:?}") };
        let previous = genesis.previous.unwrap();
        assert_eq!((&*genesis.origin, &*previous.origin), (second, FIRST));
        self.seen.assert_kept(&self.place.path("lost/log/1"));
        self.seen.assert_kept(&folder(&self.place, number));
        // What the backup's log says of itself is a beginning of what the lost one said.
        let (_, size, root) = published(&folder(&self.place, 1));
        assert!(size < published(&self.place.path("lost/log/1")).1);
        assert_eq!((previous.size, previous.root), (size, root));
        // A further restart changes nothing.
        let gateway = self.place.gateway();
        assert_eq!(self.place.wait_anchored()["origin"], second);
        gateway.stop();
    }
}

#[test]
fn a_declared_restore_begins_a_new_origin_at_the_next_start() {
    let mut restored = Restored::new();
    let said = restored.place.done(&["restore", "--config", "sluicegate.toml"]);
    assert!(said.contains(FIRST), "{said}");
    let gateway = restored.place.gateway();
    let status = restored.place.status();
    assert!(goes_on_anew(&status), "from the start: {status}");
    restored.assert_went_on(gateway);
    let gateway = restored.place.gateway();
    assert_eq!(alarms(&restored.place.wait_anchored()), "", "it was declared");
    gateway.stop();
}

#[test]
fn an_undeclared_restore_is_found_by_the_ledgers_newer_anchor() {
    let mut restored = Restored::new();
    let gateway = restored.place.gateway();
    let status = restored.place.wait_status("a new origin", goes_on_anew);
    assert!(alarms(&status).contains("old copy"), "{status}");
    restored.assert_went_on(gateway);
}

#[test]
fn an_undeclared_restore_shows_no_checkpoint_before_it_reached_the_ledger() {
    let mut restored = Restored::new();
    drop(restored.ledger.take());
    let place = &restored.place;
    let gateway = place.gateway();
    place.feed(&rows("meter-2", 0..50));
    // Behind further commits it is shown as little.
    place.feed(&rows("meter-2", 50..60));
    place.feed(&rows("meter-2", 60..70));
    let prove = ["prove", "--config", "sluicegate.toml", "--device"];
    let refused = place.run(&[&prove[..], &["meter-2", "--seq", "7"]].concat());
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("compared with the ledger"), "{}", refused.err);
    // What an anchor covers may be shown at any time.
    place.prove(&["meter-1", "--seq", "7"], "meanwhile.sgp");
    restored.ledger = Some(restored.place.ledger());
    restored.place.wait_status("a new origin", goes_on_anew);
    restored.assert_went_on(gateway);
}

#[test]
fn what_an_old_copy_acknowledged_is_logged_again_and_proves() {
    let mut restored = Restored::new();
    drop(restored.ledger.take());
    let place = &restored.place;
    let gateway = place.gateway();
    let acknowledged = acknowledge(place);
    gateway.kill();
    let gateway = place.gateway();
    restored.ledger = Some(place.ledger());
    place.wait_status("a new origin", goes_on_anew);
    assert_proves(place, &acknowledged);
    gateway.stop();
    let gateway = place.gateway();
    place.wait_anchored();
    assert_proves(place, &acknowledged);
    restored.assert_went_on(gateway);
}

#[test]
fn what_a_killed_gateway_acknowledged_is_logged_again_after_a_declared_restore() {
    let place = Place::new();
    let _ledger = place.ledger();
    place.configure("publish_interval = \"200ms\"", "publish_interval = \"1h\"");
    place.configure("interval = \"150ms\"", "interval = \"1h\"");
    let gateway = place.gateway();
    place.feed(&rows("meter-1", 0..300));
    let acknowledged = acknowledge(&place);
    place.feed(&rows("meter-1", 300..305));
    gateway.kill();
    place.done(&["restore", "--config", "sluicegate.toml"]);
    place.configure("interval = \"1h\"", "interval = \"150ms\"");
    let gateway = place.gateway();
    assert_proves(&place, &acknowledged);
    assert_eq!(place.feed(&rows("meter-1", 0..310)), 305);
    place.wait_anchored();
    let one = place.prove(&["meter-1", "--seq", "304"], "one.sgp");
    assert_eq!(place.verify(&one, &place.policy(), &[]).0, 0);
    gateway.stop();
}

/// Logs readings of the second device, each in a commit of its own, some without a sequence number.
fn acknowledge(place: &Place) -> Vec<Value> {
    let mut client = place.client();
    let mut payloads = Vec::new();
    for seq in 0..20 {
        let mut request = reading("meter-2", seq);
        if seq % 5 == 4 {
            request["reading"]["seq"] = Value::Null;
        }
        client.ask(&request);
        let answer = client.answer().unwrap();
        assert_eq!(answer["logged"]["repeated"], false, "{answer}");
        payloads.push(request["reading"].take());
    }
    payloads
}

/// Each of these readings of the second device has exactly one leaf that proves, as it was received.
fn assert_proves(place: &Place, acknowledged: &[Value]) {
    place.wait_anchored();
    let (policy, mut client) = (place.policy(), place.client());
    let readings = proved(place, &policy);
    let received = readings.iter().map(|found| {
        let payload = found["value"]["text"].clone();
        json!({ "device": "meter-2", "seq": found["seq"], "format": 110, "payload": payload })
    });
    assert_eq!(received.collect::<Vec<_>>(), acknowledged);
    for (seq, index) in readings.iter().filter_map(|r| Some((r["seq"].as_u64()?, &r["index"]))) {
        assert_eq!(client.index("meter-2", seq), *index);
        let one = place.prove(&["meter-2", "--seq", &seq.to_string()], "one.sgp");
        assert!([0, 2].contains(&place.verify(&one, &policy, &[]).0), "{seq}");
    }
}

/// The readings of the second device in all logs. What a closed log signed last may lack an anchor.
fn proved(place: &Place, policy: &Path) -> Vec<Value> {
    let names = fs::read_dir(place.path("state/log")).unwrap();
    let mut logs: Vec<u32> =
        names.map(|name| name.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    logs.sort_unstable();
    let mut found = Vec::new();
    for log in logs.iter().map(u32::to_string) {
        let _ = fs::remove_file(place.path("all.sgp"));
        let what = ["--device", "meter-2", "--log", &log, "--out", "all.sgp"];
        let ended = place.run(&[&["prove", "--config", "sluicegate.toml"], &what[..]].concat());
        if ended.code == Some(1) && ended.err.contains("no log of this gateway holds") {
            continue;
        }
        assert_eq!(ended.code, Some(0), "{log}: {}", ended.err);
        let (code, report) = place.verify(&place.path("all.sgp"), policy, &[]);
        assert!([0, 2].contains(&code), "{log}: {report}");
        found.extend(report["readings"].as_array().unwrap().clone());
    }
    found
}

#[test]
fn the_same_backup_restored_twice_begins_two_origins() {
    let mut restored = Restored::new();
    let place = restored.place.path("");
    let (backup, state) = (place.join("backup"), place.join("state"));
    copy(&state, &backup);
    for declared in [true, false, true] {
        if declared {
            restored.place.done(&["restore", "--config", "sluicegate.toml"]);
        }
        let gateway = restored.place.gateway();
        restored.place.wait_status("a new origin", goes_on_anew);
        restored.assert_went_on(gateway);
        fs::remove_dir_all(&state).unwrap();
        copy(&backup, &state);
    }
}

#[test]
fn a_wiped_state_begins_a_new_origin() {
    let place = Place::new();
    let _ledger = place.ledger();
    let gateway = place.gateway();
    place.feed(&rows("meter-1", 0..300));
    place.wait_anchored();
    gateway.stop();
    fs::remove_dir_all(place.path("state")).unwrap();
    let gateway = place.gateway();
    let status = place.wait_status("a new origin", goes_on_anew);
    assert!(alarms(&status).contains("old copy"), "{status}");
    place.feed(&rows("meter-1", 0..300));
    place.wait_anchored();
    let bundle = place.prove(&["meter-1"], "all.sgp");
    assert_eq!(place.verify(&bundle, &place.policy(), &[]).0, 0);
    gateway.stop();
}

#[test]
fn a_restore_is_not_declared_while_the_gateway_runs() {
    let place = Place::with_ledger_in_process();
    let _gateway = place.gateway();
    let refused = place.run(&["restore", "--config", "sluicegate.toml"]);
    assert_eq!(refused.code, Some(1), "{}", refused.out);
    assert!(refused.err.contains("in use"), "{}", refused.err);
    assert_eq!(place.status()["alarms"], Value::Array(vec![]));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
