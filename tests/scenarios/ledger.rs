//! The ledger: away at the start, killed in the middle, in the gateway's own process, shared by two
//! gateways.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::{
    chain, effects,
    place::{Place, rows, states},
    process::until,
};

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[test]
fn readings_are_logged_while_the_ledger_is_away_and_anchored_when_it_comes() {
    let place = Place::new();
    let _gateway = place.gateway();
    let before = now_ms();
    place.feed(&rows("meter-1", 0..300));
    let away = place.wait_status("the ledger is away", |status| {
        status["ledger"].as_str().unwrap().starts_with("unreachable")
    });
    let oldest = away["oldest_unanchored_ms"].as_u64().unwrap();
    assert!((before..=now_ms()).contains(&oldest), "{oldest} is not since {before}");
    assert_eq!((&away["anchored_size"], &away["anchors"]), (&0.into(), &Value::Array(vec![])));
    let _ledger = place.ledger();
    let status = place.wait_anchored();
    assert_eq!(status["ledger"], "reachable");
    let bundle = place.prove(&["meter-1"], "all.sgp");
    assert_eq!(place.verify(&bundle, &place.policy(), &[]).0, 0);
}

#[test]
fn a_ledger_killed_in_the_middle_of_anchoring_holds_each_anchor_once() {
    let place = Place::new();
    let _gateway = place.gateway();
    let mut ledger = place.ledger();
    for round in 0..6 {
        let begun = place.status()["anchors"].as_array().unwrap().len();
        place.feed(&rows("meter-1", round * 20..round * 20 + 20));
        // Each round at another moment: before the submission, after it, before finality.
        place.wait_status("an anchor has begun", |status| {
            status["anchors"].as_array().unwrap().len() > begun
        });
        std::thread::sleep(Duration::from_millis(round * 15));
        ledger.kill();
        ledger = place.ledger();
    }
    let status = place.wait_anchored();
    assert!(states(&status).iter().all(|state| state == "final"), "{status}");
    assert_each_once(&place, &[&status]);
    effects::assert_persisted_before_sent(&place);
    drop(ledger);
}

#[test]
fn a_gateway_killed_in_the_middle_of_anchoring_pays_once() {
    let place = Place::new();
    let _ledger = place.ledger();
    let mut gateway = place.gateway();
    for round in 0..6_u64 {
        let sent = effects::sent(&place, "submission");
        place.feed(&rows("meter-1", round * 20..round * 20 + 20));
        until("a submission", || (effects::sent(&place, "submission") > sent).then_some(()));
        gateway.kill();
        gateway = place.gateway();
    }
    let status = place.wait_anchored();
    assert_each_once(&place, &[&status]);
    effects::assert_persisted_before_sent(&place);
    gateway.stop();
}

/// The gateway was killed after its outbox forgot a final anchor and before it kept what proves it, and the log was
/// closed meanwhile.
#[test]
fn anchors_of_all_logs_are_followed_to_their_end_after_a_restart() {
    let place = Place::new();
    let _ledger = place.ledger();
    for _ in 0..2 {
        let gateway = place.gateway();
        place.feed(&rows("meter-1", 0..50));
        place.wait_anchored();
        gateway.stop();
        place.done(&["restore", "--config", "sluicegate.toml"]);
    }
    let under_way = || -> i64 {
        let database = rusqlite::Connection::open(place.path("state/gateway.db")).unwrap();
        let sql = "SELECT count(*) FROM anchor WHERE final IS NULL OR evidence IS NULL";
        database.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    assert_eq!(under_way(), 0);
    let database = rusqlite::Connection::open(place.path("state/gateway.db")).unwrap();
    let forget = "UPDATE anchor SET final = NULL, block = NULL, evidence = NULL";
    let forgotten = database.execute(forget, []).unwrap();
    drop(database);
    assert!(forgotten >= 2, "one of each log");
    let before = chain::anchors(&place);
    let gateway = place.gateway();
    // A reading of the first log, once its anchor is known again.
    until("the anchors of closed logs", || {
        let bundle = place.prove(&["meter-1", "--seq", "7", "--log", "1"], "first.sgp");
        (place.verify(&bundle, &place.policy(), &[]).0 == 0).then_some(())
    });
    place.feed(&rows("meter-1", 50..60));
    place.wait_anchored();
    gateway.stop();
    assert_eq!(under_way(), 0);
    for (account, digests) in chain::anchors(&place) {
        assert!(digests.values().all(|count| *count == 1), "{digests:?}");
        assert!(before[&account].keys().all(|digest| digests.contains_key(digest)));
    }
}

/// The ledger holds the anchors of these gateways, one account each, every digest once, and
/// nothing else.
fn assert_each_once(place: &Place, gateways: &[&Value]) {
    let told = |status: &Value| -> Vec<String> {
        let anchors = status["anchors"].as_array().unwrap();
        let digest = |anchor: &Value| anchor["digest"].as_str().unwrap().to_owned();
        let mut digests: Vec<_> = anchors.iter().map(digest).collect();
        digests.sort();
        digests
    };
    let mut expected: Vec<_> = gateways.iter().map(|status| told(status)).collect();
    let held = chain::anchors(place);
    assert!(held.values().all(|of| of.values().all(|count| *count == 1)), "{held:?}");
    let mut held: Vec<Vec<_>> = held.values().map(|of| of.keys().cloned().collect()).collect();
    expected.sort();
    held.sort();
    assert_eq!(held, expected);
}

#[test]
fn a_ledger_in_the_gateways_process_does_the_same() {
    let place = Place::with_ledger_in_process();
    let mut gateway = place.gateway();
    for round in 0..3 {
        place.feed(&rows("meter-1", round * 300..round * 300 + 300));
        place.wait_anchored();
        match round {
            0 => gateway.kill(),
            _ => assert!(gateway.stop() < Duration::from_secs(2)),
        }
        gateway = place.gateway();
    }
    let status = place.wait_anchored();
    assert_eq!((&status["ledger"], &status["origin"]), (&"reachable".into(), &ORIGIN.into()));
    assert_eq!(status["alarms"], Value::Array(vec![]));
    let bundle = place.prove(&["meter-1"], "all.sgp");
    let (code, report) = place.verify(&bundle, &place.policy(), &[]);
    assert_eq!((code, report["readings"].as_array().unwrap().len()), (0, 900));
    gateway.stop();
    effects::assert_persisted_before_sent(&place);
}

const ORIGIN: &str = "scenario.example/gw/1";

#[test]
fn two_gateways_share_a_ledger_process_with_accounts_of_their_own() {
    let (first, second) = (Place::new(), Place::new());
    let policy = std::fs::read_to_string(first.policy()).unwrap();
    let key = policy.lines().find_map(|line| line.strip_prefix("ledger ")).unwrap();
    let socket = format!("socket = \"{}\"", first.path("ledger.sock").display());
    second.configure("socket = \"ledger.sock\"", &format!("{socket}\nverifier_key = \"{key}\""));
    second.configure("key_credential = \"ledger-key\"\n", "");
    second.configure("scenario.example/gw/1", "scenario.example/gw/b");
    let _ledger = first.ledger();
    let places = [&first, &second];
    let _gateways = places.map(Place::gateway);
    for round in 0..3 {
        for place in places {
            place.feed(&rows("meter-1", round * 50..round * 50 + 50));
        }
    }
    let statuses = places.map(Place::wait_anchored);
    assert_each_once(&first, &[&statuses[0], &statuses[1]]);
    let bundles = places.map(|place| place.prove(&["meter-1"], "all.sgp"));
    let policies = places.map(Place::policy);
    for (mine, other) in [(0, 1), (1, 0)] {
        assert_eq!(first.verify(&bundles[mine], &policies[mine], &[]).0, 0);
        assert_eq!(first.verify(&bundles[mine], &policies[other], &[]).0, 1);
    }
}
