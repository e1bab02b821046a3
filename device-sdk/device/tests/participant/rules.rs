//! The states after the first: each rule refused with its own reason.

use super::*;

#[test]
fn a_channel_from_its_first_state_to_its_last() {
    let mut bench = Bench::open();
    bench.pay(30);
    bench.signed(&request(Why::Pay, state(1, 70)));
    bench.signed(&request(Why::Receive, state(2, 110)));
    bench.pay(20);
    bench.signed(&request(Why::Pay, state(4, 90)));
    assert_eq!(bench.spent(), 50_u64.into(), "what comes in refills nothing");
    let last = bench.signed(&request(Why::Final, state(5, 90)));
    assert_eq!(last.withdrawals.iter().flatten().count(), 1);
    let book = bench.device.book(&params().id()).unwrap();
    assert!(book.is_final() && book.version() == 5);
    assert_eq!(book.owned(0), Some(90_u64.into()));
}

#[test]
fn nothing_to_withdraw_needs_no_authorisation() {
    let mut bench = Bench::open();
    bench.device.set_limit(Limit { spending: 100_u64.into(), ..limit() }).unwrap();
    bench.pay(100);
    let signatures = bench.signed(&request(Why::Pay, state(1, 0)));
    assert_eq!(signatures.withdrawals[..], [None]);
}

#[test]
fn versions_rise_and_one_version_is_one_state() {
    let mut bench = Bench::open();
    bench.signed(&request(Why::Receive, state(3, 110)));
    bench.refused(&request(Why::Receive, state(3, 120)), Refusal::Equivocation);
    bench.refused(&request(Why::Final, state(3, 110)), Refusal::Equivocation);
    bench.refused(&request(Why::Receive, state(2, 120)), Refusal::Older);
    bench.refused(&opening(), Refusal::Older);
    bench.signed(&request(Why::Receive, state(u64::MAX, 120)));
}

#[test]
fn nothing_follows_a_final_state_but_itself() {
    let mut bench = Bench::open();
    let last = request(Why::Final, state(1, 100));
    let bytes = bench.answer(&last);
    bench.refused(&request(Why::Receive, state(2, 120)), Refusal::AfterFinal);
    bench.refused(&request(Why::Final, state(2, 100)), Refusal::AfterFinal);
    bench.refused(&opening(), Refusal::AfterFinal);
    assert_eq!(bench.answer(&last), bytes);
}

#[test]
fn the_frame_of_a_channel_stays() {
    let mut bench = Bench::open();
    bench.allow(50, 50);
    let changed = |change: fn(&mut State)| {
        let mut state = state(1, 100);
        change(&mut state);
        request(Why::Receive, state)
    };
    let assets = changed(|state| {
        state.outcome.assets[0] = Asset::ethereum(1_u64, Address::new([0xaa; 20]));
    });
    bench.refused(&assets, Refusal::AssetsChanged);
    let more = changed(|state| {
        state.outcome.assets.push(Asset::other(2, &[1]).unwrap()).unwrap();
        state.outcome.balances.push([Amount::ZERO; 2]).unwrap();
    });
    bench.refused(&more, Refusal::AssetsChanged);
    for balances in [[100_u64, 51], [100, 49], [101, 50]] {
        let mut other = request(Why::Receive, state(1, 100));
        other.state.outcome.balances[0] = balances.map(Amount::from);
        bench.refused(&other, Refusal::SumChanged);
    }
    bench.refused(&changed(|state| state.data.push(1).unwrap()), Refusal::OtherChannel);
    let thief = SignRequest { receiver: Address::new([0xcc; 20]), ..changed(|_| ()) };
    bench.refused(&thief, Refusal::Receiver);
}

#[test]
fn a_step_is_what_its_reason_says() {
    let mut bench = Bench::open();
    bench.pay(10);
    bench.refused(&request(Why::Open, state(1, 100)), Refusal::OtherStep);
    bench.refused(&request(Why::Lock, state(1, 100)), Refusal::OtherStep);
    let unmarked = State { is_final: true, ..state(1, 90) };
    bench.refused(
        &SignRequest { state: unmarked, ..request(Why::Pay, state(1, 90)) },
        Refusal::OtherStep,
    );
    let marked = SignRequest { state: state(1, 100), ..request(Why::Final, state(1, 100)) };
    bench.refused(&marked, Refusal::OtherStep);
    // A payment that is agreed to is no reason to receive less, nor to end with less.
    bench.refused(&request(Why::Receive, state(1, 90)), Refusal::NotAgreed);
    bench.refused(&request(Why::Final, state(1, 90)), Refusal::FinalBalances);
    bench.signed(&request(Why::Pay, state(1, 90)));
}

#[test]
fn a_final_state_gives_back_what_a_lost_payment_took() {
    let mut bench = Bench::open();
    bench.pay(10);
    // Signed, but refused by the peer: the last state that both signed leaves the device 100.
    bench.signed(&request(Why::Pay, state(1, 90)));
    bench.signed(&request(Why::Final, state(2, 100)));
}

fn locking(version: u64, own: u64, locked: u64) -> SignRequest {
    let mut state = state(version, own);
    state.outcome.balances[0][1] = (DEPOSITS[0] + DEPOSITS[1] - own - locked).into();
    let sub = SubAlloc {
        id: sluicegate_device::channel::ChannelId::new([0xcc; 32]),
        balances: [Amount::from(locked)].into_iter().collect(),
        index_map: SubAlloc::IDENTITY,
    };
    state.outcome.locked.push(sub).unwrap();
    request(Why::Lock, state)
}

#[test]
fn locking_is_spending() {
    let mut bench = Bench::open();
    bench.refused(&locking(1, 90, 10), Refusal::NotAgreed);
    bench.pay(10);
    bench.refused(&locking(1, 90, 10), Refusal::NotAgreed);
    bench.allow(20, 20);
    bench.refused(&SignRequest { why: Why::Pay, ..locking(1, 90, 10) }, Refusal::LockedChanged);
    bench.signed(&locking(1, 90, 10));
    assert_eq!(bench.spent(), 10_u64.into());
    bench.refused(&request(Why::Receive, state(2, 100)), Refusal::LockedChanged);
    let stays = SignRequest { why: Why::Receive, ..locking(2, 95, 10) };
    bench.signed(&stays);
    // The last state has nothing locked; before it, the funds come back.
    let mut last = SignRequest { why: Why::Final, ..locking(3, 95, 10) };
    last.state.is_final = true;
    bench.refused(&last, Refusal::FinalBalances);
    bench.signed(&request(Why::Lock, state(3, 105)));
    bench.signed(&request(Why::Final, state(4, 105)));
}
