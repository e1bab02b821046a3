//! Nothing makes a gateway sign two states with one version.

use super::{OPEN, balances, go_on, settle, world};

#[test]
fn crossing_payments_burn_the_version_and_both_come_through() {
    let mut world = world(OPEN);
    go_on(&mut world, "pay 0 10\n pay 1 20");
    for _ in 0..8 {
        go_on(&mut world, "deliver 0\n deliver 1");
    }
    go_on(
        &mut world,
        "wait 3000\n deliver 0\n deliver 1\n deliver 0\n deliver 1\n deliver 0\n deliver 1",
    );
    assert_eq!(balances(&world, 0), (1_010, 490));
    assert_eq!(balances(&world, 1), (1_010, 490));
    settle(&mut world);
}

#[test]
fn a_crossing_with_a_final_state_is_settled_without_two_signatures() {
    for first in [0, 1] {
        let mut world = world(OPEN);
        go_on(&mut world, &format!("close {first}\n pay {} 20", 1 - first));
        for _ in 0..4 {
            go_on(&mut world, "deliver 0\n deliver 1");
        }
        settle(&mut world);
    }
}

#[test]
fn what_was_lost_on_the_way_goes_out_again_in_the_same_bytes() {
    let mut world = world(OPEN);
    go_on(&mut world, "pay 0 10");
    let first = world.wire[1].front().cloned().unwrap();
    go_on(&mut world, "lose\n crash 0 0\n pay 0 1\n start 0\n connect");
    let again: Vec<_> = (0..4)
        .flat_map(|_| {
            go_on(&mut world, "deliver 0\n deliver 1\n wait 3000");
            world.wire[1].clone()
        })
        .collect();
    assert!(again.is_empty() || again.contains(&first) || balances(&world, 1) == (990, 510));
    go_on(&mut world, "deliver 1\n deliver 0\n deliver 1\n deliver 0");
    assert_eq!(balances(&world, 1), (990, 510));
    settle(&mut world);
}
