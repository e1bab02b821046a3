//! The newest rows of a device, for its digital twin.
//!
//! Guarantees: bounded work, through indices. Does not: look into leaves.

use rusqlite::params;

use super::{Store, signed, unsigned};
use crate::Error;

/// Newest sequence numbers that are searched for gaps.
const SEARCHED: i64 = 20_000;

/// A row of a device, a reading or one of the gateway's own records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recent {
    /// Number of its log.
    pub log: u32,
    /// Index of its leaf.
    pub index: u64,
    /// Its payload, unless it was erased.
    pub payload: Option<Vec<u8>>,
}

/// Rows of the device `?1`, but not those that may be logged again.
pub(super) const OF_DEVICE: &str = "device = (SELECT id FROM device WHERE name = ?1)
    AND log NOT IN (SELECT id FROM log WHERE set_aside)";

impl Store {
    /// The newest rows of a device, newest first.
    pub fn recent(&self, device: &str, limit: u32) -> Result<Vec<Recent>, Error> {
        let sql = format!(
            "SELECT log, idx, payload FROM reading WHERE {OF_DEVICE}
             ORDER BY log DESC, idx DESC LIMIT ?2"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params![device, limit], |row| {
            Ok(Recent { log: row.get(0)?, index: unsigned(row.get(1)?), payload: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The highest sequence number of a device.
    pub fn newest_seq(&self, device: &str) -> Result<Option<u64>, Error> {
        let sql = format!("SELECT max(seq) FROM reading WHERE {OF_DEVICE}");
        let newest: Option<i64> =
            self.db.prepare_cached(&sql)?.query_row([device], |row| row.get(0))?;
        Ok(newest.map(unsigned))
    }

    /// Sequence numbers that a device skipped, as first and last, newest first.
    pub fn gaps(&self, device: &str, limit: usize) -> Result<Vec<(u64, u64)>, Error> {
        let sql = format!(
            "SELECT before + 1, seq - 1 FROM (
                 SELECT seq, lead(seq) OVER (ORDER BY seq DESC) AS before FROM (
                     SELECT DISTINCT seq FROM reading WHERE {OF_DEVICE} AND seq IS NOT NULL
                     ORDER BY seq DESC LIMIT ?2))
             WHERE before < seq - 1 ORDER BY seq DESC LIMIT ?3"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let limit = signed(limit as u64);
        let rows = statement.query_map(params![device, SEARCHED, limit], |row| {
            Ok((unsigned(row.get(0)?), unsigned(row.get(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        intake::Arrival,
        testing::{Place, run},
    };

    #[test]
    fn the_newest_leaf_is_the_newest_whatever_the_clock_said() {
        let place = Place::new("[[device]]\nname = \"meter-1\"\n");
        run(async {
            let parts = place.open();
            let mut indices = Vec::new();
            for value in 0..3 {
                let payload = format!(r#"[{{"n":"power","v":{value}}}]"#).into_bytes();
                let device = "meter-1".to_owned();
                let arrival = Arrival { device, seq: None, format: 110, payload };
                indices.push(parts.intake.take(arrival, None).await.unwrap().index);
            }
            let first = signed(indices[0]);
            let found = parts.keeper.call(move |desk, _| {
                let store = desk.recorder.store();
                // The clock was ahead when the first one came.
                store
                    .db
                    .execute("UPDATE reading SET day = day + 9 WHERE idx = ?1", [first])
                    .unwrap();
                store.recent("meter-1", 2).unwrap()
            });
            let found: Vec<u64> = found.await.unwrap().iter().map(|row| row.index).collect();
            assert_eq!(found, [indices[2], indices[1]]);
            parts.close();
        });
    }
}
