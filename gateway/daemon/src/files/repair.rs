//! Mending tiles of hashes, from entries and from each other, against a root that was signed.
//!
//! Guarantees: [`LogFiles::repair`] writes nothing unless what is there, put together, gives the signed root; so it never
//! replaces a right hash by that of a damaged entry. A bundle of entries that is damaged stays as it is: its hashes keep
//! the log going, and only reading its entries fails. Does not: invent what both a bundle and its hashes lost.
//! Holds one hash for each 256 leaves, and reads every tile twice.

use sluicegate_notary::tile::{self, Kind, LEVELS};
use sluicegate_protocol::{
    Digest,
    merkle::{Frontier, empty_root, leaf_hash},
};

use super::{LogFiles, WIDTH_64};
use crate::{Error, disk::Disk};

/// So many tiles that could be either of two are tried in every combination.
const MOST_DOUBTS: usize = 8;

/// Roots of the full level-0 tiles as they may be.
#[derive(Default)]
struct Survey {
    /// The likely one of each tile; where there is doubt, that of its entries.
    roots: Vec<Digest>,
    /// Tiles that may as well have this root, that of their hashes.
    doubts: Vec<(usize, Digest)>,
    /// The first bundle that is not that of its hashes.
    first_damaged: Option<u64>,
}

impl<D: Disk> LogFiles<D> {
    /// Writes tiles of hashes anew wherever they differ from what gives `root` at `size`, the newest signed checkpoint;
    /// gives the number of tiles mended. If nothing gives that root, nothing is written.
    pub fn repair(&mut self, size: u64, root: &Digest) -> Result<u64, Error> {
        let mut survey = Survey::default();
        for index in 0..self.tiled / WIDTH_64 {
            self.survey_tile(&mut survey, index, size)?;
        }
        if !self.settle_doubts(&mut survey, size, root)? {
            return Err(self.beyond_repair(&survey));
        }
        let mut mended = 0;
        let mut edges: [Vec<Digest>; LEVELS as usize] = Default::default();
        for (index, root) in (0..).zip(&survey.roots) {
            edges[0] = self.leaves_with_root(index, root)?;
            mended += self.raise(&mut edges, index, &mut |files, path, bytes| {
                let differs = files.read(path)?.is_none_or(|found| found != bytes);
                if differs {
                    files.make_parent(path)?;
                    files.write_tile(path, &bytes)?;
                }
                Ok(u64::from(differs))
            })?;
        }
        edges[0] = std::mem::take(&mut self.edges[0]);
        self.edges = edges;
        self.unreadable = false;
        Ok(mended)
    }

    /// Finds out what the root of a full level-0 tile may be.
    fn survey_tile(&self, survey: &mut Survey, index: u64, size: u64) -> Result<(), Error> {
        let hashed = absent_if_damaged(self.full_tile(0, index))?;
        let entered = absent_if_damaged(self.entry_hashes(index))?;
        let contradict = entered.is_none() || hashed.as_ref().is_some_and(|_| hashed != entered);
        if contradict && survey.first_damaged.is_none() {
            survey.first_damaged = Some(index);
        }
        // No checkpoint tells which of them is right.
        if contradict && index >= size / WIDTH_64 {
            return Err(self.beyond_repair(survey));
        }
        let above = hashed.as_ref().and_then(|_| self.root_above(index));
        let roots =
            [entered, hashed].map(|hashes| hashes.map(|hashes| tile::subtree_root(&hashes)));
        let position = survey.roots.len();
        survey.roots.push(match roots {
            [None, None] => return Err(self.beyond_repair(survey)),
            [Some(entered), Some(hashed)] if entered != hashed && above != Some(hashed) => {
                if above != Some(entered) {
                    survey.doubts.push((position, hashed));
                }
                entered
            }
            [_, Some(root)] | [Some(root), None] => root,
        });
        Ok(())
    }

    /// Chooses among the doubtful roots so that together they give the signed one.
    fn settle_doubts(&self, survey: &mut Survey, size: u64, root: &Digest) -> Result<bool, Error> {
        let likely = survey.roots.clone();
        // Beyond that many, tiles share a choice: at least all entries and all hashes are tried.
        for choice in 0..1_u32 << survey.doubts.len().min(MOST_DOUBTS) {
            for (number, (position, hashed)) in survey.doubts.iter().enumerate() {
                let takes_hashed = choice >> (number % MOST_DOUBTS) & 1 == 1;
                survey.roots[*position] = if takes_hashed { *hashed } else { likely[*position] };
            }
            if self.root_of(&survey.roots, size)? == Some(*root) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Root of the first `size` leaves if the full tiles have these roots.
    fn root_of(&self, roots: &[Digest], size: u64) -> Result<Option<Digest>, Error> {
        if size == 0 {
            return Ok(Some(empty_root()));
        }
        let full = usize::try_from(size / WIDTH_64).unwrap_or(usize::MAX);
        let rest = usize::try_from(size % WIDTH_64).unwrap_or(0);
        let Some(whole) = roots.get(..full) else { return Ok(None) };
        let leaves = match roots.get(full).filter(|_| rest > 0) {
            Some(root) => self.leaves_with_root(size / WIDTH_64, root)?,
            None => self.edges[0].clone(),
        };
        let Some(leaves) = leaves.get(..rest) else { return Ok(None) };
        let frontier = Frontier::from_nodes(size, |level| {
            let (nodes, level) = match level.checked_sub(tile::HEIGHT) {
                Some(level) => (whole, level),
                None => (leaves, level),
            };
            // The last perfect subtree of this size, as the bits of the size say.
            let length = nodes.len() >> level << level;
            let first = length.checked_sub(1 << level);
            let subtree = first.and_then(|first| nodes.get(first..length));
            subtree.map(tile::subtree_root).ok_or(())
        });
        Ok(frontier.ok().map(|frontier| frontier.root()))
    }

    /// The leaf hashes of a full tile, from its hashes or its entries, whichever have this root.
    fn leaves_with_root(&self, index: u64, root: &Digest) -> Result<Vec<Digest>, Error> {
        let hashed = absent_if_damaged(self.full_tile(0, index))?;
        if let Some(leaves) = hashed.filter(|leaves| tile::subtree_root(leaves) == *root) {
            return Ok(leaves);
        }
        let entered = self.entry_hashes(index)?;
        let fits = tile::subtree_root(&entered) == *root;
        fits.then_some(entered).ok_or_else(|| self.damaged_bundle(index))
    }

    fn entry_hashes(&self, index: u64) -> Result<Vec<Digest>, Error> {
        Ok(self.bundle(index)?.iter().map(|entry| leaf_hash(entry)).collect())
    }

    /// What the full tile above says of a level-0 tile, if it is there and can be read.
    fn root_above(&self, index: u64) -> Option<Digest> {
        let above = self.full_tile(1, index / WIDTH_64).ok()?;
        above.get(usize::try_from(index % WIDTH_64).ok()?).copied()
    }

    fn damaged_bundle(&self, index: u64) -> Error {
        let path = self.tile_path(Kind::Entries, index);
        Error::Damaged(format!("{path} is not what the tree has hashes of"))
    }

    fn beyond_repair(&self, survey: &Survey) -> Error {
        match survey.first_damaged {
            Some(index) => self.damaged_bundle(index),
            None => self.damaged("its entries do not give the root that was signed"),
        }
    }
}

fn absent_if_damaged<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Err(Error::Damaged(_)) => Ok(None),
        other => other.map(Some),
    }
}
