//! Damaged state: bits flipped, files cut short or removed, in the log, in the database and in its write-ahead log.
//!
//! Guarantees: every start succeeds and takes readings; what is damaged is mended or set aside with an alarm; a log that
//! lost leaves goes on under a new origin that names where the old one was left; a checkpoint is never contradicted
//! under its own origin; what is undamaged still proves. Does not: find a bit that flips inside a value of the database,
//! which SQLite can't see either; such a reading fails to open and is never proved with another value.

use std::sync::OnceLock;

use sluicegate_daemon::{Error, disk::Disk};
use sluicegate_notary::{
    entry::{Body, Entry, Predecessor},
    proof,
};
use sluicegate_protocol::merkle::{leaf_hash, verify_consistency, verify_inclusion};

use crate::{
    check::{self, Head, verified},
    cuts::in_parallel,
    memory::{Image, Memory, Plan},
    scenario::{
        Action, DEVICES, Gateway, ORIGIN, Progress, SCENARIO, Witness, at, morning, started,
    },
    survival::{EVERYTHING, NOTHING, WAYS},
    vfs::World,
};

pub(crate) const DATABASE: &str = "gateway.db";
const WAL: &str = "gateway.db-wal";
pub(crate) const TAIL: &str = "log/1/tail-256";

/// Index of the first leaf of the newest commit at the end of the scenario, and of the one behind its last.
pub(crate) const NEWEST: (u64, u64) = (265, 267);

/// A whole day.
pub(crate) struct Day {
    /// Closed in good order.
    pub(crate) closed: Image,
    /// The same while the process still runs, so that there is a write-ahead log.
    pub(crate) running: Image,
    pub(crate) witness: Witness,
    /// Before the erasure, which empties the write-ahead log.
    pub(crate) before: (Image, Witness),
}

pub(crate) fn lived() -> &'static Day {
    static LIVED: OnceLock<Day> = OnceLock::new();
    LIVED.get_or_init(|| {
        let (image, witness) = started();
        let (world, mut witness) = (World::new(Memory::new(image)), witness.clone());
        let mut gateway = Gateway::open(&world, morning()).unwrap();
        for action in &SCENARIO[..10] {
            gateway.perform(action, &mut witness).unwrap();
        }
        let before = (world.memory.image(), witness.clone());
        for action in &SCENARIO[10..] {
            gateway.perform(action, &mut witness).unwrap();
        }
        assert_eq!(gateway.recorder.files().size(), NEWEST.1);
        let running = world.memory.image();
        drop(gateway);
        Day { closed: world.memory.image(), running, witness, before }
    })
}

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Harm {
    Cut(usize),
    Flip(usize),
    Fill(u8),
    Remove,
}

impl Harm {
    pub(crate) fn apply(self, image: &Image, path: &str) -> Image {
        let mut image = image.clone();
        let content = image.0.get_mut(path).unwrap_or_else(|| panic!("no {path}"));
        let bytes = content.as_mut().expect("a file");
        match self {
            Self::Cut(length) => bytes.truncate(length),
            Self::Flip(at) => bytes[at] ^= 1 << (at % 8),
            Self::Fill(byte) => bytes.fill(byte),
            Self::Remove => drop(image.0.remove(path)),
        }
        image
    }

    /// Ways to harm a file of this length; a bit in each `stride` bytes is flipped.
    fn all(length: usize, stride: usize) -> Vec<Self> {
        let flips = (0..length).step_by(stride).map(Self::Flip);
        let cuts = [0, 1, length / 2, length.saturating_sub(1)].map(Self::Cut);
        let whole = [Self::Fill(0), Self::Fill(0xff), Self::Remove];
        flips.chain(cuts).chain(whole).collect()
    }
}

fn content<'a>(image: &'a Image, path: &str) -> &'a [u8] {
    image.0[path].as_deref().expect("a file")
}

/// The next morning.
pub(crate) fn later() -> sluicegate_notary::log::Now {
    at(crate::scenario::DAY + 2, 5_000_000)
}

/// Starts on a harmed disk; it must work.
pub(crate) fn start(world: &World, context: &str) -> Gateway {
    Gateway::open(world, later()).unwrap_or_else(|error| panic!("{context}: no start: {error}"))
}

/// Takes readings and publishes; what goes wrong because of the database is set aside by the next start.
fn works(world: &World, gateway: Gateway, context: &str) -> Gateway {
    let (mut gateway, mut why) = (gateway, String::new());
    for _ in 0..3 {
        let mut seen = Witness::default();
        let names = [(0, Some(2000)), (1, None), (2, Some(2000))];
        let worked = gateway
            .readings(&names, &mut seen)
            .and_then(|()| gateway.perform(&Action::Publish, &mut seen));
        match worked {
            Ok(()) => return gateway,
            Err(Error::Notary(rule)) => panic!("{context}: {rule}"),
            Err(error) => {
                why = error.to_string();
                drop(gateway);
                gateway = start(world, context);
            }
        }
    }
    panic!("{context}: does not take readings: {why}");
}

/// Whatever was published before is a beginning of the log if the origin is the same.
fn contradicts_nothing(gateway: &mut Gateway, witness: &Witness, context: &str) -> Head {
    let head = check::fresh_head(gateway, context);
    if head.origin == ORIGIN {
        for (_, note) in &witness.published {
            let old = verified(note, ORIGIN);
            let nodes = gateway.recorder.files().nodes();
            let path = proof::consistency(&nodes, old.size, head.size)
                .unwrap_or_else(|error| panic!("{context}: {}: {error}", old.size));
            verify_consistency(old.size, &old.root, head.size, &head.root, &path)
                .unwrap_or_else(|error| panic!("{context}: {}: {error}", old.size));
        }
    } else {
        assert_ne!(gateway.alarms, [], "{context}: an alarm tells of the new origin");
    }
    head
}

/// How many acknowledged readings prove under the fresh checkpoint.
fn proving(gateway: &Gateway, witness: &Witness, head: &Head) -> usize {
    let files = gateway.recorder.files();
    let proves = |index: u64| {
        let (Ok(entry), Ok(path)) =
            (files.entry(index), proof::inclusion(&files.nodes(), index, head.size))
        else {
            return false;
        };
        verify_inclusion(&leaf_hash(&entry), index, head.size, &path, &head.root).is_ok()
    };
    witness.acknowledged.iter().filter(|reading| proves(reading.index)).count()
}

/// The genesis leaf of the open log.
fn predecessor(gateway: &Gateway) -> Option<Predecessor> {
    let entry = Entry::decode(&gateway.recorder.files().entry(0).unwrap()).unwrap();
    let Body::Genesis(genesis) = entry.body else { panic!("a log begins with its genesis leaf") };
    genesis.previous
}

/// The same readings again get the indices that they had.
pub(crate) fn repeats(gateway: &mut Gateway, witness: &Witness, context: &str) {
    let device = |name| DEVICES.iter().position(|device| *device == name).unwrap();
    for reading in witness.acknowledged.iter().filter(|r| r.seq.is_some()).step_by(5) {
        let mut seen = Witness::default();
        gateway.readings(&[(device(reading.device), reading.seq)], &mut seen).unwrap();
        let index = seen.acknowledged[0].index;
        assert_eq!(index, reading.index, "{context}: {reading:?}");
    }
}

#[test]
fn damaged_hash_tiles_are_written_anew() {
    let Day { closed, witness, .. } = lived();
    for path in ["log/1/tile/0/000"] {
        for harm in Harm::all(content(closed, path).len(), 997) {
            let context = format!("{path}, {harm:?}");
            let world = World::new(Memory::new(&harm.apply(closed, path)));
            let mut gateway = start(&world, &context);
            let alarms = std::mem::take(&mut gateway.alarms);
            assert_eq!(alarms.len(), 1, "{context}");
            assert!(alarms[0].0.contains("written anew"), "{context}: {alarms:?}");
            assert_eq!(world.memory.read(path).unwrap().unwrap(), content(closed, path));
            check::everything(&mut gateway, &world.memory, witness, &context);
        }
    }
}

/// Found by reading: a repair took the hash of a damaged entry for that of the log, and the next start gave the log up.
#[test]
fn a_repair_keeps_the_hashes_of_a_damaged_entry() {
    let Day { closed, witness, .. } = lived();
    let path = "log/1/tile/entries/000";
    let harmed = Harm::Flip(5000).apply(closed, path);
    let world = World::new(Memory::new(&harmed));
    let mut gateway = start(&world, "flipped");
    assert_eq!(gateway.recorder.repair().unwrap(), 0);
    let all_but_one = |gateway: &mut Gateway, context: &str| {
        let head = contradicts_nothing(gateway, witness, context);
        assert_eq!(head.origin, ORIGIN, "{context}");
        assert_eq!(proving(gateway, witness, &head), witness.acknowledged.len() - 1, "{context}");
        let error = (0..256).find_map(|index| gateway.recorder.files().entry(index).err());
        assert!(error.unwrap().to_string().contains(path), "{context}");
    };
    all_but_one(&mut gateway, "repaired");
    drop(gateway);
    let mut again = start(&world, "restart");
    assert_eq!(again.alarms, []);
    all_but_one(&mut again, "restart");
}

/// A caller that swallows an error can't go on with what it does not know.
#[test]
fn a_recorder_that_failed_stays_failed() {
    let Day { closed, .. } = lived();
    let world = World::new(Memory::new(closed));
    let mut gateway = start(&world, "before");
    world.memory.plan(Plan::Fail(1));
    let mut seen = Witness::default();
    assert!(gateway.readings(&[(0, Some(2000))], &mut seen).is_err());
    world.memory.plan(Plan::Well);
    for _ in 0..2 {
        let driven = gateway.recorder.drive(gateway.now);
        assert!(driven.is_err_and(|error| error.to_string().contains("opened anew")));
    }
    assert!(gateway.readings(&[(0, Some(2000))], &mut seen).is_err());
    drop(gateway);
    start(&world, "after").readings(&[(0, Some(2000))], &mut seen).unwrap();
}

/// In the tile that the newest commit filled, no checkpoint says whether the hash or the entry is right.
#[test]
fn a_tile_that_contradicts_its_entries_beyond_the_checkpoint_ends_the_log() {
    let path = "log/1/tile/0/000";
    let (image, witness) = started();
    let (world, mut witness) = (World::new(Memory::new(image)), witness.clone());
    let mut gateway = Gateway::open(&world, morning()).unwrap();
    for action in &SCENARIO[..5] {
        gateway.perform(action, &mut witness).unwrap();
    }
    drop(gateway);
    let image = world.memory.image();
    for leaf in [254, 255] {
        let context = format!("leaf {leaf}");
        let world = World::new(Memory::new(&Harm::Flip(leaf * 32 + 5).apply(&image, path)));
        let mut gateway = start(&world, &context);
        assert_eq!(gateway.alarms.len(), 1, "{context}");
        let head = contradicts_nothing(&mut gateway, &witness, &context);
        assert_eq!(head.origin, format!("{ORIGIN}/2"), "{context}");
        works(&world, gateway, &context);
    }
}

#[test]
fn what_is_only_published_is_not_needed() {
    let Day { closed, witness, .. } = lived();
    let published = |path: &&String| path.contains(".p/") || path.ends_with("/checkpoint");
    let paths: Vec<_> = closed.0.keys().filter(published).collect();
    assert!(paths.len() >= 3, "{paths:?}");
    for path in paths.into_iter().filter(|path| closed.0[*path].is_some()) {
        for harm in [Harm::Cut(0), Harm::Flip(3), Harm::Remove] {
            let context = format!("{path}, {harm:?}");
            let world = World::new(Memory::new(&harm.apply(closed, path)));
            let mut gateway = start(&world, &context);
            check::everything(&mut gateway, &world.memory, witness, &context);
        }
    }
}

/// Nothing holds the entries a second time: theirs can't be proved any more, the others can.
#[test]
fn a_damaged_bundle_of_entries_costs_only_its_own() {
    let Day { closed, witness, .. } = lived();
    let path = "log/1/tile/entries/000";
    let outside = witness.acknowledged.iter().filter(|reading| reading.index >= 256).count();
    for harm in Harm::all(content(closed, path).len(), 4099) {
        let context = format!("{path}, {harm:?}");
        let world = World::new(Memory::new(&harm.apply(closed, path)));
        let mut gateway = works(&world, start(&world, &context), &context);
        let head = contradicts_nothing(&mut gateway, witness, &context);
        assert_eq!(head.origin, ORIGIN, "{context}");
        let proving = proving(&gateway, witness, &head);
        assert!((outside..witness.acknowledged.len()).contains(&proving), "{context}: {proving}");
        if matches!(harm, Harm::Flip(_)) && proving > outside {
            assert_eq!(proving, witness.acknowledged.len() - 1, "{context}: one entry is harmed");
        }
        repeats(&mut gateway, witness, &context);
    }
}

/// A tail that lost leaves is set aside; only the newest commit can't be told from one that a power cut broke off.
#[test]
fn a_damaged_tail_ends_the_log() {
    let Day { closed, witness, .. } = lived();
    let bytes = content(closed, TAIL);
    let newest = check::tail_length(closed, TAIL, NEWEST.0);
    for harm in Harm::all(bytes.len(), 7) {
        let context = format!("{TAIL}, {harm:?}");
        let world = World::new(Memory::new(&harm.apply(closed, TAIL)));
        let mut gateway = start(&world, &context);
        let broken_off = match harm {
            Harm::Cut(length) => length >= newest,
            Harm::Flip(at) => at >= newest,
            Harm::Fill(_) | Harm::Remove => false,
        };
        let head = contradicts_nothing(&mut gateway, witness, &context);
        if broken_off {
            assert_eq!(head.origin, ORIGIN, "{context}");
            assert!((NEWEST.0..NEWEST.1).contains(&head.size), "{context}: {}", head.size);
        } else {
            assert_eq!(head.origin, format!("{ORIGIN}/2"), "{context}");
            let (_, note) = witness.published.last().unwrap();
            let left = predecessor(&gateway).unwrap();
            assert_eq!(left.origin, ORIGIN, "{context}");
            assert!(left.size >= verified(note, ORIGIN).size, "{context}: {left:?}");
            set_aside_whole(&world, &harm.apply(closed, TAIL), "log/1/", "log/1.damaged/");
        }
        works(&world, gateway, &context);
    }
}

/// Everything that lay in a folder lies in the other one, unchanged.
fn set_aside_whole(world: &World, before: &Image, folder: &str, aside: &str) {
    let files = before.0.iter().filter_map(|(path, content)| Some((path, content.as_ref()?)));
    for (path, content) in files {
        if let Some(name) = path.strip_prefix(folder) {
            let found = world.memory.read(&format!("{aside}{name}")).unwrap();
            assert_eq!(found.as_ref(), Some(content), "{path}");
        }
    }
}

#[test]
fn a_lost_database_is_built_anew_from_the_entries() {
    let Day { closed, running, witness, .. } = lived();
    for harm in [Harm::Remove, Harm::Cut(0), Harm::Cut(100), Harm::Fill(0xff), Harm::Flip(3)] {
        for image in [closed, running] {
            let context = format!("{DATABASE}, {harm:?}, {} files", image.0.len());
            let world = World::new(Memory::new(&harm.apply(image, DATABASE)));
            let mut gateway = start(&world, &context);
            assert_ne!(gateway.alarms, [], "{context}");
            let head = contradicts_nothing(&mut gateway, witness, &context);
            assert_eq!(head.origin, ORIGIN, "{context}");
            assert_eq!(proving(&gateway, witness, &head), witness.acknowledged.len(), "{context}");
            repeats(&mut gateway, witness, &context);
            assert_eq!(gateway.recorder.store().unproven_beacons().unwrap().len(), 1, "{context}");
            gateway.alarms.clear();
            check::goes_on(&mut gateway, &world.memory, witness, &context);
            drop(gateway);
            let again = start(&world, &context);
            assert_eq!(again.alarms, [], "{context}: told once");
            if matches!(harm, Harm::Fill(_)) && image == closed {
                let aside = world.memory.read(&format!("{DATABASE}.damaged")).unwrap();
                assert_eq!(aside.as_deref(), harm.apply(image, DATABASE).0[DATABASE].as_deref());
            }
        }
    }
}

#[test]
fn a_database_with_a_flipped_bit_or_a_lost_end_never_stops_the_start() {
    let Day { closed, witness, .. } = lived();
    let length = content(closed, DATABASE).len();
    let header = (0..100).map(Harm::Flip);
    let flips = (100..length).step_by(53).map(Harm::Flip);
    let cuts = (0..length).step_by(4096).chain([length - 1]).map(Harm::Cut);
    let harms: Vec<Harm> = header.chain(flips).chain(cuts).collect();
    in_parallel(0..harms.len() as u64, |number| {
        let harm = harms[check::index(number)];
        let context = format!("{DATABASE}, {harm:?}");
        let world = World::new(Memory::new(&harm.apply(closed, DATABASE)));
        match Gateway::open(&world, later()) {
            // A version of tomorrow: that database belongs to a newer program, and is left alone.
            Err(Error::Configuration { .. }) if matches!(harm, Harm::Flip(60..64)) => {}
            Err(error) => panic!("{context}: no start: {error}"),
            Ok(gateway) => {
                let mut gateway = works(&world, gateway, &context);
                contradicts_nothing(&mut gateway, witness, &context);
            }
        }
    });
    println!("{} harms", harms.len());
}

/// A write-ahead log that lost its end takes the database back; the entries know better.
#[test]
fn a_damaged_write_ahead_log_gives_no_reading_a_second_leaf() {
    let Day { running, witness, before, .. } = lived();
    for (image, witness) in [(running, witness), (&before.0, &before.1)] {
        let length = content(image, WAL).len();
        let flips = (0..length).step_by(509).map(Harm::Flip);
        let cuts = (32..length).step_by(4120).flat_map(|at| [at, at + 1000].map(Harm::Cut));
        let whole = [Harm::Remove, Harm::Fill(0)];
        let harms: Vec<Harm> = flips.chain(cuts).chain(whole).collect();
        in_parallel(0..harms.len() as u64, |number| {
            rows_are_built_anew(image, witness, harms[check::index(number)]);
        });
        println!("{} harms", harms.len());
    }
}

fn rows_are_built_anew(image: &Image, witness: &Witness, harm: Harm) {
    let context = format!("{WAL}, {harm:?}");
    let world = World::new(Memory::new(&harm.apply(image, WAL)));
    let mut gateway = start(&world, &context);
    let head = contradicts_nothing(&mut gateway, witness, &context);
    assert_eq!(head.origin, ORIGIN, "{context}");
    assert_eq!(proving(&gateway, witness, &head), witness.acknowledged.len(), "{context}");
    let leaves = check::leaves(&world.memory, gateway.recorder.files());
    check::rows(&gateway, &leaves, &context);
    if witness.erasure == Progress::Done {
        check::erased(&gateway, &context);
    }
    repeats(&mut gateway, witness, &context);
    check::goes_on(
        &mut gateway,
        &world.memory,
        &Witness { beacon_proven: Progress::No, ..witness.clone() },
        &context,
    );
}

/// An older copy of the database does not bring back what was erased since.
#[test]
fn an_older_copy_of_the_database_forgets_no_erasure() {
    let Day { closed, witness, before, .. } = lived();
    let mut image = closed.clone();
    for path in [DATABASE, WAL] {
        image.0.insert(path.to_owned(), before.0.0[path].clone());
    }
    let world = World::new(Memory::new(&image));
    let mut gateway = start(&world, "older");
    assert_eq!(gateway.alarms.len(), 1);
    let head = contradicts_nothing(&mut gateway, witness, "older");
    assert_eq!(head.origin, ORIGIN);
    assert_eq!(proving(&gateway, witness, &head), witness.acknowledged.len());
    check::erased(&gateway, "older");
    repeats(&mut gateway, witness, "older");
}

/// Two losses at once never give an origin a second beginning.
#[test]
fn an_origin_is_never_begun_twice() {
    let Day { closed, witness, .. } = lived();
    let mut gone = Harm::Remove.apply(closed, DATABASE);
    let world = World::new(Memory::new(&gone));
    let mut gateway = start(&world, "database gone");
    assert_eq!(contradicts_nothing(&mut gateway, witness, "database gone").origin, ORIGIN);
    gone = Harm::Remove.apply(&gone, "log/1/checkpoint");
    let world = World::new(Memory::new(&gone));
    let mut gateway = start(&world, "and the checkpoint");
    assert_eq!(contradicts_nothing(&mut gateway, witness, "and the checkpoint").origin, ORIGIN);
    gone = Harm::Remove.apply(&gone, TAIL);
    let world = World::new(Memory::new(&gone));
    let mut gateway = start(&world, "and the tail");
    let head = contradicts_nothing(&mut gateway, witness, "and the tail");
    assert_eq!(head.origin, format!("{ORIGIN}/2"));
    drop(gateway);
    // The second log is set aside by hand, and the database is lost again.
    let mut image = world.memory.image();
    image.0.retain(|path, _| !path.starts_with("log/2") && !path.starts_with(DATABASE));
    image.0.insert("log/2.damaged".to_owned(), None);
    let world = World::new(Memory::new(&image));
    let mut gateway = start(&world, "all set aside");
    let head = check::fresh_head(&mut gateway, "all set aside");
    assert_eq!(head.origin, format!("{ORIGIN}/3"));
}

/// A declared restore that loses power begins one new log, not two, and not one that forgets the old.
#[test]
fn a_restore_cut_at_every_step_begins_one_log() {
    let Day { closed, .. } = lived();
    let declared = {
        let world = World::new(Memory::new(closed));
        let gateway = start(&world, "before");
        gateway.recorder.store().set_meta("restored", b"declared").unwrap();
        drop(gateway);
        world.memory.image()
    };
    let steps = {
        let world = World::new(Memory::new(&declared));
        drop(start(&world, "restore"));
        world.memory.steps()
    };
    in_parallel(1..=steps, |step| {
        let cut = World::new(Memory::new(&declared));
        cut.memory.plan(Plan::Cut(step));
        let _ = Gateway::open(&cut, later());
        for way in [&NOTHING, &EVERYTHING, &WAYS[3], &WAYS[8], &WAYS[9]] {
            let context = format!("step {step}, {}", way.name);
            let world = World::new(Memory::new(&cut.memory.survivors(way)));
            let mut gateway = start(&world, &context);
            let head = check::fresh_head(&mut gateway, &context);
            assert_eq!(head.origin, format!("{ORIGIN}/2"), "{context}");
            let left = predecessor(&gateway).unwrap_or_else(|| panic!("{context}: forgotten"));
            assert_eq!((left.origin.as_str(), left.size), (ORIGIN, NEWEST.0), "{context}");
            works(&world, gateway, &context);
        }
    });
    println!("{steps} steps");
}

/// A log that signed nothing yet and is damaged passes on what it followed.
#[test]
fn a_new_log_that_is_lost_passes_on_its_predecessor() {
    let Day { closed, .. } = lived();
    let world = World::new(Memory::new(&Harm::Remove.apply(closed, TAIL)));
    drop(start(&world, "first loss"));
    let mut image = world.memory.image();
    // The second log never wrote its genesis leaf; somebody's tile makes its folder worthless.
    image.0.insert("log/2/tile".to_owned(), None);
    image.0.insert("log/2/tile/0".to_owned(), None);
    image.0.retain(|path, _| !path.starts_with("log/2/tail"));
    let world = World::new(Memory::new(&image));
    let mut gateway = start(&world, "second loss");
    let head = check::fresh_head(&mut gateway, "second loss");
    assert_eq!(head.origin, format!("{ORIGIN}/3"));
    assert_eq!(predecessor(&gateway).unwrap().origin, ORIGIN);
}
