//! Proofs about an RFC 6962 tree: inclusion of one leaf, of many leaves at once, and consistency of two sizes.
//!
//! Guarantees: a proof has exactly the hashes that its indexes and sizes ask for, no more and no fewer; work and
//! memory grow with the number of leaves times the levels; recursion is at most 64 deep.
//! Does not: keep hashes; they come from a [`NodeSource`], on a gateway from [`Tiles`].
//!
//! A proof of many leaves holds the hashes of the largest subtrees without any of these leaves, in order of (level,
//! index of the subtree), where a subtree cut off by the right edge counts as the perfect one that it would become.
//!
//! Order of use: [`multi_inclusion`] on the gateway, [`root_from_multi`] at the verifier, who compares the root with
//! a signed checkpoint. Shown by `tests/differential.rs`.

use alloc::{rc::Rc, vec::Vec};
use core::{cell::RefCell, ops::Range};

use sluicegate_protocol::{
    Digest, Error as ProtocolError,
    merkle::{empty_root, node_hash},
};

use crate::{Error, tile};

/// Hashes of perfect subtrees of a log.
pub trait NodeSource {
    /// Why a hash can't be had.
    type Error: From<Error>;

    /// Root of the 2^level leaves from leaf `index << level` on; asked only for subtrees inside the tree.
    fn node(&self, level: u8, index: u64) -> Result<Digest, Self::Error>;
}

/// The root of the first `size` leaves.
pub fn root<S: NodeSource>(source: &S, size: u64) -> Result<Digest, S::Error> {
    if size == 0 { Ok(empty_root()) } else { range_root(source, 0..size) }
}

/// The inclusion path of leaf `index` in the tree of `size` leaves, from its sibling up (RFC 9162 §2.1.3.1).
pub fn inclusion<S: NodeSource>(
    source: &S,
    index: u64,
    size: u64,
) -> Result<Vec<Digest>, S::Error> {
    path_ranges(index, size)?.into_iter().map(|range| range_root(source, range)).collect()
}

/// The consistency path from `old` leaves to `new` leaves (RFC 9162 §2.1.4.1).
pub fn consistency<S: NodeSource>(source: &S, old: u64, new: u64) -> Result<Vec<Digest>, S::Error> {
    if old > new {
        return Err(outside(old, new).into());
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let mut ranges = Vec::new();
    let mut range = 0..new;
    while range.end != old {
        let middle = split(&range);
        let (inside, sibling) = halves(&range, middle, old <= middle);
        ranges.push(sibling);
        range = inside;
    }
    // The old tree itself is left out when it is a whole subtree: the verifier has its root.
    if range.start > 0 {
        ranges.push(range);
    }
    ranges.into_iter().rev().map(|range| range_root(source, range)).collect()
}

/// The hashes that prove all leaves of `indexes` (ascending) in the tree of `size` leaves.
pub fn multi_inclusion<S: NodeSource>(
    source: &S,
    indexes: &[u64],
    size: u64,
) -> Result<Vec<Digest>, S::Error> {
    let positions = complement(indexes, size, usize::MAX)?;
    positions.into_iter().map(|position| range_root(source, position.range(size))).collect()
}

/// The root that leaf hashes (by ascending index) and the hashes of [`multi_inclusion`] lead to.
pub fn root_from_multi(
    leaves: &[(u64, Digest)],
    size: u64,
    nodes: &[Digest],
) -> Result<Digest, Error> {
    let indexes: Vec<u64> = leaves.iter().map(|(index, _)| *index).collect();
    let positions = complement(&indexes, size, nodes.len())?;
    if positions.len() != nodes.len() {
        return Err(path_length(positions.len(), nodes.len()));
    }
    let fold = Fold { leaves, positions: &positions, nodes };
    fold.root(0..size, 0..leaves.len())
}

/// The hashes of a single inclusion path, in the order of [`multi_inclusion`].
pub fn multi_from_path(index: u64, size: u64, path: &[Digest]) -> Result<Vec<Digest>, Error> {
    let ranges = path_ranges(index, size)?;
    if ranges.len() != path.len() {
        return Err(path_length(ranges.len(), path.len()));
    }
    let mut nodes: Vec<_> = ranges.iter().map(Position::of).zip(path).collect();
    nodes.sort_unstable_by_key(|(position, _)| *position);
    Ok(nodes.into_iter().map(|(_, node)| *node).collect())
}

/// Tiles of hashes as they lie on a disk.
pub trait TileSource {
    /// Why a tile can't be had.
    type Error: From<Error>;

    /// The tile `index` of `level`, at least its first `width` hashes.
    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Digest>, Self::Error>;
}

/// A [`NodeSource`] over the tiles of a log; keeps the last tile of each level.
pub struct Tiles<S> {
    source: S,
    size: u64,
    recent: RefCell<[Option<Recent>; tile::LEVELS as usize]>,
}

#[derive(Clone)]
struct Recent {
    index: u64,
    hashes: Rc<[Digest]>,
}

impl<S: TileSource> Tiles<S> {
    /// The log of `size` leaves that these tiles hold.
    pub fn new(source: S, size: u64) -> Self {
        Self { source, size, recent: RefCell::default() }
    }

    fn tile(&self, level: u8, index: u64) -> Result<Rc<[Digest]>, S::Error> {
        let slot = usize::from(level);
        if let Some(recent) = self.recent.borrow()[slot].as_ref().filter(|r| r.index == index) {
            return Ok(recent.hashes.clone());
        }
        let width = tile::width(level, index, self.size);
        let hashes: Rc<[Digest]> = self.source.tile(level, index, width)?.into();
        self.recent.borrow_mut()[slot] = Some(Recent { index, hashes: hashes.clone() });
        Ok(hashes)
    }
}

impl<S: TileSource> NodeSource for Tiles<S> {
    type Error = S::Error;

    fn node(&self, level: u8, index: u64) -> Result<Digest, S::Error> {
        let place = tile::location(level, index);
        let hashes = self.tile(place.level, place.index)?;
        let hashes = hashes.get(place.first..place.first + place.count);
        hashes.map(tile::subtree_root).ok_or_else(|| outside(index, self.size).into())
    }
}

/// The name of a subtree that begins at a multiple of its full size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    level: u8,
    index: u64,
}

impl Position {
    fn of(range: &Range<u64>) -> Self {
        let level = levels(range.end - range.start);
        Self { level, index: range.start.checked_shr(u32::from(level)).unwrap_or(0) }
    }

    /// Its leaves in a tree of `size`.
    fn range(self, size: u64) -> Range<u64> {
        let start = self.index.checked_shl(u32::from(self.level)).unwrap_or(0);
        let full = 1u64.checked_shl(u32::from(self.level)).unwrap_or(u64::MAX);
        start..start.saturating_add(full).min(size)
    }
}

/// Levels above the leaves of the smallest perfect tree that holds `leaves` leaves, at least one.
fn levels(leaves: u64) -> u8 {
    u8::try_from(u64::BITS - (leaves - 1).leading_zeros()).unwrap_or(64)
}

/// Where RFC 6962 splits a range of two or more leaves: after the largest power of two below its length.
fn split(range: &Range<u64>) -> u64 {
    range.start + (1 << (levels(range.end - range.start) - 1))
}

/// The half to go into and the other one.
fn halves(range: &Range<u64>, middle: u64, left: bool) -> (Range<u64>, Range<u64>) {
    let (first, second) = (range.start..middle, middle..range.end);
    if left { (first, second) } else { (second, first) }
}

/// The ranges whose roots make up an inclusion path.
fn path_ranges(index: u64, size: u64) -> Result<Vec<Range<u64>>, Error> {
    if index >= size {
        return Err(outside(index, size));
    }
    let mut ranges = Vec::new();
    let mut range = 0..size;
    while range.end - range.start > 1 {
        let middle = split(&range);
        let (inside, sibling) = halves(&range, middle, index < middle);
        ranges.push(sibling);
        range = inside;
    }
    ranges.reverse();
    Ok(ranges)
}

/// The root of a range that begins at a multiple of its full size.
fn range_root<S: NodeSource>(source: &S, range: Range<u64>) -> Result<Digest, S::Error> {
    let mut left = Vec::new();
    let mut rest = range;
    while !(rest.end - rest.start).is_power_of_two() {
        let middle = split(&rest);
        left.push(perfect(source, rest.start..middle)?);
        rest = middle..rest.end;
    }
    let last = perfect(source, rest)?;
    Ok(left.iter().rev().fold(last, |right, left| node_hash(left, &right)))
}

fn perfect<S: NodeSource>(source: &S, range: Range<u64>) -> Result<Digest, S::Error> {
    let Position { level, index } = Position::of(&range);
    source.node(level, index)
}

/// The largest subtrees without any of these leaves, in canonical order; refuses more than `limit` of them.
fn complement(indexes: &[u64], size: u64, limit: usize) -> Result<Vec<Position>, Error> {
    let ascending = indexes.windows(2).all(|pair| pair[0] < pair[1]);
    match indexes.last() {
        Some(last) if *last < size && ascending => {}
        Some(last) if ascending => return Err(outside(*last, size)),
        _ => return Err(Error::Order { what: "leaf indexes" }),
    }
    let mut positions = Vec::new();
    let mut waiting = Vec::from([(0..size, 0..indexes.len())]);
    while let Some((range, inside)) = waiting.pop() {
        if inside.is_empty() {
            positions.push(Position::of(&range));
            if positions.len() > limit {
                return Err(path_length(positions.len(), limit));
            }
        } else if range.end - range.start > 1 {
            let middle = split(&range);
            let cut = inside.start + indexes[inside.clone()].partition_point(|i| *i < middle);
            waiting.push((middle..range.end, cut..inside.end));
            waiting.push((range.start..middle, inside.start..cut));
        }
    }
    positions.sort_unstable();
    Ok(positions)
}

/// The tree over known leaves and known subtrees.
struct Fold<'a> {
    leaves: &'a [(u64, Digest)],
    positions: &'a [Position],
    nodes: &'a [Digest],
}

impl Fold<'_> {
    /// The root of the leaves `range`, of which `inside` are known; one level of recursion per tree level.
    fn root(&self, range: Range<u64>, inside: Range<usize>) -> Result<Digest, Error> {
        if inside.is_empty() {
            let found = self.positions.binary_search(&Position::of(&range)).ok();
            let node = found.and_then(|place| self.nodes.get(place));
            return node.copied().ok_or(Error::Protocol(ProtocolError::RootMismatch));
        }
        if range.end - range.start == 1 {
            return Ok(self.leaves[inside.start].1);
        }
        let middle = split(&range);
        let known = &self.leaves[inside.clone()];
        let cut = inside.start + known.partition_point(|(index, _)| *index < middle);
        let left = self.root(range.start..middle, inside.start..cut)?;
        let right = self.root(middle..range.end, cut..inside.end)?;
        Ok(node_hash(&left, &right))
    }
}

const fn outside(index: u64, size: u64) -> Error {
    Error::Protocol(ProtocolError::OutsideTree { index, size })
}

const fn path_length(needed: usize, found: usize) -> Error {
    Error::Protocol(ProtocolError::PathLength { needed, found })
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation)]
mod tests {
    use std::vec;

    use proptest::prelude::*;
    use sluicegate_protocol::merkle::{
        Frontier, leaf_hash, path_length, verify_consistency, verify_inclusion,
    };

    use super::*;

    /// Leaf hashes in memory, as tiles.
    struct Memory(Vec<Digest>);

    impl Memory {
        fn new(size: u16) -> Self {
            Self((0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect())
        }

        fn tiles(&self) -> Tiles<&Self> {
            Tiles::new(self, self.0.len() as u64)
        }

        fn root(&self, size: usize) -> Digest {
            let mut frontier = Frontier::new();
            for leaf in &self.0[..size] {
                frontier.push(*leaf);
            }
            frontier.root()
        }

        fn leaves(&self, indexes: &[u64]) -> Vec<(u64, Digest)> {
            indexes.iter().map(|index| (*index, self.0[*index as usize])).collect()
        }
    }

    impl TileSource for &Memory {
        type Error = Error;

        fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Digest>, Error> {
            let span = 256usize.pow(u32::from(level));
            let first = index as usize * 256 * span;
            let leaves =
                self.0.get(first..first + usize::from(width) * span).ok_or(outside(index, 0))?;
            Ok(leaves.chunks(span).map(tile::subtree_root).collect())
        }
    }

    #[test]
    fn every_small_tree_and_pair_of_sizes() {
        for size in 0..=40u16 {
            let log = Memory::new(size);
            let (tiles, size) = (log.tiles(), u64::from(size));
            let whole = log.root(size as usize);
            assert_eq!(root(&tiles, size), Ok(whole));
            for index in 0..size {
                let path = inclusion(&tiles, index, size).unwrap();
                let leaf = log.0[index as usize];
                verify_inclusion(&leaf, index, size, &path, &whole).unwrap();
                let nodes = multi_from_path(index, size, &path).unwrap();
                assert_eq!(multi_inclusion(&tiles, &[index], size).unwrap(), nodes);
            }
            for old in 0..=size {
                let path = consistency(&tiles, old, size).unwrap();
                verify_consistency(old, &log.root(old as usize), size, &whole, &path).unwrap();
            }
            assert!(inclusion(&tiles, size, size).is_err());
            assert!(consistency(&tiles, size + 1, size).is_err());
        }
    }

    #[test]
    fn every_set_of_leaves_of_small_trees() {
        for size in 1..=11u16 {
            let log = Memory::new(size);
            let size = u64::from(size);
            for set in 1..1u64 << size {
                let indexes: Vec<_> = (0..size).filter(|index| set >> index & 1 == 1).collect();
                let nodes = multi_inclusion(&log.tiles(), &indexes, size).unwrap();
                let leaves = log.leaves(&indexes);
                let found = root_from_multi(&leaves, size, &nodes).unwrap();
                assert_eq!(found, log.root(size as usize), "{indexes:?} of {size}");
                let longer = [&nodes[..], &[found]].concat();
                assert!(root_from_multi(&leaves, size, &longer).is_err());
                if let Some((_, shorter)) = nodes.split_last() {
                    assert!(root_from_multi(&leaves, size, shorter).is_err());
                }
            }
        }
    }

    #[test]
    fn indexes_must_ascend_and_lie_inside() {
        let log = Memory::new(5);
        let tiles = log.tiles();
        for indexes in [&[][..], &[1, 1], &[2, 1], &[5], &[0, u64::MAX]] {
            assert!(multi_inclusion(&tiles, indexes, 5).is_err(), "{indexes:?}");
            let leaves: Vec<_> = indexes.iter().map(|index| (*index, log.0[0])).collect();
            assert!(root_from_multi(&leaves, 5, &[]).is_err());
        }
        assert!(root_from_multi(&log.leaves(&[0]), 0, &[]).is_err());
    }

    #[test]
    fn the_largest_sizes_do_not_overflow() {
        let hashes = vec![Digest::default(); 64 * 4];
        for size in [u64::MAX, u64::MAX - 1, 1 << 63, (1 << 63) + 1] {
            for index in [0, 1, size / 2, size - 1] {
                let length = path_length(index, size).unwrap();
                let leaf = [(index, hashes[0])];
                assert!(root_from_multi(&leaf, size, &hashes[..length]).is_ok());
                assert!(multi_from_path(index, size, &hashes[..length]).is_ok());
            }
            let leaves = [(0, hashes[0]), (size / 2, hashes[0]), (size - 1, hashes[0])];
            assert!(root_from_multi(&leaves, size, &hashes).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_changed_hash_or_leaf_gives_another_root(
            size in 1..2000u16,
            picks in proptest::collection::btree_set(any::<u16>(), 1..20),
            change in any::<(bool, u16, u8)>(),
        ) {
            let log = Memory::new(size);
            let size = u64::from(size);
            let indexes: alloc::collections::BTreeSet<_> =
                picks.iter().map(|pick| u64::from(*pick) % size).collect();
            let indexes: Vec<_> = indexes.into_iter().collect();
            let mut nodes = multi_inclusion(&log.tiles(), &indexes, size).unwrap();
            let mut leaves = log.leaves(&indexes);
            let whole = log.root(size as usize);
            prop_assert_eq!(root_from_multi(&leaves, size, &nodes), Ok(whole));
            let (in_nodes, place, bit) = change;
            let hash = if in_nodes && !nodes.is_empty() {
                let place = usize::from(place) % nodes.len();
                &mut nodes[place]
            } else {
                let place = usize::from(place) % leaves.len();
                &mut leaves[place].1
            };
            let mut bytes = *hash.as_bytes();
            bytes[usize::from(bit) / 8] ^= 1 << (bit % 8);
            *hash = Digest::new(bytes);
            prop_assert_ne!(root_from_multi(&leaves, size, &nodes), Ok(whole));
        }
    }
}
