//! A peer that says whatever it likes: every message in every phase, right and wrong. Nothing moves, and whatever is
//! answered is a rejection.

use sluicegate_channels::{
    Phase,
    effect::Notice,
    node::{MAX_OVER, Node, Now, Output},
    record::Change,
    wire::{ChannelSync, ChannelUpdate, Codec, Envelope, Message, Transaction},
};
use sluicegate_protocol::channel::{Address, Amount, Signature, SigningKey, State};
use sluicegate_simulator::{
    World,
    gateway::{NAMES, address, device_key},
};

use super::{OPEN, channel, go_on, settle, world};

const NOW: Now = Now { ms: 9_000_000_000, ledger_s: 1_000_100 };

/// A world of the car with its channel in this phase; the station is the hostile one.
fn in_phase(phase: Phase) -> World {
    let before = |count: usize| OPEN.lines().take(count).collect::<Vec<_>>().join("\n");
    let mut at = match phase {
        Phase::Exchanging => world(&before(5)),
        Phase::Funding => world(&before(7)),
        _ => world(OPEN),
    };
    match phase {
        Phase::Proposed => go_on(&mut at, "pay 0 10"),
        Phase::Final => go_on(&mut at, "close 0\n deliver 1\n deliver 0"),
        Phase::Disputed => go_on(&mut at, "dispute 0"),
        _ => {}
    }
    assert_eq!(channel(&at, 0).phase, phase);
    at
}

const PHASES: [Phase; 6] = [
    Phase::Exchanging,
    Phase::Funding,
    Phase::Open,
    Phase::Proposed,
    Phase::Final,
    Phase::Disputed,
];

fn state_of(world: &World) -> State {
    let record = channel(world, 0);
    let pending = record.pending.as_ref().map(|pending| pending.state.clone());
    record.state().cloned().or(pending).unwrap()
}

fn hear(world: &mut World, message: Message) -> Vec<Output> {
    let envelope = Envelope { sender: address(1), recipient: address(0), message };
    let bytes = Codec::Perunio.encode(&envelope).unwrap();
    let (envelope, _) = Codec::Perunio.decode(&bytes).unwrap().unwrap();
    world.gateways[0].node.as_mut().unwrap().message(NAMES[1], envelope, NOW)
}

fn update(state: State, signature: Signature, actor: u16) -> Message {
    Message::ChannelUpdate(Box::new(ChannelUpdate { app: Address::ZERO, state, actor, signature }))
}

/// States that the station would like, with what is wrong with them.
fn wrong_states(state: &State) -> Vec<(&'static str, State)> {
    // Not the version that an update of ours may have: that would be a crossing.
    let next = State { version: state.version + 5, ..state.clone() };
    let with = |change: &dyn Fn(&mut State)| {
        let mut state = next.clone();
        change(&mut state);
        state
    };
    let one = Amount::from(1_u64);
    vec![
        (
            "takes from us",
            with(&|s| {
                let [car, station] = s.outcome.balances[0];
                s.outcome.balances[0] =
                    [car.checked_sub(one).unwrap(), station.checked_add(one).unwrap()];
            }),
        ),
        (
            "makes money",
            with(&|s| {
                let [car, station] = s.outcome.balances[0];
                s.outcome.balances[0] = [car, station.checked_add(one).unwrap()];
            }),
        ),
        (
            "loses money",
            with(&|s| {
                let [car, station] = s.outcome.balances[0];
                s.outcome.balances[0] = [car, station.checked_sub(one).unwrap()];
            }),
        ),
        ("overflows", with(&|s| s.outcome.balances[0] = [Amount::MAX, Amount::MAX])),
        (
            "version 0 again",
            with(&|s| {
                s.version = 0;
                let [car, station] = s.outcome.balances[0];
                s.outcome.balances[0] =
                    [car.checked_add(one).unwrap(), station.checked_sub(one).unwrap()];
            }),
        ),
        ("the greatest version", with(&|s| s.version = u64::MAX)),
        (
            "a final state that pays",
            with(&|s| {
                s.is_final = true;
                let [car, station] = s.outcome.balances[0];
                s.outcome.balances[0] =
                    [car.checked_add(one).unwrap(), station.checked_sub(one).unwrap()];
            }),
        ),
    ]
}

fn is_harmless(outputs: &[Output]) -> bool {
    outputs.iter().all(|output| match output {
        Output::Send { message, .. } => matches!(
            **message,
            Message::ChannelUpdateRej { .. } | Message::ChannelProposalRej { .. }
        ),
        Output::Keep(_) | Output::Tell { .. } | Output::Disconnect { .. } => true,
        _ => false,
    })
}

/// What matters of a channel: nothing of it may change.
fn money(node: &Node, world: &World) -> (Phase, Option<State>, Option<State>) {
    let record = node.record(&channel(world, 0).id).unwrap();
    let pending = record.pending.as_ref().map(|pending| pending.state.clone());
    (record.phase, record.state().cloned(), pending)
}

#[test]
fn wrong_updates_are_refused_in_every_phase() {
    for phase in PHASES {
        let names = wrong_states(&state_of(&in_phase(phase)));
        for place in 0..names.len() {
            let mut world = in_phase(phase);
            let (what, state) = wrong_states(&state_of(&world)).remove(place);
            let signature = device_key(1).sign_state(&state);
            let Ok(signature) = signature else { continue };
            let before = money(world.gateways[0].node.as_ref().unwrap(), &world);
            let message = update(state, signature, 1);
            let outputs = hear(&mut world, message);
            assert!(is_harmless(&outputs), "{what} in {phase}: {outputs:?}");
            let after = money(world.gateways[0].node.as_ref().unwrap(), &world);
            assert_eq!(before, after, "{what} in {phase}");
        }
    }
}

#[test]
fn signatures_of_others_count_for_nothing_in_every_phase() {
    let stranger = SigningKey::from_bytes(&[0x77; 32]).unwrap();
    for phase in PHASES {
        let mut world = in_phase(phase);
        let state = state_of(&world);
        let next = State { version: state.version + 1, ..state.clone() };
        let (channel_id, version) = (state.channel, next.version);
        let forged = stranger.sign_state(&next).unwrap();
        let ours = device_key(0).sign_state(&next).unwrap();
        let before = money(world.gateways[0].node.as_ref().unwrap(), &world);
        for signature in [forged, ours] {
            for message in [
                update(next.clone(), signature, 1),
                update(next.clone(), signature, 0),
                Message::ChannelUpdateAcc { channel: channel_id, version, signature },
                Message::ChannelUpdateAcc { channel: channel_id, version: 0, signature },
                Message::ChannelSync(Box::new(ChannelSync {
                    phase: 3,
                    current: Transaction {
                        app: Address::ZERO,
                        state: next.clone(),
                        signatures: [Some(signature), Some(signature)],
                    },
                })),
            ] {
                let outputs = hear(&mut world, message);
                assert!(is_harmless(&outputs), "{phase}: {outputs:?}");
            }
        }
        assert_eq!(before, money(world.gateways[0].node.as_ref().unwrap(), &world), "{phase}");
    }
}

#[test]
fn a_message_with_another_sender_or_recipient_ends_the_connection() {
    let mut world = world(OPEN);
    let node = world.gateways[0].node.as_mut().unwrap();
    for (sender, recipient) in [(0, 0), (1, 1), (0, 1)] {
        let (sender, recipient) = (address(sender), address(recipient));
        let envelope = Envelope { sender, recipient, message: Message::Ping { created: 1 } };
        let outputs = node.message(NAMES[1], envelope, NOW);
        assert!(matches!(outputs[..], [Output::Disconnect { .. }]), "{outputs:?}");
    }
}

/// A proposal of the station with this name.
fn proposal(number: u64) -> ([u8; 32], Message) {
    use sluicegate_protocol::channel::{Allocation, Participant};
    use sluicegate_simulator::ledger::Ledger;
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let row = [Amount::from(1_000_u64), Amount::from(0_u64)];
    let outcome = Allocation::new(&[(Ledger::asset(), row)]).unwrap();
    let base = sluicegate_channels::wire::BaseProposal {
        id,
        challenge_duration: 120,
        nonce_share: id,
        app: Address::ZERO,
        data: heapless(),
        funding: outcome.balances.clone(),
        outcome,
        aux: Box::new([0; 256]),
    };
    let proposal = sluicegate_channels::wire::LedgerChannelProposal {
        base,
        participant: Participant::new(device_key(1).address()),
        peers: [address(1), address(0)],
    };
    (id, Message::LedgerChannelProposal(Box::new(proposal)))
}

#[test]
fn a_flood_of_proposals_is_refused_and_forgotten() {
    let mut world = world("connect");
    let mut offered = 0;
    for number in 0..2_000_u64 {
        let outputs = hear(&mut world, proposal(number).1);
        offered += outputs.iter().filter(|out| matches!(out, Output::Tell { .. })).count();
        assert!(is_harmless(&outputs), "{outputs:?}");
    }
    assert_eq!(offered, 4, "as many as may wait");
}

/// Whose offers are accepted by a rule begins channels without end, and funds none.
#[test]
fn channels_that_came_to_nothing_are_forgotten_beyond_a_bound() {
    let mut world = world("connect");
    let mut forgotten = 0;
    for number in 0..200_u64 {
        let (id, message) = proposal(number);
        hear(&mut world, message);
        let node = world.gateways[0].node.as_mut().unwrap();
        let begun = node.agree(&id, "device", id, NOW).unwrap();
        assert!(begun.iter().any(|out| matches!(out, Output::Keep(_))), "{begun:?}");
        let late = Now { ledger_s: NOW.ledger_s + 1_000, ..NOW };
        let outputs = node.tick(late);
        forgotten += outputs.iter().filter(|out| matches!(out, Output::Forget { .. })).count();
    }
    let node = world.gateways[0].node.as_ref().unwrap();
    assert!(node.records().all(|record| record.phase == Phase::Abandoned));
    assert_eq!(node.records().count(), MAX_OVER);
    assert_eq!(forgotten, 200 - MAX_OVER);
}

/// A seller deposits nothing, and pays out nothing when nothing was bought.
#[test]
fn a_channel_into_which_nothing_of_ours_was_to_go_is_forgotten_too() {
    for pays in ["", "pay 1 100\n deliver 0\n deliver 1"] {
        let mut world = world(&OPEN.replace("open 0 1000 500", "open 0 0 500"));
        go_on(&mut world, pays);
        settle(&mut world);
        assert!((0..2).all(|side| channel(&world, side).is_forgettable()), "{pays}");
    }
}

fn heapless<T: Default>() -> T {
    T::default()
}

/// The peer crosses a payment, and signs it after all: it is paid once.
#[test]
fn a_payment_that_was_crossed_and_signed_after_all_is_not_made_again() {
    let mut world = world(OPEN);
    go_on(&mut world, "pay 0 10");
    let ours = channel(&world, 0).pending.unwrap();
    let zero = channel(&world, 0).state().cloned().unwrap();
    let crossing = State { version: 1, ..zero };
    let signature = device_key(1).sign_state(&crossing).unwrap();
    hear(&mut world, update(crossing, signature, 1));
    let signatures = [ours.own.unwrap().state, device_key(1).sign_state(&ours.state).unwrap()];
    let current =
        Transaction { app: Address::ZERO, state: ours.state, signatures: signatures.map(Some) };
    let sync = ChannelSync { phase: 3, current };
    let outputs = hear(&mut world, Message::ChannelSync(Box::new(sync)));
    assert_eq!(paid(&outputs), [Amount::from(10_u64)], "it is told as paid");
    for _ in 0..20 {
        let node = world.gateways[0].node.as_mut().unwrap();
        let later = Now { ms: NOW.ms + 100_000, ..NOW };
        node.tick(later);
    }
    let node = world.gateways[0].node.as_ref().unwrap();
    let record = node.record(&channel(&world, 0).id).unwrap();
    assert_eq!(record.own_balances().next(), Some(Amount::from(990_u64)));
    let lowest = record.burned.iter().map(|burned| burned.state.outcome.balances[0][0]).min();
    assert!(lowest.is_none_or(|lowest| lowest >= Amount::from(990_u64)), "{:?}", record.burned);
    assert_eq!((record.wish, record.pending.is_none()), (None, true));
}

fn paid(outputs: &[Output]) -> Vec<Amount> {
    let amount = |output: &Output| match output {
        Output::Tell { notice: Notice::Paid(Change::Pay { amount, .. }), .. } => Some(*amount),
        _ => None,
    };
    outputs.iter().filter_map(amount).collect()
}

/// The peer refuses a payment, and shows it signed later.
#[test]
fn a_payment_that_was_refused_and_signed_after_all_is_told_as_paid() {
    let mut world = world(OPEN);
    go_on(&mut world, "pay 0 10");
    let ours = channel(&world, 0).pending.unwrap();
    let (channel_id, version) = (ours.state.channel, ours.state.version);
    let reason = "no".to_owned();
    hear(&mut world, Message::ChannelUpdateRej { channel: channel_id, version, reason });
    let signatures = [ours.own.unwrap().state, device_key(1).sign_state(&ours.state).unwrap()];
    let current =
        Transaction { app: Address::ZERO, state: ours.state, signatures: signatures.map(Some) };
    let sync = Message::ChannelSync(Box::new(ChannelSync { phase: 3, current }));
    assert_eq!(paid(&hear(&mut world, sync.clone())), [Amount::from(10_u64)]);
    assert_eq!(paid(&hear(&mut world, sync)), [], "once");
}

/// How many times a message comes before the connection ends.
fn borne(message: &Message) -> usize {
    let mut world = world(OPEN);
    let ends = |world: &mut World| {
        let outputs = hear(world, message.clone());
        outputs.iter().any(|out| matches!(out, Output::Disconnect { .. }))
    };
    (1..1_000).find(|_| ends(&mut world)).expect("it never ends")
}

#[test]
fn forged_messages_and_those_for_foreign_channels_end_the_connection() {
    let world = world(OPEN);
    let state = state_of(&world);
    let next = State { version: 1, ..state.clone() };
    let forged = SigningKey::from_bytes(&[0x77; 32]).unwrap().sign_state(&next).unwrap();
    assert_eq!(borne(&update(next.clone(), forged, 1)), 8);
    let foreign = State { channel: sluicegate_protocol::channel::ChannelId::new([9; 32]), ..next };
    let signature = device_key(1).sign_state(&foreign).unwrap();
    let (channel, version) = (foreign.channel, 1);
    assert_eq!(borne(&update(foreign, signature, 1)), 256);
    assert_eq!(borne(&Message::ChannelUpdateAcc { channel, version, signature }), 256);
    let reason = "no".to_owned();
    assert_eq!(borne(&Message::ChannelUpdateRej { channel, version, reason }), 256);
}
