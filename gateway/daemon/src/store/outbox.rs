//! Records of the outbox, kept as it says.
//!
//! Guarantees: each write is one transaction and durable when it returns. Does not: read into the records.

use rusqlite::params;
use sluicegate_ledger::{cbor, fees::Budgets, outbox::BUDGETS_KEY};

use super::{Store, signed, unsigned};
use crate::Error;

impl Store {
    /// What was spent today is not known any more: nothing more is spent on this day of the ledger.
    pub fn exhaust_budgets(&mut self) -> Result<(), Error> {
        self.write_outbox(&[(BUDGETS_KEY, cbor::encode(&Budgets::exhausted()))], &[])
    }

    /// Everything that the outbox kept.
    pub fn outbox(&self) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        let mut statement = self.db.prepare_cached("SELECT intent, record FROM outbox")?;
        let rows = statement.query_map([], |row| Ok((unsigned(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Stores and deletes as one write.
    pub fn write_outbox(&mut self, puts: &[(u64, Vec<u8>)], deletes: &[u64]) -> Result<(), Error> {
        let db = self.db.transaction()?;
        for (intent, record) in puts {
            let sql = "INSERT OR REPLACE INTO outbox (intent, record) VALUES (?1, ?2)";
            db.prepare_cached(sql)?.execute(params![signed(*intent), record])?;
        }
        for intent in deletes {
            db.prepare_cached("DELETE FROM outbox WHERE intent = ?1")?
                .execute([signed(*intent)])?;
        }
        Ok(db.commit()?)
    }
}
