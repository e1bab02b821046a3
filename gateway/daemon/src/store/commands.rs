//! Rows of commands: what devices were told to do and what became of it.
//!
//! Guarantees: a command is here before it is logged, and logged before it is sent; an id is never used twice, not even
//! after a restored backup, because ids are random; the number of ended commands that are kept for a device is bounded.

use rusqlite::{OptionalExtension, Row, params};

use super::{Store, signed, unsigned};
use crate::{Error, devices::record::Command};

/// Ended commands that are kept for each device; the log has all of them.
const KEEP: u32 = 100;

/// A command with what is known of it. Times are wall-clock milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCommand {
    /// Who is told.
    pub device: String,
    /// What.
    pub command: Command,
    /// When it was made.
    pub made_ms: u64,
    /// Index of its leaf, once there is one.
    pub logged: Option<u64>,
    /// When it ended, whether it was carried out, and what the device said or why not.
    pub ended: Option<(u64, bool, String)>,
}

const COLUMNS: &str = "id, device, resource, value, until, made, logged, ended, ok, detail";

impl Store {
    /// Keeps a new command, as made after those of the same device that wait, so that their order survives a restart and a
    /// step of the clock; `false` when its id was used before.
    pub fn insert_command(
        &self,
        device: &str,
        command: &Command,
        made_ms: u64,
    ) -> Result<bool, Error> {
        let Command { id, resource, value, until_ms } = command;
        let sql = "INSERT OR IGNORE INTO command (id, device, resource, value, until, made)
                   VALUES (?1, ?2, ?3, ?4, ?5, max(?6, coalesce(
                       (SELECT max(made) + 1 FROM command WHERE device = ?2 AND ended IS NULL), 0)))";
        let (id, until, made) = (signed(*id), signed(*until_ms), signed(made_ms));
        let values = params![id, device, resource, value, until, made];
        Ok(self.db.prepare_cached(sql)?.execute(values)? == 1)
    }

    /// Notes the leaf of a command.
    pub fn set_command_logged(&self, id: u64, index: u64) -> Result<(), Error> {
        let sql = "UPDATE command SET logged = ?2 WHERE id = ?1";
        self.db.prepare_cached(sql)?.execute([signed(id), signed(index)])?;
        Ok(())
    }

    /// Ends a command; the first end stays.
    pub fn end_command(&self, id: u64, now_ms: u64, ok: bool, detail: &str) -> Result<(), Error> {
        let sql = "UPDATE command SET ended = ?2, ok = ?3, detail = ?4
                   WHERE id = ?1 AND ended IS NULL";
        self.db.prepare_cached(sql)?.execute(params![signed(id), signed(now_ms), ok, detail])?;
        let sql = "DELETE FROM command WHERE ended IS NOT NULL
                   AND device = (SELECT device FROM command WHERE id = ?1) AND id NOT IN
                   (SELECT id FROM command c WHERE c.device = command.device
                       ORDER BY made DESC, id LIMIT ?2)";
        self.db.prepare_cached(sql)?.execute(params![signed(id), KEEP])?;
        Ok(())
    }

    /// Commands that have not ended, oldest first.
    pub fn waiting_commands(&self) -> Result<Vec<StoredCommand>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM command WHERE ended IS NULL ORDER BY made, id");
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map([], stored)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A command by its id.
    pub fn command(&self, id: u64) -> Result<Option<StoredCommand>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM command WHERE id = ?1");
        Ok(self.db.prepare_cached(&sql)?.query_row([signed(id)], stored).optional()?)
    }

    /// The newest commands of a device, newest first.
    pub fn commands_of(&self, device: &str, limit: u32) -> Result<Vec<StoredCommand>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM command WHERE device = ?1 ORDER BY made DESC, id LIMIT ?2"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params![device, limit], stored)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredCommand> {
    let command = Command {
        id: unsigned(row.get(0)?),
        resource: row.get(2)?,
        value: row.get(3)?,
        until_ms: unsigned(row.get(4)?),
    };
    let ended = match row.get::<_, Option<i64>>(7)? {
        Some(ended) => Some((unsigned(ended), row.get(8)?, row.get(9)?)),
        None => None,
    };
    Ok(StoredCommand {
        device: row.get(1)?,
        command,
        made_ms: unsigned(row.get(5)?),
        logged: row.get::<_, Option<i64>>(6)?.map(unsigned),
        ended,
    })
}
