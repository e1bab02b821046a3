//! Power goes at the worst moment, on both sides at once.

use super::{OPEN, go_on, settle, world};

#[test]
fn both_lose_power_at_every_point_of_a_payment_and_a_close() {
    for car in 0..3 {
        for station in 0..3 {
            for what in ["pay 0 10", "pay 1 10", "close 0"] {
                let mut world = world(OPEN);
                go_on(&mut world, &format!("crash 0 {car}\n crash 1 {station}\n {what}"));
                go_on(&mut world, "deliver 1\n deliver 0\n deliver 1\n start 0\n start 1");
                settle(&mut world);
            }
        }
    }
}

#[test]
fn power_goes_again_and_again() {
    let mut world = world(OPEN);
    for round in 0..20 {
        let (side, point) = (round % 2, round % 3);
        go_on(
            &mut world,
            &format!("crash {side} {point}\n pay 0 1\n deliver 1\n deliver 0\n pay 1 1"),
        );
        go_on(
            &mut world,
            "deliver 0\n deliver 1\n start 0\n start 1\n connect\n deliver 0\n deliver 1",
        );
    }
    settle(&mut world);
}
