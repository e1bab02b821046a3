//! The RFC 6962 Merkle tree: hashes, the growing right edge, and the two proofs (RFC 9162 §2.1).
//!
//! Guarantees: leaves and nodes are hashed in separate domains; a proof is accepted only with exactly the number of
//! hashes that its tree size asks for. Does not: keep leaves or build proofs; `gateway/notary` does, from tiles.
//!
//! Order of use: [`Frontier::push`] each leaf hash, [`Frontier::root`] for a checkpoint; a verifier calls
//! [`verify_inclusion`] and [`verify_consistency`].

use crate::{
    Error,
    digest::{Digest, sha256},
};

/// Levels that a tree of 2⁶⁴ − 1 leaves can have.
pub const MAX_LEVELS: usize = 64;

/// Hash of a leaf: `SHA-256(0x00 ‖ entry)`.
pub fn leaf_hash(entry: &[u8]) -> Digest {
    sha256(&[&[0], entry])
}

/// Hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    sha256(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// Root of the tree without leaves: `SHA-256("")`.
pub fn empty_root() -> Digest {
    sha256(&[])
}

/// The right edge of a growing tree: the roots of its perfect subtrees, largest first.
#[derive(Clone, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// `nodes[level]` holds the subtree of 2^level leaves where bit `level` of `size` is set.
    nodes: [Digest; MAX_LEVELS],
}

impl Frontier {
    /// The edge of the empty tree.
    pub const fn new() -> Self {
        Self { size: 0, nodes: [Digest::new([0; 32]); MAX_LEVELS] }
    }

    /// The edge of a tree of `size` leaves; `node(level)` gives the perfect subtree of 2^level leaves that belongs to
    /// the edge, and is asked only for levels whose bit is set in `size`.
    pub fn from_nodes<E>(
        size: u64,
        mut node: impl FnMut(u8) -> Result<Digest, E>,
    ) -> Result<Self, E> {
        let mut frontier = Self::new();
        frontier.size = size;
        for level in 0..64u8 {
            if size >> level & 1 == 1 {
                frontier.nodes[usize::from(level)] = node(level)?;
            }
        }
        Ok(frontier)
    }

    /// Number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf and gives its index.
    pub fn push(&mut self, leaf: Digest) -> u64 {
        let index = self.size;
        let mut node = leaf;
        let mut level = 0;
        while index >> level & 1 == 1 {
            node = node_hash(&self.nodes[level], &node);
            level += 1;
        }
        self.nodes[level] = node;
        self.size = index + 1;
        index
    }

    /// Root hash of the leaves so far.
    pub fn root(&self) -> Digest {
        let mut levels = (0..MAX_LEVELS).filter(|level| self.size >> level & 1 == 1);
        let Some(first) = levels.next() else { return empty_root() };
        levels.fold(self.nodes[first], |right, level| node_hash(&self.nodes[level], &right))
    }
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Debug for Frontier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Frontier").field("size", &self.size).field("root", &self.root()).finish()
    }
}

/// Hashes of an inclusion path: those inside the perfect part, and those along the right edge.
fn path_shape(index: u64, size: u64) -> (u32, u32) {
    let inner = 64 - (index ^ (size - 1)).leading_zeros();
    let border = if inner == 64 { 0 } else { (index >> inner).count_ones() };
    (inner, border)
}

/// Number of hashes in the inclusion path of leaf `index` in a tree of `size`.
pub fn path_length(index: u64, size: u64) -> Result<usize, Error> {
    if index >= size {
        return Err(Error::OutsideTree { index, size });
    }
    let (inner, border) = path_shape(index, size);
    Ok((inner + border) as usize)
}

/// The root that leaf hash, index and path lead to (RFC 9162 §2.1.3.2).
pub fn root_from_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    path: &[Digest],
) -> Result<Digest, Error> {
    let needed = path_length(index, size)?;
    if path.len() != needed {
        return Err(Error::PathLength { needed, found: path.len() });
    }
    let (inner, _) = path_shape(index, size);
    let (inside, border) = path.split_at(inner as usize);
    let node = inside.iter().enumerate().fold(*leaf, |node, (level, sibling)| {
        if index >> level & 1 == 0 { node_hash(&node, sibling) } else { node_hash(sibling, &node) }
    });
    Ok(border.iter().fold(node, |node, sibling| node_hash(sibling, &node)))
}

/// Checks that the leaf at `index` belongs to the tree of `size` with this root.
pub fn verify_inclusion(
    leaf: &Digest,
    index: u64,
    size: u64,
    path: &[Digest],
    root: &Digest,
) -> Result<(), Error> {
    if root_from_inclusion(leaf, index, size, path)? == *root {
        Ok(())
    } else {
        Err(Error::RootMismatch)
    }
}

/// Checks that the tree of `new_size` begins with the tree of `old_size` (RFC 9162 §2.1.4.2).
///
/// An empty old tree is consistent with everything: the path is empty and `old_root` the empty root.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    new_root: &Digest,
    path: &[Digest],
) -> Result<(), Error> {
    if old_size > new_size {
        return Err(Error::OutsideTree { index: old_size, size: new_size });
    }
    if old_size == 0 || old_size == new_size {
        let same = if old_size == 0 { *old_root == empty_root() } else { old_root == new_root };
        return match (path.len(), same) {
            (0, true) => Ok(()),
            (0, false) => Err(Error::RootMismatch),
            (found, _) => Err(Error::PathLength { needed: 0, found }),
        };
    }
    consistency_roots(old_size, old_root, new_size, path).and_then(|(old, new)| {
        if old == *old_root && new == *new_root { Ok(()) } else { Err(Error::RootMismatch) }
    })
}

/// The two roots that a consistency path gives for `0 < old_size < new_size`.
fn consistency_roots(
    old_size: u64,
    old_root: &Digest,
    new_size: u64,
    path: &[Digest],
) -> Result<(Digest, Digest), Error> {
    let (inner, border) = path_shape(old_size - 1, new_size);
    let shift = old_size.trailing_zeros().min(inner);
    let whole = old_size == 1 << shift;
    let needed = (inner - shift + border) as usize + usize::from(!whole);
    if path.len() != needed {
        return Err(Error::PathLength { needed, found: path.len() });
    }
    let (seed, rest) = match path.split_first() {
        Some((first, rest)) if !whole => (*first, rest),
        _ => (*old_root, path),
    };
    let (inside, border) = rest.split_at((inner - shift) as usize);
    let position = (old_size - 1) >> shift;
    let (mut old, mut new) = (seed, seed);
    for (level, sibling) in inside.iter().enumerate() {
        if position >> level & 1 == 1 {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
        } else {
            new = node_hash(&new, sibling);
        }
    }
    for sibling in border {
        old = node_hash(sibling, &old);
        new = node_hash(sibling, &new);
    }
    Ok((old, new))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// The definition of RFC 6962 §2.1, as slow and plain as it stands there.
    fn tree_hash(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&tree_hash(left), &tree_hash(right))
            }
        }
    }

    fn inclusion(leaves: &[Digest], index: usize) -> Vec<Digest> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut path, sibling) = if index < left.len() {
            (inclusion(left, index), tree_hash(right))
        } else {
            (inclusion(right, index - left.len()), tree_hash(left))
        };
        path.push(sibling);
        path
    }

    fn consistency(leaves: &[Digest], old: usize, whole: bool) -> Vec<Digest> {
        if old == leaves.len() {
            return if whole { Vec::new() } else { std::vec![tree_hash(leaves)] };
        }
        let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
        let (mut path, sibling) = if old <= left.len() {
            (consistency(left, old, whole), tree_hash(right))
        } else {
            (consistency(right, old - left.len(), false), tree_hash(left))
        };
        path.push(sibling);
        path
    }

    fn leaves(count: u8) -> Vec<Digest> {
        (0..count).map(|byte| leaf_hash(&[byte])).collect()
    }

    #[test]
    fn eight_leaf_root_of_the_transparency_project() {
        // testdata of transparency-dev/merkle: the root of its eight reference leaves.
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
        let mut frontier = Frontier::new();
        for entry in entries {
            frontier.push(leaf_hash(entry));
        }
        let root = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328";
        assert_eq!(frontier.root(), Digest::from_hex(root).unwrap());
    }

    #[test]
    fn frontier_agrees_with_the_definition() {
        let leaves = leaves(100);
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root(), empty_root());
        for (count, leaf) in leaves.iter().enumerate() {
            assert_eq!(frontier.push(*leaf), count as u64);
            assert_eq!(frontier.root(), tree_hash(&leaves[..=count]));
        }
    }

    #[test]
    fn inclusion_of_every_leaf_and_no_other_path() {
        for size in 1..40usize {
            let leaves = leaves(40);
            let (tree, root) = (&leaves[..size], tree_hash(&leaves[..size]));
            for index in 0..size {
                let path = inclusion(tree, index);
                let check = |leaf: &Digest, index, path: &[Digest]| {
                    verify_inclusion(leaf, index as u64, size as u64, path, &root)
                };
                assert_eq!(check(&tree[index], index, &path), Ok(()));
                assert!(check(&leaf_hash(b"other"), index, &path).is_err());
                assert!(check(&tree[index], size, &path).is_err());
                let longer: Vec<_> = path.iter().copied().chain([root]).collect();
                assert!(check(&tree[index], index, &longer).is_err());
                for flip in 0..path.len() {
                    let mut wrong = path.clone();
                    wrong[flip] = leaf_hash(b"wrong");
                    assert_eq!(check(&tree[index], index, &wrong), Err(Error::RootMismatch));
                }
            }
        }
    }

    #[test]
    fn consistency_of_every_pair_and_no_other_path() {
        let leaves = leaves(40);
        for new in 1..=40usize {
            for old in 1..=new {
                let path = consistency(&leaves[..new], old, true);
                let (old_root, new_root) = (tree_hash(&leaves[..old]), tree_hash(&leaves[..new]));
                let check = |old_root: &Digest, path: &[Digest]| {
                    verify_consistency(old as u64, old_root, new as u64, &new_root, path)
                };
                assert_eq!(check(&old_root, &path), Ok(()), "{old} of {new}");
                assert!(check(&leaf_hash(b"fork"), &path).is_err());
                let longer: Vec<_> = path.iter().copied().chain([old_root]).collect();
                assert!(check(&old_root, &longer).is_err());
            }
        }
        assert_eq!(verify_consistency(0, &empty_root(), 5, &leaves[0], &[]), Ok(()));
        assert!(verify_consistency(3, &leaves[0], 2, &leaves[0], &[]).is_err());
    }

    #[test]
    fn the_largest_sizes_do_not_overflow() {
        let hashes = [Digest::default(); MAX_LEVELS];
        for index in [0, 1, u64::MAX / 2, u64::MAX - 2, u64::MAX - 1] {
            let length = path_length(index, u64::MAX).unwrap();
            assert!(root_from_inclusion(&hashes[0], index, u64::MAX, &hashes[..length]).is_ok());
            let _ = verify_consistency(index, &hashes[0], u64::MAX, &hashes[0], &hashes);
        }
    }
}
