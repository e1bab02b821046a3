//! Rows of publications: what waits for the MQTT broker's acknowledgement.
//!
//! Guarantees: each change is one transaction and durable when it returns; ids grow and are never used twice, so their
//! order is the order of publishing. Does not: bound their number; [`crate::mqtt`] does.

use rusqlite::params;

use super::{Store, signed, unsigned};
use crate::Error;

/// A message that the broker has to acknowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Where to.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// Not published later than this, in wall-clock milliseconds.
    pub until_ms: Option<u64>,
}

impl Store {
    /// Everything that waits, oldest first, by id.
    pub fn publications(&self) -> Result<Vec<(u64, Publication)>, Error> {
        let sql = "SELECT id, topic, payload, until FROM publication ORDER BY id";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let until_ms = row.get::<_, Option<i64>>(3)?.map(unsigned);
            let publication = Publication { topic: row.get(1)?, payload: row.get(2)?, until_ms };
            Ok((unsigned(row.get(0)?), publication))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Keeps new publications and forgets others, as one write; gives the ids of the new ones, in order.
    pub fn change_publications(
        &mut self,
        new: &[Publication],
        done: &[u64],
    ) -> Result<Vec<u64>, Error> {
        let db = self.db.transaction()?;
        let mut ids = Vec::with_capacity(new.len());
        for Publication { topic, payload, until_ms } in new {
            let sql = "INSERT INTO publication (topic, payload, until) VALUES (?1, ?2, ?3)";
            let values = params![topic, payload, until_ms.map(signed)];
            ids.push(unsigned(db.prepare_cached(sql)?.insert(values)?));
        }
        for id in done {
            db.prepare_cached("DELETE FROM publication WHERE id = ?1")?.execute([signed(*id)])?;
        }
        db.commit()?;
        Ok(ids)
    }
}
