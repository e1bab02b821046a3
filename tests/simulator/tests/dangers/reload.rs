//! A process that ends and starts at any moment goes on where its disk is.

use sluicegate_channels::{
    Input, Phase,
    effect::{Notice, Refusal},
};
use sluicegate_protocol::channel::Amount;

use super::{OPEN, balances, channel, go_on, settle, world};

/// Kills a side at each point of each batch of a payment, both ways, and starts it again.
#[test]
fn a_payment_survives_a_kill_at_every_point() {
    for side in [0, 1] {
        for payer in [0, 1] {
            for point in 0..4 {
                let mut world = world(OPEN);
                let script = format!(
                    "crash {side} {point}\n pay {payer} 10\n deliver 1\n deliver 0\n deliver 1\n deliver 0
                     start {side}\n connect\n deliver 0\n deliver 1\n deliver 0\n deliver 1\n wait 3000
                     deliver 0\n deliver 1\n deliver 0\n deliver 1\n deliver 0\n deliver 1"
                );
                go_on(&mut world, &script);
                let (ours, theirs) = (balances(&world, 0), balances(&world, 1));
                assert_eq!(ours, theirs, "side {side} payer {payer} point {point}");
                settle(&mut world);
            }
        }
    }
}

#[test]
fn an_opening_survives_a_kill_at_every_point() {
    for side in [0, 1] {
        for point in 0..5 {
            for batch in 0..6 {
                let mut lines: Vec<&str> = OPEN.lines().collect();
                let crash = format!("crash {side} {point}");
                lines.insert((2 + batch).min(lines.len()), &crash);
                let mut world = world(&lines.join("\n"));
                world.settle().unwrap_or_else(|error| panic!("{crash} at {batch}: {error}"));
            }
        }
    }
}

#[test]
fn a_close_survives_a_kill_at_every_point() {
    for side in [0, 1] {
        for point in 0..4 {
            let mut world = world(OPEN);
            go_on(&mut world, "pay 0 10\n deliver 1\n deliver 0");
            go_on(&mut world, &format!("crash {side} {point}\n close 0\n deliver 1\n deliver 0"));
            settle(&mut world);
        }
    }
}

#[test]
fn a_backup_that_is_declared_signs_nothing_and_loses_nothing() {
    let mut world = world(OPEN);
    go_on(&mut world, "pay 0 10\n deliver 1\n deliver 0\n pay 0 10\n deliver 1\n deliver 0");
    go_on(&mut world, "restore 1 1");
    assert_eq!(balances(&world, 1).1, 500, "it has forgotten what it got");
    assert_eq!(channel(&world, 1).pay(0, Amount::from(1_u64)), Input::Impossible(Refusal::Ending));
    go_on(&mut world, "connect\n deliver 0\n deliver 1");
    assert_eq!(balances(&world, 1), (980, 520), "the car gave it back");
    for more in ["pay 1 5\n deliver 0\n deliver 1", "pay 0 5\n deliver 1\n deliver 0"] {
        go_on(&mut world, more);
        assert_eq!(balances(&world, 0), (980, 520), "nothing more is signed");
        assert_eq!(balances(&world, 1), (980, 520), "nothing more is signed");
    }
    settle(&mut world);
}

#[test]
fn a_payment_whose_acceptance_was_lost_is_told_as_paid() {
    let mut world = world(OPEN);
    go_on(&mut world, "pay 0 10\n deliver 1\n lose\n connect\n deliver 0\n deliver 1");
    assert_eq!(balances(&world, 0), (990, 510));
    let paid = world.gateways[0].notices.iter().filter(|(_, told)| matches!(told, Notice::Paid(_)));
    assert_eq!(paid.count(), 1);
    settle(&mut world);
}

/// The station forgets the final state with a backup, and hears of its conclusion before it meets the car again, for
/// whom the channel is over.
#[test]
fn a_backup_that_does_not_know_what_was_concluded_asks_the_peer() {
    for lines in [
        "connect\n deliver 0\n deliver 1",
        "connect\n lose\n connect\n wait 3000\n deliver 0\n deliver 1",
    ] {
        let mut world = world(OPEN);
        go_on(&mut world, "pay 0 10\n deliver 1\n deliver 0\n pay 0 10\n deliver 1\n deliver 0");
        go_on(
            &mut world,
            "close 0\n deliver 1\n deliver 0\n lose\n blocks 4\n events 0\n blocks 6\n events 0",
        );
        assert_eq!(channel(&world, 0).phase, Phase::Withdrawn);
        go_on(&mut world, "restore 1 1\n events 1");
        assert_eq!(
            (channel(&world, 1).phase, channel(&world, 1).owed().len()),
            (Phase::Concluded, 0)
        );
        go_on(&mut world, lines);
        assert_eq!(balances(&world, 1), (980, 520), "the car gave it back");
        settle(&mut world);
    }
}

/// The connection stood before the conclusion was read: nothing but time asks.
#[test]
fn a_backup_that_learns_of_the_conclusion_while_connected_asks_too() {
    let mut world = world(OPEN);
    go_on(&mut world, "pay 0 10\n deliver 1\n deliver 0");
    go_on(
        &mut world,
        "close 0\n deliver 1\n deliver 0\n lose\n blocks 4\n events 0\n blocks 6\n events 0",
    );
    go_on(&mut world, "restore 1 1\n connect");
    // What is said at once is lost.
    world.wire.iter_mut().for_each(std::collections::VecDeque::clear);
    go_on(&mut world, "events 1\n wait 3000\n deliver 0\n deliver 1");
    assert_eq!(balances(&world, 1), (990, 510), "the car gave it back");
    settle(&mut world);
}
