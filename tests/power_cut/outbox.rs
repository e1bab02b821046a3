//! The outbox and its records in the real store, against the embedded ledger, cut at every step of the gateway's disk.
//!
//! Guarantees: whatever is cut, in the end each digest has exactly one transaction on the ledger, the account paid for
//! just those, and the store holds each anchor as final. The ledger has a disk and a power supply of its own; what it
//! accepted stays accepted. Its own crashes: `backends/embedded/tests`. The outbox alone, with reorgs and foreign
//! transactions: `backends/ledger/src/outbox/tests`.

use std::sync::Arc;

use sluicegate_daemon::{Error, store::AnchorState};
use sluicegate_embedded::{
    Embedded, Faults, ManualClock, Owner, Settings, disk::MemoryDisk, wire::Admin,
};
use sluicegate_ledger::{
    Anchors, Cursor, EventKind, Finality, Ledger as _, Request,
    fees::{Class, DAY_MS, Limits},
    outbox::{self, Input, News, Outbox, Output},
};
use sluicegate_protocol::{Digest, sha256};
use tokio::runtime::Runtime;

use crate::{
    cuts::{Survivors, in_parallel},
    memory::{Image, Memory, Plan},
    scenario::{Gateway, Witness, morning, started},
    survival::WAYS,
    vfs::World,
};

const OUTBOX: outbox::Settings = outbox::Settings {
    limits: Limits { per_transaction: 1_000, per_day: 10_000, carry_over: 0, dispute_share_bp: 0 },
    poll_ms: 1_000,
    backoff_min_ms: 500,
    backoff_max_ms: 4_000,
    bump_after_ms: 60_000,
    capacity: 8,
};

/// Seeds of the ledger's key and of the gateway's account.
const KEYS: ([u8; 32], [u8; 32]) = ([3; 32], [4; 32]);

/// A ledger that goes on where its file ends.
struct Ledger {
    paper: MemoryDisk,
    clock: Arc<ManualClock>,
    owner: Arc<Owner>,
    backend: Embedded,
    runtime: Runtime,
}

impl Ledger {
    fn open(file: Vec<u8>, now_ms: u64) -> Self {
        let paper = MemoryDisk::new(file);
        let clock = Arc::new(ManualClock::new(now_ms));
        let settings = Settings { finality_blocks: 1, ..Settings::new("ledger.example") };
        let disk = Box::new(paper.clone());
        let owner = Owner::with_disk(disk, settings, &KEYS.0, clock.clone(), true).unwrap();
        let backend = Embedded::new(owner.clone(), &KEYS.1).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Self { paper, clock, owner, backend, runtime }
    }

    /// The same ledger at the same moment, for another way of going on.
    fn fork(&self) -> Self {
        use sluicegate_embedded::Clock;
        Self::open(self.paper.bytes(), self.clock.now_ms())
    }

    fn pass_time(&self) {
        self.clock.advance(1_000);
        self.owner.tick().unwrap();
    }
}

fn digests() -> [Digest; 2] {
    [sha256(&[b"first"]), sha256(&[b"second"])]
}

/// Starts the gateway and brings the anchors to the ledger, until both are final or the disk fails.
fn bring(world: &World, ledger: &Ledger) -> Result<(), Error> {
    let mut gateway = Gateway::open(world, morning())?;
    let records = gateway.recorder.store().outbox()?;
    let (mut outbox, unread) = Outbox::restore(OUTBOX, records);
    assert_eq!(unread, [], "every record can be read");
    for digest in digests() {
        let store = gateway.recorder.store();
        store.begin_anchor(&digest, 250, "note", 1)?;
        if store.anchor(&digest)?.unwrap().state == AnchorState::UnderWay {
            outbox.enqueue(0, Request::Anchor(digest), Class::Routine).unwrap();
        }
    }
    let mut now = 0;
    for _ in 0..100 {
        outbox.handle(now, Input::Tick);
        while let Some(output) = outbox.poll_output() {
            if let Some(input) = carry_out(&mut gateway, ledger, output)? {
                outbox.handle(now, input);
            }
        }
        if outbox.intents().next().is_none() {
            return Ok(());
        }
        ledger.pass_time();
        now = outbox.next_deadline().unwrap_or(now).max(now + 1_000);
    }
    panic!("not final after 100 rounds: {outbox:?}");
}

fn carry_out(
    gateway: &mut Gateway,
    ledger: &Ledger,
    output: Output,
) -> Result<Option<Input>, Error> {
    match output {
        Output::Persist { write, puts, deletes } => {
            gateway.recorder.store_mut().write_outbox(&puts, &deletes)?;
            Ok(Some(Input::Persisted(write)))
        }
        Output::Call { ticket, call } => {
            let result = ledger.runtime.block_on(outbox::perform(&ledger.backend, &call));
            Ok(Some(Input::Answer { ticket, result }))
        }
        Output::Notify(notice) => {
            if let News::Final { block, .. } = notice.news {
                let digest = notice.request.key();
                let evidence = ledger.runtime.block_on(ledger.backend.anchor_evidence(&digest))?;
                let evidence = evidence.to_bytes();
                let store = gateway.recorder.store();
                store.finish_anchor(&digest, block.number, Some(&evidence), 2)?;
            }
            Ok(None)
        }
    }
}

/// One transaction for each digest, no other, and the store knows.
fn paid_once(world: &World, ledger: &Ledger, context: &str) {
    let page = ledger.runtime.block_on(ledger.backend.events(&Cursor::default())).unwrap();
    for digest in digests() {
        let anchored = page.events.iter().filter(|event| {
            let is_it = matches!(&event.kind, EventKind::Anchored { digest: found, .. } if *found == digest);
            is_it && event.finality == Finality::Final
        });
        assert_eq!(anchored.count(), 1, "{context}: {digest}");
    }
    let account = ledger.runtime.block_on(ledger.backend.account()).unwrap();
    assert_eq!((account.next_nonce, account.final_nonce), (2, 2), "{context}: transactions");
    assert_eq!(account.balance, 1_000_000_000 - 2 * 10, "{context}: two fees");
    let gateway = Gateway::open(world, morning()).unwrap();
    assert_eq!(gateway.alarms, [], "{context}");
    let store = gateway.recorder.store();
    let keys: Vec<u64> = store.outbox().unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [outbox::BUDGETS_KEY], "{context}: only the budgets are left");
    for digest in digests() {
        let anchor = store.anchor(&digest).unwrap().unwrap();
        assert!(matches!(anchor.state, AnchorState::Final { .. }), "{context}: {anchor:?}");
        assert!(anchor.evidence.is_some(), "{context}: evidence");
    }
}

/// A disk without a scenario's records, and a ledger with these faults before it.
fn begin(faults: Faults) -> (World, Ledger) {
    let (image, _) = started();
    let ledger = Ledger::open(Vec::new(), 100 * DAY_MS);
    ledger.owner.admin(Admin::Faults(faults)).unwrap();
    (World::new(Memory::new(image)), ledger)
}

/// Nothing wrong; a submission that landed although the answer was lost; one that was lost; no answers for a while.
const FAULTS: [Faults; 4] = [
    Faults { delay_ms: 0, fail: 0, unknown: 0, lose: 0, base_fee: None },
    Faults { delay_ms: 0, fail: 0, unknown: 1, lose: 0, base_fee: None },
    Faults { delay_ms: 0, fail: 0, unknown: 0, lose: 1, base_fee: None },
    Faults { delay_ms: 0, fail: 5, unknown: 0, lose: 0, base_fee: None },
];

#[test]
fn power_cut_at_every_step_of_two_anchors_pays_each_once() {
    for faults in FAULTS {
        let (world, ledger) = begin(faults);
        bring(&world, &ledger).unwrap();
        let steps = world.memory.steps();
        paid_once(&world, &ledger, "no cut");
        let survivors = Survivors::default();
        in_parallel(1..=steps, |step| {
            let (world, ledger) = begin(faults);
            world.memory.plan(Plan::Cut(step));
            let _ = bring(&world, &ledger);
            for way in &WAYS {
                let image = world.memory.survivors(way);
                if survivors.is_new(&image, &ledger_as_witness(&ledger)) {
                    let context = format!("{faults:?}, step {step}, {}", way.name);
                    go_on(&image, &ledger.fork(), &context);
                }
            }
        });
        println!("{faults:?}: {steps} steps, {} survivors", survivors.count());
    }
}

fn go_on(image: &Image, ledger: &Ledger, context: &str) {
    let world = World::new(Memory::new(image));
    bring(&world, ledger).unwrap_or_else(|error| panic!("{context}: {error}"));
    paid_once(&world, ledger, context);
}

/// What the ledger holds tells two cuts apart, too.
fn ledger_as_witness(ledger: &Ledger) -> Witness {
    let file = ledger.paper.bytes();
    Witness { outbox: (vec![(0, file)], None), ..Witness::default() }
}

#[test]
fn a_failing_or_full_disk_pays_each_once() {
    let (world, ledger) = begin(FAULTS[0]);
    bring(&world, &ledger).unwrap();
    let steps = world.memory.steps();
    in_parallel(1..=steps, |step| {
        for plan in [Plan::Fail(step), Plan::Full(step, 20)] {
            let (world, ledger) = begin(FAULTS[0]);
            world.memory.plan(plan);
            for _ in 0..30 {
                if bring(&world, &ledger).is_ok() {
                    break;
                }
            }
            world.memory.plan(Plan::Well);
            paid_once(&world, &ledger, &format!("{plan:?}"));
        }
    });
    println!("{steps} steps");
}
