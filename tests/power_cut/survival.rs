//! What survives a power cut of the changes that no sync covered: all the ways that are tested.
//!
//! Guarantees: whatever a sync covered survives in each of them. The ways are extremes, not a sample of everything that
//! a disk can do: nothing, all, names without contents and the other way round, only the database or only the log,
//! later changes without earlier ones, each second change, and the last write torn.

/// A change that no sync covered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// The step that made it.
    pub(crate) order: u64,
    /// Its place among the pending changes of its file or folder.
    pub(crate) position: usize,
    /// How many those are.
    pub(crate) count: usize,
    /// It was under way when the power failed.
    pub(crate) last: bool,
    /// It belongs to a file of the database.
    pub(crate) database: bool,
    /// It is a name, not content.
    pub(crate) name: bool,
}

/// What becomes of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    Lost,
    /// Half of its bytes.
    Half,
    /// What comes before the first border of a 512-byte sector inside it.
    Sector,
    /// The file is as long as if it had been written, but holds zeros.
    Zeros,
}

/// One way of surviving.
pub(crate) struct Survival {
    pub(crate) name: &'static str,
    fate: fn(&Candidate) -> Fate,
}

impl Survival {
    pub(crate) fn fate(&self, candidate: &Candidate) -> Fate {
        (self.fate)(candidate)
    }
}

/// Only what was synced is there.
pub(crate) const NOTHING: Survival = Survival { name: "nothing unsynced", fate: |_| Fate::Lost };

/// Nothing is lost.
pub(crate) const EVERYTHING: Survival = Survival { name: "everything", fate: |_| Fate::Kept };

/// All ways.
pub(crate) const WAYS: [Survival; 15] = [
    NOTHING,
    EVERYTHING,
    Survival { name: "all but the last", fate: |change| kept(!change.last) },
    Survival { name: "the last torn in half", fate: |change| torn(change, Fate::Half) },
    Survival { name: "the last torn at a sector", fate: |change| torn(change, Fate::Sector) },
    Survival { name: "names without contents", fate: |change| kept(change.name) },
    Survival { name: "contents without names", fate: |change| kept(!change.name) },
    Survival { name: "names and lengths", fate: lengths },
    Survival { name: "only the newest", fate: |change| kept(change.position + 1 == change.count) },
    Survival { name: "all but the oldest", fate: |change| kept(change.position > 0) },
    Survival { name: "only the database", fate: |change| kept(change.database) },
    Survival { name: "only the log", fate: |change| kept(!change.database) },
    Survival { name: "each second", fate: |change| kept(change.order % 2 == 0) },
    Survival { name: "each other second", fate: |change| kept(change.order % 2 == 1) },
    Survival { name: "only what was under way", fate: |change| kept(change.last) },
];

const fn kept(kept: bool) -> Fate {
    if kept { Fate::Kept } else { Fate::Lost }
}

fn torn(change: &Candidate, fate: Fate) -> Fate {
    if change.last && !change.name { fate } else { Fate::Kept }
}

fn lengths(change: &Candidate) -> Fate {
    if change.name { Fate::Kept } else { Fate::Zeros }
}

impl Fate {
    /// The bytes that reach the disk at `offset`, over this content.
    pub(crate) fn of(self, offset: usize, bytes: &[u8], content: &[u8]) -> Vec<u8> {
        const SECTOR: usize = 512;
        match self {
            Self::Kept => bytes.to_vec(),
            Self::Lost => Vec::new(),
            Self::Half => bytes[..bytes.len() / 2].to_vec(),
            Self::Sector => {
                let border = (offset / SECTOR + 1) * SECTOR - offset;
                bytes.get(..border).unwrap_or_default().to_vec()
            }
            Self::Zeros => {
                let old = content.get(offset..).unwrap_or_default();
                let mut left = old[..old.len().min(bytes.len())].to_vec();
                left.resize(bytes.len(), 0);
                left
            }
        }
    }
}
