//! The outbox on the embedded ledger itself: anchors become final and are paid once, whatever goes wrong.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, sync::Arc};

use sluicegate_embedded::{
    Embedded, Faults, ManualClock, Owner, Settings, asset::native_asset, wire::Admin,
};
use sluicegate_ledger::{
    Anchors, Channels, Class, Cursor, Deposit, EventKind, Finality, Ledger, Limits, Request,
    outbox::{self, Input, News, Outbox, Output},
};
use sluicegate_protocol::{
    Digest,
    channel::{Address, Amount, ChannelId},
    sha256,
};
use tokio::runtime::Runtime;

const SETTINGS: outbox::Settings = outbox::Settings {
    limits: Limits {
        per_transaction: 1_000,
        per_day: 100_000,
        carry_over: 0,
        dispute_share_bp: 100,
    },
    poll_ms: 1_000,
    backoff_min_ms: 500,
    backoff_max_ms: 8_000,
    bump_after_ms: 10_000,
    capacity: 16,
};

struct World {
    runtime: Runtime,
    owner: Arc<Owner>,
    backend: Embedded,
    outbox: Outbox,
    store: BTreeMap<u64, Vec<u8>>,
    done: Vec<Digest>,
    now: u64,
}

impl World {
    fn new(directory: &tempfile::TempDir) -> Self {
        let settings = Settings { finality_blocks: 2, ..Settings::new("ledger.example") };
        let clock = Arc::new(ManualClock::new(1_000));
        let path = directory.path().join("ledger");
        let owner = Owner::open(&path, settings, &[1; 32], clock, true).unwrap();
        let backend = Embedded::new(Arc::clone(&owner), &[2; 32]).unwrap();
        let (outbox, _) = Outbox::restore(SETTINGS, []);
        let runtime = Runtime::new().unwrap();
        Self { runtime, owner, backend, outbox, store: BTreeMap::new(), done: vec![], now: 0 }
    }

    fn drain(&mut self) {
        while let Some(output) = self.outbox.poll_output() {
            let input = match output {
                Output::Call { ticket, call } => {
                    let answer = outbox::perform(&self.backend, &call);
                    Some(Input::Answer { ticket, result: self.runtime.block_on(answer) })
                }
                Output::Notify(notice) => {
                    if matches!(notice.news, News::Final { .. }) {
                        self.done.push(notice.request.key());
                    }
                    None
                }
                Output::Persist { write, puts, deletes } => {
                    self.store.extend(puts);
                    self.store.retain(|key, _| !deletes.contains(key));
                    Some(Input::Persisted(write))
                }
            };
            if let Some(input) = input {
                self.outbox.handle(self.now, input);
            }
        }
    }

    fn run(&mut self, trouble: impl Fn(&Self, u32)) {
        for round in 0..200 {
            trouble(self, round);
            self.outbox.handle(self.now, Input::Tick);
            self.drain();
            if self.outbox.intents().next().is_none() {
                return;
            }
            self.owner.admin(Admin::Produce).unwrap();
            self.now = self.outbox.next_deadline().unwrap_or(self.now).max(self.now + 100);
        }
        panic!("not final: {:?}", self.outbox);
    }

    fn faults(&self, faults: Faults) {
        self.owner.admin(Admin::Faults(faults)).unwrap();
    }
}

fn digest(n: u8) -> Digest {
    sha256(&[b"checkpoint", &[n]])
}

fn check(trouble: impl Fn(&World, u32)) {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(&directory);
    for n in 0..6 {
        world.outbox.enqueue(0, Request::Anchor(digest(n)), Class::Routine).unwrap();
    }
    world.run(trouble);
    let World { runtime, backend, done, store, .. } = &world;
    assert_eq!(done.len(), 6);
    assert_eq!(store.len(), 1);
    let account = runtime.block_on(backend.account()).unwrap();
    assert_eq!(account.final_nonce, 6, "one nonce for each anchor");
    let events = runtime.block_on(backend.events(&Cursor::default())).unwrap().events;
    for n in 0..6 {
        let finals = events.iter().filter(|event| {
            let EventKind::Anchored { digest: anchored, .. } = &event.kind else { return false };
            event.finality == Finality::Final && *anchored == digest(n)
        });
        assert_eq!(finals.count(), 1, "paid once");
        assert!(runtime.block_on(backend.anchor_evidence(&digest(n))).is_ok());
    }
}

fn deposit(n: u8) -> Deposit {
    let (channel, participant) = (ChannelId::new([n; 32]), Address::new([n; 20]));
    let (asset, amount) = (native_asset("ledger.example"), Amount::from(1_000u64));
    Deposit { channel, participant, asset, amount }
}

/// Six deposits in trouble are paid once each; and not again when everything that was stored is lost.
fn check_deposits(trouble: impl Fn(&World, u32)) {
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::new(&directory);
    for _ in 0..2 {
        for n in 0..6 {
            let request = Request::Deposit(Box::new(deposit(n)));
            let class = request.class(0);
            world.outbox.enqueue(0, request, class).unwrap();
        }
        world.run(&trouble);
        let World { runtime, backend, .. } = &world;
        for n in 0..6 {
            let Deposit { asset, amount, .. } = deposit(n);
            let holdings = runtime.block_on(backend.holdings(&deposit(n).funding(), &asset));
            assert_eq!(holdings, Ok(amount));
        }
        let account = runtime.block_on(backend.account()).unwrap();
        assert_eq!(account.final_nonce, 6, "one nonce for each deposit");
        (world.outbox, _) = Outbox::restore(SETTINGS, []);
        world.store.clear();
    }
}

#[test]
fn deposits_are_paid_once() {
    check_deposits(|world, round| match round % 5 {
        0 => world.faults(Faults { unknown: 1, ..Faults::default() }),
        2 => world.faults(Faults { lose: 1, ..Faults::default() }),
        _ => {}
    });
    check_deposits(|world, round| {
        if round < 40 && round % 3 == 2 {
            world.owner.admin(Admin::Reorg { blocks: 2, keep: round % 2 == 0 }).unwrap();
        }
    });
}

#[test]
fn without_trouble() {
    check(|_, _| {});
}

#[test]
fn unknown_results_losses_and_outages() {
    check(|world, round| {
        let base = Faults::default();
        match round % 7 {
            0 => world.faults(Faults { unknown: 1, ..base }),
            2 => world.faults(Faults { lose: 1, ..base }),
            4 => world.faults(Faults { fail: 3, ..base }),
            _ => {}
        }
    });
}

#[test]
fn reorgs_that_keep_and_that_drop() {
    check(|world, round| {
        if round < 40 && round % 3 == 2 {
            world.owner.admin(Admin::Reorg { blocks: 2, keep: round % 2 == 0 }).unwrap();
        }
    });
}

#[test]
fn a_fee_surge_is_outbid() {
    check(|world, round| {
        let surge = u64::from(round.min(20)) * 5 + 10;
        world.faults(Faults { base_fee: Some(surge), ..Faults::default() });
    });
}
