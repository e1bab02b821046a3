//! A map that can go back: what a block changed is kept until the block is final.
//!
//! Guarantees: [`Undo::rewind`] gives exactly the map of that position; memory holds the changes since the last
//! [`Undo::forget`] only. Does not: know blocks; positions count changes from the beginning.

use std::collections::{BTreeMap, VecDeque};

#[derive(Debug)]
pub(crate) struct Undo<K, V> {
    map: BTreeMap<K, V>,
    /// What was there before each change, oldest first.
    before: VecDeque<(K, Option<V>)>,
    /// Position of the oldest change that is kept.
    oldest: u64,
}

impl<K, V> Default for Undo<K, V> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), before: VecDeque::new(), oldest: 0 }
    }
}

impl<K: Ord + Clone, V> Undo<K, V> {
    pub(crate) const fn map(&self) -> &BTreeMap<K, V> {
        &self.map
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }

    /// Changes an entry; none removes it.
    pub(crate) fn put(&mut self, key: K, value: Option<V>) {
        let before = match value {
            Some(value) => self.map.insert(key.clone(), value),
            None => self.map.remove(&key),
        };
        self.before.push_back((key, before));
    }

    pub(crate) fn position(&self) -> u64 {
        self.oldest + self.before.len() as u64
    }

    /// Takes back every change from this position on, as far as they are kept.
    pub(crate) fn rewind(&mut self, position: u64) {
        while self.position() > position {
            let Some((key, before)) = self.before.pop_back() else { return };
            match before {
                Some(value) => self.map.insert(key, value),
                None => self.map.remove(&key),
            };
        }
    }

    /// Makes the changes before this position stay.
    pub(crate) fn forget(&mut self, position: u64) {
        while self.oldest < position && self.before.pop_front().is_some() {
            self.oldest += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_position_that_is_kept_comes_back(
            changes in proptest::collection::vec((0u8..4, proptest::option::of(0u8..9)), 0..40),
            forget in 0usize..40,
        ) {
            let (mut undo, mut maps) = (Undo::default(), vec![BTreeMap::new()]);
            for (key, value) in &changes {
                undo.put(*key, *value);
                maps.push(undo.map().clone());
            }
            let forget = forget.min(changes.len());
            undo.forget(forget as u64);
            for position in (forget..=changes.len()).rev() {
                undo.rewind(position as u64);
                prop_assert_eq!(undo.map(), &maps[position]);
            }
            undo.rewind(0);
            prop_assert_eq!(undo.map(), &maps[forget]);
        }
    }
}
