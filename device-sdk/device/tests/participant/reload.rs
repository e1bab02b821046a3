//! Power cuts: between store and answer, in the middle of a write, and records that are not what they should be.

use sluicegate_device::{Error, participant::MAX_RECORD};

use super::*;

#[test]
fn a_request_repeated_gets_the_same_bytes_and_needs_no_record() {
    let mut bench = Bench::open();
    bench.pay(30);
    let pay = request(Why::Pay, state(1, 70));
    let first = bench.answer(&pay);
    let flash = bench.flash.clone();
    assert_eq!(bench.answer(&pay), first);
    assert_eq!(bench.flash, flash);
    let mut bench = bench.reboot();
    assert_eq!(bench.answer(&pay), first);
    assert_eq!(bench.spent(), 30_u64.into());
}

#[test]
fn a_cut_between_store_and_answer_leads_to_the_same_bytes() {
    let pay = request(Why::Pay, state(1, 70));
    let mut whole = Bench::open();
    whole.pay(30);
    let expected = whole.answer(&pay);

    let mut bench = Bench::open();
    bench.pay(30);
    bench.device.handle(&pay).unwrap();
    let Some(Output::Store { slot, record }) = bench.device.poll() else { panic!("a record") };
    bench.flash[slot] = record.to_vec();
    let mut bench = bench.reboot();
    bench.refused(&request(Why::Receive, state(1, 110)), Refusal::Equivocation);
    assert_eq!(bench.answer(&pay), expected);
}

#[test]
fn a_cut_before_the_opening_is_answered_leads_to_the_same_bytes() {
    let expected = {
        let mut bench = Bench::new(policy());
        bench.device.open(open_request(), None);
        bench.answer(&opening())
    };
    let bench = Bench::open();
    let mut bench = bench.reboot();
    assert_eq!(bench.device.asked(), None);
    assert_eq!(bench.answer(&opening()), expected);
}

#[test]
fn a_torn_write_leaves_the_record_before_it() {
    let mut bench = Bench::open();
    bench.signed(&request(Why::Receive, state(1, 110)));
    bench.device.handle(&request(Why::Receive, state(2, 120))).unwrap();
    let Some(Output::Store { slot, record }) = bench.device.poll() else { panic!("a record") };
    let (old, new) = (bench.flash[slot].clone(), record.to_vec());
    let flash = bench.flash.clone();
    for length in 0..new.len() {
        let mut flash = flash.clone();
        // What was there stands behind what was written.
        let rest = old.get(length..).unwrap_or_default();
        flash[slot] = [&new[..length], rest].concat();
        let mut device: Participant<2> = Participant::new(key(0x11), policy());
        for (slot, record) in flash.iter().enumerate() {
            let _ = device.restore(slot, record);
        }
        let version = device.book(&params().id()).unwrap().version();
        let whole = flash[slot] == new;
        assert_eq!(version, if whole { 2 } else { 1 }, "{length} bytes were written");
    }
    // Nothing was answered, so another state of this version is none of two.
    Bench::started(flash).signed(&request(Why::Receive, state(2, 115)));
}

#[test]
fn nothing_is_answered_before_the_record_is_durable() {
    let mut bench = Bench::open();
    let receive = request(Why::Receive, state(1, 110));
    bench.device.stored();
    bench.device.handle(&receive).unwrap();
    assert!(bench.device.is_busy());
    assert_eq!(bench.device.handle(&receive), Err(Error::Busy));
    assert_eq!(bench.device.decline(&receive), Err(Error::Busy));
    // Too early: the record was not given out.
    bench.device.stored();
    for _ in 0..2 {
        assert!(matches!(bench.device.poll(), Some(Output::Store { .. })));
        assert_eq!(bench.device.poll(), None);
        assert_eq!(bench.device.book(&params().id()).unwrap().version(), 0);
        bench.device.store_failed();
    }
    assert!(matches!(bench.device.poll(), Some(Output::Store { .. })));
    bench.device.stored();
    assert!(matches!(bench.device.poll(), Some(Output::Answer { .. })));
    assert_eq!(bench.device.poll(), None);
    assert!(!bench.device.is_busy());
    assert_eq!(bench.device.book(&params().id()).unwrap().version(), 1);
}

#[test]
fn slots_are_used_in_turns_and_read_in_any_order() {
    let mut bench = Bench::open();
    let used = |bench: &Bench| -> Vec<_> { bench.flash.iter().map(|it| !it.is_empty()).collect() };
    assert_eq!(used(&bench), [false, true, false, false]);
    bench.signed(&request(Why::Receive, state(1, 110)));
    assert_eq!(used(&bench), [true, true, false, false]);
    for order in [[0, 1], [1, 0]] {
        let mut device: Participant<2> = Participant::new(key(0x11), policy());
        order.into_iter().for_each(|slot| device.restore(slot, &bench.flash[slot]).unwrap());
        assert_eq!(device.book(&params().id()).unwrap().version(), 1);
    }
}

#[test]
fn records_that_do_not_belong_there_are_refused() {
    let bench = Bench::open();
    let record = bench.flash[1].clone();
    let mut device: Participant<2> = Participant::new(key(0x11), policy());
    let cut = Err(Error::Record("it is empty or cut"));
    assert_eq!(device.restore(1, &[]), cut);
    assert_eq!(device.restore(1, &record[..7]), cut);
    let torn = Err(Error::Record("it is torn"));
    assert_eq!(device.restore(1, &record[..record.len() - 1]), torn);
    assert_eq!(device.restore(1, &[0xff; MAX_RECORD]), torn);
    assert_eq!(device.restore(4, &record), Err(Error::Record("there is no such slot")));
    assert_eq!(device.restore(usize::MAX, &record), Err(Error::Record("there is no such slot")));
    assert_eq!(device.restore(0, &record), Err(Error::Record("it belongs into another slot")));
    let mut other: Participant<2> = Participant::new(key(0x33), policy());
    assert_eq!(other.restore(1, &record), Err(Error::Record("it is another key's")));
    assert_eq!(device.books().count(), 0);
    device.restore(1, &record).unwrap();
}

#[test]
fn every_flipped_bit_is_noticed() {
    let record = Bench::open().flash[1].clone();
    for at in 0..8 * record.len() {
        let mut flipped = record.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let mut device: Participant<2> = Participant::new(key(0x11), policy());
        assert!(device.restore(1, &flipped).is_err(), "bit {at}");
    }
}

#[test]
fn the_longest_record_has_the_promised_size() {
    let elsewhere = Side::with_cc(key(0x11).address(), u32::MAX, &[1; 128]).unwrap();
    let policy = Policy { elsewhere: elsewhere.cc.clone(), takes_offers: true, ..policy() };
    let mut device: Participant<1> = Participant::new(key(0x11), policy);
    let large = Amount::from_be_bytes(core::array::from_fn(|at| if at == 0 { 0x7f } else { 0xff }));
    let rows: Vec<_> = (2..6).map(|at| (Asset::other(at, &[1]).unwrap(), [large; 2])).collect();
    for (asset, _) in &rows {
        let limit = Limit { asset: asset.clone(), deposit: Amount::MAX, spending: Amount::MAX };
        device.set_limit(limit).unwrap();
    }
    let other = Side::new(key(0x22).address());
    let params = Params { participants: [elsewhere, other], ..params() };
    let first = State::initial(params.id(), Allocation::new(&rows).unwrap());
    let opening = Some(Opening { params, peer_share: None });
    let open = SignRequest { opening, state: first.clone(), ..super::opening() };
    device.handle(&open).unwrap();
    store(&mut device);
    for asset in 0..4 {
        let all = Some(Allowance { per_step: Amount::MAX, total: Amount::MAX });
        device.allow(&first.channel, asset, all).unwrap();
    }
    // Nearly everything is paid and comes back.
    let mut state = State { version: u64::MAX - 1, ..first };
    for row in &mut state.outcome.balances {
        let all = row[0].checked_add(row[1]).unwrap();
        *row = [Amount::ZERO, all];
    }
    device.handle(&request(Why::Pay, state.clone())).unwrap();
    store(&mut device);
    state.outcome.balances.iter_mut().for_each(|row| row.swap(0, 1));
    state.version = u64::MAX;
    device.handle(&request(Why::Receive, state)).unwrap();
    let Some(Output::Store { record, .. }) = device.poll() else { panic!("a record") };
    // The counter takes eight bytes more one day.
    assert_eq!(record.len() + 8, MAX_RECORD);
}

fn store(device: &mut Participant<1>) {
    assert!(matches!(device.poll(), Some(Output::Store { .. })));
    device.stored();
    assert!(matches!(device.poll(), Some(Output::Answer { .. })));
}
