//! What a key refuses to sign: I2 and I5, apart from everything that asks it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use sluicegate_channels::{
    Opening, Record,
    key::{Books, Limit, Refused, Signing, device_key, sign},
};
use sluicegate_protocol::channel::{Address, Allocation, Amount, Asset, Participant, State};

const SEED: [u8; 32] = [5; 32];

fn asset() -> Asset {
    Asset::ethereum(1337_u64, Address::new([0xaa; 20]))
}

fn amount(number: u64) -> Amount {
    Amount::from(number)
}

fn record() -> Record {
    let participant = |device| Participant::new(device_key(&SEED, device).unwrap().address());
    let outcome = Allocation::new(&[(asset(), [amount(100), amount(50)])]).unwrap();
    let opening = Opening {
        is_ours: true,
        proposal: [7; 32],
        peer: "station".into(),
        device: "car-1".into(),
        sluicegate: true,
        own: participant("car-1"),
        receiver: Address::new([0xbb; 20]),
        nonce_share: [1; 32],
        challenge_duration: 3_600,
        outcome,
        other: Some((participant("station"), [2; 32])),
    };
    opening.begin(0).unwrap()
}

/// A state of the channel that leaves us this much.
fn state(record: &Record, version: u64, ours: u64) -> State {
    let mut state = record.pending.as_ref().unwrap().state.clone();
    state.version = version;
    state.outcome.balances[0] = [amount(ours), amount(150 - ours)];
    state
}

fn limit(of: u64) -> Limit {
    Limit {
        name: "a day".into(),
        device: Some("car-1".into()),
        peer: None,
        asset: asset(),
        amount: amount(of),
        period_s: 86_400,
    }
}

fn ask(
    record: &Record,
    state: &State,
    limits: &[Limit],
    books: &Books,
    ledger_s: u64,
) -> Result<Signing, Refused> {
    sign(&device_key(&SEED, "car-1").unwrap(), record, state, limits, books, ledger_s)
}

#[test]
fn a_device_has_one_key_and_no_other_device_has_it() {
    let address = |device| device_key(&SEED, device).unwrap().address();
    assert_eq!(address("car-1"), address("car-1"));
    assert_ne!(address("car-1"), address("car-2"));
    assert_ne!(device_key(&[6; 32], "car-1").unwrap().address(), address("car-1"));
}

#[test]
fn one_version_is_one_state_and_the_same_bytes_again() {
    let record = record();
    let first = ask(&record, &state(&record, 3, 90), &[], &Books::default(), 0).unwrap();
    let again = ask(&record, &state(&record, 3, 90), &[], &first.books, 9).unwrap();
    assert_eq!(again.own, first.own);
    assert_eq!(again.books, first.books);
    let other = ask(&record, &state(&record, 3, 89), &[], &first.books, 0);
    assert_eq!(other, Err(Refused::Equivocation(3)));
    let older = ask(&record, &state(&record, 2, 95), &[], &first.books, 0);
    assert_eq!(older, Err(Refused::Older { signed: 3, asked: 2 }));
    assert!(ask(&record, &state(&record, 5, 80), &[], &first.books, 0).is_ok());
}

#[test]
fn nothing_is_signed_after_a_final_state_but_that_again() {
    let record = record();
    let last = State { is_final: true, ..state(&record, 3, 90) };
    let signed = ask(&record, &last, &[], &Books::default(), 0).unwrap();
    assert!(ask(&record, &last, &[], &signed.books, 0).is_ok());
    let after = ask(&record, &state(&record, 4, 90), &[], &signed.books, 0);
    assert_eq!(after, Err(Refused::AfterFinal));
}

#[test]
fn a_state_of_another_channel_is_not_signed() {
    let record = record();
    let mut foreign = state(&record, 1, 90);
    foreign.channel = sluicegate_protocol::channel::ChannelId::new([9; 32]);
    let refused = ask(&record, &foreign, &[], &Books::default(), 0);
    assert!(matches!(refused, Err(Refused::Foreign(_))), "{refused:?}");
}

#[test]
fn a_limit_counts_what_leaves_and_what_comes_back_refills_nothing() {
    let record = record();
    let limits = [limit(30)];
    let zero = ask(&record, &state(&record, 0, 100), &limits, &Books::default(), 0).unwrap();
    let paid = ask(&record, &state(&record, 1, 80), &limits, &zero.books, 0).unwrap();
    assert_eq!(paid.books.spent[0].unwrap().amount, amount(20));
    let got = ask(&record, &state(&record, 2, 140), &limits, &paid.books, 0).unwrap();
    assert_eq!(got.books.spent, paid.books.spent);
    let more = ask(&record, &state(&record, 3, 129), &limits, &got.books, 0);
    let (left, needed) = (amount(10), amount(11));
    assert_eq!(more, Err(Refused::Limit { limit: "a day".into(), left, needed }));
    assert!(ask(&record, &state(&record, 3, 130), &limits, &got.books, 0).is_ok());
}

#[test]
fn a_period_is_one_of_ledger_time_and_a_clock_that_falls_back_opens_none() {
    let record = record();
    let limits = [limit(30)];
    let zero = ask(&record, &state(&record, 0, 100), &limits, &Books::default(), 0).unwrap();
    let later = 5 * 86_400;
    let paid = ask(&record, &state(&record, 1, 70), &limits, &zero.books, later).unwrap();
    let back = ask(&record, &state(&record, 2, 69), &limits, &paid.books, later - 86_400);
    assert!(matches!(back, Err(Refused::Limit { .. })), "{back:?}");
    assert!(ask(&record, &state(&record, 2, 40), &limits, &paid.books, later + 86_400).is_ok());
}

#[test]
fn limits_of_others_do_not_count() {
    let record = record();
    let books = Books::default();
    let zero = ask(&record, &state(&record, 0, 100), &[], &books, 0).unwrap();
    let other_device = Limit { device: Some("car-2".into()), ..limit(0) };
    let other_peer = Limit { peer: Some("shop".into()), ..limit(0) };
    let other_asset = Limit { asset: Asset::ethereum(1_u64, Address::new([1; 20])), ..limit(0) };
    let limits = [other_device, other_peer, other_asset];
    assert!(ask(&record, &state(&record, 1, 50), &limits, &zero.books, 0).is_ok());
    let all = Limit { device: None, ..limit(49) };
    assert!(ask(&record, &state(&record, 1, 50), &[all], &zero.books, 0).is_err());
}
