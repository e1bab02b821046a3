//! The files of a log of 65 530 leaves, cut at every step while they grow beyond 65 536, where the first tile of the
//! second level fills. Without a database: that one knows nothing of tiles.

use std::{rc::Rc, sync::OnceLock};

use sluicegate_daemon::{Error, files::LogFiles};
use sluicegate_notary::proof;
use sluicegate_protocol::{
    Digest,
    merkle::{leaf_hash, verify_inclusion},
};

use crate::{
    cuts::in_parallel,
    memory::{Image, Memory, Plan},
    survival::WAYS,
};

const FOLDER: &str = "log/1";
const START: u64 = 65_530;
const COMMITS: [u64; 3] = [3, 5, 2];

/// The disk with all leaves before, and the roots of the sizes from there on.
fn filled() -> &'static (Image, Vec<Digest>) {
    static FILLED: OnceLock<(Image, Vec<Digest>)> = OnceLock::new();
    FILLED.get_or_init(|| {
        let disk = Rc::new(Memory::new(&Image::default()));
        let mut files = LogFiles::open(disk.clone(), FOLDER).unwrap();
        files.settle().unwrap();
        append(&mut files, START).unwrap();
        let mut frontier = files.frontier().unwrap();
        let mut roots = vec![frontier.root()];
        for index in START..START + COMMITS.iter().sum::<u64>() {
            frontier.push(leaf_hash(&entry(index)));
            roots.push(frontier.root());
        }
        (disk.image(), roots)
    })
}

fn entry(index: u64) -> Vec<u8> {
    index.to_be_bytes()[5..].to_vec()
}

fn append(files: &mut LogFiles<Memory>, count: u64) -> Result<(), Error> {
    let first = files.size();
    let entries: Vec<_> = (first..first + count).map(entry).collect();
    let leaves: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    files.append(first, entries, &leaves)
}

/// Grows the log; `durable` is how far it got.
fn grow(disk: &Rc<Memory>, durable: &mut u64) -> Result<(), Error> {
    let mut files = LogFiles::open(disk.clone(), FOLDER)?;
    files.settle()?;
    *durable = files.size();
    for count in COMMITS {
        append(&mut files, count)?;
        *durable = files.size();
        files.publish(*durable, "note")?;
    }
    Ok(())
}

fn check(image: &Image, durable: u64, context: &str) {
    let (_, roots) = filled();
    let mut files = LogFiles::open(Rc::new(Memory::new(image)), FOLDER).unwrap();
    assert!(files.check(START, &roots[0]).unwrap(), "{context}: tiles before the growth");
    files.settle().unwrap();
    assert!(files.size() >= durable, "{context}: {} leaves of {durable}", files.size());
    for (size, root) in (START..=files.size()).zip(roots) {
        assert_eq!(files.frontier_at(size).unwrap().root(), *root, "{context}: size {size}");
    }
    let (size, root) = (files.size(), files.frontier().unwrap().root());
    for leaf in [0, 255, 256, START - 1, size - 1] {
        assert_eq!(files.entry(leaf).unwrap(), entry(leaf), "{context}: entry {leaf}");
        let path = proof::inclusion(&files.nodes(), leaf, size).unwrap();
        verify_inclusion(&leaf_hash(&entry(leaf)), leaf, size, &path, &root).unwrap();
    }
    append(&mut files, 300).unwrap();
}

#[test]
fn power_cut_where_a_tile_of_the_second_level_fills() {
    let (image, roots) = filled();
    let disk = Rc::new(Memory::new(image));
    let mut durable = 0;
    grow(&disk, &mut durable).unwrap();
    assert_eq!(durable - START + 1, roots.len() as u64);
    let steps = disk.steps();
    in_parallel(1..=steps, |step| {
        let (disk, mut durable) = (Rc::new(Memory::new(image)), 0);
        disk.plan(Plan::Cut(step));
        let _ = grow(&disk, &mut durable);
        let mut seen: Vec<Image> = Vec::new();
        for way in &WAYS {
            let image = disk.survivors(way);
            if !seen.contains(&image) {
                check(&image, durable, &format!("step {step}, {}", way.name));
                seen.push(image);
            }
        }
    });
    println!("{steps} steps");
}
