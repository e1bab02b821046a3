//! An RFC 6962 tree in memory that gives inclusion paths: the final blocks, or the receipts of one block.

use sluicegate_protocol::{Digest, merkle};

/// `levels[n]` holds the roots of all perfect subtrees of 2ⁿ leaves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    levels: Vec<Vec<Digest>>,
}

impl Tree {
    pub(crate) fn of(leaves: impl IntoIterator<Item = Digest>) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.push(leaf));
        tree
    }

    pub(crate) fn push(&mut self, leaf: Digest) {
        let mut node = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(node);
            match nodes.as_slice() {
                [.., left, right] if nodes.len().is_multiple_of(2) => {
                    node = merkle::node_hash(left, right)
                }
                _ => break,
            }
        }
    }

    pub(crate) fn size(&self) -> usize {
        self.levels.first().map_or(0, Vec::len)
    }

    pub(crate) fn root(&self) -> Digest {
        self.range(0, self.size())
    }

    /// From leaf `index` up to the root.
    pub(crate) fn path(&self, index: usize) -> Vec<Digest> {
        let mut path = Vec::new();
        let (mut low, mut high) = (0, self.size());
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                path.push(self.range(middle, high));
                high = middle;
            } else {
                path.push(self.range(low, middle));
                low = middle;
            }
        }
        path.reverse();
        path
    }

    /// Root of the leaves `low..high`; `low` is a multiple of the largest power of two in the range.
    fn range(&self, low: usize, high: usize) -> Digest {
        let count = high - low;
        if count == 0 {
            return merkle::empty_root();
        }
        if count.is_power_of_two() {
            let level = count.trailing_zeros();
            return self.levels[level as usize][low >> level];
        }
        let middle = low + split(count);
        merkle::node_hash(&self.range(low, middle), &self.range(middle, high))
    }
}

/// The largest power of two below `count`.
const fn split(count: usize) -> usize {
    count.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use sluicegate_protocol::merkle::{Frontier, leaf_hash, verify_inclusion};

    use super::*;

    #[test]
    fn every_path_of_every_size_verifies() {
        let (mut tree, mut frontier) = (Tree::default(), Frontier::new());
        assert_eq!(tree.root(), frontier.root());
        for size in 1..=70u8 {
            let leaf = leaf_hash(&[size]);
            tree.push(leaf);
            frontier.push(leaf);
            assert_eq!(tree.root(), frontier.root());
            for index in 0..size {
                let (leaf, path) = (leaf_hash(&[index + 1]), tree.path(index.into()));
                let (index, size) = (index.into(), size.into());
                assert_eq!(verify_inclusion(&leaf, index, size, &path, &tree.root()), Ok(()));
            }
        }
    }
}
