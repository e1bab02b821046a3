//! Old states on the ledger while the other side is away.

use sluicegate_channels::{
    Phase,
    effect::Notice,
    node::{Now, Silence},
};
use sluicegate_simulator::{World, world::CHALLENGE_S};

use super::{OPEN, channel, go_on, phases, settle, world};

const CHARGED: &str = "pay 0 100\n deliver 1\n deliver 0\n pay 0 100\n deliver 1\n deliver 0";

#[test]
fn a_gateway_that_comes_back_refutes_in_time() {
    for minutes in [1, 30, 100] {
        let mut world = world(OPEN);
        go_on(&mut world, CHARGED);
        // The station is down; the car registers version 0 and waits.
        go_on(&mut world, "crash 1 0\n wait 1000\n close 1\n old 0 0");
        assert!(world.gateways[1].node.is_none());
        go_on(&mut world, &format!("blocks {minutes}"));
        go_on(&mut world, "start 1\n events 1\n blocks 2\n events 1");
        let newest = channel(&world, 1).view.registration().unwrap().version;
        assert_eq!(newest, channel(&world, 1).state().unwrap().version, "after {minutes} blocks");
        settle(&mut world);
    }
}

#[test]
fn every_state_that_was_ever_current_is_refuted() {
    for number in 0..3 {
        let mut world = world(OPEN);
        go_on(&mut world, CHARGED);
        go_on(&mut world, &format!("lose\n old 0 {number}\n blocks 2\n events 1\n blocks 3"));
        settle(&mut world);
    }
}

#[test]
fn a_peer_that_is_gone_for_good_costs_nothing_but_time() {
    let mut world = world(OPEN);
    go_on(&mut world, CHARGED);
    go_on(&mut world, "lose\n dispute 1\n blocks 3\n events 1");
    assert_eq!(channel(&world, 1).phase, Phase::Disputed);
    go_on(
        &mut world,
        "blocks 130\n events 1\n wait 1000\n blocks 4\n events 1\n blocks 4\n events 1",
    );
    assert_eq!(channel(&world, 1).phase, Phase::Withdrawn, "without the car");
    settle(&mut world);
}

#[test]
fn a_final_state_ends_a_dispute_with_an_older_one() {
    let mut world = world(OPEN);
    go_on(&mut world, CHARGED);
    go_on(&mut world, "close 0\n deliver 1\n deliver 0\n old 0 1\n blocks 2\n events 1\n events 0");
    settle(&mut world);
    assert_eq!(phases(&world), (Phase::Withdrawn, Phase::Withdrawn));
}

/// The peer signs our final state, says nothing, and brings it to the ledger itself.
#[test]
fn a_final_state_that_the_peer_takes_to_the_ledger_alone_is_withdrawn_by_both() {
    let mut world = world(OPEN);
    go_on(&mut world, CHARGED);
    // The acceptance of the car is lost, and the station does not hear of it before the conclusion.
    go_on(&mut world, "close 1\n deliver 0\n lose\n dispute 0\n blocks 4\n events 1");
    assert_eq!(channel(&world, 1).phase, Phase::Concluded);
    go_on(&mut world, "blocks 6\n events 1");
    assert_eq!(channel(&world, 1).phase, Phase::Withdrawn);
    settle(&mut world);
}

/// We are about to register, and it is lost on the way: an older state on the ledger is answered all the same.
#[test]
fn an_old_state_is_refuted_though_the_registration_was_lost() {
    let mut world = world(OPEN);
    go_on(&mut world, CHARGED);
    go_on(
        &mut world,
        "lose\n dispute 1\n forget 1\n old 0 0\n blocks 2\n events 1\n blocks 2\n events 1",
    );
    let newest = channel(&world, 1).view.registration().unwrap().version;
    assert_eq!(newest, channel(&world, 1).state().unwrap().version);
    settle(&mut world);
}

/// Half of the challenge is left when the administrator hears of a ledger that can't be read.
#[test]
fn a_ledger_that_can_not_be_read_is_an_alarm_well_before_the_challenge_is_over() {
    let mut world = world(OPEN);
    let dangers = |world: &World, seconds, is_from_start| {
        let now = Now { ms: world.now_ms, ledger_s: world.ledger.time_s() };
        let node = world.gateways[0].node.as_ref().unwrap();
        node.endangered(now, 10, Silence { seconds, is_from_start })
    };
    assert_eq!(dangers(&world, CHALLENGE_S / 2 - 1, false), vec![]);
    let told = dangers(&world, CHALLENGE_S / 2, false);
    assert!(matches!(&told[..], [(_, Notice::Endangered(_))]), "{told:?}");
    settle(&mut world);
    assert_eq!(dangers(&world, 100 * CHALLENGE_S, true), vec![], "nothing is at stake any more");
}
