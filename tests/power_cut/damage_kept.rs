//! What damage and restored backups must not cost: leaves behind acknowledgements, erasures, the ceiling on fees.
//!
//! Guarantees: whoever is told that a reading is logged can have it proved; what expired is erased in whatever log is
//! open, and nothing is erased because a clock had no time. Does not: damage tiles ([`crate::damage_tiles`]).

use sluicegate_daemon::{disk::Disk, recorder::Recorder, store::Store};
use sluicegate_ledger::{fees::Budgets, outbox::BUDGETS_KEY};
use sluicegate_notary::{
    entry::{Body, Entry},
    log::Now,
};

use crate::{
    check,
    damage::{DATABASE, Harm, NEWEST, TAIL, later, lived, repeats, start},
    memory::{Image, Memory, Plan},
    scenario::{
        Action, BRIEF, DAY, DEVICES, Gateway, ORIGIN, SCENARIO, Witness, at, morning, started,
    },
    vfs::{NAME, World},
};

/// Whether the entry at `index` is the reading with this sequence number.
fn holds(entry: Result<Vec<u8>, sluicegate_daemon::Error>, seq: u64) -> bool {
    let entry = entry.ok().and_then(|bytes| Entry::decode(&bytes).ok());
    entry.is_some_and(|entry| matches!(entry.body, Body::Reading(r) if r.seq == Some(seq)))
}

fn send(gateway: &mut Gateway, device: usize, seq: u64) -> u64 {
    let mut seen = Witness::default();
    gateway.readings(&[(device, Some(seq))], &mut seen).unwrap();
    seen.acknowledged[0].index
}

/// Declares the backup restored, as `sluicegate restore` does.
fn declare(world: &World) {
    let mut store = Store::open(&world.path(DATABASE), NAME.to_str().ok()).unwrap();
    store.set_meta("restored", b"declared").unwrap();
    store.close();
}

#[test]
fn readings_of_a_lost_log_are_logged_again() {
    let world = World::new(Memory::new(&Harm::Remove.apply(&lived().closed, TAIL)));
    let mut gateway = start(&world, "tail lost");
    for (device, seq) in [(0, 3), (0, 87), (1, 85), (2, 85)] {
        let index = send(&mut gateway, device, seq);
        assert!(holds(gateway.recorder.files().entry(index), seq), "{device}, {seq}");
        assert_eq!(send(&mut gateway, device, seq), index, "once in this log");
    }
    assert_eq!(gateway.recorder.open_log().origin, format!("{ORIGIN}/2"));
    let gone = gateway.recorder.earlier_files(1).map(|_| ()).unwrap_err();
    assert!(gone.to_string().contains("set aside"), "{gone}");
    assert!(!world.memory.list("log").unwrap().contains(&"1".to_owned()), "nothing is created");
}

#[test]
fn a_restored_log_keeps_its_indices() {
    let world = World::new(Memory::new(&lived().closed));
    declare(&world);
    let mut gateway = start(&world, "restored");
    assert_eq!(gateway.alarms, []);
    assert_eq!(gateway.recorder.open_log().origin, format!("{ORIGIN}/2"));
    repeats(&mut gateway, &lived().witness, "restored");
    assert_eq!(gateway.recorder.earlier_files(1).unwrap().size(), NEWEST.1);
}

/// Rows are durable before leaves; a restore in between must not leave the rows behind.
#[test]
fn a_restore_after_any_cut_acknowledges_only_what_has_a_leaf() {
    for step in 1.. {
        let world = World::new(Memory::new(&lived().closed));
        let mut gateway = start(&world, "before");
        world.memory.plan(Plan::Fail(step));
        let sent = gateway.readings(&[(0, Some(2000))], &mut Witness::default());
        drop(gateway);
        world.memory.plan(Plan::Well);
        declare(&world);
        let mut gateway = start(&world, "restored");
        let index = send(&mut gateway, 0, 2000);
        let earlier = gateway.recorder.earlier_files(1).unwrap();
        let is_earlier = holds(earlier.entry(index), 2000);
        let is_new = holds(gateway.recorder.files().entry(index), 2000);
        assert!(is_earlier != is_new, "step {step}: {index}, {is_earlier}, {is_new}");
        if sent.is_ok() {
            // The first log has its leaf too, and never signed it.
            assert!(is_new, "step {step}");
            return;
        }
    }
}

/// An erasure that was begun in a log that is lost or closed is finished in the next one.
#[test]
fn erasures_survive_the_loss_of_their_log() {
    let (image, witness) = started();
    let world = World::new(Memory::new(image));
    let mut gateway = Gateway::open(&world, morning()).unwrap();
    for action in &SCENARIO[..10] {
        gateway.perform(action, &mut witness.clone()).unwrap();
    }
    drop(gateway);
    let before = world.memory.image();
    for step in 1.. {
        let world = World::new(Memory::new(&before));
        let mut gateway = Gateway::open(&world, later()).unwrap();
        world.memory.plan(Plan::Fail(step));
        let erased = gateway.perform(&Action::Erase, &mut Witness::default());
        drop(gateway);
        world.memory.plan(Plan::Well);
        let image = world.memory.image();
        erases(&World::new(Memory::new(&Harm::Remove.apply(&image, TAIL))), step);
        let world = World::new(Memory::new(&image));
        declare(&world);
        erases(&world, step);
        if erased.is_ok() {
            return;
        }
    }
}

fn erases(world: &World, step: u64) {
    let context = format!("step {step}");
    let mut gateway = start(world, &context);
    assert_eq!(gateway.recorder.open_log().origin, format!("{ORIGIN}/2"), "{context}");
    gateway.perform(&Action::Erase, &mut Witness::default()).unwrap();
    check::erased(&gateway, &context);
}

/// A clock without time calls today the first of January 1970.
#[test]
fn what_was_logged_without_a_clock_does_not_expire_at_once() {
    let mut unset = at(3, 0);
    unset.wall.synchronised = false;
    let world = World::new(Memory::new(&Image::default()));
    let mut gateway = Gateway::open(&world, unset).unwrap();
    send(&mut gateway, 2, 1);
    let erase = |recorder: &mut Recorder<Memory>, now: Now, keep: u32| {
        let days = recorder.erase_expired(now, BRIEF, now.wall.day() - keep).unwrap();
        recorder.drive(now).unwrap();
        days
    };
    assert_eq!(erase(&mut gateway.recorder, unset, 0), 0, "no clock");
    assert_eq!(erase(&mut gateway.recorder, at(DAY, 1_000), 7), 0, "the clock is set");
    assert_eq!(erase(&mut gateway.recorder, at(DAY + 7, 2_000), 7), 0, "seven days are kept");
    drop(gateway);
    // The next start has no clock either, and logs to the same day.
    let mut gateway = Gateway::open(&world, unset).unwrap();
    send(&mut gateway, 2, 2);
    assert_eq!(erase(&mut gateway.recorder, at(DAY + 8, 3_000), 7), 0, "the new one is fresh");
    assert_eq!(erase(&mut gateway.recorder, at(DAY + 15, 4_000), 7), 0);
    assert_eq!(erase(&mut gateway.recorder, at(DAY + 16, 5_000), 7), 1, "now it expired");
    let rows =
        gateway.recorder.store().select(1, DEVICES[2], sluicegate_daemon::store::Selection::All);
    assert!(rows.unwrap().iter().all(|row| row.payload.is_none()));
}

#[test]
fn a_lost_database_leaves_nothing_to_spend_today() {
    let world = World::new(Memory::new(&Image::default()));
    let gateway = Gateway::open(&world, morning()).unwrap();
    assert_eq!(gateway.recorder.store().outbox().unwrap(), [], "a first start spends");
    drop(gateway);
    for harm in [Harm::Remove, Harm::Fill(0xff)] {
        let world = World::new(Memory::new(&harm.apply(&lived().closed, DATABASE)));
        let gateway = start(&world, "database lost");
        let records = gateway.recorder.store().outbox().unwrap();
        let [(key, record)] = records.as_slice() else { panic!("{records:?}") };
        assert_eq!(*key, BUDGETS_KEY);
        assert_eq!(Budgets::decode(record).unwrap(), Budgets::exhausted());
    }
}

/// Two losses at once: what can't be read gets no rows, and nothing stops the start.
#[test]
fn a_lost_database_is_built_anew_around_damaged_entries() {
    let path = "log/1/tile/entries/000";
    for (harm, lost) in [(Harm::Flip(5000), 1), (Harm::Cut(100), 256), (Harm::Remove, 256)] {
        let image = Harm::Remove.apply(&lived().closed, DATABASE);
        let world = World::new(Memory::new(&harm.apply(&image, path)));
        let gateway = start(&world, "both");
        assert_eq!(gateway.recorder.open_log().origin, ORIGIN);
        let told = format!("{lost} entries of the log {ORIGIN} are damaged");
        assert!(gateway.alarms.iter().any(|alarm| alarm.0.contains(&told)), "{:?}", gateway.alarms);
    }
}
