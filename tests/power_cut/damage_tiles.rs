//! Damaged tiles and their repair: what a signed root does not confirm is never written.
//!
//! Guarantees: whatever is flipped in tiles of hashes and in bundles of entries, a repair either gives the signed root
//! or changes nothing and names the first damaged bundle; a damaged bundle costs its own entries only.

use std::rc::Rc;

use sluicegate_daemon::{Error, disk::Disk, files::LogFiles};
use sluicegate_notary::proof;
use sluicegate_protocol::{
    Digest,
    merkle::{leaf_hash, verify_inclusion},
};

use crate::memory::{Image, Memory};

/// Leaves: three full tiles and a tail.
const SIZE: u64 = 3 * 256 + 10;

fn hashes(index: u64) -> String {
    format!("log/tile/0/{index:03}")
}

fn bundle(index: u64) -> String {
    format!("log/tile/entries/{index:03}")
}

fn built() -> (Image, Digest) {
    let disk = Rc::new(Memory::new(&Image::default()));
    let mut files = LogFiles::open(disk.clone(), "log").unwrap();
    files.settle().unwrap();
    let entries: Vec<Vec<u8>> = (0..SIZE).map(|n| format!("entry {n}").into_bytes()).collect();
    let leaves: Vec<Digest> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    files.append(0, entries, &leaves).unwrap();
    let root = files.frontier().unwrap().root();
    (disk.image(), root)
}

/// Flips a bit in each of these files, behind the first length.
fn flipped(image: &Image, paths: &[String]) -> Image {
    let mut image = image.clone();
    for path in paths {
        image.0.get_mut(path).unwrap().as_mut().unwrap()[5] ^= 4;
    }
    image
}

fn open(image: &Image) -> (Rc<Memory>, LogFiles<Memory>) {
    let disk = Rc::new(Memory::new(image));
    let files = LogFiles::open(disk.clone(), "log").unwrap();
    (disk, files)
}

/// Every entry that can be read proves; gives those that can't.
fn unreadable(files: &LogFiles<Memory>, root: &Digest) -> Vec<u64> {
    let mut unreadable = Vec::new();
    for index in 0..SIZE {
        let Ok(entry) = files.entry(index) else {
            unreadable.push(index);
            continue;
        };
        let path = proof::inclusion(&files.nodes(), index, SIZE).unwrap();
        verify_inclusion(&leaf_hash(&entry), index, SIZE, &path, root).unwrap();
    }
    unreadable
}

#[test]
fn hashes_are_mended_and_damaged_entries_left_alone() {
    let (image, root) = built();
    // Any of three tiles of hashes and any of three bundles, but not both of one place.
    for choice in 0..27_u32 {
        let state = |index: u32| choice / 3_u32.pow(index) % 3;
        let damaged = |kind| (0..3).filter(move |index| state(*index) == kind).map(u64::from);
        let harmed = damaged(1).map(hashes).chain(damaged(2).map(bundle)).collect::<Vec<_>>();
        let harmed = flipped(&image, &harmed);
        let (disk, mut files) = open(&harmed);
        let mended = files.repair(SIZE, &root).unwrap_or_else(|error| panic!("{choice}: {error}"));
        assert_eq!(mended, damaged(1).count() as u64, "{choice}");
        let bundles: Vec<String> = damaged(2).map(bundle).collect();
        assert_eq!(disk.image(), flipped(&image, &bundles), "{choice}: entries stay as they are");
        assert!(files.check(SIZE, &root).unwrap(), "{choice}");
        // The flipped bit is in the first entry.
        let lost: Vec<u64> = damaged(2).map(|index| index * 256).collect();
        assert_eq!(unreadable(&files, &root), lost, "{choice}");
        for index in lost {
            let error = files.entry(index).unwrap_err();
            assert!(error.to_string().contains(&bundle(index / 256)), "{error}");
        }
    }
}

#[test]
fn what_does_not_give_the_signed_root_is_not_written() {
    let (image, root) = built();
    let both = [hashes(0), hashes(1), bundle(1)];
    for size in [SIZE, 600] {
        let (_, whole) = open(&image);
        let root = if size == SIZE { root } else { whole.frontier_at(size).unwrap().root() };
        let harmed = flipped(&image, &both);
        let (disk, mut files) = open(&harmed);
        let error = files.repair(size, &root).unwrap_err();
        assert!(matches!(&error, Error::Damaged(what) if what.contains("tile/entries/000")));
        assert_eq!(disk.image(), harmed, "nothing is written");
        // Half of the third tile is signed.
        let (disk, mut files) = open(&flipped(&image, &both[..1]));
        assert_eq!(files.repair(size, &root).unwrap(), 1);
        assert_eq!(disk.image(), image);
    }
    // Where nothing is signed, two that contradict each other are both left alone.
    let harmed = flipped(&image, &[bundle(2)]);
    let (disk, mut files) = open(&harmed);
    let signed = files.frontier_at(512).unwrap().root();
    let error = files.repair(512, &signed).unwrap_err();
    assert!(matches!(&error, Error::Damaged(what) if what.contains("tile/entries/002")));
    assert_eq!(disk.image(), harmed);
}

#[test]
fn files_that_are_gone_are_not_begun_anew() {
    let disk = Rc::new(Memory::new(&Image::default()));
    let opened = LogFiles::open_existing(disk.clone(), "log/7");
    assert!(matches!(opened.map(|_| ()), Err(Error::NotFound(_))));
    assert_eq!(disk.list("").unwrap(), Vec::<String>::new());
}
