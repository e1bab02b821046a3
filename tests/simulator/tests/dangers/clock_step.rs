//! The ledger stands still or leaps; monotonic time and ledger time have nothing to do with each other.

use sluicegate_channels::Phase;

use super::{OPEN, go_on, phases, settle, world};

#[test]
fn a_ledger_that_stands_still_holds_up_no_payment() {
    let mut world = world(OPEN);
    go_on(&mut world, "stall 1\n wait 10000\n pay 0 5\n deliver 1\n deliver 0\n wait 10000");
    assert_eq!(phases(&world), (Phase::Open, Phase::Open));
    go_on(
        &mut world,
        "stall 0\n blocks 150\n events 0\n events 1\n pay 0 5\n deliver 1\n deliver 0",
    );
    assert_eq!(phases(&world), (Phase::Open, Phase::Open), "a leap of ledger time ends nothing");
    settle(&mut world);
}

#[test]
fn an_outage_shorter_than_the_challenge_loses_nothing() {
    let mut world = world(OPEN);
    go_on(
        &mut world,
        "pay 0 100\n deliver 1\n deliver 0\n old 0 0\n blocks 2\n stall 1\n events 1",
    );
    go_on(&mut world, "wait 10000\n wait 10000\n wait 10000\n stall 0\n events 1\n blocks 3");
    settle(&mut world);
}
