//! No reserve, no channel: what the account can't defend does not begin, from whichever side.

use super::*;

#[test]
fn no_channel_begins_that_the_account_can_not_defend() {
    run(async {
        let mut world = World::new().await;
        // Enough for the fees, and 400 less than for the deposit besides.
        world.sides[0].reserve = u128::from(GRANT) - 600;
        world.sides[0].restart().await;
        world.connect_again(0).await;
        let reason = world.refusal().await;
        // And the fees of the anchors that it has made meanwhile.
        assert!(reason.contains("fund it with 40"), "{reason}");
        // The other side declines, and tells nothing of its money.
        world.sides[0].reserve = 20;
        world.sides[0].restart().await;
        world.sides[1].reserve = u128::from(GRANT) - 400;
        world.sides[1].restart().await;
        world.connect_again(0).await;
        let reason = world.refusal().await;
        assert_eq!(reason, "no further channel can be borne here now");
        world.sides[1].reserve = 20;
        world.sides[1].restart().await;
        world.connect_again(1).await;
        world.open().await;
    });
}

#[test]
fn a_proposal_that_is_under_way_counts() {
    run(async {
        let mut world = World::new().await;
        // Enough for one channel.
        world.sides[0].reserve = u128::from(GRANT) / 2;
        world.sides[0].restart().await;
        world.connect_again(0).await;
        let both = loop {
            let handle = world.sides[0].handle();
            match tokio::join!(handle.command(opening()), handle.command(opening())) {
                (Err(reason), _) if reason.contains("no connection") => sleep(TICK).await,
                both => break both,
            }
        };
        let (Ok(Answer::Opened(_)), Err(reason)) = both else { panic!("{both:?}") };
        assert!(reason.contains("fund it with"), "{reason}");
    });
}
