//! Deposits that land when the channel is nearly over, or over.

use sluicegate_channels::{
    Phase,
    effect::Intent,
    node::{Now, Output},
};
use sluicegate_ledger::{BlockRef, Event, EventKind, Finality, Movement, Request, TransactionId};
use sluicegate_protocol::{
    Digest,
    channel::{Amount, FundingId},
};
use sluicegate_simulator::{World, ledger::Ledger};

use super::{OPEN, channel, go_on, settle, world};

/// Both have signed version 0; the station dies before it asks the ledger for anything.
const SIGNED: &str = "
    connect
    open 0 1000 500
    deliver 1
    deliver 0
    deliver 0
    crash 1 1
    deliver 1
";

/// The car disputes, and the station's deposit comes in the last blocks before the conclusion.
#[test]
fn a_deposit_that_is_final_after_the_conclusion_comes_back() {
    for blocks in 112..130 {
        let mut world = world(SIGNED);
        go_on(&mut world, "blocks 3\n events 0\n dispute 0\n blocks 2\n events 0");
        for _ in 0..blocks {
            go_on(&mut world, "blocks 1\n wait 1\n events 0");
        }
        go_on(&mut world, "start 1\n events 1");
        for _ in 0..8 {
            go_on(&mut world, "blocks 1\n wait 1\n events 0\n events 1");
        }
        world.settle().unwrap_or_else(|error| panic!("after {blocks} blocks: {error}"));
    }
}

/// A side hears of a final deposit of a participant in a block behind all others, as a ledger that takes deposits after
/// the end tells it.
fn deposit(world: &mut World, side: usize, by: usize, amount: u64) -> Vec<Output> {
    let record = channel(world, side);
    let funding = FundingId::of(&record.id, &record.params.participants[by].address);
    let paid = Movement { funding, asset: Ledger::asset(), amount: Amount::from(amount) };
    let event = Event {
        kind: EventKind::Deposited(Box::new(paid)),
        transaction: TransactionId(Digest::new([9; 32])),
        block: BlockRef { number: 1_000_000, hash: Digest::new([9; 32]) },
        finality: Finality::Final,
    };
    let now = Now { ms: world.now_ms, ledger_s: world.ledger.time_s() };
    world.gateways[side].node.as_mut().unwrap().ledger(&event, now)
}

fn wants(outputs: &[Output], wanted: Intent) -> bool {
    outputs.iter().any(|out| matches!(out, Output::Ledger { intent, .. } if *intent == wanted))
}

#[test]
fn a_deposit_that_lands_after_the_end_is_withdrawn_besides_the_outcome() {
    let mut world = world(OPEN);
    go_on(&mut world, "pay 0 100\n deliver 1\n deliver 0");
    settle(&mut world);
    let outputs = deposit(&mut world, 0, 0, 70);
    assert!(wants(&outputs, Intent::Withdraw), "{outputs:?}");
    let id = channel(&world, 0).id;
    let record = world.gateways[0].node.as_ref().unwrap().record(&id).unwrap();
    assert_eq!(record.phase, Phase::Concluded);
    let key = sluicegate_simulator::gateway::device_key(0);
    let sign = |record: &sluicegate_channels::Record, amount| {
        key.sign_withdrawal(&record.withdrawal(amount)).ok()
    };
    let requests = record.requests(Intent::Withdraw, &sign);
    let [Request::Withdraw(withdrawal)] = &requests[..] else { panic!("{requests:?}") };
    assert_eq!(withdrawal.authorisation.amount, Amount::from(70_u64));
}

/// What was withdrawn is known although the ledger told it twice.
#[test]
fn a_deposit_after_the_end_is_withdrawn_alone_when_the_events_were_read_anew() {
    let mut world = world(OPEN);
    settle(&mut world);
    go_on(&mut world, "anew 0");
    deposit(&mut world, 0, 0, 70);
    let record = world.gateways[0].node.as_ref().unwrap().records().next().unwrap();
    assert_eq!(record.left(), [Amount::from(70_u64)]);
}

#[test]
fn a_deposit_of_the_peer_after_the_end_is_not_ours() {
    let mut world = world(OPEN);
    settle(&mut world);
    let outputs = deposit(&mut world, 0, 1, 70);
    assert!(!wants(&outputs, Intent::Withdraw), "{outputs:?}");
}

/// What is not at the ledger when the funding is given up is not deposited any more.
#[test]
fn a_deposit_that_nothing_is_signed_of_is_taken_back_with_the_funding() {
    for end in ["dispute 1", "close 1", "restore 1 0"] {
        let mut world = world(SIGNED);
        go_on(&mut world, "start 1");
        let deposits = |world: &World| {
            let wanted = world.gateways[1].disk.wanted.iter();
            wanted.filter(|request| matches!(request, Request::Deposit(_))).count()
        };
        assert_eq!(deposits(&world), 1, "{end}");
        go_on(&mut world, end);
        assert_eq!(deposits(&world), 0, "{end}");
        world.settle().unwrap_or_else(|error| panic!("{end}: {error}"));
    }
}

/// A peer that gives us something does not bring channels back that came to nothing.
#[test]
fn a_gift_does_not_revive_an_abandoned_channel() {
    for (own, gift) in [(1_000, 999), (0, 1)] {
        let open = format!("connect\n open 0 {own} 500\n deliver 1\n deliver 0\n close 0");
        let mut world = world(&open);
        assert_eq!(channel(&world, 0).phase, Phase::Abandoned);
        deposit(&mut world, 0, 0, gift);
        let record = world.gateways[0].node.as_ref().unwrap().records().next().unwrap();
        assert_eq!((record.phase, record.restored), (Phase::Abandoned, false), "{own}");
    }
}

/// A channel that was abandoned with a backup, and its deposit that was signed before lands.
#[test]
fn a_deposit_into_an_abandoned_channel_is_found() {
    let mut world = world("connect\n open 0 1000 500\n deliver 1\n deliver 0\n close 0");
    assert_eq!(channel(&world, 0).phase, Phase::Abandoned);
    deposit(&mut world, 0, 0, 1_000);
    let id = channel(&world, 0).id;
    let record = world.gateways[0].node.as_ref().unwrap().record(&id).unwrap();
    assert_eq!((record.phase, record.restored), (Phase::Exchanging, true));
}
