//! Rows of metered payments: what was counted in each channel's session, and the readings behind it.
//!
//! Guarantees: a count is durable when it is kept; a reading that is given is in the log. Memory is bounded by the
//! channels, and by the caller's limit. Does not: read into payloads; [`crate::meter`] does.

use rusqlite::{params, types::Type};
use sluicegate_channels::meter::{Count, Place};
use sluicegate_protocol::{channel::ChannelId, senml::Decimal};

use super::{Store, recent::OF_DEVICE, signed, unsigned};
use crate::Error;

/// A row of a device's part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where its leaf stands.
    pub place: Place,
    /// The device's sequence number.
    pub seq: Option<u64>,
    /// Its payload, unless it was erased.
    pub payload: Option<Vec<u8>>,
}

impl Store {
    /// Keeps what was counted in a channel.
    pub fn keep_count(&self, channel: &ChannelId, count: &Count) -> Result<(), Error> {
        let sql = "INSERT OR REPLACE INTO meter (channel, total, last, seq, log, idx)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let Count { total, last, seq, next } = count;
        let (total, last) = (total.to_string(), last.map(|last| last.to_string()));
        let (seq, index) = (seq.map(signed), signed(next.index));
        let values = params![channel.as_bytes(), total, last, seq, next.log, index];
        self.db.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// What was counted in channels that are not over; the others are forgotten.
    pub fn counts(&self) -> Result<Vec<(ChannelId, Count)>, Error> {
        let sql = "DELETE FROM meter WHERE channel NOT IN (SELECT id FROM channel WHERE over = 0)";
        self.db.prepare_cached(sql)?.execute([])?;
        let sql = "SELECT channel, total, last, seq, log, idx FROM meter ORDER BY channel";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let last = row.get::<_, Option<String>>(2)?;
            let next = Place { log: row.get(4)?, index: unsigned(row.get(5)?) };
            let count = Count {
                total: decimal(1, &row.get::<_, String>(1)?)?,
                last: last.map(|last| decimal(2, &last)).transpose()?,
                seq: row.get::<_, Option<i64>>(3)?.map(unsigned),
                next,
            };
            Ok((ChannelId::new(row.get(0)?), count))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Rows of a device from a place on, in the order of the log.
    pub fn rows_from(&self, device: &str, from: Place, limit: u32) -> Result<Vec<Row>, Error> {
        let sql = format!(
            "SELECT log, idx, seq, payload FROM reading
             WHERE {OF_DEVICE} AND (log, idx) >= (?2, ?3) ORDER BY log, idx LIMIT ?4"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows =
            statement.query_map(params![device, from.log, signed(from.index), limit], |row| {
                let place = Place { log: row.get(0)?, index: unsigned(row.get(1)?) };
                let seq = row.get::<_, Option<i64>>(2)?.map(unsigned);
                Ok(Row { place, seq, payload: row.get(3)? })
            })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn decimal(column: usize, text: &str) -> rusqlite::Result<Decimal> {
    let wrong = |error: sluicegate_protocol::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.to_string().into())
    };
    text.parse().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::channels::{Batch, ChannelRow};

    #[test]
    fn a_count_is_kept_as_long_as_its_channel() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("gateway.db"), None).unwrap();
        let row = |over| ChannelRow { id: [7; 32], record: vec![], over, enforced_from: 0 };
        let batch = |over| Batch { records: vec![row(over)], ..Batch::default() };
        store.commit_channels(&batch(false)).unwrap();
        let channel = ChannelId::new([7; 32]);
        let new = Count::new(Place { log: 2, index: 5 });
        store.keep_count(&channel, &new).unwrap();
        assert_eq!(store.counts().unwrap(), [(channel, new)]);
        let total = "1.25e-21".parse().unwrap();
        let count = Count { total, last: Some(Decimal::new(i64::MIN, -3)), seq: Some(9), ..new };
        store.keep_count(&channel, &count).unwrap();
        store.keep_count(&ChannelId::new([8; 32]), &count).unwrap();
        assert_eq!(store.counts().unwrap(), [(channel, count)]);
        store.commit_channels(&batch(true)).unwrap();
        assert_eq!(store.counts().unwrap(), []);
    }
}
