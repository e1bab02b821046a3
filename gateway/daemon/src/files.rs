//! The files of one log: a tail of the newest entries, and C2SP tiles of all earlier ones.
//!
//! Guarantees: [`LogFiles::append`] returns when the entries are durable; a power cut loses at most entries whose append
//! had not returned, and never one before them; tiles are written whole and durable before the tail lets go of their
//! entries; after [`LogFiles::settle`] whatever it read is durable, also what a killed process or a failed sync left.
//! Does not: know what an entry means, or sign; a torn tail is cut off at the first record that does not check, and
//! only the caller, who knows how many leaves there have to be, can tell that from damage.
//!
//! | path | content |
//! |---|---|
//! | `tail-<first>` | records `CRC32 ‖ length ‖ entry` of the entries from `first` on, fewer than 256 |
//! | `tile/…` | full tiles and entry bundles (C2SP tlog-tiles), partial ones as published |
//! | `checkpoint` | the published checkpoint, for whoever reads the folder over HTTP |
//!
//! Order of calls: [`LogFiles::open`]; [`LogFiles::check`] against the newest known checkpoint, and where it fails
//! [`LogFiles::repair`] (`files/repair.rs`); [`LogFiles::settle`]; then [`LogFiles::append`] and reading.

mod repair;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io::ErrorKind::{NotFound, UnexpectedEof},
    rc::Rc,
};

use sluicegate_notary::{
    proof::{NodeSource, TileSource, Tiles},
    tile::{self, Kind, LEVELS, Tile, WIDTH},
};
use sluicegate_protocol::{
    Digest,
    merkle::{Frontier, leaf_hash},
};

use crate::{
    Error,
    disk::{Disk, write_whole},
};

const WIDTH_64: u64 = WIDTH as u64;
const FULL: usize = WIDTH as usize;
const TAIL: &str = "tail-";

/// Writes a tile to a path and gives the number of tiles written.
type WriteTile<'a, D> = dyn FnMut(&LogFiles<D>, &str, Vec<u8>) -> Result<u64, Error> + 'a;

/// The files of one log below one folder.
pub struct LogFiles<D> {
    disk: Rc<D>,
    folder: String,
    /// Leaves in full tiles: a multiple of 256.
    tiled: u64,
    /// Entries behind them.
    tail: Vec<Vec<u8>>,
    /// Hashes in the incomplete tile of each level; level 0 are the leaf hashes of the tail.
    edges: [Vec<Digest>; LEVELS as usize],
    /// Tiles are missing or malformed.
    unreadable: bool,
    /// Folders whose names are known to be durable.
    folders: RefCell<BTreeSet<String>>,
}

impl<D: Disk> LogFiles<D> {
    /// Opens the log in `folder`, creates it, or reads what is there.
    pub fn open(disk: Rc<D>, folder: &str) -> Result<Self, Error> {
        disk.create_dir(folder).map_err(Error::storage("creating the log's folder"))?;
        Self::load(disk, folder)
    }

    /// Opens the log in `folder` for reading, if there is one.
    pub fn open_existing(disk: Rc<D>, folder: &str) -> Result<Self, Error> {
        if disk.list(folder).map_err(Error::storage("listing the log"))?.is_empty() {
            return Err(Error::NotFound(format!(
                "the files of this log are not in {folder} any more: they were set aside or removed"
            )));
        }
        Self::load(disk, folder)
    }

    fn load(disk: Rc<D>, folder: &str) -> Result<Self, Error> {
        let mut files = Self {
            disk,
            folder: folder.to_owned(),
            tiled: 0,
            tail: Vec::new(),
            edges: Default::default(),
            unreadable: false,
            folders: RefCell::default(),
        };
        // A tail gets its name when it is complete and the tiles before it are, so the newest one counts.
        files.tiled = files.newest_tail()?;
        match files.load_edges() {
            Err(Error::Damaged(_)) => files.unreadable = true,
            other => other?,
        }
        files.load_tail()?;
        Ok(files)
    }

    /// Whether the tiles give this root at this size, and beyond it the leaves of their entries. A tile and a bundle of
    /// entries that contradict each other beyond it are damage: nobody knows which of them is right.
    pub fn check(&self, size: u64, root: &Digest) -> Result<bool, Error> {
        if self.unreadable {
            return Ok(false);
        }
        for index in size / WIDTH_64..self.tiled / WIDTH_64 {
            let Ok(hashes) = self.full_tile(0, index) else { return Ok(false) };
            if !self.bundle(index)?.iter().map(|entry| leaf_hash(entry)).eq(hashes) {
                return Err(self.damaged(format!("tile {index} is not that of its entries")));
            }
        }
        Ok(self.frontier_at(size).is_ok_and(|edge| edge.root() == *root))
    }

    /// Makes durable what was read, cuts off a torn end, removes what a power cut left behind, and brings the tiles up
    /// to date.
    pub fn settle(&mut self) -> Result<(), Error> {
        // The tail is written anew, not synced: a kernel that failed to write it once takes it for clean.
        self.write_tail(self.tiled, &self.tail)?;
        for old in self.tails()?.into_iter().filter(|first| *first < self.tiled) {
            let what = Error::storage("settling the log");
            self.disk.remove(&self.tail_path(old)).map_err(what)?;
        }
        self.tile_up()
    }

    /// The disk that they lie on.
    pub fn disk(&self) -> Rc<D> {
        Rc::clone(&self.disk)
    }

    /// Number of durable leaves.
    pub fn size(&self) -> u64 {
        self.tiled + self.tail.len() as u64
    }

    /// The right edge of the durable leaves.
    pub fn frontier(&self) -> Result<Frontier, Error> {
        self.frontier_at(self.size())
    }

    /// The right edge as it was at an earlier size.
    pub fn frontier_at(&self, size: u64) -> Result<Frontier, Error> {
        let nodes = self.nodes();
        Frontier::from_nodes(size, |level| nodes.node(level, (size >> level) - 1))
    }

    /// All nodes of the tree, for building proofs.
    pub fn nodes(&self) -> Tiles<&Self> {
        Tiles::new(self, self.size())
    }

    /// The entry at `index`; an error if it is not the one whose hash is in the tree.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, Error> {
        if let Some(position) = index.checked_sub(self.tiled) {
            let entry = usize::try_from(position).ok().and_then(|position| self.tail.get(position));
            return entry.cloned().ok_or_else(|| self.damaged(format!("no entry {index}")));
        }
        let entries = self.bundle(index / WIDTH_64)?;
        let position = usize::try_from(index % WIDTH_64).unwrap_or(0);
        let entry = entries.into_iter().nth(position);
        let entry = entry.ok_or_else(|| self.damaged(format!("no entry {index}")))?;
        if leaf_hash(&entry) == self.leaf(index)? {
            return Ok(entry);
        }
        let path = self.tile_path(Kind::Entries, index / WIDTH_64);
        Err(Error::Damaged(format!("entry {index} in {path} is not the one that was logged")))
    }

    /// The leaf hash at `index`, without reading its whole tile.
    pub fn leaf(&self, index: u64) -> Result<Digest, Error> {
        if let Some(position) = index.checked_sub(self.tiled) {
            let leaf = usize::try_from(position).ok().and_then(|at| self.edges[0].get(at));
            return leaf.copied().ok_or_else(|| self.damaged(format!("no leaf {index}")));
        }
        let path = self.tile_path(Kind::Hashes(0), index / WIDTH_64);
        let hash = match self.disk.read_at(&path, index % WIDTH_64 * 32, 32) {
            Err(error) if matches!(error.kind(), NotFound | UnexpectedEof) => {
                return Err(self.damaged(format!("{path} is cut short or missing")));
            }
            other => other.map_err(Error::storage(format!("reading {path}")))?,
        };
        Digest::from_slice(&hash).ok_or_else(|| self.damaged(path))
    }

    /// Makes entries durable; `leaves` are their leaf hashes. After an error the log must be opened anew.
    pub fn append(
        &mut self,
        first: u64,
        entries: Vec<Vec<u8>>,
        leaves: &[Digest],
    ) -> Result<(), Error> {
        if first != self.size() || leaves.len() != entries.len() {
            return Err(self.damaged(format!("entry {first} does not follow {}", self.size())));
        }
        let tail = self.tail_path(self.tiled);
        let records = records(first, &entries)?;
        let written = self.disk.append(&tail, &records).and_then(|()| self.disk.sync(&tail));
        written.map_err(Error::storage(format!("appending to {tail}")))?;
        self.tail.extend(entries);
        self.edges[0].extend_from_slice(leaves);
        self.tile_up()
    }

    /// Writes the partial tiles and the checkpoint for whoever serves or copies the folder. What they say is durable
    /// elsewhere, so they are not synced.
    pub fn publish(&self, size: u64, note: &str) -> Result<(), Error> {
        let what = || Error::storage("publishing the checkpoint");
        for tile in tile::partial(size).filter(|_| size == self.size()) {
            let path = format!("{}/{tile}", self.folder);
            self.make_parent(&path)?;
            self.disk.write(&path, &self.partial_bytes(tile)?).map_err(what())?;
        }
        let path = format!("{}/checkpoint", self.folder);
        let temporary = format!("{path}.new");
        self.disk.write(&temporary, note.as_bytes()).map_err(what())?;
        self.disk.rename(&temporary, &path).map_err(what())
    }

    /// The checkpoint that was published last.
    pub fn published(&self) -> Result<Option<String>, Error> {
        let bytes = self.read(&format!("{}/checkpoint", self.folder))?;
        Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// Moves the full tiles' worth of entries from the tail into tiles.
    fn tile_up(&mut self) -> Result<(), Error> {
        let count = self.tail.len() / FULL;
        if count == 0 {
            return Ok(());
        }
        let (mut folders, old) = (BTreeSet::new(), self.tiled);
        let mut edges = std::mem::take(&mut self.edges);
        let leaves = std::mem::take(&mut edges[0]);
        for (position, leaves) in leaves.chunks_exact(FULL).enumerate() {
            let index = old / WIDTH_64 + position as u64;
            let entries = &self.tail[position * FULL..][..FULL];
            let path = self.tile_path(Kind::Entries, index);
            folders.insert(self.make_parent(&path)?);
            self.write_tile(&path, &bundle_bytes(entries)?)?;
            edges[0] = leaves.to_vec();
            self.raise(&mut edges, index, &mut |files, path, bytes| {
                folders.insert(files.make_parent(path)?);
                files.write_tile(path, &bytes).map(|()| 1)
            })?;
        }
        edges[0] = leaves[count * FULL..].to_vec();
        self.edges = edges;
        for folder in folders {
            self.disk.sync_dir(&folder).map_err(Error::storage(format!("syncing {folder}")))?;
        }
        self.remove_partials(old + (count * FULL) as u64)?;
        self.turn_tail(count * FULL)
    }

    /// Hands the full level-0 tile `index` and every tile that it completes to `write`, and moves their roots up.
    fn raise(
        &self,
        edges: &mut [Vec<Digest>; LEVELS as usize],
        index: u64,
        write: &mut WriteTile<'_, D>,
    ) -> Result<u64, Error> {
        let (mut written, mut index) = (0, index);
        for level in 0..LEVELS - 1 {
            let edge = &mut edges[usize::from(level)];
            if edge.len() < FULL {
                break;
            }
            let hashes = std::mem::take(edge);
            let path = self.tile_path(Kind::Hashes(level), index);
            written += write(self, &path, tile::encode_hashes(&hashes))?;
            edges[usize::from(level) + 1].push(tile::subtree_root(&hashes));
            index /= WIDTH_64;
        }
        Ok(written)
    }

    /// Partial tiles give way to the full ones.
    fn remove_partials(&self, size: u64) -> Result<(), Error> {
        for tile in tile::completed(self.tiled, size) {
            let path = format!("{}/{tile}.p", self.folder);
            self.disk.remove_tree(&path).map_err(Error::storage(format!("removing {path}")))?;
        }
        Ok(())
    }

    /// Begins a new tail behind `count` more entries in tiles and removes the old one.
    fn turn_tail(&mut self, count: usize) -> Result<(), Error> {
        let (rest, tiled) = (self.tail.split_off(count), self.tiled + count as u64);
        self.write_tail(tiled, &rest)?;
        let old = self.tail_path(self.tiled);
        self.disk.remove(&old).map_err(Error::storage(format!("removing {old}")))?;
        self.tail = rest;
        self.tiled = tiled;
        Ok(())
    }

    /// Writes a whole tail, durable together with its name.
    fn write_tail(&self, first: u64, entries: &[Vec<u8>]) -> Result<(), Error> {
        let path = self.tail_path(first);
        write_whole(&*self.disk, &path, &records(first, entries)?)
            .and_then(|()| self.disk.sync_dir(&self.folder))
            .map_err(Error::storage(format!("writing {path}")))
    }

    /// First index of the newest tail; 0 for a log that was never settled.
    fn newest_tail(&self) -> Result<u64, Error> {
        if let Some(newest) = self.tails()?.last() {
            return Ok(*newest);
        }
        // No tile comes before the first tail.
        let tiles = self.disk.list(&format!("{}/tile", self.folder));
        if tiles.map_err(Error::storage("listing the log"))?.is_empty() {
            Ok(0)
        } else {
            Err(self.damaged("its tail is missing"))
        }
    }

    /// First indices of the tails that are there, in order.
    fn tails(&self) -> Result<Vec<u64>, Error> {
        let names = self.disk.list(&self.folder).map_err(Error::storage("listing the log"))?;
        let first = |name: &String| name.strip_prefix(TAIL)?.parse().ok();
        let mut tails: Vec<u64> = names.iter().filter_map(first).collect();
        tails.sort_unstable();
        Ok(tails)
    }

    /// Reads the incomplete tiles of level 1 and above from the full tiles below them.
    fn load_edges(&mut self) -> Result<(), Error> {
        for level in 1..LEVELS {
            let hashes = self.tiled >> (u32::from(level) * 8);
            for index in hashes - hashes % WIDTH_64..hashes {
                let below = self.full_tile(level - 1, index)?;
                self.edges[usize::from(level)].push(tile::subtree_root(&below));
            }
        }
        Ok(())
    }

    /// Reads the tail up to the first record that does not check.
    fn load_tail(&mut self) -> Result<(), Error> {
        let bytes = self.read(&self.tail_path(self.tiled))?.unwrap_or_default();
        let entries = parse_records(self.tiled, &bytes);
        self.edges[0] = entries.iter().map(|entry| leaf_hash(entry)).collect();
        self.tail = entries;
        Ok(())
    }

    fn full_tile(&self, level: u8, index: u64) -> Result<Vec<Digest>, Error> {
        let path = self.tile_path(Kind::Hashes(level), index);
        let bytes = self.read(&path)?.ok_or_else(|| self.damaged(format!("{path} is missing")))?;
        tile::decode_hashes(&bytes, WIDTH).map_err(|_| self.damaged(path))
    }

    fn bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, Error> {
        let path = self.tile_path(Kind::Entries, index);
        let bytes = self.read(&path)?.ok_or_else(|| self.damaged(format!("{path} is missing")))?;
        let entries = tile::decode_entries(&bytes, WIDTH).map_err(|_| self.damaged(path))?;
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    fn partial_bytes(&self, tile: Tile) -> Result<Vec<u8>, Error> {
        match tile.kind {
            Kind::Entries => bundle_bytes(&self.tail),
            Kind::Hashes(level) => Ok(tile::encode_hashes(&self.edges[usize::from(level)])),
        }
    }

    fn write_tile(&self, path: &str, bytes: &[u8]) -> Result<(), Error> {
        write_whole(&*self.disk, path, bytes).map_err(Error::storage(format!("writing {path}")))
    }

    /// Creates the folder of a file, durably, and gives it.
    fn make_parent(&self, path: &str) -> Result<String, Error> {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        if !self.folders.borrow().contains(&parent) {
            self.disk.create_dir(&parent).map_err(Error::storage(format!("creating {parent}")))?;
            self.folders.borrow_mut().insert(parent.clone());
        }
        Ok(parent)
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, Error> {
        self.disk.read(path).map_err(Error::storage(format!("reading {path}")))
    }

    fn tile_path(&self, kind: Kind, index: u64) -> String {
        format!("{}/{}", self.folder, Tile { kind, index, width: WIDTH })
    }

    fn tail_path(&self, first: u64) -> String {
        format!("{}/{TAIL}{first}", self.folder)
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Error {
        Error::Damaged(format!("{}: {what}", self.folder))
    }
}

impl<D: Disk> TileSource for &LogFiles<D> {
    type Error = Error;

    fn tile(&self, level: u8, index: u64, _width: u16) -> Result<Vec<Digest>, Error> {
        let full = self.tiled.checked_shr((u32::from(level) + 1) * 8).unwrap_or(0);
        if index < full {
            self.full_tile(level, index)
        } else {
            Ok(self.edges[usize::from(level)].clone())
        }
    }
}

fn bundle_bytes(entries: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for entry in entries {
        tile::encode_entry(entry, &mut bytes)?;
    }
    Ok(bytes)
}

/// Tail records of entries from index `first` on: `CRC32 ‖ length ‖ entry`, the checksum over index, length and entry.
pub fn records(first: u64, entries: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    for (index, entry) in (first..=u64::MAX).zip(entries) {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        tile::encode_entry(entry, &mut bytes)?;
        let checksum = checksum(index, &bytes[start + 4..]);
        bytes[start..start + 4].copy_from_slice(&checksum);
    }
    Ok(bytes)
}

/// The entries of a tail, the first of which has this index, up to the first record that does not check.
pub fn parse_records(first: u64, bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    for index in first..=u64::MAX {
        let Some((expected, record)) = rest.split_first_chunk::<4>() else { break };
        let Some((entry, after)) = tile::split_entry(record) else { break };
        if checksum(index, &record[..record.len() - after.len()]) != *expected {
            break;
        }
        entries.push(entry.to_vec());
        rest = after;
    }
    entries
}

fn checksum(index: u64, record: &[u8]) -> [u8; 4] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&index.to_be_bytes());
    hasher.update(record);
    hasher.finalize().to_be_bytes()
}
