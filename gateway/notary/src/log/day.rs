//! The device days that are not closed yet, each with the root over its readings so far.
//!
//! Guarantees: a summary covers every reading of its device and day in this log, those from before a restart included;
//! a day that gets a reading after its summary (the clock stepped back) is summarised again, as a whole.

use alloc::{
    collections::BTreeMap,
    string::{String, ToString},
    vec::Vec,
};

use sluicegate_protocol::{Digest, merkle::Frontier};

use super::History;
use crate::entry::{Pseudonym, Summary};

/// The readings of a device's day that are durable: index and leaf hash, by index.
pub type DayLeaves = Vec<(u64, Digest)>;

/// Device days that a reading or a restart has opened.
pub(super) struct Days {
    open: BTreeMap<(u32, String), Day>,
}

struct Day {
    /// Loaded from the store when first needed.
    tree: Option<DayTree>,
    /// A summary over all its readings is in the queue or in the log.
    closed: bool,
}

struct DayTree {
    frontier: Frontier,
    first: u64,
    last: u64,
}

impl DayTree {
    fn load(leaves: DayLeaves) -> Self {
        let mut tree = Self { frontier: Frontier::new(), first: 0, last: 0 };
        for (index, leaf) in leaves {
            tree.push(index, leaf);
        }
        tree
    }

    fn push(&mut self, index: u64, leaf: Digest) {
        if self.frontier.size() == 0 {
            self.first = index;
        }
        self.last = index;
        self.frontier.push(leaf);
    }
}

impl Days {
    pub(super) fn new(open: Vec<(String, u32)>) -> Self {
        let days = open
            .into_iter()
            .map(|(device, day)| ((day, device), Day { tree: None, closed: false }));
        Self { open: days.collect() }
    }

    /// Days before `today` that still lack a summary; each is given once. Forgets closed days before yesterday.
    pub(super) fn take_ended(&mut self, today: u32) -> Vec<(String, u32)> {
        self.open.retain(|(day, _), state| !state.closed || day.saturating_add(1) >= today);
        let ended = self.open.iter_mut().filter(|((day, _), state)| *day < today && !state.closed);
        ended
            .map(|((day, device), state)| {
                state.closed = true;
                (device.clone(), *day)
            })
            .collect()
    }

    /// Adds a reading's leaf to its day.
    pub(super) fn push<H: History>(
        &mut self,
        (device, day): (&str, u32),
        (index, leaf): (u64, Digest),
        history: &H,
    ) -> Result<(), H::Error> {
        let state = self.state(device, day, history)?;
        state.closed = false;
        if let Some(tree) = &mut state.tree {
            tree.push(index, leaf);
        }
        Ok(())
    }

    /// The summary of a day, over all its readings so far.
    pub(super) fn summarise<H: History>(
        &mut self,
        (device, day): (&str, u32),
        pseudonym: Pseudonym,
        history: &H,
    ) -> Result<Option<Summary>, H::Error> {
        let state = self.state(device, day, history)?;
        state.closed = true;
        Ok(state.tree.as_ref().filter(|tree| tree.frontier.size() > 0).map(|tree| Summary {
            pseudonym,
            day,
            count: tree.frontier.size(),
            first: tree.first,
            last: tree.last,
            root: tree.frontier.root(),
        }))
    }

    fn state<H: History>(
        &mut self,
        device: &str,
        day: u32,
        history: &H,
    ) -> Result<&mut Day, H::Error> {
        let fresh = Day { tree: None, closed: false };
        let state = self.open.entry((day, device.to_string())).or_insert(fresh);
        if state.tree.is_none() {
            state.tree = Some(DayTree::load(history.day(device, day)?));
        }
        Ok(state)
    }
}
