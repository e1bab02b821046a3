//! Retention, as far as a machine shows it whose clock nobody may set.
//!
//! Only a synchronised clock erases, and only days that are over. Shown here: what is not over is
//! never erased, and each leaf says whether its clock was synchronised. That an ended day is erased
//! is shown where the clock is an argument: in the notary's log and in the daemon's recorder.

use crate::{
    logged::{entries, folder},
    place::{Place, rows},
};

#[test]
fn a_day_that_is_not_over_keeps_its_payloads() {
    let place = Place::with_ledger_in_process();
    place.configure(
        "[[device]]\nname = \"meter-2\"",
        "[retention.billing]\nkeep_days = 1\n\n[[device]]\nname = \"meter-2\"",
    );
    for _ in 0..2 {
        // A start looks for what is expired at once.
        let gateway = place.gateway();
        place.feed(&rows("meter-1", 0..20));
        place.wait_anchored();
        let (code, report) =
            place.verify(&place.prove(&["meter-1"], "all.sgp"), &place.policy(), &[]);
        assert_eq!(code, 0, "{report}");
        assert_eq!(report["erasures"].as_array().unwrap().len(), 0);
        for reading in report["readings"].as_array().unwrap() {
            assert!(reading["value"]["text"].is_string(), "{reading}");
        }
        gateway.stop();
    }
    let logged = entries(&folder(&place, 1));
    let synchronised = logged.iter().filter(|entry| entry.time.synchronised).count();
    eprintln!("{synchronised} of {} leaves have a synchronised clock", logged.len());
}
