//! The SQLite database: openings, keys, days, anchors, outbox, channels.
//!
//! Guarantees: WAL with `synchronous=FULL`, so a transaction that returned is durable; each method is one transaction,
//! all or nothing; what is deleted is overwritten (`secure_delete`). Does not: hold leaves ([`crate::files`]), or decide
//! anything; rows of leaves that never became durable are removed by [`Store::recover`],
//! and whatever it read is durable afterwards.
//!
//! Tables and columns: `store/schema.sql`, `store/channels.sql`, `store/signing.sql`, `store/meters.sql`. Order of
//! calls: [`Store::open`], [`Store::current_log`], [`Store::recover`].

mod again;
mod anchors;
pub mod channels;
pub mod commands;
pub mod meters;
mod outbox;
pub mod publications;
pub(crate) mod readings;
pub mod recent;
pub mod signing;

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use sluicegate_notary::entry::Predecessor;

pub use self::{
    again::Place,
    anchors::{Anchor, AnchorState},
    readings::{Selection, StoredReading},
};
use crate::Error;

/// `user_version` of this schema.
const VERSION: i64 = 5;

/// The version without channels.
const WITHOUT_CHANNELS: i64 = 3;

/// The version without what came with this one.
const WITH_CHANNELS: i64 = 4;

/// Everything but channels.
const TABLES: &str = include_str!("schema.sql");

/// The tables of channels.
const CHANNEL_TABLES: &str = include_str!("channels.sql");

/// The tables of devices that sign for themselves.
const SIGNING_TABLES: &str = include_str!("signing.sql");

/// The tables of metered payments.
const METER_TABLES: &str = include_str!("meters.sql");

/// How long to wait for another process to let go of the file.
const BUSY: Duration = Duration::from_secs(1);

/// `meta` name of what a new log says of the one before.
const PREDECESSOR: &str = "predecessor";

/// `meta` name under which a declared restore waits for the next start.
pub(crate) const RESTORED: &str = "restored";

/// The database of one gateway.
pub struct Store {
    db: Connection,
    /// Number of the open log.
    log: i64,
}

/// A log of this gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLog {
    /// Its number, and the name of its folder.
    pub number: u32,
    /// Its origin.
    pub origin: String,
    /// So many leaves were durable before the newest commit.
    pub durable: u64,
    /// For so many leaves there are rows, or none are needed.
    pub stored: u64,
    /// The newest checkpoint that may have been shown, as size and note.
    pub head: Option<(u64, String)>,
}

impl Store {
    /// Opens or creates the database; `vfs` names another file layer than the operating system's.
    pub fn open(path: &Path, vfs: Option<&str>) -> Result<Self, Error> {
        Self::open_file(path, vfs).map_err(|error| match error {
            Error::Database(cause)
                if cause.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) =>
            {
                Error::InUse(path.to_owned())
            }
            other => other,
        })
    }

    fn open_file(path: &Path, vfs: Option<&str>) -> Result<Self, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = match vfs {
            None => Connection::open_with_flags(path, flags)?,
            Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs)?,
        };
        db.busy_timeout(BUSY)?;
        // One owner process: no other may open the file while it runs.
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "secure_delete", "ON")?;
        let mut store = Self { db, log: 0 };
        store.create_schema(path)?;
        Ok(store)
    }

    /// Closes the file; the store is empty and in memory from then on.
    pub fn close(&mut self) {
        if let Ok(nothing) = Connection::open_in_memory() {
            self.db = nothing;
        }
    }

    /// The newest log, if there is one.
    pub fn current_log(&mut self) -> Result<Option<OpenLog>, Error> {
        let newest = self.logs()?.pop();
        self.log = newest.as_ref().map_or(0, |log| i64::from(log.number));
        Ok(newest)
    }

    /// All logs, the open one last.
    pub fn logs(&self) -> Result<Vec<OpenLog>, Error> {
        let sql = "SELECT id, origin, head_size, head_note, durable, stored FROM log ORDER BY id";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let head: (Option<i64>, Option<String>) = (row.get(2)?, row.get(3)?);
            let head = head.0.map(unsigned).zip(head.1);
            let (number, origin) = (row.get(0)?, row.get(1)?);
            let (durable, stored) = (unsigned(row.get(4)?), unsigned(row.get(5)?));
            Ok(OpenLog { number, origin, durable, stored, head })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Begins the log with this number and origin; it is the open one from now on. Keeps what its genesis leaf says of
    /// the one before, and forgets a declared restore: it is done. The readings of a log that was `lost` may be logged
    /// again, and its erasures have to be.
    pub fn begin_log(
        &mut self,
        number: u32,
        origin: String,
        predecessor: Option<&Predecessor>,
        lost: Option<u32>,
    ) -> Result<OpenLog, Error> {
        let db = self.db.transaction()?;
        db.execute("UPDATE log SET set_aside = 1 WHERE id = ?1", [lost])?;
        db.execute("DELETE FROM meta WHERE name IN (?1, ?2)", [PREDECESSOR, RESTORED])?;
        if let Some(Predecessor { origin, size, root }) = predecessor {
            let text = format!("{size} {root} {origin}");
            let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2)";
            db.execute(sql, params![PREDECESSOR, text.as_bytes()])?;
        }
        let sql = "INSERT INTO log (id, origin) VALUES (?1, ?2)";
        db.execute(sql, params![number, origin])?;
        db.commit()?;
        self.log = i64::from(number);
        Ok(OpenLog { number, origin, durable: 0, stored: 0, head: None })
    }

    /// What [`Store::begin_log`] kept.
    pub fn predecessor(&self) -> Result<Option<Predecessor>, Error> {
        let Some(bytes) = self.meta(PREDECESSOR)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut parts = text.splitn(3, ' ');
        let size = parts.next().and_then(|size| size.parse().ok());
        let root = parts.next().and_then(sluicegate_protocol::Digest::from_hex);
        let origin = parts.next().map(str::to_owned);
        Ok(size.zip(root).zip(origin).map(|((size, root), origin)| Predecessor {
            origin,
            size,
            root,
        }))
    }

    /// A small value under a name.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT value FROM meta WHERE name = ?1";
        Ok(self.db.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?)
    }

    /// Keeps a small value under a name.
    pub fn set_meta(&self, name: &str, value: &[u8]) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
        self.db.prepare_cached(sql)?.execute(params![name, value])?;
        Ok(())
    }

    /// Fails if a table is not the one that this version makes: no structure of the file shows that.
    fn check_schema(&self) -> Result<(), Error> {
        let model = Connection::open_in_memory()?;
        model.execute_batch(TABLES)?;
        model.execute_batch(CHANNEL_TABLES)?;
        model.execute_batch(SIGNING_TABLES)?;
        model.execute_batch(METER_TABLES)?;
        if schema(&model)? == schema(&self.db)? {
            return Ok(());
        }
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        let reason = "its tables are not those that this program makes".to_owned();
        Err(rusqlite::Error::SqliteFailure(corrupt, Some(reason)).into())
    }

    /// Reads the whole database and fails if it is damaged.
    pub fn check_integrity(&self) -> Result<(), Error> {
        let sql = "PRAGMA integrity_check(1)";
        let found: String = self.db.query_row(sql, [], |row| row.get(0))?;
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        let damaged = rusqlite::Error::SqliteFailure(corrupt, Some(found.clone()));
        if found == "ok" { Ok(()) } else { Err(damaged.into()) }
    }

    /// Moves everything from the write-ahead log into the database file and empties it.
    pub fn checkpoint_wal(&self) -> Result<(), Error> {
        Ok(self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn create_schema(&mut self, path: &Path) -> Result<(), Error> {
        let version: i64 = self.db.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match version {
            VERSION => self.check_schema(),
            0 | WITHOUT_CHANNELS | WITH_CHANNELS => {
                let transaction = self.db.transaction()?;
                if version == 0 {
                    transaction.execute_batch(TABLES)?;
                }
                if version < WITH_CHANNELS {
                    transaction.execute_batch(CHANNEL_TABLES)?;
                }
                transaction.execute_batch(SIGNING_TABLES)?;
                transaction.execute_batch(METER_TABLES)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
                transaction.commit()?;
                self.check_schema()
            }
            newer => Err(Error::Configuration {
                file: path.to_owned(),
                reason: format!("the database has version {newer}, this program knows {VERSION}"),
            }),
        }
    }
}

/// What makes each table and index, by name.
fn schema(db: &Connection) -> Result<Vec<(String, Option<String>)>, Error> {
    let mut statement = db.prepare("SELECT name, sql FROM sqlite_schema ORDER BY name")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// SQLite counts in 64-bit signed numbers; the log's indices never reach their end.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
