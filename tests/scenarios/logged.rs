//! What checkpoints said and what the log's public files hold: no two checkpoints of one origin may
//! contradict.
//!
//! Order of calls: [`Seen::note`] and [`Seen::report`] for all that was shown to anyone, then
//! [`Seen::assert_kept`].

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sluicegate_notary::{
    entry::Entry,
    tile::{Kind, Tile, WIDTH, decode_entries},
};
use sluicegate_protocol::{
    Checkpoint, Digest,
    merkle::{Frontier, leaf_hash},
    note::Note,
};

use crate::place::Place;

/// Size and root of a published checkpoint.
pub fn published(folder: &Path) -> (String, u64, Digest) {
    let text = fs::read_to_string(folder.join("checkpoint")).unwrap();
    let note = Note::parse(&text).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    (checkpoint.origin.to_owned(), checkpoint.size, checkpoint.root)
}

/// The entries under the published checkpoint of a log, as any reader of the folder finds them.
pub fn entries(folder: &Path) -> Vec<Entry> {
    let (_, size, root) = published(folder);
    let mut found = Vec::new();
    let mut tree = Frontier::new();
    while (found.len() as u64) < size {
        let left = size - found.len() as u64;
        let width = u16::try_from(left.min(u64::from(WIDTH))).unwrap();
        let index = found.len() as u64 / u64::from(WIDTH);
        let bytes = fs::read(folder.join(Tile { kind: Kind::Entries, index, width }.to_string()));
        for entry in decode_entries(&bytes.unwrap(), width).unwrap() {
            tree.push(leaf_hash(entry));
            found.push(Entry::decode(entry).unwrap());
        }
    }
    assert_eq!(tree.root(), root, "the published tiles do not give the published root");
    found
}

/// The folder of a log of this gateway.
pub fn folder(place: &Place, number: u32) -> PathBuf {
    place.path(&format!("state/log/{number}"))
}

/// Checkpoints that somebody saw: root by origin and size.
#[derive(Default)]
pub struct Seen(BTreeMap<(String, u64), String>);

impl Seen {
    /// Somebody read the folder of a log.
    pub fn note(&mut self, folder: &Path) {
        let (origin, size, root) = published(folder);
        self.add(origin, size, root.to_string());
    }

    /// Somebody verified a bundle.
    pub fn report(&mut self, report: &Value) {
        let log = &report["log"];
        let text = |name: &str| log[name].as_str().unwrap().to_owned();
        self.add(text("origin"), log["size"].as_u64().unwrap(), text("root"));
    }

    fn add(&mut self, origin: String, size: u64, root: String) {
        let at = format!("{origin} at {size}");
        let known = self.0.entry((origin, size)).or_insert_with(|| root.clone());
        assert_eq!(*known, root, "two checkpoints of {at} contradict each other");
    }

    /// All that was seen of the origin of this log is a beginning of what the folder holds.
    pub fn assert_kept(&self, folder: &Path) {
        let (origin, ..) = published(folder);
        let entries = entries(folder);
        let seen: Vec<_> = self.0.iter().filter(|((of, _), _)| *of == origin).collect();
        assert!(!seen.is_empty(), "nobody saw a checkpoint of {origin}");
        for ((_, size), root) in seen {
            let mut tree = Frontier::new();
            for entry in entries.iter().take(usize::try_from(*size).unwrap()) {
                tree.push(leaf_hash(&entry.encode()));
            }
            assert_eq!((tree.size(), tree.root().to_string()), (*size, root.clone()), "{origin}");
        }
    }
}
