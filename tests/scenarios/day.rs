//! A day in the life: readings from a pipe, all anchored, every kind of proof, with the gateway
//! running and stopped.

use std::fs;

use serde_json::Value;

use crate::{
    effects,
    logged::{folder, published},
    place::{Place, rows},
};

/// What each kind of question must show: arguments, file, readings in the proof.
fn questions() -> Vec<(Vec<&'static str>, &'static str, usize)> {
    vec![
        (vec!["meter-1", "--seq", "17"], "one.sgp", 1),
        (vec!["meter-1"], "all.sgp", 600),
        (vec!["meter-2", "--from", "2020-01-01", "--to", "2100-01-01"], "span.sgp", 40),
        (vec!["meter-2", "--from", "2100-01-01T00:00:00Z"], "nothing.sgp", 0),
        (vec!["meter-2", "--seq", "3", "--format", "tlog-proof"], "one.tlog-proof", 1),
    ]
}

#[test]
fn readings_go_in_a_checkpoint_is_anchored_a_bundle_comes_out() {
    let place = Place::new();
    let _ledger = place.ledger();
    let gateway = place.gateway();
    assert_eq!(place.feed(&rows("meter-1", 0..600)), 0);
    assert_eq!(place.feed(&rows("meter-2", 0..40)), 0);
    assert_eq!(place.feed(&rows("meter-2", 0..40)), 40, "a file fed twice is logged once");
    let status = place.wait_anchored();
    assert_eq!(status["ledger"], "reachable");
    assert_eq!(status["anchored_size"], status["size"]);
    assert_eq!(status["alarms"], Value::Array(vec![]));
    prove_all(&place);
    place.done(&["status", "--config", "sluicegate.toml"]);
    gateway.stop();
    prove_all(&place);
    let stopped = place.run(&["status", "--config", "sluicegate.toml"]);
    assert_eq!(stopped.code, Some(1));
    assert!(stopped.err.contains("sluicegate run"), "{}", stopped.err);
    effects::assert_persisted_before_sent(&place);
}

fn prove_all(place: &Place) {
    let policy = place.policy();
    for (what, name, count) in questions() {
        if count == 0 {
            let head = ["prove", "--config", "sluicegate.toml", "--out", name, "--device"];
            let refused = place.run(&[&head, &*what].concat());
            assert_eq!(refused.code, Some(1), "{}", refused.err);
            continue;
        }
        let (code, report) = place.verify(&place.prove(&what, name), &policy, &[]);
        // A tlog-proof has no place for an anchor: see `verdicts` for the ledger that is asked.
        let expected = if name.ends_with("tlog-proof") { 2 } else { 0 };
        assert_eq!(code, expected, "{name}: {report}");
        let readings = report["readings"].as_array().unwrap();
        assert_eq!(readings.len(), count, "{name}");
        assert!(readings.iter().all(|reading| reading["device"] == what[0]), "{name}");
        assert!(readings.iter().all(|reading| reading["value"]["text"].is_string()), "{name}");
        if count == 600 {
            assert_complete(readings);
        }
    }
}

/// Each sequence number once, in order, with nothing missing between them.
pub fn assert_complete(readings: &[Value]) {
    let seqs: Vec<_> = readings.iter().map(|reading| reading["seq"].as_u64().unwrap()).collect();
    let mut sorted = seqs.clone();
    sorted.sort_unstable();
    assert!(sorted.iter().copied().eq(0..seqs.len() as u64), "{seqs:?}");
}

#[test]
fn proofs_of_a_log_that_did_not_grow_write_no_file_of_it() {
    let place = Place::new();
    let _processes = [place.ledger(), place.gateway()];
    place.feed(&rows("meter-1", 0..300));
    let size = place.wait_anchored()["size"].as_u64().unwrap();
    place.prove(&["meter-1", "--seq", "7"], "one.sgp");
    let written = || {
        let names = ["checkpoint", "tile/entries/001.p", "tile/0/001.p"];
        names.map(|name| fs::metadata(folder(&place, 1).join(name)).unwrap().modified().unwrap())
    };
    let before = written();
    assert_eq!(published(&folder(&place, 1)).1, size);
    for seq in ["7", "8", "299"] {
        place.prove(&["meter-1", "--seq", seq], "one.sgp");
    }
    assert_eq!(written(), before);
    place.feed(&rows("meter-1", 300..301));
    place.prove(&["meter-1", "--seq", "300"], "one.sgp");
    assert_ne!(written()[0], before[0]);
}
