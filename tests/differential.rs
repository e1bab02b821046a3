//! Our tree against `ct-merkle`, an independent implementation, on random trees.
//!
//! Guarantees: the same roots; each side accepts the other's proofs and refuses the tampered ones. The trees follow
//! from a fixed seed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use ct_merkle::{ConsistencyProof, InclusionProof, RootHash, mem_backed_tree::MemoryBackedTree};
use sha2_011::{Sha256, digest::Output};
use sluicegate_notary::{
    Error,
    proof::{self, NodeSource, TileSource, Tiles},
    tile,
};
use sluicegate_protocol::{
    Digest,
    merkle::{Frontier, leaf_hash, verify_consistency, verify_inclusion},
};

/// SplitMix64: small, seeded, good enough to pick trees and leaves.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.below(40);
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

/// The same leaves on both sides: ours as tiles, theirs as their tree.
struct Pair {
    entries: Vec<Vec<u8>>,
    levels: Vec<Vec<Digest>>,
    edges: Vec<(u64, Digest)>,
    theirs: MemoryBackedTree<Sha256, Vec<u8>>,
}

impl Pair {
    /// A tree of random entries that remembers our roots at `sizes`.
    fn new(random: &mut Random, size: u64, sizes: &[u64]) -> Self {
        let entries: Vec<_> = (0..size).map(|_| random.bytes()).collect();
        let mut theirs = MemoryBackedTree::new();
        let (mut frontier, mut edges) = (Frontier::new(), vec![(0, Frontier::new().root())]);
        for entry in &entries {
            theirs.push(entry.clone());
            frontier.push(leaf_hash(entry));
            if sizes.contains(&frontier.size()) || frontier.size() == size {
                edges.push((frontier.size(), frontier.root()));
            }
        }
        let mut levels = vec![entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>()];
        while let Some(last) = levels.last().filter(|last| last.len() >= 256) {
            levels.push(last.chunks_exact(256).map(tile::subtree_root).collect());
        }
        Self { entries, levels, edges, theirs }
    }

    fn size(&self) -> u64 {
        self.entries.len() as u64
    }

    fn root_at(&self, size: u64) -> Digest {
        self.edges.iter().find(|(known, _)| *known == size).unwrap().1
    }

    fn root(&self) -> Digest {
        self.root_at(self.size())
    }

    fn tiles(&self) -> Tiles<&Self> {
        Tiles::new(self, self.size())
    }

    fn leaf(&self, index: u64) -> Digest {
        self.levels[0][usize::try_from(index).unwrap()]
    }
}

impl TileSource for &Pair {
    type Error = Error;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Digest>, Error> {
        let first = usize::try_from(index).unwrap() * 256;
        Ok(self.levels[usize::from(level)][first..first + usize::from(width)].to_vec())
    }
}

fn bytes(path: &[Digest]) -> Vec<u8> {
    path.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

fn digests(bytes: &[u8]) -> Vec<Digest> {
    bytes.chunks(32).map(|hash| Digest::from_slice(hash).unwrap()).collect()
}

/// Our root as theirs.
fn their_root(root: Digest, size: u64) -> RootHash<Sha256> {
    RootHash::new(Output::<Sha256>::from(*root.as_bytes()), size)
}

/// The path with one flipped bit, if it has any.
fn tampered(random: &mut Random, path: &[Digest]) -> Option<Vec<Digest>> {
    let mut raw = bytes(path);
    let bits = raw.len() as u64 * 8;
    let bit = usize::try_from(if bits > 0 { random.below(bits) } else { return None }).unwrap();
    raw[bit / 8] ^= 1 << (bit % 8);
    Some(digests(&raw))
}

fn compare_inclusion(random: &mut Random, pair: &Pair, index: u64) {
    let (size, root, leaf) = (pair.size(), pair.root(), pair.leaf(index));
    let place = usize::try_from(index).unwrap();
    let ours = proof::inclusion(&pair.tiles(), index, size).unwrap();
    let theirs = pair.theirs.prove_inclusion(place);
    assert_eq!(bytes(&ours), theirs.as_bytes(), "leaf {index} of {size}");
    let root_theirs = their_root(root, size);
    let check = |entry: &Vec<u8>, path: &[Digest]| {
        let path = InclusionProof::<Sha256>::try_from_bytes(bytes(path));
        path.is_ok_and(|path| root_theirs.verify_inclusion(entry, index, &path).is_ok())
    };
    let entry = &pair.entries[place];
    assert!(check(entry, &ours));
    assert_eq!(verify_inclusion(&leaf, index, size, &digests(theirs.as_bytes()), &root), Ok(()));
    let other = [entry.as_slice(), b"!"].concat();
    assert!(!check(&other, &ours));
    assert!(verify_inclusion(&leaf_hash(&other), index, size, &ours, &root).is_err());
    if let Some(bad) = tampered(random, &ours) {
        assert!(!check(entry, &bad));
        assert!(verify_inclusion(&leaf, index, size, &bad, &root).is_err());
        let short = &ours[1..];
        assert!(verify_inclusion(&leaf, index, size, short, &root).is_err());
    }
}

fn compare_consistency(random: &mut Random, pair: &Pair, old: u64) {
    let (new, old_root, new_root) = (pair.size(), pair.root_at(old), pair.root());
    let ours = proof::consistency(&pair.tiles(), old, new).unwrap();
    let additions = usize::try_from(new - old).unwrap();
    let theirs = pair.theirs.prove_consistency(additions);
    assert_eq!(bytes(&ours), theirs.as_bytes(), "{old} to {new}");
    let (old_theirs, new_theirs) = (their_root(old_root, old), their_root(new_root, new));
    let check = |path: &[Digest]| {
        let path = ConsistencyProof::<Sha256>::try_from_bytes(bytes(path));
        path.is_ok_and(|path| new_theirs.verify_consistency(&old_theirs, &path).is_ok())
    };
    assert!(check(&ours));
    let received = digests(theirs.as_bytes());
    assert_eq!(verify_consistency(old, &old_root, new, &new_root, &received), Ok(()));
    let fork = leaf_hash(b"fork");
    assert!(verify_consistency(old, &fork, new, &new_root, &ours).is_err());
    if let Some(bad) = tampered(random, &ours) {
        assert!(!check(&bad));
        assert!(verify_consistency(old, &old_root, new, &new_root, &bad).is_err());
    }
}

fn compare_many(random: &mut Random, pair: &Pair, count: u64) {
    let (size, root) = (pair.size(), pair.root());
    let mut indexes: Vec<u64> = (0..count).map(|_| random.below(size)).collect();
    indexes.sort_unstable();
    indexes.dedup();
    let leaves: Vec<_> = indexes.iter().map(|index| (*index, pair.leaf(*index))).collect();
    let nodes = proof::multi_inclusion(&pair.tiles(), &indexes, size).unwrap();
    assert_eq!(proof::root_from_multi(&leaves, size, &nodes), Ok(root));
    let paths = indexes.iter().map(|i| proof::inclusion(&pair.tiles(), *i, size).unwrap());
    let singles: Vec<Digest> = paths.flatten().collect();
    assert!(nodes.len() <= singles.len());
    assert!(nodes.iter().all(|node| singles.contains(node)));
    if let Some(bad) = tampered(random, &nodes) {
        assert_ne!(proof::root_from_multi(&leaves, size, &bad), Ok(root));
    }
    let mut moved = leaves.clone();
    let last = moved.len() - 1;
    moved[last].0 = (moved[last].0 + 1) % size;
    if moved != leaves {
        assert_ne!(proof::root_from_multi(&moved, size, &nodes), Ok(root));
    }
}

fn compare(random: &mut Random, size: u64, rounds: u64) {
    let mut sizes: Vec<u64> = (0..rounds).map(|_| 1 + random.below(size)).collect();
    sizes.extend([1, size]);
    let pair = Pair::new(random, size, &sizes);
    assert_eq!(pair.root().as_bytes(), pair.theirs.root().as_bytes().as_slice());
    assert_eq!(proof::root(&pair.tiles(), size), Ok(pair.root()));
    for old in sizes {
        compare_consistency(random, &pair, old);
        compare_many(random, &pair, 1 + rounds);
    }
    for index in (0..rounds).map(|_| random.below(size)).chain([0, size - 1]).collect::<Vec<_>>() {
        compare_inclusion(random, &pair, index);
    }
}

#[test]
fn every_leaf_and_size_of_small_trees() {
    let mut random = Random(1);
    for size in 1..=70 {
        let sizes: Vec<u64> = (1..=size).collect();
        let pair = Pair::new(&mut random, size, &sizes);
        for place in 0..size {
            compare_inclusion(&mut random, &pair, place);
            compare_consistency(&mut random, &pair, place + 1);
        }
    }
}

#[test]
fn trees_around_the_width_of_tiles() {
    let mut random = Random(2);
    for size in [255, 256, 257, 511, 512, 65_535, 65_536, 65_537] {
        compare(&mut random, size, 12);
    }
}

#[test]
fn random_trees() {
    let mut random = Random(3);
    for limit in [1000, 1000, 1000, 10_000, 10_000, 100_000] {
        let size = limit / 2 + random.below(limit / 2);
        compare(&mut random, size, 20);
    }
    compare(&mut random, 100_000, 40);
}

#[test]
fn reference_leaves_of_the_transparency_project() {
    // testdata of transparency-dev/merkle: its eight leaves, and the root of the first n of them.
    let entries: [&[u8]; 8] = [
        b"",
        &[0x00],
        &[0x10],
        &[0x20, 0x21],
        &[0x30, 0x31],
        &[0x40, 0x41, 0x42, 0x43],
        &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
        &[96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111],
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    struct Leaves(Vec<Digest>);
    impl NodeSource for Leaves {
        type Error = Error;
        fn node(&self, level: u8, index: u64) -> Result<Digest, Error> {
            let first = usize::try_from(index << level).unwrap();
            Ok(tile::subtree_root(&self.0[first..first + (1 << level)]))
        }
    }
    let leaves = Leaves(entries.iter().map(|entry| leaf_hash(entry)).collect());
    let root = |size: u64| proof::root(&leaves, size).unwrap();
    for (size, expected) in (1..).zip(roots) {
        assert_eq!(root(size).to_string(), expected, "{size}");
    }
    for (old, new) in [(1, 8), (6, 8), (2, 5), (6, 7), (8, 8)] {
        let path = proof::consistency(&leaves, old, new).unwrap();
        assert_eq!(verify_consistency(old, &root(old), new, &root(new), &path), Ok(()));
    }
}
