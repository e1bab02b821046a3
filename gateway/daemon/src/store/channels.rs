//! Rows of payment channels: records, the keys' books, signatures, and what the ledger is to do.
//!
//! Guarantees: a batch is one transaction, durable when it returns. The store refuses a second signature for a channel
//! and version unless the bytes are the same, and one below the newest (I2): then nothing of the batch is stored. It
//! says which messages of the batch show a signature that is not stored; they are not to be sent (I1). What the ledger
//! is asked to do stands in the transaction of the record that wants it, the cursor in that of what its events caused.
//! Does not: read into records; [`crate::channels`] does.

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    Store,
    signing::{self, Signing},
    unsigned,
};
use crate::Error;

/// `meta` name of the channels' cursor in the ledger's events.
const CURSOR: &str = "channel cursor";

/// `meta` name under which channels of a restored backup wait to be told so.
pub(crate) const CHANNELS_RESTORED: &str = "channels restored";

/// What one turn of the channels makes durable, in the order in which it came about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Records.
    pub records: Vec<ChannelRow>,
    /// Channels that are over and need not be kept.
    pub forgotten: Vec<[u8; 32]>,
    /// What a channel's key has signed last.
    pub lasts: Vec<([u8; 32], Vec<u8>)>,
    /// What was spent of limits, by their names.
    pub spent: Vec<(String, Vec<u8>)>,
    /// What our keys have signed.
    pub signatures: Vec<Signature>,
    /// Our signatures that came back with states of the peer or the ledger: nobody signs anything by keeping them.
    pub adopted: Vec<Signature>,
    /// What the ledger is to do.
    pub wanted: Vec<Wanted>,
    /// Where the ledger's events were read to.
    pub cursor: Option<Vec<u8>>,
    /// Channels of a restored backup have been told so.
    pub restored_done: bool,
    /// What devices that sign for themselves have new.
    pub signing: Signing,
    /// Signatures that go out in messages of this batch.
    pub shown: Vec<Signature>,
}

/// The record of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRow {
    /// The channel.
    pub id: [u8; 32],
    /// Its record.
    pub record: Vec<u8>,
    /// Whether it is over.
    pub over: bool,
    /// Below this version nothing of it can be enforced any more.
    pub enforced_from: u64,
}

/// A signature of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// In this channel.
    pub channel: [u8; 32],
    /// Of the state with this version.
    pub version: u64,
    /// Hash of the state; none where a message does not name it.
    pub hash: Option<[u8; 32]>,
    /// The signature; none where only the key's books are kept.
    pub signature: Option<Vec<u8>>,
}

/// A request to the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// What makes two requests the same.
    pub key: [u8; 32],
    /// The request.
    pub request: Vec<u8>,
    /// What would be lost without it, in base units.
    pub stake: u128,
}

/// What a row begins with that takes the deposits of a channel back; no request does.
const CANCEL: &[u8] = b"cancel ";

impl Wanted {
    /// No deposit into this channel any more, as far as nothing is signed.
    pub fn cancel(channel: &[u8; 32]) -> Self {
        Self { key: *channel, request: [CANCEL, channel].concat(), stake: 0 }
    }

    /// The channel whose deposits a row takes back.
    pub fn cancelled(request: &[u8]) -> Option<[u8; 32]> {
        request.strip_prefix(CANCEL)?.try_into().ok()
    }
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// It is durable. These signatures, by their place in [`Batch::shown`], are not stored and must not be shown.
    Stored {
        /// Places.
        unknown: Vec<usize>,
    },
    /// Nothing is stored: another state has this version already, or a newer one is signed.
    Refused {
        /// In this channel.
        channel: [u8; 32],
        /// The version that would have been signed again.
        version: u64,
    },
}

/// A channel as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredChannel {
    /// The channel.
    pub id: Vec<u8>,
    /// Its record.
    pub record: Vec<u8>,
    /// What its key signed last.
    pub last: Option<Vec<u8>>,
}

/// Whether fees of a channel's dispute are set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// They are.
    SetAside = 1,
    /// They were, and the channel is over.
    GivenBack = 2,
}

impl Store {
    /// Keeps a batch, and says what of it may be shown.
    pub fn commit_channels(&mut self, batch: &Batch) -> Result<Committed, Error> {
        let db = self.db.transaction()?;
        for signature in &batch.signatures {
            if !keep_signature(&db, signature)? {
                let Signature { channel, version, .. } = *signature;
                return Ok(Committed::Refused { channel, version });
            }
        }
        batch.adopted.iter().try_for_each(|adopted| keep_adopted(&db, adopted))?;
        batch.records.iter().try_for_each(|row| keep_record(&db, row))?;
        for (id, last) in &batch.lasts {
            let sql = "UPDATE channel SET last = ?2 WHERE id = ?1";
            db.prepare_cached(sql)?.execute(params![id, last])?;
        }
        for (name, spent) in &batch.spent {
            let sql = "INSERT OR REPLACE INTO spent (name, spent) VALUES (?1, ?2)";
            db.prepare_cached(sql)?.execute(params![name, spent])?;
        }
        for Wanted { key, request, stake } in &batch.wanted {
            let sql = "INSERT OR IGNORE INTO wanted (key, request, stake) VALUES (?1, ?2, ?3)";
            db.prepare_cached(sql)?.execute(params![key, request, stake.to_be_bytes()])?;
        }
        signing::keep(&db, &batch.signing)?;
        batch.forgotten.iter().try_for_each(|channel| forget_channel(&db, channel))?;
        if let Some(cursor) = &batch.cursor {
            let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
            db.prepare_cached(sql)?.execute(params![CURSOR, cursor])?;
        }
        if batch.restored_done {
            db.execute("DELETE FROM meta WHERE name = ?1", [CHANNELS_RESTORED])?;
        }
        db.commit()?;
        self.unknown(&batch.shown).map(|unknown| Committed::Stored { unknown })
    }

    /// Places of signatures that are not stored.
    fn unknown(&self, shown: &[Signature]) -> Result<Vec<usize>, Error> {
        let mut unknown = Vec::new();
        for (place, signature) in shown.iter().enumerate() {
            let sql = "SELECT EXISTS (SELECT 1 FROM signature WHERE channel = ?1 AND version = ?2
                       AND signature = ?3 AND hash = coalesce(?4, hash))";
            let Signature { channel, version, hash, signature } = signature;
            let values = params![channel, version.to_be_bytes(), signature, hash];
            if !self.db.prepare_cached(sql)?.query_row(values, |row| row.get(0))? {
                unknown.push(place);
            }
        }
        Ok(unknown)
    }

    /// All channels, also those that are over.
    pub fn channels(&self) -> Result<Vec<StoredChannel>, Error> {
        let mut statement = self.db.prepare_cached("SELECT id, record, last FROM channel")?;
        let rows = statement.query_map([], |row| {
            Ok(StoredChannel { id: row.get(0)?, record: row.get(1)?, last: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// What was spent of the limit with this name.
    pub fn spent(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let sql = "SELECT spent FROM spent WHERE name = ?1";
        Ok(self.db.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?)
    }

    /// Where the ledger's events were read to for the channels.
    pub fn channel_cursor(&self) -> Result<Vec<u8>, Error> {
        Ok(self.meta(CURSOR)?.unwrap_or_default())
    }

    /// The oldest requests that the outbox does not have yet: place, request, stake.
    pub fn wanted(&self, limit: u32) -> Result<Vec<(i64, Vec<u8>, u128)>, Error> {
        let sql = "SELECT place, request, stake FROM wanted ORDER BY place LIMIT ?1";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([limit], |row| {
            Ok((row.get(0)?, row.get(1)?, u128::from_be_bytes(row.get(2)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The outbox has these requests.
    pub fn forget_wanted(&mut self, places: &[i64]) -> Result<(), Error> {
        let db = self.db.transaction()?;
        for place in places {
            db.prepare_cached("DELETE FROM wanted WHERE place = ?1")?.execute([place])?;
        }
        Ok(db.commit()?)
    }

    /// Whether the channels come from a restored backup and have not been told so.
    pub fn channels_restored(&self) -> Result<bool, Error> {
        Ok(self.meta(CHANNELS_RESTORED)?.is_some())
    }

    /// How many channels are not over.
    pub fn open_channels(&self) -> Result<u64, Error> {
        let sql = "SELECT count(*) FROM channel WHERE over = 0";
        Ok(unsigned(self.db.prepare_cached(sql)?.query_row([], |row| row.get(0))?))
    }

    /// Channels whose fees have to be set aside, and those whose fees are to be given back.
    pub fn reserves_due(&self) -> Result<[Vec<[u8; 32]>; 2], Error> {
        let due = |over: bool, reserve: i64| -> Result<Vec<[u8; 32]>, Error> {
            let sql = "SELECT id FROM channel WHERE over = ?1 AND reserve = ?2";
            let mut statement = self.db.prepare_cached(sql)?;
            let rows = statement.query_map(params![over, reserve], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        Ok([due(false, 0)?, due(true, Reserve::SetAside as i64)?])
    }

    /// Notes what became of the fees of these channels.
    pub fn note_reserves(&mut self, channels: &[[u8; 32]], reserve: Reserve) -> Result<(), Error> {
        let db = self.db.transaction()?;
        for channel in channels {
            let sql = "UPDATE channel SET reserve = ?2 WHERE id = ?1";
            db.prepare_cached(sql)?.execute(params![channel, reserve as i64])?;
        }
        Ok(db.commit()?)
    }
}

/// Whether the signature may exist: the first of its version and above all others, or the same bytes again.
fn keep_signature(db: &Connection, new: &Signature) -> Result<bool, Error> {
    let Signature { channel, version, hash, signature } = new;
    let version = version.to_be_bytes();
    let sql = "SELECT max(version) FROM signature WHERE channel = ?1";
    let newest: Option<Vec<u8>> = db.prepare_cached(sql)?.query_row([channel], |row| row.get(0))?;
    if newest.is_none_or(|newest| newest.as_slice() < version.as_slice()) {
        let sql = "INSERT INTO signature (channel, version, hash, signature)
                   VALUES (?1, ?2, ?3, ?4)";
        db.prepare_cached(sql)?.execute(params![channel, version, hash, signature])?;
        return Ok(true);
    }
    let sql = "UPDATE signature SET signature = coalesce(signature, ?4)
               WHERE channel = ?1 AND version = ?2 AND hash = ?3
               AND (signature IS NULL OR ?4 IS NULL OR signature = ?4)";
    Ok(db.prepare_cached(sql)?.execute(params![channel, version, hash, signature])? == 1)
}

fn keep_adopted(db: &Connection, adopted: &Signature) -> Result<(), Error> {
    let Signature { channel, version, hash, signature } = adopted;
    let sql = "INSERT INTO signature (channel, version, hash, signature) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET signature = excluded.signature
               WHERE signature IS NULL AND hash = excluded.hash";
    let values = params![channel, version.to_be_bytes(), hash, signature];
    db.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

fn keep_record(db: &Connection, row: &ChannelRow) -> Result<(), Error> {
    let ChannelRow { id, record, over, enforced_from } = row;
    let sql = "INSERT INTO channel (id, record, over) VALUES (?1, ?2, ?3)
               ON CONFLICT DO UPDATE SET record = excluded.record, over = excluded.over";
    db.prepare_cached(sql)?.execute(params![id, record, over])?;
    // The newest stays whatever it is: nothing below it is signed again.
    let sql = "DELETE FROM signature WHERE channel = ?1 AND version < ?2 AND version <
               (SELECT max(version) FROM signature WHERE channel = ?1)";
    db.prepare_cached(sql)?.execute(params![id, enforced_from.to_be_bytes()])?;
    Ok(())
}

/// One whose fees are not given back yet stays until the next start. Which version was signed last stays for ever (I2),
/// without the signature.
fn forget_channel(db: &Connection, channel: &[u8; 32]) -> Result<(), Error> {
    let sql = "DELETE FROM channel WHERE id = ?1 AND over = 1 AND reserve <> ?2";
    if db.prepare_cached(sql)?.execute(params![channel, Reserve::SetAside as i64])? == 1 {
        let sql = "DELETE FROM signature WHERE channel = ?1 AND version <
                   (SELECT max(version) FROM signature WHERE channel = ?1)";
        db.prepare_cached(sql)?.execute([channel])?;
        let sql = "UPDATE signature SET signature = NULL WHERE channel = ?1";
        db.prepare_cached(sql)?.execute([channel])?;
        signing::forget(db, channel)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: [u8; 32] = [7; 32];

    fn signature(version: u64, hash: u8, bytes: u8) -> Signature {
        let (hash, signature) = (Some([hash; 32]), Some(vec![bytes; 65]));
        Signature { channel: CHANNEL, version, hash, signature }
    }

    fn signing(signatures: &[Signature]) -> Batch {
        let record = vec![1];
        let row = ChannelRow { id: CHANNEL, record, over: false, enforced_from: 0 };
        Batch { signatures: signatures.to_vec(), records: vec![row], ..Batch::default() }
    }

    fn open() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("gateway.db"), None).unwrap();
        (folder, store)
    }

    fn stored() -> Committed {
        Committed::Stored { unknown: vec![] }
    }

    #[test]
    fn a_second_signature_for_a_version_is_refused_with_all_that_came_with_it() {
        let (_folder, mut store) = open();
        assert_eq!(store.commit_channels(&signing(&[signature(3, 1, 1)])).unwrap(), stored());
        assert_eq!(store.commit_channels(&signing(&[signature(3, 1, 1)])).unwrap(), stored());
        let refused = Committed::Refused { channel: CHANNEL, version: 3 };
        for other in [signature(3, 2, 1), signature(3, 1, 2)] {
            let mut batch = signing(&[other]);
            batch.records[0].record = vec![2];
            assert_eq!(store.commit_channels(&batch).unwrap(), refused);
        }
        let older = store.commit_channels(&signing(&[signature(2, 9, 9)])).unwrap();
        assert_eq!(older, Committed::Refused { channel: CHANNEL, version: 2 });
        assert_eq!(store.channels().unwrap()[0].record, vec![1], "something was stored");
    }

    #[test]
    fn books_come_first_and_fix_the_state() {
        let (_folder, mut store) = open();
        let books = Signature { signature: None, ..signature(1, 1, 1) };
        assert_eq!(store.commit_channels(&signing(&[books])).unwrap(), stored());
        let other = store.commit_channels(&signing(&[signature(1, 2, 1)])).unwrap();
        assert_eq!(other, Committed::Refused { channel: CHANNEL, version: 1 });
        let hidden = Batch { shown: vec![signature(1, 1, 1)], ..Batch::default() };
        let unknown = Committed::Stored { unknown: vec![0] };
        assert_eq!(store.commit_channels(&hidden).unwrap(), unknown);
        let both = Batch { shown: hidden.shown, ..signing(&[signature(1, 1, 1)]) };
        assert_eq!(store.commit_channels(&both).unwrap(), stored());
    }

    #[test]
    fn what_is_superseded_goes_and_the_newest_stays() {
        let (_folder, mut store) = open();
        let all: Vec<_> = (0..5).map(|version| signature(version, 1, 1)).collect();
        let mut batch = signing(&all);
        batch.records[0].enforced_from = 9;
        assert_eq!(store.commit_channels(&batch).unwrap(), stored());
        let shown = Batch { shown: all, ..Batch::default() };
        let unknown = Committed::Stored { unknown: vec![0, 1, 2, 3] };
        assert_eq!(store.commit_channels(&shown).unwrap(), unknown);
        let below = store.commit_channels(&signing(&[signature(3, 1, 1)])).unwrap();
        assert_eq!(below, Committed::Refused { channel: CHANNEL, version: 3 });
    }

    #[test]
    fn an_adopted_signature_signs_nothing_and_hides_nothing_that_we_signed() {
        let (_folder, mut store) = open();
        store.commit_channels(&signing(&[signature(4, 1, 1)])).unwrap();
        let other = signature(4, 2, 2);
        let batch = Batch {
            adopted: vec![other.clone(), signature(6, 3, 3)],
            shown: vec![other, signature(4, 1, 1), signature(6, 3, 3)],
            ..Batch::default()
        };
        let unknown = Committed::Stored { unknown: vec![0] };
        assert_eq!(store.commit_channels(&batch).unwrap(), unknown);
    }

    #[test]
    fn a_request_is_wanted_once_and_the_cursor_comes_with_it() {
        let (_folder, mut store) = open();
        let wanted = Wanted { key: [1; 32], request: vec![5], stake: 9 };
        let batch = Batch {
            wanted: vec![wanted.clone(), wanted],
            cursor: Some(vec![8]),
            ..Batch::default()
        };
        store.commit_channels(&batch).unwrap();
        let waiting = store.wanted(10).unwrap();
        assert_eq!(waiting.len(), 1);
        assert_eq!((waiting[0].1.as_slice(), waiting[0].2), ([5].as_slice(), 9));
        assert_eq!(store.channel_cursor().unwrap(), vec![8]);
        store.forget_wanted(&[waiting[0].0]).unwrap();
        assert_eq!(store.wanted(10).unwrap(), vec![]);
    }

    #[test]
    fn a_forgotten_channel_is_gone_and_its_versions_are_never_signed_again() {
        let (_folder, mut store) = open();
        let mut batch = signing(&[signature(0, 1, 1), signature(3, 1, 1)]);
        store.commit_channels(&batch).unwrap();
        let forget = Batch { forgotten: vec![CHANNEL], ..Batch::default() };
        store.commit_channels(&forget).unwrap();
        assert_eq!(store.channels().unwrap().len(), 1, "it is not over");
        batch.records[0].over = true;
        (batch.signatures, batch.forgotten) = (vec![], vec![CHANNEL]);
        store.note_reserves(&[CHANNEL], Reserve::SetAside).unwrap();
        store.commit_channels(&batch).unwrap();
        assert_eq!(store.channels().unwrap().len(), 1, "its fees are set aside");
        store.note_reserves(&[CHANNEL], Reserve::GivenBack).unwrap();
        store.commit_channels(&forget).unwrap();
        assert_eq!(store.channels().unwrap(), vec![]);
        let refused = Committed::Refused { channel: CHANNEL, version: 3 };
        assert_eq!(store.commit_channels(&signing(&[signature(3, 2, 2)])).unwrap(), refused);
    }

    #[test]
    fn a_row_that_takes_deposits_back_is_no_request() {
        let (_folder, mut store) = open();
        let batch = Batch { wanted: vec![Wanted::cancel(&CHANNEL)], ..Batch::default() };
        store.commit_channels(&batch).unwrap();
        let row = store.wanted(10).unwrap().remove(0).1;
        assert_eq!(Wanted::cancelled(&row), Some(CHANNEL));
        assert!(sluicegate_ledger::Request::decode(&row).is_err());
        let request = sluicegate_ledger::Request::Anchor(sluicegate_protocol::Digest::new(CHANNEL));
        assert_eq!(Wanted::cancelled(&request.to_bytes()), None);
    }

    #[test]
    fn a_database_of_a_version_before_gets_the_tables() {
        let folder = tempfile::tempdir().unwrap();
        let with = |version: i64, tables: &[&str]| {
            let path = folder.path().join(format!("{version}.db"));
            let old = Connection::open(&path).unwrap();
            tables.iter().for_each(|tables| old.execute_batch(tables).unwrap());
            old.pragma_update(None, "user_version", version).unwrap();
            drop(old);
            let store = Store::open(&path, None).unwrap();
            assert_eq!((store.open_channels().unwrap(), store.counts().unwrap()), (0, vec![]));
            assert_eq!(store.device_keys().unwrap(), []);
            drop(store);
            Store::open(&path, None).unwrap();
        };
        with(3, &[include_str!("schema.sql")]);
        with(4, &[include_str!("schema.sql"), include_str!("channels.sql")]);
    }
}
