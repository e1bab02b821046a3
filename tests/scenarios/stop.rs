//! SIGTERM: the gateway ends within two seconds, keeps what it had taken, publishes, and goes on at
//! the next start.

use std::time::Duration;

use serde_json::json;

use crate::{
    client::reading,
    effects,
    logged::{entries, folder, published},
    place::{Place, fed, rows},
    process::until,
};

/// What design and issue promise.
const LIMIT: Duration = Duration::from_secs(2);

#[test]
fn a_stop_commits_what_waits_and_publishes_it() {
    let place = Place::new();
    // Nothing is committed by itself while this test runs.
    place.configure("commit_delay = \"20ms\"", "commit_delay = \"1s\"");
    place.configure("publish_interval = \"200ms\"", "publish_interval = \"1h\"");
    place.configure("interval = \"150ms\"", "interval = \"1h\"");
    let _ledger = place.ledger();
    let gateway = place.gateway();
    place.wait_status("the ledger", |status| status["anchored_size"].as_u64() > Some(0));
    let mut client = place.client();
    (0..5).for_each(|seq| client.ask(&reading("meter-1", seq)));
    client.ask(&json!("status"));
    // It was asked last, so the readings were taken; on a slow machine some are logged by then.
    let status = (0..6).filter_map(|_| client.answer()).find(|answer| answer["status"].is_object());
    assert!(status.is_some(), "the readings were taken");
    let took = gateway.stop();
    assert!(took < LIMIT, "{took:?}");
    let logged = folder(&place, 1);
    assert_eq!(published(&logged).1, entries(&logged).len() as u64);
    assert!(entries(&logged).len() > 5);
    let _gateway = place.gateway();
    let mut client = place.client();
    let first = client.index("meter-1", 0);
    assert_eq!(client.index("meter-1", 4), first + 4);
    assert!(client.log_new("meter-1", 5) > first + 4);
}

#[test]
fn a_stop_while_readings_and_anchors_are_under_way_is_quick() {
    let place = Place::new();
    let ledger = place.ledger();
    let mut gateway = place.gateway();
    let feed = place.start_feed(&rows("meter-1", 0..4_000));
    for stop in 1..=3 {
        until("readings under way", || {
            (effects::sent(&place, "acknowledgement") > stop * 500).then_some(())
        });
        let took = gateway.stop();
        eprintln!("a stop while feeding took {took:?}");
        assert!(took < LIMIT, "{took:?}");
        gateway = place.gateway();
    }
    fed(&feed.end(), 4_000);
    place.wait_anchored();
    let took = ledger.stop();
    eprintln!("a stop of the ledger took {took:?}");
    assert!(took < LIMIT, "{took:?}");
    place.wait_status("it is away", |status| status["ledger"] != "reachable");
    let took = gateway.stop();
    eprintln!("an idle stop took {took:?}");
    assert!(took < LIMIT, "{took:?}");
    effects::assert_persisted_before_sent(&place);
}
