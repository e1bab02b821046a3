//! The first state of a channel: the one that was asked for, or an offer within the limits.

use super::*;

fn asking() -> Bench {
    let mut bench = Bench::new(policy());
    bench.device.open(open_request(), Some(key(0x22).address()));
    bench
}

/// The opening after a change of the parameters, and of the state with them.
fn with(change: impl FnOnce(&mut Params, &mut State)) -> SignRequest {
    let (mut params, mut state) = (params(), state(0, DEPOSITS[0]));
    change(&mut params, &mut state);
    state.channel = params.id();
    let opening = Some(Opening { params, peer_share: Some(PEER_SHARE) });
    SignRequest { opening, state, ..super::opening() }
}

#[test]
fn the_channel_that_was_asked_for_is_signed() {
    let mut bench = asking();
    assert_eq!(bench.device.asked(), Some(&open_request()));
    let signatures = bench.signed(&opening());
    assert_eq!(signatures.withdrawals.len(), 1);
    assert_eq!(bench.device.asked(), None);
    let book = bench.device.book(&params().id()).unwrap();
    assert_eq!((book.version(), book.is_final()), (0, false));
    assert_eq!((book.owned(0), book.spent(0)), (Some(100_u64.into()), Some(Amount::ZERO)));
    assert_eq!((book.owned(1), book.receiver()), (None, &OWNER));
    assert_eq!(book.hash(), opening().state.hash().as_bytes());
}

#[test]
fn other_terms_are_refused() {
    let other_share = Opening { params: params(), peer_share: Some([7; 32]) };
    let no_share = Opening { params: params(), peer_share: None };
    let less = |own: u64, peer: u64| {
        let balances = [own, peer].map(Amount::from);
        with(|_, state| state.outcome = Allocation::new(&[(asset(), balances)]).unwrap())
    };
    let another = Asset::ethereum(1_u64, Address::new([0xaa; 20]));
    let balances = DEPOSITS.map(Amount::from);
    for request in [
        with(|params, _| params.challenge_duration = 3599),
        with(|params, _| params.nonce = Nonce::new([1; 32])),
        with(|params, _| params.participants[1] = Side::new(key(0x33).address())),
        with(|params, _| params.participants.swap(0, 1)),
        with(|_, state| state.outcome.assets[0] = another.clone()),
        with(|_, state| {
            state.outcome =
                Allocation::new(&[(asset(), balances), (another.clone(), balances)]).unwrap();
        }),
        less(100, 51),
        less(100, 49),
        less(99, 50),
        SignRequest { opening: Some(other_share), ..opening() },
        SignRequest { opening: Some(no_share), ..opening() },
    ] {
        asking().refused(&request, Refusal::Terms);
    }
    // Nobody asked, or not any more.
    Bench::new(policy()).refused(&opening(), Refusal::Terms);
    let mut bench = asking();
    bench.device.cancel_open();
    bench.refused(&opening(), Refusal::Terms);
}

#[test]
fn each_rule_of_the_first_state() {
    let mut bench = asking();
    let unknown = SignRequest { opening: None, ..opening() };
    bench.refused(&unknown, Refusal::UnknownChannel);
    let foreign = State { channel: key_channel(), ..opening().state };
    bench.refused(&SignRequest { state: foreign, ..opening() }, Refusal::OtherChannel);
    let data = with(|_, state| state.data.push(7).unwrap());
    bench.refused(&data, Refusal::OtherChannel);
    for kind in [ChannelKind::Sub, ChannelKind::Virtual] {
        bench.refused(&with(|params, _| params.kind = kind), Refusal::Kind);
    }
    bench.refused(&with(|params, _| params.app = OWNER), Refusal::Kind);
    let others = with(|params, _| params.participants[0] = Side::new(key(0x33).address()));
    bench.refused(&others, Refusal::NotParticipant);
    let elsewhere = Side::with_cc(key(0x11).address(), 2, &[1; 32]).unwrap();
    bench.refused(&with(|params, _| params.participants[0] = elsewhere), Refusal::Receiver);
    let thief = SignRequest { receiver: Address::new([0xcc; 20]), ..opening() };
    bench.refused(&thief, Refusal::Receiver);
    bench.refused(&with(|_, state| state.version = 1), Refusal::NotFirst);
    bench.refused(&with(|_, state| state.is_final = true), Refusal::NotFirst);
    let locked = SubAlloc {
        id: key_channel(),
        balances: [Amount::ZERO].into_iter().collect(),
        index_map: SubAlloc::IDENTITY,
    };
    let locks = with(|_, state| state.outcome.locked.push(locked).unwrap());
    bench.refused(&locks, Refusal::NotFirst);
    bench.refused(&SignRequest { why: Why::Pay, ..opening() }, Refusal::NotFirst);
    // After all this the channel opens.
    bench.signed(&opening());
}

fn key_channel() -> sluicegate_device::channel::ChannelId {
    sluicegate_device::channel::ChannelId::new([0xcc; 32])
}

#[test]
fn the_deposit_has_a_limit_of_its_own() {
    let mut bench = asking();
    bench.device.set_limit(Limit { deposit: 99_u64.into(), ..limit() }).unwrap();
    bench.refused(&opening(), Refusal::DepositLimit);
    let mut unlimited = Bench { device: Participant::new(key(0x11), policy()), ..asking() };
    unlimited.device.open(open_request(), None);
    unlimited.refused(&opening(), Refusal::DepositLimit);
    bench.device.set_limit(limit()).unwrap();
    bench.signed(&opening());
}

#[test]
fn offers_are_taken_within_the_limits_if_the_owner_wants_them() {
    let policy = Policy { takes_offers: true, ..policy() };
    let offer = with(|params, _| params.participants.swap(0, 1));
    let mut bench = Bench::new(policy.clone());
    let much = with(|params, state| {
        params.participants.swap(0, 1);
        state.outcome.balances[0] = [0_u64, 101].map(Amount::from);
    });
    bench.refused(&much, Refusal::DepositLimit);
    let short = with(|params, _| params.challenge_duration = 599);
    bench.refused(&short, Refusal::Terms);
    let signatures = bench.outcome(&offer).unwrap();
    let own = Side::new(key(0x11).address());
    assert_eq!(signatures.verify(&offer.state, &own, 1, &OWNER), Ok(()));
    assert_eq!(bench.device.book(&offer.state.channel).unwrap().owned(0), Some(50_u64.into()));
}

#[test]
fn one_request_is_one_channel_and_room_is_bounded() {
    let mut bench = asking();
    bench.signed(&opening());
    let twin = with(|params, _| params.participants[1] = Side::new(key(0x33).address()));
    bench.refused(&twin, Refusal::Terms);
    let asked = |byte| {
        let share = [byte; 32];
        let nonce = Nonce::from_shares(&share, &PEER_SHARE);
        (OpenRequest { share, ..open_request() }, with(|params, _| params.nonce = nonce))
    };
    let (second, second_opening) = asked(8);
    bench.device.open(second, None);
    bench.outcome(&second_opening).unwrap();
    let (third, third_opening) = asked(9);
    bench.device.open(third, None);
    bench.refused(&third_opening, Refusal::NoRoom);
    assert_eq!(bench.device.books().count(), 2);
    // A forgotten channel leaves its room; its records give way to the next one's.
    bench.device.forget(&params().id());
    assert_eq!(bench.device.book(&params().id()), None);
    bench.outcome(&third_opening).unwrap();
    let bench = bench.reboot();
    let known: Vec<_> = bench.device.books().map(|book| *book.channel()).collect();
    assert_eq!(known, [third_opening.state.channel, second_opening.state.channel]);
}
