//! SIGKILL in the middle of feeding, more than once: what was acknowledged is there, once.

use crate::{
    day::assert_complete,
    effects,
    place::{Place, fed, rows},
    process::until,
};

/// Enough that the gateway is killed in the middle each time.
const ROWS: u64 = 6_000;

#[test]
fn what_was_acknowledged_is_there_once_after_sigkill() {
    let place = Place::new();
    let _ledger = place.ledger();
    let mut gateway = place.gateway();
    let feed = place.start_feed(&rows("meter-1", 0..ROWS));
    for kill in 1..=3 {
        until("enough acknowledgements", || {
            (effects::sent(&place, "acknowledgement") > kill * 1_000).then_some(())
        });
        gateway.kill();
        gateway = place.gateway();
    }
    fed(&feed.end(), ROWS);
    place.wait_anchored();
    let bundle = place.prove(&["meter-1"], "all.sgp");
    let (code, report) = place.verify(&bundle, &place.policy(), &[]);
    assert_eq!(code, 0, "{}", report["steps"]);
    let readings = report["readings"].as_array().unwrap();
    assert_eq!(readings.len() as u64, ROWS);
    assert_complete(readings);
    gateway.stop();
    effects::assert_persisted_before_sent(&place);
}
