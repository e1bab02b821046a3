//! What leaves: only what was agreed to, and never more than the limit.

use sluicegate_device::Error;

use super::*;

#[test]
fn a_payment_is_agreed_to_once() {
    let mut bench = Bench::open();
    bench.refused(&request(Why::Pay, state(1, 90)), Refusal::NotAgreed);
    bench.pay(10);
    assert_eq!(bench.device.pay(&params().id(), 0, 5_u64.into()), Err(Error::Busy));
    bench.refused(&request(Why::Pay, state(1, 89)), Refusal::NotAgreed);
    bench.signed(&request(Why::Pay, state(1, 90)));
    bench.refused(&request(Why::Pay, state(2, 89)), Refusal::NotAgreed);
    bench.pay(10);
    bench.device.cancel_payment(&params().id());
    bench.refused(&request(Why::Pay, state(2, 80)), Refusal::NotAgreed);
    bench.pay(10);
    bench.signed(&request(Why::Pay, state(2, 80)));
}

#[test]
fn a_payment_takes_its_own_asset_only() {
    let mut bench = Bench::open();
    bench.device.pay(&params().id(), 1, 10_u64.into()).unwrap();
    bench.refused(&request(Why::Pay, state(1, 90)), Refusal::NotAgreed);
    let nobody = sluicegate_device::channel::ChannelId::new([1; 32]);
    assert_eq!(bench.device.pay(&nobody, 0, 1_u64.into()), Err(Error::UnknownChannel));
    let allowance = Some(Allowance { per_step: 1_u64.into(), total: 1_u64.into() });
    assert_eq!(bench.device.allow(&nobody, 0, allowance), Err(Error::UnknownChannel));
    assert_eq!(bench.device.allow(&params().id(), 4, allowance), Err(Error::Full("assets")));
}

#[test]
fn a_meter_takes_steps_out_of_an_allowance() {
    let mut bench = Bench::open();
    bench.allow(10, 25);
    bench.refused(&request(Why::Pay, state(1, 89)), Refusal::NotAgreed);
    bench.signed(&request(Why::Pay, state(1, 90)));
    bench.signed(&request(Why::Pay, state(2, 80)));
    let left = bench.device.allowance(&params().id(), 0).unwrap();
    assert_eq!(left, Allowance { per_step: 10_u64.into(), total: 5_u64.into() });
    bench.refused(&request(Why::Pay, state(3, 74)), Refusal::NotAgreed);
    bench.signed(&request(Why::Pay, state(3, 75)));
    bench.refused(&request(Why::Pay, state(4, 74)), Refusal::NotAgreed);
    bench.allow(1, 1);
    bench.device.allow(&params().id(), 0, None).unwrap();
    bench.refused(&request(Why::Pay, state(4, 74)), Refusal::NotAgreed);
}

#[test]
fn payment_and_allowance_do_not_add_up() {
    let mut bench = Bench::open();
    bench.allow(10, 10);
    bench.pay(10);
    bench.refused(&request(Why::Pay, state(1, 80)), Refusal::NotAgreed);
    bench.signed(&request(Why::Pay, state(1, 90)));
    bench.signed(&request(Why::Pay, state(2, 80)));
    bench.refused(&request(Why::Pay, state(3, 79)), Refusal::NotAgreed);
}

#[test]
fn the_limit_is_above_every_agreement() {
    let mut bench = Bench::open();
    bench.allow(100, 100);
    bench.signed(&request(Why::Pay, state(1, 30)));
    bench.signed(&request(Why::Receive, state(2, 150)));
    bench.refused(&request(Why::Pay, state(3, 139)), Refusal::SpendingLimit);
    let left = bench.device.allowance(&params().id(), 0).unwrap();
    assert_eq!(left.total, 30_u64.into(), "what is refused uses nothing up");
    bench.signed(&request(Why::Pay, state(3, 140)));
    // The limit counts on after a restart; the owner may raise it.
    let mut bench = bench.reboot();
    bench.allow(100, 100);
    bench.refused(&request(Why::Pay, state(4, 139)), Refusal::SpendingLimit);
    bench.device.set_limit(Limit { spending: 81_u64.into(), ..limit() }).unwrap();
    bench.signed(&request(Why::Pay, state(4, 139)));
    assert_eq!(bench.spent(), 81_u64.into());
}

#[test]
fn what_is_agreed_to_while_a_record_is_written_stays() {
    let mut bench = Bench::open();
    bench.device.handle(&request(Why::Receive, state(1, 110))).unwrap();
    assert!(matches!(bench.device.poll(), Some(Output::Store { .. })));
    bench.pay(10);
    bench.device.stored();
    assert!(matches!(bench.device.poll(), Some(Output::Answer { .. })));
    bench.signed(&request(Why::Pay, state(2, 100)));
}

#[test]
fn limits_have_bounded_room() {
    let mut bench = Bench::new(policy());
    for at in 2..5 {
        let asset = Asset::other(at, &[1]).unwrap();
        bench.device.set_limit(Limit { asset, ..limit() }).unwrap();
    }
    let asset = Asset::other(9, &[1]).unwrap();
    let full = bench.device.set_limit(Limit { asset, ..limit() });
    assert_eq!(full, Err(Error::Full("limits")));
    bench.device.set_limit(limit()).unwrap();
}

#[test]
fn the_application_may_decline() {
    let mut bench = Bench::open();
    let receive = request(Why::Receive, state(1, 110));
    bench.device.decline(&receive).unwrap();
    let Some(Output::Answer { answer, .. }) = bench.device.poll() else { panic!("an answer") };
    assert_eq!(answer.outcome, Err(Refusal::Unwilling));
    assert_eq!(bench.device.poll(), None);
    bench.signed(&receive);
}
