//! Readings that a closed log never signed are logged again in the next one, whatever is cut or fails on the way.
//!
//! Guarantees: every step of the start that closes the log and of the first commit behind it is cut in every way, and
//! each survivor is checked twice: as it is, and closed once more. Afterwards each acknowledged reading has exactly one
//! leaf under a checkpoint, on its own day, and opens.

use std::collections::BTreeMap;

use sluicegate_daemon::{
    files::LogFiles,
    store::{OpenLog, Selection},
};
use sluicegate_notary::{
    entry::{Body, Entry},
    proof,
};
use sluicegate_protocol::{
    commitment::{commit, salt},
    merkle::{leaf_hash, verify_inclusion},
};

use crate::{
    check::{Head, fresh_head, verified},
    cuts::{Survivors, in_parallel},
    memory::{Image, Memory, Plan},
    scenario::{Acknowledged, DAY, DEVICES, Gateway, Witness, at, identity, morning, started},
    survival::{NOTHING, WAYS},
    vfs::World,
};

/// A day behind the one on which the readings were acknowledged.
fn tomorrow() -> sluicegate_notary::log::Now {
    at(DAY + 1, 5_000)
}

/// A disk whose log was closed in the middle of a day, with readings behind its newest checkpoint.
fn closed() -> (Image, Witness) {
    let (image, witness) = started();
    let (world, mut witness) = (World::new(Memory::new(image)), witness.clone());
    let mut gateway = Gateway::open(&world, morning()).unwrap();
    for names in [
        &[(0, Some(83)), (0, None), (1, Some(85))][..],
        &[(0, Some(84)), (1, Some(83)), (2, Some(83))],
        // The tile of 256 leaves fills.
        &[(0, None), (0, Some(90)), (2, Some(84))],
    ] {
        gateway.readings(names, &mut witness).unwrap();
    }
    close(&gateway);
    drop(gateway);
    (world.memory.image(), witness)
}

/// The next start begins the log with the next number.
fn close(gateway: &Gateway) {
    gateway.recorder.store().set_meta("restored", &[0; 32]).unwrap();
}

/// A start, and a commit with a new reading and one that is logged again already.
fn go_on(world: &World, witness: &mut Witness) -> Result<(), sluicegate_daemon::Error> {
    let mut gateway = Gateway::open(world, tomorrow())?;
    let mut seen = Witness::default();
    gateway.readings(&[(1, Some(91)), (0, Some(84))], &mut seen)?;
    let fresh = seen.acknowledged.iter().find(|reading| reading.seq == Some(91)).cloned();
    witness.acknowledged.extend(fresh);
    Ok(())
}

fn run(plan: Plan) -> (World, Witness) {
    let (image, mut witness) = closed();
    let world = World::new(Memory::new(&image));
    world.memory.plan(plan);
    let _ = go_on(&world, &mut witness);
    (world, witness)
}

fn steps() -> u64 {
    let (world, witness) = run(Plan::Well);
    assert_eq!(witness.acknowledged.len(), 249 + 9 + 1);
    world.memory.steps()
}

fn open(world: &World, context: &str) -> Gateway {
    Gateway::open(world, tomorrow())
        .unwrap_or_else(|error| panic!("{context}: does not start: {error}"))
}

/// Starts, checks, and closes once more.
fn restart(image: &Image, witness: &Witness, context: &str) {
    let world = World::new(Memory::new(image));
    let mut gateway = open(&world, context);
    everything(&mut gateway, witness, context);
    let (world, context) = (World::new(Memory::new(image)), format!("{context}, closed again"));
    close(&open(&world, &context));
    everything(&mut open(&world, &context), witness, &context);
}

/// The gateway is fresh from [`Gateway::open`].
fn everything(gateway: &mut Gateway, witness: &Witness, context: &str) {
    assert_eq!(gateway.alarms, [], "{context}: no alarm");
    let head = fresh_head(gateway, context);
    let mut found = BTreeMap::new();
    for log in gateway.recorder.store().logs().unwrap() {
        for reading in signed(gateway, &log, &head, context) {
            let name = (reading.device, reading.seq, reading.day, reading.payload);
            found.entry(name).or_insert_with(Vec::new).push((log.number, reading.index));
        }
    }
    let mut expected = BTreeMap::new();
    for reading in &witness.acknowledged {
        let name = (reading.device, reading.seq, reading.day, reading.payload.clone());
        *expected.entry(name).or_insert(0) += 1;
    }
    // One that was under way when the power failed may be there or not.
    let found_counts = found.iter().map(|(name, places)| (name.clone(), places.len()));
    let counts: BTreeMap<_, _> = found_counts
        .filter(|(name, _)| expected.contains_key(name) || name.1 != Some(91))
        .collect();
    assert_eq!(counts, expected, "{context}: one leaf that proves for each reading");
    repeats(gateway, &found, context);
}

type Name = (&'static str, Option<u64>, u32, Vec<u8>);

/// A repeat gets the index of the leaf that proves, and no other leaf.
fn repeats(gateway: &mut Gateway, found: &BTreeMap<Name, Vec<(u32, u64)>>, context: &str) {
    let size = gateway.recorder.files().size();
    for seq in [7, 83, 84, 85, 90] {
        for (position, device) in DEVICES.iter().enumerate() {
            let of = found.iter().find(|(name, _)| (name.0, name.1) == (device, Some(seq)));
            let Some((_, places)) = of else { continue };
            let mut seen = Witness::default();
            gateway.readings(&[(position, Some(seq))], &mut seen).unwrap();
            assert_eq!(seen.acknowledged[0].index, places[0].1, "{context}: {device} {seq}");
        }
    }
    assert_eq!(gateway.recorder.files().size(), size, "{context}: repeats get no leaf");
}

/// The readings of a log that its newest checkpoint covers, each with an opening and a proof that verify.
fn signed(gateway: &Gateway, log: &OpenLog, fresh: &Head, context: &str) -> Vec<Acknowledged> {
    let is_open = log.number == gateway.recorder.open_log().number;
    let earlier;
    let (files, size, root): (&LogFiles<Memory>, _, _) = match &log.head {
        _ if is_open => (gateway.recorder.files(), fresh.size, fresh.root),
        None => return Vec::new(),
        Some((_, note)) => {
            let head = verified(note, &log.origin);
            earlier = gateway.recorder.earlier_files(log.number).unwrap();
            (&earlier, head.size, head.root)
        }
    };
    let mut readings = Vec::new();
    for device in DEVICES {
        let store = gateway.recorder.store();
        for row in store.select(log.number, device, Selection::All).unwrap() {
            assert!(row.index < size, "{context}: entry {} is no longer signed", row.index);
            let bytes = files.entry(row.index).unwrap();
            let entry = Entry::decode(&bytes).unwrap();
            let Body::Reading(reading) = entry.body else { panic!("{context}: {entry:?}") };
            let key = gateway.recorder.stored_key(&row.day).unwrap().unwrap();
            let salt = salt(&identity().day_key(&log.origin, &key), row.seq, row.index);
            let payload = row.payload.unwrap();
            assert_eq!(reading.commitment, commit(&salt, &payload), "{context}: {}", row.index);
            assert_eq!((reading.seq, reading.format), (row.seq, 110), "{context}");
            assert_eq!(entry.time.day(), row.day.day, "{context}: {}", row.index);
            if log.number > 1 || row.index % 64 == 1 {
                let path = proof::inclusion(&files.nodes(), row.index, size).unwrap();
                verify_inclusion(&leaf_hash(&bytes), row.index, size, &path, &root).unwrap();
            }
            let (seq, day, index) = (row.seq, row.day.day, row.index);
            readings.push(Acknowledged { device, seq, day, payload, index });
        }
    }
    readings
}

#[test]
fn power_cut_at_every_step_of_logging_again() {
    let (steps, survivors) = (steps(), Survivors::default());
    in_parallel(1..=steps, |step| {
        let (world, witness) = run(Plan::Cut(step));
        assert!(world.memory.struck(), "step {step} is no step");
        for way in &WAYS {
            let image = world.memory.survivors(way);
            if survivors.is_new(&image, &witness) {
                restart(&image, &witness, &format!("step {step}, {}", way.name));
            }
        }
    });
    println!("{steps} steps, {} ways: {} survivors", WAYS.len(), survivors.count());
}

#[test]
fn a_failing_step_of_logging_again_loses_nothing() {
    let steps = steps();
    in_parallel(1..=steps, |step| {
        let (world, mut witness) = run(Plan::Fail(step));
        assert!(world.memory.struck(), "step {step} is no step");
        if !witness.acknowledged.iter().any(|reading| reading.seq == Some(91)) {
            go_on(&world, &mut witness).unwrap();
        }
        restart(&world.memory.survivors(&NOTHING), &witness, &format!("step {step} fails"));
    });
    println!("{steps} steps");
}

#[test]
fn what_was_erased_is_not_logged_again() {
    let (image, _) = closed();
    let world = World::new(Memory::new(&image));
    // What was logged again is erased, and then that log is closed too before it signed anything.
    let mut gateway = Gateway::open(&world, morning()).unwrap();
    let number = gateway.recorder.open_log().number;
    gateway.now = at(DAY + 3, 0);
    let erased = gateway.recorder.erase_expired(gateway.now, "brief", DAY + 2).unwrap();
    gateway.recorder.drive(gateway.now).unwrap();
    assert_eq!(erased, 1);
    let row = |gateway: &Gateway| {
        let rows = gateway.recorder.store().select(number, DEVICES[2], Selection::Seq(84)).unwrap();
        (rows[0].index, rows[0].payload.clone())
    };
    let (index, payload) = row(&gateway);
    assert_eq!(payload, None);
    close(&gateway);
    drop(gateway);
    let mut gateway = Gateway::open(&world, tomorrow()).unwrap();
    assert_eq!(row(&gateway), (index, None), "it stays where it is");
    let open = gateway.recorder.open_log().number;
    let again = gateway.recorder.store().select(open, DEVICES[2], Selection::All).unwrap();
    assert_eq!(again, []);
    let mut seen = Witness::default();
    gateway.readings(&[(2, Some(84))], &mut seen).unwrap();
    assert_eq!(seen.acknowledged[0].index, index, "a repeat gets the first index");
}
