//! Why a ledger's file can't be opened or used. What the port answers is [`sluicegate_ledger::Error`].

use std::{io, path::PathBuf};

/// What went wrong, and with whom.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Storage: the file is damaged at this place and goes on behind it; set it aside.
    #[error("the ledger file is damaged at byte {offset}: {reason}")]
    Corrupt {
        /// Where the damaged record begins.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Administrator: the file belongs to another ledger.
    #[error("the file belongs to the ledger {found}, not to {expected} with this key")]
    Identity {
        /// The name in the file.
        found: String,
        /// The configured name.
        expected: String,
    },
    /// Administrator: no name of a ledger.
    #[error("{0:?} is no name for a ledger")]
    Name(String),
    /// Administrator: the file is something else; it is left alone.
    #[error("the file is not a ledger")]
    NotALedger,
    /// Administrator: another process owns the file.
    #[error("{} is owned by another process", .0.display())]
    Owned(PathBuf),
    /// Storage: the operating system refuses.
    #[error("storage")]
    Storage(#[from] io::Error),
}
