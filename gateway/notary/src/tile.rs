//! C2SP tlog-tiles: where hashes and entries of a log lie, and what a tile holds.
//!
//! Guarantees: exactly one path for each tile, in both directions; an entry bundle is read only when it holds exactly
//! the announced entries; nothing is allocated by an unchecked length.
//! Does not: read or write files; the daemon does. Does not check a tile against a root; [`crate::proof`] does.
//!
//! A tile of level `l` holds up to 256 hashes of perfect subtrees of 256^l leaves. [`completed`] says which tiles a
//! growing log has to write, [`location`] where the hash of a subtree is found.
//! Specification: <https://c2sp.org/tlog-tiles>.

use alloc::{string::String, vec::Vec};
use core::fmt;

use sluicegate_protocol::{
    Digest,
    merkle::{empty_root, node_hash},
};

use crate::Error;

/// Tree levels that one tile spans.
pub const HEIGHT: u8 = 8;

/// Hashes in a full tile, entries in a full entry bundle.
pub const WIDTH: u16 = 256;

/// Tile levels that a log of 64-bit size can have.
pub const LEVELS: u8 = 8;

/// Longest entry: its length is written in two bytes.
pub const MAX_ENTRY: usize = u16::MAX as usize;

const WIDTH_64: u64 = WIDTH as u64;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The entries themselves.
    Entries,
    /// Hashes of subtrees of 256^level leaves.
    Hashes(u8),
}

/// One tile: a file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tile {
    /// What it holds.
    pub kind: Kind,
    /// Its position among the tiles of its kind.
    pub index: u64,
    /// How many hashes or entries it holds, 1 to 256.
    pub width: u16,
}

impl Tile {
    /// Whether it holds all that it can.
    pub const fn is_full(self) -> bool {
        self.width == WIDTH
    }

    /// Reads a path as [`fmt::Display`] writes it: `tile/0/x001/x234/067.p/8`.
    pub fn parse(path: &str) -> Result<Self, Error> {
        parse_path(path).ok_or(Error::Encoding { what: "tile path" })
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Entries => write!(f, "tile/entries/")?,
            Kind::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        for thousands in (1..7).rev().map(|group| 1000_u64.pow(group)) {
            if self.index >= thousands {
                write!(f, "x{:03}/", self.index / thousands % 1000)?;
            }
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.is_full() { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// How many hashes the tile `index` of `level` holds in a log of `size` leaves.
pub fn width(level: u8, index: u64, size: u64) -> u16 {
    let hashes = size.checked_shr(u32::from(level) * u32::from(HEIGHT)).unwrap_or(0);
    let before = index.saturating_mul(WIDTH_64);
    u16::try_from(hashes.saturating_sub(before).min(WIDTH_64)).unwrap_or(WIDTH)
}

/// The full tiles that a log gets by growing from `old` to `new` leaves: entries, then hashes from level 0 up.
pub fn completed(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    let kinds = core::iter::once(Kind::Entries).chain((0..LEVELS).map(Kind::Hashes));
    kinds.flat_map(move |kind| {
        let full = |size| full_tiles(kind, size);
        (full(old)..full(new)).map(move |index| Tile { kind, index, width: WIDTH })
    })
}

/// The partial tiles at the right edge of a log of `size` leaves.
pub fn partial(size: u64) -> impl Iterator<Item = Tile> {
    let kinds = core::iter::once(Kind::Entries).chain((0..LEVELS).map(Kind::Hashes));
    kinds.filter_map(move |kind| {
        let index = full_tiles(kind, size);
        let width = width(level_of(kind), index, size);
        (width > 0).then_some(Tile { kind, index, width })
    })
}

/// Where the hash of a subtree of 2^level leaves is found, and how many hashes of that tile it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Level of the tile.
    pub level: u8,
    /// Index of the tile.
    pub index: u64,
    /// The first hash.
    pub first: usize,
    /// The number of hashes: a power of two, at most 128.
    pub count: usize,
}

/// Finds the perfect subtree of 2^level leaves that begins at leaf `index << level`.
pub fn location(level: u8, index: u64) -> Location {
    let (tile_level, inside) = (level / HEIGHT, level % HEIGHT);
    let tile = index >> (HEIGHT - inside);
    let first = usize::from((index << inside & 0xff) as u8);
    Location { level: tile_level, index: tile, first, count: 1 << inside }
}

/// Root over hashes of neighbouring perfect subtrees of one size; for a power of two of them it is a node of the tree.
pub fn subtree_root(hashes: &[Digest]) -> Digest {
    match hashes {
        [] => empty_root(),
        [hash] => *hash,
        _ => {
            let (left, right) = hashes.split_at(hashes.len().next_power_of_two() / 2);
            node_hash(&subtree_root(left), &subtree_root(right))
        }
    }
}

/// The bytes of a tile of hashes.
pub fn encode_hashes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads a tile of exactly `width` hashes.
pub fn decode_hashes(bytes: &[u8], width: u16) -> Result<Vec<Digest>, Error> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if hashes.len() != usize::from(width) || !rest.is_empty() {
        return Err(Error::Encoding { what: "tile" });
    }
    Ok(hashes.iter().map(|hash| Digest::new(*hash)).collect())
}

/// Adds one entry to the bytes of an entry bundle.
pub fn encode_entry(entry: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let (what, found, limit) = ("log entry", entry.len(), MAX_ENTRY);
    let length = u16::try_from(found).map_err(|_| Error::TooLong { what, found, limit })?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(entry);
    Ok(())
}

/// Takes the first entry off an entry bundle and gives it with the rest; `None` when it is cut off.
pub fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// Reads an entry bundle of exactly `width` entries.
pub fn decode_entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, Error> {
    let mut rest = bytes;
    let mut entries = Vec::new();
    for _ in 0..width {
        let (entry, after) = split_entry(rest).ok_or(Error::Encoding { what: "entry bundle" })?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(Error::Encoding { what: "entry bundle" }) }
}

const fn level_of(kind: Kind) -> u8 {
    match kind {
        Kind::Entries => 0,
        Kind::Hashes(level) => level,
    }
}

fn full_tiles(kind: Kind, size: u64) -> u64 {
    let levels = u32::from(level_of(kind)) + 1;
    size.checked_shr(levels * u32::from(HEIGHT)).unwrap_or(0)
}

fn parse_path(path: &str) -> Option<Tile> {
    let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let kind = match kind {
        "entries" => Kind::Entries,
        _ => Kind::Hashes(u8::try_from(decimal(kind)?).ok().filter(|level| *level < LEVELS)?),
    };
    let (index, width) = match rest.split_once(".p/") {
        None => (rest, WIDTH),
        Some((index, width)) => (index, u16::try_from(decimal(width)?).ok()?),
    };
    let tile = Tile { kind, index: parse_index(index)?, width };
    let partial = (1..WIDTH).contains(&width) || !rest.contains(".p/");
    (partial && same_text(&tile, path)).then_some(tile)
}

fn parse_index(text: &str) -> Option<u64> {
    text.split('/').try_fold(0u64, |index, group| {
        let digits = group.strip_prefix('x').unwrap_or(group);
        let value: u64 =
            digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
        index.checked_mul(1000)?.checked_add(value)
    })
}

fn decimal(text: &str) -> Option<u64> {
    sluicegate_protocol::note::parse_decimal(text).ok()
}

/// Zeros in front, a missing or superfluous `x`, a group too many: all of them give another text.
fn same_text(tile: &Tile, path: &str) -> bool {
    use fmt::Write;
    let mut text = String::new();
    write!(text, "{tile}").is_ok() && text == path
}

#[cfg(test)]
mod tests {
    use std::{string::ToString, vec};

    use sluicegate_protocol::merkle::leaf_hash;

    use super::*;

    fn tile(kind: Kind, index: u64, width: u16) -> Tile {
        Tile { kind, index, width }
    }

    #[test]
    fn paths_of_the_specification() {
        for (path, expected) in [
            ("tile/0/x001/x234/067", tile(Kind::Hashes(0), 1_234_067, 256)),
            ("tile/0/x001/x234/067.p/112", tile(Kind::Hashes(0), 1_234_067, 112)),
            ("tile/entries/000", tile(Kind::Entries, 0, 256)),
            ("tile/entries/x001/000.p/1", tile(Kind::Entries, 1000, 1)),
            ("tile/7/999.p/255", tile(Kind::Hashes(7), 999, 255)),
            ("tile/0/x018/x446/x744/x073/x709/x551/615", tile(Kind::Hashes(0), u64::MAX, 256)),
        ] {
            assert_eq!(expected.to_string(), path);
            assert_eq!(Tile::parse(path), Ok(expected));
        }
    }

    #[test]
    fn other_paths_are_refused() {
        for path in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/00/001",
            "tile/8/001",
            "tile/0/001.p/0",
            "tile/0/001.p/256",
            "tile/0/001.p/01",
            "tile/0/001.p/",
            "tile/0/001.p/1/",
            "tile/0/+01",
            "tile/entry/001",
            "/tile/0/001",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/001.p/1.p/1",
        ] {
            assert!(Tile::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn tiles_of_seventy_thousand_leaves() {
        // The example of the specification.
        let full: Vec<_> = completed(0, 70_000).collect();
        let count = |kind| full.iter().filter(|tile| tile.kind == kind).count();
        assert_eq!((count(Kind::Entries), count(Kind::Hashes(0))), (273, 273));
        assert_eq!((count(Kind::Hashes(1)), count(Kind::Hashes(2))), (1, 0));
        let expected = vec![
            tile(Kind::Entries, 273, 112),
            tile(Kind::Hashes(0), 273, 112),
            tile(Kind::Hashes(1), 1, 17),
            tile(Kind::Hashes(2), 0, 1),
        ];
        assert_eq!(partial(70_000).collect::<Vec<_>>(), expected);
        let of_256 = vec![tile(Kind::Hashes(1), 0, 1)];
        assert_eq!(partial(256).collect::<Vec<_>>(), of_256);
        assert_eq!(partial(0).count(), 0);
        assert_eq!(width(0, 273, 70_000), 112);
        assert_eq!((width(0, 274, 70_000), width(0, 272, 70_000)), (0, 256));
        assert_eq!(width(0, u64::MAX, u64::MAX), 0);
    }

    #[test]
    fn growth_completes_each_tile_once() {
        let mut seen: Vec<Tile> = Vec::new();
        let mut size = 0;
        for step in [1, 254, 1, 1, 600, 256, 65_000, 1] {
            seen.extend(completed(size, size + step));
            size += step;
        }
        let mut all: Vec<_> = completed(0, size).collect();
        seen.sort();
        all.sort();
        assert_eq!(seen, all);
    }

    #[test]
    fn subtrees_are_found_in_their_tiles() {
        assert_eq!(location(0, 300), Location { level: 0, index: 1, first: 44, count: 1 });
        assert_eq!(location(3, 35), Location { level: 0, index: 1, first: 24, count: 8 });
        assert_eq!(location(8, 300), Location { level: 1, index: 1, first: 44, count: 1 });
        assert_eq!(location(63, 1), Location { level: 7, index: 0, first: 128, count: 128 });
        let leaves: Vec<_> = (0..4u8).map(|byte| leaf_hash(&[byte])).collect();
        let pair = |i: usize| node_hash(&leaves[i], &leaves[i + 1]);
        assert_eq!(subtree_root(&leaves), node_hash(&pair(0), &pair(2)));
    }

    #[test]
    fn entry_bundles_are_strict() {
        let mut bytes = Vec::new();
        for entry in [&b""[..], b"a", &[7; 300]] {
            encode_entry(entry, &mut bytes).unwrap();
        }
        assert_eq!(decode_entries(&bytes, 3).unwrap(), [&b""[..], b"a", &[7; 300]]);
        assert!(decode_entries(&bytes, 2).is_err());
        assert!(decode_entries(&bytes, 4).is_err());
        for cut in 0..bytes.len() {
            assert!(decode_entries(&bytes[..cut], 3).is_err());
        }
        assert!(encode_entry(&[0; MAX_ENTRY + 1], &mut bytes).is_err());
        let hashes = [leaf_hash(b"a"), leaf_hash(b"b")];
        assert_eq!(decode_hashes(&encode_hashes(&hashes), 2).unwrap(), hashes);
        assert!(decode_hashes(&encode_hashes(&hashes), 1).is_err());
        assert!(decode_hashes(&encode_hashes(&hashes)[1..], 2).is_err());
    }
}
