//! Every step of the scenario is cut in every way, fails, or finds the disk full; and so does every step of a restart.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use sluicegate_daemon::effects::Effects;

use crate::{
    check,
    memory::{Image, Memory, Plan},
    scenario::{Action, Gateway, SCENARIO, Witness, morning, play, started, unpublished},
    survival::{EVERYTHING, NOTHING, Survival, WAYS},
    vfs::World,
};

/// Of the first cuts, each that is a multiple of this is followed by cuts at each step of the restart.
const SAMPLE: usize = 24;

/// Runs `test` for each of these numbers, on as many threads as there are processors.
pub(crate) fn in_parallel(
    numbers: impl Iterator<Item = u64> + Clone + Send,
    test: impl Fn(u64) + Sync,
) {
    let workers = thread::available_parallelism().map_or(2, std::num::NonZero::get);
    thread::scope(|scope| {
        for worker in 0..workers {
            let (test, numbers) = (&test, numbers.clone());
            scope.spawn(move || numbers.skip(worker).step_by(workers).for_each(test));
        }
    });
}

/// A run on a copy of the first disk, until the plan strikes or the end.
struct Run {
    world: World,
    witness: Witness,
    /// The action that failed; none when all went well.
    failed: Option<usize>,
}

fn run(plan: Plan) -> Run {
    let (image, witness) = started();
    let (world, mut witness) = (World::new(Memory::new(image)), witness.clone());
    world.memory.plan(plan);
    let failed = match Gateway::open(&world, morning()) {
        Err(_) => Some(0),
        Ok(mut gateway) => play(&mut gateway, 0, &mut witness).err().map(|(action, _)| action),
    };
    Run { world, witness, failed }
}

/// Steps of a run without faults, closing included.
fn steps() -> u64 {
    let run = run(Plan::Well);
    assert_eq!(run.failed, None);
    run.world.memory.steps()
}

/// Starts on what survived and checks everything.
fn restart(image: &Image, witness: &Witness, context: &str) {
    let world = World::new(Memory::new(image));
    check_in(&world, witness, context);
}

fn check_in(world: &World, witness: &Witness, context: &str) {
    let mut gateway = open(world, context);
    check::everything(&mut gateway, &world.memory, witness, context);
}

fn open(world: &World, context: &str) -> Gateway {
    Gateway::open(world, morning())
        .unwrap_or_else(|error| panic!("{context}: does not start: {error}"))
}

/// Two cuts that left the same bytes and the same claims need one check.
#[derive(Default)]
pub(crate) struct Survivors(Mutex<HashSet<u64>>);

impl Survivors {
    pub(crate) fn is_new(&self, image: &Image, witness: &Witness) -> bool {
        let mut hasher = DefaultHasher::new();
        image.hash(&mut hasher);
        (witness.acknowledged.len(), witness.published.len(), witness.erasure).hash(&mut hasher);
        (witness.anchor_begun, witness.anchor_final, witness.beacon_proven).hash(&mut hasher);
        witness.outbox.hash(&mut hasher);
        self.0.lock().unwrap().insert(hasher.finish())
    }

    pub(crate) fn count(self) -> usize {
        self.0.into_inner().unwrap().len()
    }
}

#[test]
fn power_cut_at_every_step_in_every_way() {
    let (steps, survivors) = (steps(), Survivors::default());
    in_parallel(1..=steps, |step| {
        let run = run(Plan::Cut(step));
        assert!(run.failed.is_some() || run.world.memory.struck(), "step {step} is no step");
        for way in &WAYS {
            let image = run.world.memory.survivors(way);
            if survivors.is_new(&image, &run.witness) {
                restart(&image, &run.witness, &format!("step {step}, {}", way.name));
            }
        }
    });
    println!("{steps} steps, {} ways: {} survivors", WAYS.len(), survivors.count());
}

#[test]
fn power_cut_at_every_step_of_a_restart_after_a_power_cut() {
    let (steps, survivors, cuts) = (steps(), Survivors::default(), AtomicU64::new(0));
    let first = (1..=steps).skip(SAMPLE - 1).step_by(SAMPLE);
    in_parallel(first.clone(), |step| {
        let run = run(Plan::Cut(step));
        for way in [&NOTHING, &EVERYTHING, &WAYS[3]] {
            let image = run.world.memory.survivors(way);
            let context = format!("step {step}, {}", way.name);
            cuts.fetch_add(
                cut_restart(&image, &run.witness, &survivors, &context),
                Ordering::Relaxed,
            );
        }
    });
    println!("{} first cuts, {cuts:?} in restarts: {} survivors", first.count(), survivors.count());
}

/// Cuts each step of a restart, with the first commit behind it.
fn cut_restart(image: &Image, witness: &Witness, survivors: &Survivors, context: &str) -> u64 {
    for step in 1.. {
        let (world, mut seen) = (World::new(Memory::new(image)), witness.clone());
        world.memory.plan(Plan::Cut(step));
        if let Ok(mut gateway) = Gateway::open(&world, morning()) {
            let _ = gateway.readings(&[(1, Some(90))], &mut seen);
        }
        if !world.memory.struck() {
            return step - 1;
        }
        for way in [&NOTHING, &EVERYTHING, &WAYS[3], &WAYS[8]] {
            let image = world.memory.survivors(way);
            if survivors.is_new(&image, &seen) {
                restart(&image, &seen, &format!("{context}, then step {step}, {}", way.name));
            }
        }
    }
    0
}

/// The effects log of the whole scenario: each acknowledgement and each checkpoint is durable before it is sent.
#[test]
fn nothing_is_sent_before_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("effects");
    let (image, witness) = started();
    let (world, mut seen) = (World::new(Memory::new(image)), witness.clone());
    let effects = Effects::append_to(&path).unwrap();
    let mut gateway = Gateway::open_with(&world, morning(), effects).unwrap();
    play(&mut gateway, 0, &mut seen).unwrap();
    let (mut durable, mut sent) = (HashSet::new(), 0);
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        match line.split_once(' ').unwrap() {
            ("durable", what) => drop(durable.insert(what.to_owned())),
            ("sent", what) => {
                assert!(durable.contains(what), "{what} was sent before it was durable");
                sent += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let told = seen.acknowledged.len() + seen.published.len();
    assert_eq!(sent, told - witness.acknowledged.len() - witness.published.len());
}

#[test]
fn a_failing_step_loses_nothing() {
    let steps = steps();
    in_parallel(1..=steps, |step| resume(step, Plan::Fail(step), &NOTHING));
    println!("{steps} steps");
}

#[test]
fn a_full_disk_loses_nothing() {
    let steps = steps();
    in_parallel(1..=steps, |step| resume(step, Plan::Full(step, 30), &NOTHING));
    println!("{steps} steps");
}

/// Goes on after an error until the scenario is done, then loses the power.
fn resume(step: u64, plan: Plan, way: &Survival) {
    let Run { world, mut witness, mut failed } = run(plan);
    let context = format!("{plan:?}");
    for _ in 0..60 {
        let Some(action) = failed else { break };
        failed = match Gateway::open(&world, morning()) {
            Err(_) => Some(action),
            Ok(mut gateway) => {
                gateway.now.wall.ms += day_after(action);
                play(&mut gateway, action, &mut witness).err().map(|(action, _)| action)
            }
        };
    }
    assert_eq!(failed, None, "{context}: goes on when the disk works again");
    assert!(world.memory.struck(), "{context}: step {step} is no step");
    restart(&world.memory.survivors(way), &witness, &context);
    world.memory.plan(Plan::Well);
    check_in(&world, &witness, &context);
}

/// Milliseconds by which an action of the second day comes later than the first.
fn day_after(action: usize) -> u64 {
    let second = SCENARIO[..action].iter().any(|action| matches!(action, Action::NextDay));
    if second { sluicegate_notary::entry::DAY_MS } else { 0 }
}

/// Found by reading: a folder whose name was never synced took tiles, and the tail let go of their entries.
#[test]
fn folders_made_before_a_kill_are_durable_before_entries_move_into_them() {
    let (image, witness) = unpublished();
    let world = World::new(Memory::new(&image));
    let publish = |world: &World, witness: &mut Witness| {
        Gateway::open(world, morning())
            .and_then(|mut gateway| gateway.perform(&Action::Publish, witness))
    };
    publish(&world, &mut witness.clone()).unwrap();
    let steps = world.memory.steps();
    in_parallel(1..=steps, |step| {
        let (world, mut witness) = (World::new(Memory::new(&image)), witness.clone());
        world.memory.plan(Plan::Cut(step));
        let _ = publish(&world, &mut witness);
        let context = format!("killed at step {step}");
        world.memory.plan(Plan::Well);
        let mut gateway = open(&world, &context);
        for action in &SCENARIO[..5] {
            gateway.perform(action, &mut witness).unwrap();
        }
        restart(&world.memory.survivors(&NOTHING), &witness, &context);
    });
    println!("{steps} steps");
}

/// Found here: the tail of a killed process was read back and taken for durable.
#[test]
fn a_killed_process_and_then_a_power_cut_lose_nothing() {
    let steps = steps();
    in_parallel(1..=steps, |step| {
        let Run { world, mut witness, .. } = run(Plan::Cut(step));
        let context = format!("killed at step {step}");
        // The page cache outlives the process; what was never synced is read back like everything else.
        world.memory.plan(Plan::Well);
        let mut gateway = open(&world, &context);
        gateway.readings(&[(0, Some(84)), (1, Some(83))], &mut witness).unwrap();
        gateway.perform(&Action::Publish, &mut witness).unwrap();
        restart(&world.memory.survivors(&NOTHING), &witness, &context);
    });
    println!("{steps} steps");
}
