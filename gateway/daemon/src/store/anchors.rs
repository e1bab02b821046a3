//! Rows of anchors and of the beacons between them.
//!
//! Guarantees: an anchor is kept before the outbox hears of it, and final only with its evidence.

use rusqlite::{OptionalExtension, Row, params};
use sluicegate_protocol::Digest;

use super::{Store, signed, unsigned};
use crate::Error;

/// How far an anchor is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnchorState {
    /// It never will be on the ledger, for this reason.
    Failed(String),
    /// In this block, since this time in wall-clock milliseconds.
    Final {
        /// The block's number.
        block: u64,
        /// When the gateway learnt it.
        since_ms: u64,
    },
    /// Handed to the outbox.
    UnderWay,
}

/// A checkpoint that was handed to a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// SHA-256 of the checkpoint body.
    pub digest: Digest,
    /// Leaves under it.
    pub size: u64,
    /// The checkpoint.
    pub note: String,
    /// How far it is.
    pub state: AnchorState,
    /// What proves it offline, once it is final; bytes of the ledger port's evidence.
    pub evidence: Option<Vec<u8>>,
}

const COLUMNS: &str = "digest, size, note, final, block, failed, evidence";

impl Store {
    /// Keeps an anchor that is about to be handed to the outbox.
    pub fn begin_anchor(
        &self,
        digest: &Digest,
        size: u64,
        note: &str,
        now_ms: u64,
    ) -> Result<(), Error> {
        let sql = "INSERT INTO anchor (digest, log, size, note, begun) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT DO UPDATE SET failed = NULL";
        let values = params![digest.as_bytes(), self.log, signed(size), note, signed(now_ms)];
        self.db.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// The anchor is final; `evidence` proves it offline where the ledger gives such a proof.
    pub fn finish_anchor(
        &self,
        digest: &Digest,
        block: u64,
        evidence: Option<&[u8]>,
        now_ms: u64,
    ) -> Result<(), Error> {
        let sql = "UPDATE anchor SET final = ?2, block = ?3, evidence = ?4 WHERE digest = ?1";
        let values = params![digest.as_bytes(), signed(now_ms), signed(block), evidence];
        self.db.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// The anchor failed for good.
    pub fn fail_anchor(&self, digest: &Digest, reason: &str) -> Result<(), Error> {
        let sql = "UPDATE anchor SET failed = ?2 WHERE digest = ?1 AND final IS NULL";
        self.db.prepare_cached(sql)?.execute(params![digest.as_bytes(), reason])?;
        Ok(())
    }

    /// An anchor of any log of this gateway, by its digest.
    pub fn anchor(&self, digest: &Digest) -> Result<Option<Anchor>, Error> {
        let sql = format!("SELECT {COLUMNS} FROM anchor WHERE digest = ?1");
        let mut statement = self.db.prepare_cached(&sql)?;
        Ok(statement.query_row([digest.as_bytes()], anchor_row).optional()?)
    }

    /// The smallest final anchor of a log that covers `size` leaves.
    pub fn covering_anchor(&self, log: u32, size: u64) -> Result<Option<Anchor>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM anchor WHERE log = ?1 AND size >= ?2 AND final IS NOT NULL
             ORDER BY size LIMIT 1"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        Ok(statement.query_row([i64::from(log), signed(size)], anchor_row).optional()?)
    }

    /// The newest anchors of the open log, newest first.
    pub fn anchors(&self, limit: u32) -> Result<Vec<Anchor>, Error> {
        let sql = format!(
            "SELECT {COLUMNS} FROM anchor WHERE log = ?1 ORDER BY size DESC, begun DESC LIMIT ?2"
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement.query_map(params![self.log, limit], anchor_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Digests of the anchors of all logs that are neither final nor failed, oldest first, at most `limit`.
    pub fn anchors_under_way(&self, limit: usize) -> Result<Vec<Digest>, Error> {
        let sql = "SELECT digest FROM anchor WHERE final IS NULL AND failed IS NULL
                   ORDER BY begun LIMIT ?1";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([signed(limit as u64)], |row| row.get(0).map(Digest::new));
        Ok(rows?.collect::<Result<_, _>>()?)
    }

    /// Keeps what proves that a beacon's block is on its ledger.
    pub fn prove_beacon(&self, index: u64, evidence: &[u8]) -> Result<(), Error> {
        let sql = "UPDATE beacon SET evidence = ?3 WHERE log = ?1 AND idx = ?2";
        self.db.prepare_cached(sql)?.execute(params![self.log, signed(index), evidence])?;
        Ok(())
    }

    /// Beacons that nothing proves yet: index and block number.
    pub fn unproven_beacons(&self) -> Result<Vec<(u64, u64)>, Error> {
        let sql = "SELECT idx, number FROM beacon WHERE log = ?1 AND evidence IS NULL
                   ORDER BY idx DESC LIMIT 16";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement
            .query_map([self.log], |row| Ok((unsigned(row.get(0)?), unsigned(row.get(1)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest proven beacon before leaf `index`: its index and what proves it.
    pub fn beacon_before(&self, log: u32, index: u64) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let sql = "SELECT idx, evidence FROM beacon
                   WHERE log = ?1 AND idx < ?2 AND evidence IS NOT NULL ORDER BY idx DESC LIMIT 1";
        let mut statement = self.db.prepare_cached(sql)?;
        let row = statement.query_row([i64::from(log), signed(index)], |row| {
            Ok((unsigned(row.get(0)?), row.get(1)?))
        });
        Ok(row.optional()?)
    }
}

fn anchor_row(row: &Row<'_>) -> rusqlite::Result<Anchor> {
    let (since, block): (Option<i64>, Option<i64>) = (row.get(3)?, row.get(4)?);
    let failed: Option<String> = row.get(5)?;
    let state = match (since.zip(block), failed) {
        (Some((since, block)), _) => {
            AnchorState::Final { block: unsigned(block), since_ms: unsigned(since) }
        }
        (None, Some(reason)) => AnchorState::Failed(reason),
        (None, None) => AnchorState::UnderWay,
    };
    Ok(Anchor {
        digest: Digest::new(row.get(0)?),
        size: unsigned(row.get(1)?),
        note: row.get(2)?,
        state,
        evidence: row.get(6)?,
    })
}
