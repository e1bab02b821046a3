//! Blocks are taken back.

use sluicegate_channels::Phase;

use super::{OPEN, go_on, phases, settle, world};

#[test]
fn deposits_count_when_they_are_final() {
    let mut world =
        world("connect\n open 0 1000 500\n deliver 1\n deliver 0\n deliver 0\n deliver 1");
    for _ in 0..3 {
        go_on(&mut world, "blocks 1\n events 0\n events 1");
        assert_eq!(phases(&world), (Phase::Funding, Phase::Funding));
        go_on(&mut world, "reorg 2\n events 0\n events 1");
    }
    go_on(&mut world, "blocks 6\n events 0\n events 1");
    assert_eq!(phases(&world), (Phase::Open, Phase::Open));
    settle(&mut world);
}

#[test]
fn a_refutation_that_was_taken_back_goes_there_again() {
    let mut world = world(OPEN);
    go_on(
        &mut world,
        "pay 0 100\n deliver 1\n deliver 0\n lose\n old 0 0\n blocks 1\n events 1\n blocks 1",
    );
    for _ in 0..5 {
        go_on(&mut world, "reorg 2\n events 1\n events 0\n blocks 1\n events 1");
    }
    settle(&mut world);
}

#[test]
fn a_conclusion_that_was_taken_back_happens_again() {
    let mut world = world(OPEN);
    go_on(&mut world, "pay 0 100\n deliver 1\n deliver 0\n close 1\n deliver 0\n deliver 1");
    assert_eq!(phases(&world), (Phase::Final, Phase::Final));
    for _ in 0..4 {
        go_on(&mut world, "blocks 1\n events 0\n events 1\n reorg 2\n events 0\n events 1");
    }
    settle(&mut world);
}
