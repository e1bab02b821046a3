//! Readings that a closed log never signed, on their way into the open one.
//!
//! Guarantees: a reading's old row goes only when its new leaf is durable, and then it goes: whatever happens in between,
//! it has one row that counts. Does not: log anything; [`crate::recorder`] does.

use rusqlite::{Transaction, params};
use sluicegate_notary::log::{DayKey, ReadingRow};

use super::{Store, StoredReading, signed, unsigned};
use crate::Error;

/// Most readings of one [`Store::readings_from`].
const MAX_READINGS: usize = 1_000;

/// So many bytes of payload end one earlier.
const MAX_BYTES: usize = 1 << 20;

/// Where a reading stands: number of the log and index.
pub type Place = (u32, u64);

impl Store {
    /// Earlier logs in good order, each with the number of leaves that its newest checkpoint covers.
    pub fn closed_logs(&self) -> Result<Vec<Place>, Error> {
        let sql = "SELECT id, coalesce(head_size, 0) FROM log
                   WHERE id <> ?1 AND NOT set_aside ORDER BY id";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows =
            statement.query_map([self.log], |row| Ok((row.get(0)?, unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first readings of a log from an index on whose payload is there; at most `limit`, and fewer if they are long.
    pub fn readings_from(
        &self,
        (log, first): Place,
        limit: usize,
    ) -> Result<Vec<StoredReading>, Error> {
        let sql = "SELECT r.idx, d.name, r.day, r.class, r.seq, r.payload
                   FROM reading r JOIN device d ON d.id = r.device
                   WHERE r.log = ?1 AND r.idx >= ?2 AND r.payload IS NOT NULL ORDER BY r.idx";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map(params![log, signed(first)], |row| {
            let day = DayKey { device: row.get(1)?, day: row.get(2)?, class: row.get(3)? };
            let seq = row.get::<_, Option<i64>>(4)?.map(unsigned);
            Ok(StoredReading { index: unsigned(row.get(0)?), day, seq, payload: row.get(5)? })
        })?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        for reading in rows.take(limit.min(MAX_READINGS)) {
            let reading = reading?;
            bytes += reading.payload.as_ref().map_or(0, Vec::len);
            found.push(reading);
            if bytes >= MAX_BYTES {
                break;
            }
        }
        Ok(found)
    }

    /// Removes the old rows of readings whose new leaves are durable.
    pub fn finish_moves(&mut self) -> Result<(), Error> {
        let db = self.db.transaction()?;
        finish_moves(&db, self.log)?;
        Ok(db.commit()?)
    }
}

/// Notes where the first of these readings come from.
pub(super) fn keep_moves(
    db: &Transaction<'_>,
    log: i64,
    readings: &[ReadingRow],
    places: &[Place],
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO moved (log, idx, from_log, from_idx) VALUES (?1, ?2, ?3, ?4)";
    for (row, (from, index)) in readings.iter().zip(places) {
        let values = params![log, signed(row.index), from, signed(*index)];
        db.prepare_cached(sql)?.execute(values)?;
    }
    Ok(())
}

/// Removes the old rows of readings that moved into this log; those that moved into another one did not arrive.
pub(super) fn finish_moves(db: &Transaction<'_>, log: i64) -> rusqlite::Result<()> {
    let places: Vec<(i64, i64)> = db
        .prepare_cached("SELECT from_log, from_idx FROM moved WHERE log = ?1")?
        .query_map([log], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for place in places {
        let sql = "DELETE FROM reading WHERE log = ?1 AND idx = ?2";
        db.prepare_cached(sql)?.execute(place)?;
    }
    db.prepare_cached("DELETE FROM moved")?.execute([])?;
    Ok(())
}
