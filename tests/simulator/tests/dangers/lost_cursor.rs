//! A ledger that does not know any more where its events were read to.

use sluicegate_channels::Phase;

use super::{OPEN, channel, go_on, phases, settle, world};

#[test]
fn events_that_are_read_anew_count_once() {
    let mut world = world(OPEN);
    let before = channel(&world, 0).view.paid_in().collect::<Vec<_>>();
    go_on(&mut world, "pay 0 100\n deliver 1\n deliver 0\n anew 0\n anew 1\n anew 0");
    assert_eq!(channel(&world, 0).view.paid_in().collect::<Vec<_>>(), before);
    assert_eq!(channel(&world, 0).view.deposits, before);
    assert_eq!(phases(&world), (Phase::Open, Phase::Open));
    settle(&mut world);
}

/// The car has paid in and the station has not: read twice, the car's deposit alone would cover the outcome, and the
/// station would wait for its part for ever.
#[test]
fn an_underfunded_channel_stays_underfunded() {
    let signed: Vec<_> = OPEN.lines().take(6).collect();
    let mut world = world(&signed.join("\n"));
    go_on(&mut world, "crash 1 1\n deliver 1\n blocks 6\n start 1\n dispute 1\n events 1\n anew 1");
    for _ in 0..130 {
        go_on(&mut world, "blocks 1\n wait 1\n events 1");
    }
    go_on(&mut world, "blocks 6\n events 1");
    assert_eq!(channel(&world, 1).phase, Phase::Withdrawn);
    world.settle().unwrap();
}

#[test]
fn a_channel_that_is_over_is_over_again() {
    let mut world = world(OPEN);
    settle(&mut world);
    let before = channel(&world, 0).view.withdrawn;
    go_on(&mut world, "anew 0");
    assert_eq!(channel(&world, 0).phase, Phase::Withdrawn);
    assert_eq!(channel(&world, 0).view.withdrawn, before);
    settle(&mut world);
}
