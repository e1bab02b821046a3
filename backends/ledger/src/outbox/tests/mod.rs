//! The outbox against a small model of a ledger: crashes between any two outputs, and every fault at any call.

mod model;

use std::{collections::BTreeMap, format, vec, vec::Vec};

use proptest::prelude::*;
use sluicegate_protocol::{Digest, sha256};

use self::model::{DEPTH, FAULTS, Fault, Landed, Model};
use super::*;
use crate::{Remedy, fees::DAY_MS};

const LIMITS: Limits =
    Limits { per_transaction: 1_000, per_day: 100_000, carry_over: 0, dispute_share_bp: 10_000 };

const SETTINGS: Settings = Settings {
    limits: LIMITS,
    poll_ms: 1_000,
    backoff_min_ms: 500,
    backoff_max_ms: 8_000,
    bump_after_ms: 20_000,
    capacity: 8,
};

/// A gateway with its durable records, in front of the model.
struct World {
    model: Model,
    store: BTreeMap<u64, Vec<u8>>,
    wanted: Vec<(Request, Class)>,
    finished: Vec<Request>,
    notices: Vec<News>,
    now: u64,
}

/// Where a run is cut: before an output is carried out, or after it but before its answer arrives.
#[derive(Debug, Clone, Copy)]
struct Cut {
    output: usize,
    carried_out: bool,
}

impl World {
    fn new(count: u8) -> Self {
        let mut budgets = Budgets::default();
        budgets.set_aside(50_000);
        let wanted = (0..count).map(|n| {
            let class = if n == 1 { Class::Dispute { stake: 90_000 } } else { Class::Routine };
            (Request::Anchor(sha256(&[&[n]])), class)
        });
        Self {
            model: Model::new(),
            store: BTreeMap::from([(BUDGETS_KEY, cbor::encode(&budgets))]),
            wanted: wanted.collect(),
            finished: vec![],
            notices: vec![],
            now: 0,
        }
    }

    /// Starts from the durable records and wants again what is not known to be final.
    fn start(&self) -> Outbox {
        let (mut outbox, unread) = Outbox::restore(SETTINGS, self.store.clone());
        assert_eq!(unread, vec![]);
        for (request, class) in &self.wanted {
            if !self.finished.contains(request) {
                outbox.enqueue(self.now, request.clone(), *class).unwrap();
            }
        }
        outbox
    }

    /// Runs until everything is final (true) or the cut; `fault` is asked once for each call.
    fn run(&mut self, cut: Option<Cut>, mut fault: impl FnMut() -> Fault) -> bool {
        let mut outbox = self.start();
        let mut outputs = 0;
        for _ in 0..400 {
            outbox.handle(self.now, Input::Tick);
            while let Some(output) = outbox.poll_output() {
                let here = cut.filter(|cut| cut.output == outputs);
                if here.is_some_and(|cut| !cut.carried_out) {
                    return false;
                }
                let answer = self.carry_out(output, &mut fault);
                if here.is_some() {
                    return false;
                }
                outputs += 1;
                if let Some(answer) = answer {
                    outbox.handle(self.now, answer);
                }
            }
            if outbox.intents().next().is_none() {
                return true;
            }
            self.model.produce();
            self.now = outbox.next_deadline().unwrap_or(self.now).max(self.now + 100);
        }
        panic!("not final after 400 deadlines: {outbox:?}\n{:?}", self.model);
    }

    fn carry_out(&mut self, output: Output, fault: &mut impl FnMut() -> Fault) -> Option<Input> {
        match output {
            Output::Call { ticket, call } => {
                if let Call::Submit(signed) = &call {
                    self.assert_durable(signed);
                }
                let result = self.model.perform_with(&call, fault());
                Some(Input::Answer { ticket, result })
            }
            Output::Notify(Notice { request, news, .. }) => {
                if matches!(news, News::Final { .. }) {
                    self.finished.push(request);
                }
                self.notices.push(news);
                None
            }
            Output::Persist { write, puts, deletes } => {
                self.store.extend(puts);
                self.store.retain(|key, _| !deletes.contains(key));
                Some(Input::Persisted(write))
            }
        }
    }

    /// I1: what is submitted is on disk.
    fn assert_durable(&self, signed: &Signed) {
        let intents = self.store.iter().filter(|(key, _)| **key != BUDGETS_KEY);
        let mut records = intents.map(|(_, bytes)| Record::decode(bytes).unwrap());
        assert!(records.any(|record| record.attempts.contains(signed)), "submitted, not durable");
    }

    fn assert_paid_once(&self, context: &str) {
        for (request, _) in &self.wanted {
            let landed = self.model.blocks.iter().flatten();
            let times = landed.filter(|landed| landed.digest == request.key()).count();
            assert_eq!(times, 1, "{context}: {:?}", self.notices);
            assert!(self.finished.contains(request), "{context}");
        }
        assert_eq!(self.store.len(), 1, "{context}: only the budgets are left");
    }
}

/// The fault at one call, none at the others.
fn once(fault: Fault, call: usize) -> impl FnMut() -> Fault {
    let mut calls = 0;
    move || {
        calls += 1;
        if calls == call + 1 { fault } else { Fault::None }
    }
}

/// Every place for a cut in a run without one of its own.
fn cuts() -> impl Iterator<Item = Cut> {
    (0..).flat_map(|output| [false, true].map(|carried_out| Cut { output, carried_out }))
}

#[test]
fn power_cut_between_any_two_outputs_pays_once() {
    for (fault, call) in FAULTS.into_iter().flat_map(|fault| (0..20).map(move |n| (fault, n))) {
        for cut in cuts() {
            let mut world = World::new(1);
            let mut fault_at = once(fault, call);
            let whole = world.run(Some(cut), &mut fault_at);
            if !whole {
                world.run(None, &mut fault_at);
            }
            world.assert_paid_once(&format!("{fault:?} at {call}, {cut:?}"));
            if whole {
                break;
            }
        }
    }
}

#[test]
fn two_power_cuts_with_two_intents_pay_once() {
    for (fault, call) in FAULTS.into_iter().flat_map(|fault| [7, 9].map(|call| (fault, call))) {
        'first: for first in cuts() {
            for second in cuts() {
                let mut world = World::new(2);
                let mut fault_at = once(fault, call);
                if world.run(Some(first), &mut fault_at) {
                    break 'first;
                }
                let whole = world.run(Some(second), &mut fault_at);
                if !whole {
                    world.run(None, &mut fault_at);
                }
                world.assert_paid_once(&format!("{fault:?} at {call}, {first:?}, {second:?}"));
                if whole {
                    break;
                }
            }
        }
    }
}

#[test]
fn a_foreign_transaction_that_a_reorg_takes_back_pays_once() {
    for (foreign, reorg) in (0..16).flat_map(|first| (first + 1..40).map(move |n| (first, n))) {
        let mut world = World::new(1);
        let mut calls = 0;
        world.run(None, || {
            calls += 1;
            match calls {
                _ if calls == foreign + 1 => Fault::Foreign,
                _ if calls == reorg + 1 => Fault::Reorg,
                _ => Fault::None,
            }
        });
        world.assert_paid_once(&format!("foreign at {foreign}, reorg at {reorg}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn any_faults_and_cuts_pay_once(
        faults in proptest::collection::vec(0usize..FAULTS.len(), 0..40),
        cuts in proptest::collection::vec((0usize..40, any::<bool>()), 0..6),
    ) {
        let mut world = World::new(4);
        let mut faults = faults.into_iter();
        let mut fault = || faults.next().map_or(Fault::None, |index| FAULTS[index]);
        for (output, carried_out) in cuts {
            if world.run(Some(Cut { output, carried_out }), &mut fault) {
                break;
            }
        }
        world.run(None, &mut fault);
        world.assert_paid_once("random");
    }
}

fn single() -> (World, Outbox) {
    let world = World::new(1);
    let outbox = world.start();
    (world, outbox)
}

fn drain(world: &mut World, outbox: &mut Outbox) {
    while let Some(output) = outbox.poll_output() {
        if let Some(input) = world.carry_out(output, &mut || Fault::None) {
            outbox.handle(world.now, input);
        }
    }
}

#[test]
fn an_anchor_that_is_there_is_adopted() {
    let (mut world, mut outbox) = single();
    let digest = world.wanted[0].0.key();
    world.model.blocks.push(vec![Landed { id: TransactionId(digest), nonce: 0, digest }]);
    drain(&mut world, &mut outbox);
    assert!(matches!(world.notices[..], [News::Seen { .. }]));
    (0..DEPTH).for_each(|_| world.model.produce());
    world.now += SETTINGS.poll_ms;
    outbox.handle(world.now, Input::Tick);
    drain(&mut world, &mut outbox);
    assert!(matches!(world.notices[..], [News::Seen { .. }, News::Final { .. }]));
    assert_eq!(outbox.budgets().spent(), 0);
}

#[test]
fn a_request_twice_is_one_intent() {
    let (world, mut outbox) = single();
    let (request, class) = world.wanted[0].clone();
    assert_eq!(outbox.enqueue(0, request, class), Ok(1));
    assert_eq!(outbox.intents().count(), 1);
    for n in 1..8u8 {
        outbox.enqueue(0, Request::Anchor(sha256(&[b"other", &[n]])), class).unwrap();
    }
    let ninth = Request::Anchor(sha256(&[b"ninth"]));
    assert_eq!(outbox.enqueue(0, ninth, class), Err(Error::OutboxFull(8)));
}

#[test]
fn only_what_nothing_is_signed_of_can_be_cancelled() {
    let (mut world, mut outbox) = single();
    let request = world.wanted[0].0.clone();
    drain(&mut world, &mut outbox);
    let key = outbox.enqueue(0, Request::Anchor(sha256(&[b"other"])), Class::Routine).unwrap();
    drain(&mut world, &mut outbox);
    assert!(world.store.contains_key(&key));
    outbox.cancel(|_| true);
    drain(&mut world, &mut outbox);
    let left: Vec<_> = outbox.intents().map(|(_, left, _)| left.clone()).collect();
    assert_eq!(left, vec![request], "what is signed goes on");
    assert!(!world.store.contains_key(&key));
}

#[test]
fn a_daily_ceiling_waits_for_the_next_day_of_the_ledger() {
    let (mut world, mut outbox) = single();
    outbox.set_limits(0, Limits { per_day: 5, carry_over: 5, ..LIMITS });
    drain(&mut world, &mut outbox);
    let [News::Blocked(error)] = &world.notices[..] else { panic!("{:?}", world.notices) };
    assert_eq!(error.remedy(), Remedy::RaiseCeiling);
    let due = outbox.next_deadline().unwrap();
    assert_eq!(world.model.time_ms() + due, 101 * DAY_MS);
    (world.now, world.model.extra_time) = (due, due);
    outbox.handle(due, Input::Tick);
    drain(&mut world, &mut outbox);
    assert_eq!(outbox.budgets().spent(), 10);
}

#[test]
fn a_raised_ceiling_is_tried_at_once() {
    let (mut world, mut outbox) = single();
    outbox.set_limits(0, Limits { per_transaction: 5, ..LIMITS });
    drain(&mut world, &mut outbox);
    outbox.set_limits(1, LIMITS);
    drain(&mut world, &mut outbox);
    assert!(matches!(world.notices[..], [News::Blocked(_)]));
    assert_eq!(world.model.pool.len(), 1);
}

#[test]
fn an_empty_account_is_reported_once_and_tried_again() {
    let (mut world, mut outbox) = single();
    world.model.balance = 0;
    for _ in 0..4 {
        drain(&mut world, &mut outbox);
        world.now = outbox.next_deadline().unwrap();
        outbox.handle(world.now, Input::Tick);
    }
    let [News::Blocked(error)] = &world.notices[..] else { panic!("{:?}", world.notices) };
    assert_eq!(error.remedy(), Remedy::FundAccount);
    world.model.balance = 1_000_000;
    drop(outbox);
    world.run(None, || Fault::None);
    world.assert_paid_once("funded");
}

#[test]
fn a_stuck_transaction_is_replaced_with_the_same_nonce() {
    let (mut world, mut outbox) = single();
    drain(&mut world, &mut outbox);
    let ids = |world: &World| world.model.pool.values().map(|(l, _)| l.id).collect::<Vec<_>>();
    let first = ids(&world);
    while ids(&world) == first {
        world.now = outbox.next_deadline().unwrap();
        outbox.handle(world.now, Input::Tick);
        drain(&mut world, &mut outbox);
    }
    assert!(world.now >= SETTINGS.bump_after_ms);
    assert_eq!((world.model.pool.len(), outbox.budgets().spent()), (1, 12));
}

#[test]
fn a_refusal_for_good_ends_the_intent() {
    let (mut world, mut outbox) = single();
    while let Some(output) = outbox.poll_output() {
        let refused = matches!(&output, Output::Call { call: Call::Submit(_), .. });
        let input = match world.carry_out(output, &mut || Fault::None) {
            Some(Input::Answer { ticket, .. }) if refused => {
                world.model.pool.clear();
                Some(Input::Answer { ticket, result: Err(Error::Rejected("no".into())) })
            }
            input => input,
        };
        if let Some(input) = input {
            outbox.handle(world.now, input);
        }
        world.now = outbox.next_deadline().unwrap_or(world.now);
        outbox.handle(world.now, Input::Tick);
    }
    assert!(matches!(world.notices.last(), Some(News::Failed(Error::Rejected(_)))));
    assert_eq!(world.store.len(), 1);
}

#[test]
fn disputes_go_before_routine_and_one_at_a_time() {
    let mut world = World::new(3);
    let mut outbox = world.start();
    let mut submitted = vec![];
    for _ in 0..40 {
        outbox.handle(world.now, Input::Tick);
        while let Some(output) = outbox.poll_output() {
            if let Output::Call { call: Call::Submit(signed), .. } = &output {
                submitted.push(Digest::from_slice(&signed.bytes).unwrap());
                assert!(world.model.pool.is_empty(), "one unseen transaction at a time");
            }
            if let Some(input) = world.carry_out(output, &mut || Fault::None) {
                outbox.handle(world.now, input);
            }
        }
        world.model.produce();
        world.now += 1_000;
    }
    // The first started before the dispute was durable.
    let order: Vec<_> = [0, 1, 2].map(|n: usize| world.wanted[n].0.key()).into();
    assert_eq!(submitted, order);
}

#[test]
fn records_that_cannot_be_read_are_given_back() {
    let records = [(BUDGETS_KEY, vec![0xff]), (4, vec![1, 2])];
    let (mut outbox, unread) = Outbox::restore(SETTINGS, records);
    let keys: Vec<u64> = unread.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [BUDGETS_KEY, 4]);
    let key = outbox.enqueue(0, Request::Anchor(sha256(&[b"a"])), Class::Routine).unwrap();
    assert_eq!(key, 5);
    assert_eq!(outbox.budgets(), &Budgets::exhausted());
}

#[test]
fn a_lost_record_leaves_no_gap_in_the_nonces() {
    let mut world = World::new(2);
    // The first is submitted and lost on the way, its record is lost too, the second has the next nonce.
    let signed = |n: u64, request: &Request| Signed {
        id: TransactionId(sha256(&[&n.to_be_bytes()])),
        nonce: n,
        fee: 10,
        bytes: request.key().as_bytes().to_vec(),
    };
    let (request, class) = world.wanted[1].clone();
    let attempts = vec![signed(1, &request)];
    world.store.insert(7, Record { request, class, attempts }.to_bytes());
    assert!(world.run(None, || Fault::None));
    world.assert_paid_once("gap");
}

#[test]
fn nothing_is_submitted_before_its_record_is_durable() {
    let (mut world, mut outbox) = single();
    let mut unanswered = None;
    while let Some(output) = outbox.poll_output() {
        assert_eq!(unanswered, None, "an output of the intent follows its unfinished record");
        if let Output::Persist { write, puts, .. } = &output
            && puts.iter().any(|(key, _)| *key == BUDGETS_KEY)
        {
            unanswered = Some(*write);
        } else if let Some(input) = world.carry_out(output, &mut || Fault::None) {
            outbox.handle(world.now, input);
        }
        outbox.handle(world.now + DAY_MS, Input::Tick);
        outbox.handle(world.now + DAY_MS, Input::Moved);
    }
    outbox.handle(0, Input::Persisted(unanswered.unwrap()));
    let next = outbox.poll_output();
    assert!(matches!(next, Some(Output::Call { call: Call::Submit(_), .. })), "{next:?}");
}

#[test]
fn a_stale_answer_changes_nothing() {
    let (mut world, mut outbox) = single();
    drain(&mut world, &mut outbox);
    let before = format!("{outbox:?}");
    outbox.handle(world.now, Input::Answer { ticket: 1, result: Ok(Answer::Submitted) });
    outbox.handle(world.now, Input::Persisted(1));
    assert_eq!(format!("{outbox:?}"), before);
}
