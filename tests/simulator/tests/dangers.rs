//! One file for each danger, each a few histories written by hand; what they end in is checked besides what every
//! history must keep.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "dangers/clock_step.rs"]
mod clock_step;
#[path = "dangers/equivocation.rs"]
mod equivocation;
#[path = "dangers/hostile_peer.rs"]
mod hostile_peer;
#[path = "dangers/late_deposit.rs"]
mod late_deposit;
#[path = "dangers/late_dispute.rs"]
mod late_dispute;
#[path = "dangers/lost_cursor.rs"]
mod lost_cursor;
#[path = "dangers/power_cut.rs"]
mod power_cut;
#[path = "dangers/reload.rs"]
mod reload;
#[path = "dangers/reorg.rs"]
mod reorg;

use sluicegate_channels::{Phase, Record};
use sluicegate_simulator::{Event, Script, World};

/// An open channel of the car: 1,000 of its own, 500 of the station's.
pub(crate) const OPEN: &str = "
    connect
    open 0 1000 500
    deliver 1
    deliver 0
    deliver 0
    deliver 1
    blocks 6
    events 0
    events 1
";

/// A world after this script, which is not yet at its end.
pub(crate) fn world(script: &str) -> World {
    let script: Script = script.parse().unwrap();
    let mut world = World::new();
    for event in &script.0 {
        take(&mut world, *event);
    }
    world
}

pub(crate) fn take(world: &mut World, event: Event) {
    world.take(event);
    world.check.verdict().unwrap();
}

/// Goes on with more of a script.
pub(crate) fn go_on(world: &mut World, script: &str) {
    let script: Script = script.parse().unwrap();
    script.0.iter().for_each(|event| take(world, *event));
}

/// The only channel of a side, from its disk.
pub(crate) fn channel(world: &World, side: usize) -> Record {
    world.gateways[side].channels().remove(0)
}

/// The car's and the station's part of the newest state that this side knows both have signed.
pub(crate) fn balances(world: &World, side: usize) -> (u64, u64) {
    let record = channel(world, side);
    let row = record.state().unwrap().outcome.balances[0];
    let [car, station] = row.map(|amount| u64::try_from(u128::try_from(amount).unwrap()).unwrap());
    (car, station)
}

pub(crate) fn phases(world: &World) -> (Phase, Phase) {
    (channel(world, 0).phase, channel(world, 1).phase)
}

/// Everything comes to its end, and what must hold holds.
pub(crate) fn settle(world: &mut World) {
    world.settle().unwrap();
    assert_eq!(phases(world), (Phase::Withdrawn, Phase::Withdrawn));
}

#[test]
fn the_way_it_should_be() {
    let mut world = world(OPEN);
    assert_eq!(phases(&world), (Phase::Open, Phase::Open));
    go_on(&mut world, "pay 0 100\n deliver 1\n deliver 0\n pay 1 30\n deliver 0\n deliver 1");
    assert_eq!((balances(&world, 0), balances(&world, 1)), ((930, 570), (930, 570)));
    go_on(&mut world, "close 0\n deliver 1\n deliver 0");
    assert_eq!(phases(&world), (Phase::Final, Phase::Final));
    settle(&mut world);
}
