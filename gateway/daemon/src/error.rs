//! The one error type of the daemon: what happened, whose fault it is, and what an administrator can do.
//!
//! Exit codes follow from it in [`crate::report`]; nothing here prints.

use std::{io, path::PathBuf};

/// Why something did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration file breaks a rule; the administrator mends it.
    #[error("configuration {}: {reason}", file.display())]
    Configuration {
        /// The file.
        file: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A credential is missing, malformed or readable by others.
    #[error("credential {name}: {reason}")]
    Credential {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Files of the log do not agree with each other or with a signed checkpoint.
    #[error("the log's files are damaged: {0}")]
    Damaged(String),
    /// The database failed or is damaged.
    #[error("the database failed: {0}")]
    Database(#[from] rusqlite::Error),
    /// The settings of the DTLS sessions contradict each other.
    #[error("dtls: {0}")]
    Dtls(String),
    /// The state folder belongs to another running process.
    #[error("{} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The ledger said no, or nothing.
    #[error(transparent)]
    Ledger(#[from] sluicegate_ledger::Error),
    /// The store failed, or has to be left for another log; it is opened anew.
    #[error("{0}")]
    Failed(String),
    /// The network can't be used.
    #[error("{what}: {source}")]
    Network {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Nothing in the log matches.
    #[error("{0}")]
    NotFound(String),
    /// A rule of the log or of its proofs was broken.
    #[error(transparent)]
    Notary(#[from] sluicegate_notary::Error),
    /// The gateway at the local socket can't be reached or broke off.
    #[error("the gateway at {}: {reason}", socket.display())]
    Gateway {
        /// Its socket.
        socket: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The disk failed.
    #[error("{what}: {source}")]
    Storage {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The gateway is being stopped.
    #[error("the gateway is stopping")]
    Stopping,
    /// An argument of the command line is wrong.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// For `map_err`: the disk failed while doing `what`.
    pub fn storage(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Storage { what, source }
    }

    /// Whether the database file itself is unusable, and a new one has to be begun: it says so, or lacks what the schema
    /// has, or holds what was never written.
    pub fn is_damaged_database(&self) -> bool {
        use rusqlite::{
            Error::{
                FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType,
                SqlInputError, Utf8Error,
            },
            ErrorCode::{DatabaseCorrupt, NotADatabase, TooBig, Unknown},
        };
        let Self::Database(error) = self else { return false };
        let code = error.sqlite_error_code();
        matches!(code, Some(DatabaseCorrupt | NotADatabase | TooBig | Unknown))
            || matches!(
                error,
                FromSqlConversionFailure(..)
                    | IntegralValueOutOfRange(..)
                    | InvalidColumnType(..)
                    | SqlInputError { .. }
                    | Utf8Error(..)
            )
    }
}
