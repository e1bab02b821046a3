//! Rows of readings, keys, days and beacons: what opens the leaves.
//!
//! Guarantees: [`Store::keep`] is one transaction; [`Store::recover`] leaves exactly the rows of durable leaves.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Transaction, params};
use sluicegate_notary::{
    entry::{Beacon, Body, Entry},
    log::{DayKey, DayLeaves, History, Known, Store as Rows},
};

use super::{Place, Store, again, signed, unsigned};
use crate::{Error, disk::Disk, files::LogFiles};

/// A reading as it can be proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReading {
    /// Index of its leaf.
    pub index: u64,
    /// The device's day in its class.
    pub day: DayKey,
    /// The device's own counter.
    pub seq: Option<u64>,
    /// The payload, unless it was erased.
    pub payload: Option<Vec<u8>>,
}

/// Which readings of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// Those of the UTC days from the first to the last.
    Days(u32, u32),
    /// The one at this index.
    Index(u64),
    /// The one with this sequence number.
    Seq(u64),
}

impl Store {
    /// Keeps the rows of one group commit, all or nothing; `today` is the day of a synchronised clock. Readings that are
    /// logged again come from `places` of earlier logs, in the order of their rows; no other readings are among them.
    pub fn keep(&mut self, rows: &Rows, today: Option<u32>, places: &[Place]) -> Result<(), Error> {
        let log = self.log;
        let db = self.db.transaction()?;
        if let Some((size, note)) = &rows.head {
            set_head(&db, log, *size, note)?;
        }
        // All earlier leaves are durable when a commit begins, and none comes behind its end: fewer or more of them
        // later mean damage of the files or of the database, not a power cut.
        set_commit(&db, log, rows.first, rows.end)?;
        for row in &rows.keys {
            let sql = "INSERT INTO day_key (device, day, class, key) VALUES (?1, ?2, ?3, ?4)";
            let device = device_id(&db, &row.day.device)?;
            let values = params![device, row.day.day, row.day.class, row.stored];
            db.prepare_cached(sql)?.execute(values)?;
        }
        for row in &rows.readings {
            let device = device_id(&db, &row.day.device)?;
            insert_reading(&db, log, device, row.index, &row.day, row.seq, Some(&row.payload))?;
        }
        again::keep_moves(&db, log, &rows.readings, places)?;
        // What is logged again expires when it would have.
        let fresh = rows.readings.iter().skip(places.len());
        let used: BTreeSet<&DayKey> = fresh.map(|row| &row.day).collect();
        for day in used {
            let sql = "UPDATE day_key SET seen = ?4
                       WHERE device = ?1 AND day = ?2 AND class = ?3 AND seen IS NOT ?4";
            let device = device_id(&db, &day.device)?;
            db.prepare_cached(sql)?.execute(params![device, day.day, day.class, today])?;
        }
        for row in &rows.summaries {
            let device = device_id(&db, &row.device)?;
            set_summary(&db, log, device, row.day, row.index)?;
        }
        for row in &rows.beacons {
            insert_beacon(&db, log, row.index, &row.beacon)?;
        }
        for (index, day) in &rows.erasures {
            let sql =
                "INSERT INTO erasure (log, idx, device, day, class) VALUES (?1, ?2, ?3, ?4, ?5)";
            let device = device_id(&db, &day.device)?;
            let values = params![log, signed(*index), device, day.day, day.class];
            db.prepare_cached(sql)?.execute(values)?;
        }
        Ok(db.commit()?)
    }

    /// Keeps a checkpoint before anyone sees it.
    pub fn record_head(&mut self, size: u64, note: &str) -> Result<(), Error> {
        let db = self.db.transaction()?;
        set_head(&db, self.log, size, note)?;
        Ok(db.commit()?)
    }

    /// Removes rows of leaves that did not become durable, and finishes the erasures and moves whose leaf did.
    pub fn recover(&mut self, size: u64) -> Result<(), Error> {
        let (log, size) = (self.log, signed(size));
        let db = self.db.transaction()?;
        let lost = "SELECT DISTINCT device, day FROM reading WHERE log = ?1 AND idx >= ?2";
        let lost: Vec<(i64, u32)> = db
            .prepare(lost)?
            .query_map([log, size], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        for table in ["reading", "beacon", "erasure", "moved"] {
            let sql = format!("DELETE FROM {table} WHERE log = ?1 AND idx >= ?2");
            db.execute(&sql, [log, size])?;
        }
        for (device, day) in lost {
            forget_empty_day(&db, log, device, day)?;
        }
        let sql = "UPDATE day SET summary = NULL WHERE log = ?1 AND summary >= ?2";
        db.execute(sql, [log, size])?;
        // What an earlier log did not finish is found by `expired` again, and erased in this one.
        db.execute("DELETE FROM erasure WHERE log <> ?1", [log])?;
        let done = "SELECT device, day, class FROM erasure WHERE log = ?1";
        let done: Vec<(i64, u32, String)> = db
            .prepare(done)?
            .query_map([log], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<_, _>>()?;
        for (device, day, class) in done {
            erase(&db, device, day, &class)?;
        }
        again::finish_moves(&db, log)?;
        db.commit()?;
        // A killed process may have left commits that are not durable, and what was erased in the write-ahead log.
        self.checkpoint_wal()
    }

    /// Deletes payloads and keys of days whose erasure is a durable entry.
    pub fn erase(&mut self, days: &[DayKey]) -> Result<(), Error> {
        let db = self.db.transaction()?;
        for day in days {
            let device = device_id(&db, &day.device)?;
            erase(&db, device, day.day, &day.class)?;
        }
        db.commit()?;
        // What was deleted must not live on in the write-ahead log.
        self.checkpoint_wal()
    }

    /// Notes the day of a synchronised clock at keys that were used before there was one.
    pub fn date_keys(&self, today: u32) -> Result<(), Error> {
        let sql = "UPDATE day_key SET seen = ?1 WHERE seen IS NULL";
        self.db.prepare_cached(sql)?.execute([today])?;
        Ok(())
    }

    /// Days of a class before `day` that still have a key, with the number of their readings. A day that a clock without
    /// time called so long ago counts from the day on which it was known better.
    pub fn expired(&self, class: &str, day: u32) -> Result<Vec<(DayKey, u64)>, Error> {
        let sql = "SELECT d.name, k.day, (SELECT count(*) FROM reading r WHERE r.device = k.device
                       AND r.day = k.day AND r.class = k.class)
                   FROM day_key k JOIN device d ON d.id = k.device
                   WHERE k.class = ?1 AND k.day < ?2 AND k.seen < ?2 AND NOT EXISTS (SELECT 1 FROM erasure e
                       WHERE e.device = k.device AND e.day = k.day AND e.class = k.class)
                   ORDER BY k.day, k.device LIMIT 1000";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map(params![class, day], |row| {
            let day = DayKey { device: row.get(0)?, day: row.get(1)?, class: class.to_owned() };
            Ok((day, unsigned(row.get(2)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Device days of the open log that no summary covers.
    pub fn open_days(&self) -> Result<Vec<(String, u32)>, Error> {
        let sql = "SELECT d.name, o.day FROM day o JOIN device d ON d.id = o.device
                   WHERE o.log = ?1 AND o.summary IS NULL";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([self.log], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Readings of a device in a log, by index.
    pub fn select(
        &self,
        log: u32,
        device: &str,
        which: Selection,
    ) -> Result<Vec<StoredReading>, Error> {
        let (column, from, to) = match which {
            Selection::All => ("day", 0, i64::from(u32::MAX)),
            Selection::Days(from, to) => ("day", i64::from(from), i64::from(to)),
            Selection::Index(index) => ("idx", signed(index), signed(index)),
            Selection::Seq(seq) => ("seq", signed(seq), signed(seq)),
        };
        // Days and sequence numbers have an index behind the device. The plus keeps the planner from walking through the
        // whole log.
        let log_column = if column == "idx" { "log" } else { "+log" };
        let sql = format!(
            "SELECT idx, day, class, seq, payload FROM reading
             WHERE device = (SELECT id FROM device WHERE name = ?1) AND {log_column} = ?2
               AND {column} BETWEEN ?3 AND ?4 ORDER BY idx"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params![device, log, from, to], |row| {
            let (day, class) = (row.get(1)?, row.get(2)?);
            Ok(StoredReading {
                index: unsigned(row.get(0)?),
                day: DayKey { device: device.to_owned(), day, class },
                seq: row.get::<_, Option<i64>>(3)?.map(unsigned),
                payload: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Index of the newest summary of a device's day in a log.
    pub fn summary(&self, log: u32, device: &str, day: u32) -> Result<Option<u64>, Error> {
        let sql = "SELECT summary FROM day WHERE log = ?1 AND day = ?2
                   AND device = (SELECT id FROM device WHERE name = ?3)";
        let mut statement = self.db.prepare_cached(sql)?;
        let row = statement.query_row(params![log, day, device], |row| row.get(0)).optional()?;
        Ok(row.flatten().map(unsigned))
    }

    /// Builds the rows of a log anew from its entries from `first` on, after a database was lost or went back. Their
    /// payloads and keys are gone; `name` tells whose a pseudonym is. Gives the entries that can't be read and have no
    /// rows now.
    pub fn rebuild<D: Disk>(
        &mut self,
        files: &LogFiles<D>,
        first: u64,
        name: impl Fn(&Entry) -> Option<String>,
    ) -> Result<Vec<u64>, Error> {
        let log = self.log;
        let mut unreadable = Vec::new();
        let db = self.db.transaction()?;
        for index in first..files.size() {
            let decoded = files.entry(index).and_then(|bytes| Ok(Entry::decode(&bytes)?));
            let entry = match decoded {
                Err(Error::Damaged(_) | Error::Notary(_)) => {
                    unreadable.push(index);
                    continue;
                }
                other => other?,
            };
            if let Body::Beacon(beacon) = &entry.body {
                insert_beacon(&db, log, index, beacon)?;
            }
            if let Some(device) = name(&entry) {
                rebuild_row(&db, log, index, &entry, device)?;
            }
        }
        set_commit(&db, log, files.size(), files.size())?;
        db.commit()?;
        Ok(unreadable)
    }
}

fn rebuild_row(
    db: &Transaction<'_>,
    log: i64,
    index: u64,
    entry: &Entry,
    device: String,
) -> rusqlite::Result<()> {
    let id = device_id(db, &device)?;
    match &entry.body {
        Body::Reading(reading) => {
            let day = DayKey { device, day: entry.time.day(), class: String::new() };
            insert_reading(db, log, id, index, &day, reading.seq, None)
        }
        Body::Summary(summary) => set_summary(db, log, id, summary.day, index),
        Body::Erasure(erasure) => erase(db, id, erasure.day, &erasure.class),
        Body::Beacon(_) | Body::Genesis(_) => Ok(()),
    }
}

/// Whether the reading in row `r` counts as logged, with the open log as `?1`: not if its log was set aside, nor if that
/// log was closed before it signed the reading and its payload is there to be logged again.
const COUNTS: &str = "NOT EXISTS (SELECT 1 FROM log l WHERE l.id = r.log AND (l.set_aside
    OR l.id <> ?1 AND r.idx >= coalesce(l.head_size, 0) AND r.payload IS NOT NULL))";

/// The store together with the files, as the log asks for what is durable.
pub(crate) struct Durable<'a, D> {
    pub(crate) store: &'a Store,
    pub(crate) files: &'a LogFiles<D>,
}

impl<D: Disk> History for Durable<'_, D> {
    type Error = Error;

    fn reading(&self, device: &str, seq: u64) -> Result<Option<Known>, Error> {
        let sql = format!(
            "SELECT idx, payload FROM reading r WHERE seq = ?3
             AND device = (SELECT id FROM device WHERE name = ?2) AND {COUNTS}
             ORDER BY log, idx LIMIT 1"
        );
        let mut statement = self.store.db.prepare_cached(&sql)?;
        let row = statement.query_row(params![self.store.log, device, signed(seq)], |row| {
            Ok(Known { index: unsigned(row.get(0)?), payload: row.get(1)? })
        });
        Ok(row.optional()?)
    }

    fn highest_seq(&self, device: &str) -> Result<Option<u64>, Error> {
        let sql = format!(
            "SELECT seq FROM reading r WHERE seq IS NOT NULL
             AND device = (SELECT id FROM device WHERE name = ?2) AND {COUNTS}
             ORDER BY seq DESC LIMIT 1"
        );
        let mut statement = self.store.db.prepare_cached(&sql)?;
        let highest =
            statement.query_row(params![self.store.log, device], |row| row.get(0)).optional()?;
        Ok(highest.map(unsigned))
    }

    fn day(&self, device: &str, day: u32) -> Result<DayLeaves, Error> {
        let sql = "SELECT idx FROM reading WHERE log = ?1 AND day = ?2
                   AND device = (SELECT id FROM device WHERE name = ?3) ORDER BY idx";
        let mut statement = self.store.db.prepare_cached(sql)?;
        let rows = statement.query_map(params![self.store.log, day, device], |row| row.get(0))?;
        rows.map(|index| {
            let index = unsigned(index?);
            Ok((index, self.files.leaf(index)?))
        })
        .collect()
    }

    fn key(&self, day: &DayKey) -> Result<Option<[u8; 32]>, Error> {
        let sql = "SELECT key FROM day_key WHERE day = ?2 AND class = ?3
                   AND device = (SELECT id FROM device WHERE name = ?1)";
        let mut statement = self.store.db.prepare_cached(sql)?;
        let values = params![day.device, day.day, day.class];
        Ok(statement.query_row(values, |row| row.get(0)).optional()?)
    }
}

fn set_commit(db: &Transaction<'_>, log: i64, first: u64, end: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE log SET durable = ?2, stored = ?3 WHERE id = ?1";
    db.prepare_cached(sql)?.execute(params![log, signed(first), signed(end)])?;
    Ok(())
}

fn insert_beacon(
    db: &Transaction<'_>,
    log: i64,
    index: u64,
    beacon: &Beacon,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO beacon (log, idx, ledger, number) VALUES (?1, ?2, ?3, ?4)";
    let values = params![log, signed(index), beacon.ledger, signed(beacon.number)];
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn set_head(db: &Transaction<'_>, log: i64, size: u64, note: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE log SET head_size = ?2, head_note = ?3
               WHERE id = ?1 AND (head_size IS NULL OR head_size <= ?2)";
    db.prepare_cached(sql)?.execute(params![log, signed(size), note])?;
    Ok(())
}

fn device_id(db: &Transaction<'_>, name: &str) -> rusqlite::Result<i64> {
    let mut find = db.prepare_cached("SELECT id FROM device WHERE name = ?1")?;
    if let Some(id) = find.query_row([name], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    db.execute("INSERT INTO device (name) VALUES (?1)", [name])?;
    Ok(db.last_insert_rowid())
}

fn insert_reading(
    db: &Transaction<'_>,
    log: i64,
    device: i64,
    index: u64,
    day: &DayKey,
    seq: Option<u64>,
    payload: Option<&[u8]>,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO reading (log, idx, device, day, class, seq, payload)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let values = params![log, signed(index), device, day.day, day.class, seq.map(signed), payload];
    db.prepare_cached(sql)?.execute(values)?;
    let sql = "INSERT INTO day (log, device, day) VALUES (?1, ?2, ?3)
               ON CONFLICT DO UPDATE SET summary = NULL WHERE summary IS NOT NULL";
    db.prepare_cached(sql)?.execute(params![log, device, day.day])?;
    Ok(())
}

fn set_summary(
    db: &Transaction<'_>,
    log: i64,
    device: i64,
    day: u32,
    index: u64,
) -> rusqlite::Result<()> {
    // A reading of the same commit behind the summary leaves the day open.
    let sql = "UPDATE day SET summary = ?4 WHERE log = ?1 AND device = ?2 AND day = ?3
               AND NOT EXISTS (SELECT 1 FROM reading
                   WHERE device = ?2 AND day = ?3 AND log = ?1 AND idx > ?4)";
    db.prepare_cached(sql)?.execute(params![log, device, day, signed(index)])?;
    Ok(())
}

fn forget_empty_day(db: &Transaction<'_>, log: i64, device: i64, day: u32) -> rusqlite::Result<()> {
    let sql = "DELETE FROM day WHERE log = ?1 AND device = ?2 AND day = ?3
               AND NOT EXISTS (SELECT 1 FROM reading WHERE log = ?1 AND device = ?2 AND day = ?3)";
    db.execute(sql, params![log, device, day])?;
    Ok(())
}

fn erase(db: &Transaction<'_>, device: i64, day: u32, class: &str) -> rusqlite::Result<()> {
    let values = params![device, day, class];
    db.execute("DELETE FROM day_key WHERE device = ?1 AND day = ?2 AND class = ?3", values)?;
    let sql = "UPDATE reading SET payload = NULL WHERE device = ?1 AND day = ?2 AND class = ?3";
    db.execute(sql, values)?;
    db.execute("DELETE FROM erasure WHERE device = ?1 AND day = ?2 AND class = ?3", values)?;
    Ok(())
}
