//! Rows of devices that sign for themselves: the addresses of their keys, and which channels are theirs.
//!
//! Guarantees: part of the batch of a turn ([`super::channels`]), so a device is answered when it is durable. Does not:
//! hold a key, or a signature; records do.

use rusqlite::{Connection, params};

use super::Store;
use crate::Error;

/// What a turn makes durable of such devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signing {
    /// Addresses of devices' keys, by their names; the newest counts.
    pub keys: Vec<(String, [u8; 20])>,
    /// Channels that begin.
    pub channels: Vec<DeviceChannel>,
    /// Channels of which the device knows that they are over.
    pub seen: Vec<[u8; 32]>,
}

/// A channel of such a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceChannel {
    /// The channel.
    pub channel: [u8; 32],
    /// The shares of device and peer in the nonce, if the device asked for the channel.
    pub shares: Option<[[u8; 32]; 2]>,
    /// Whether the device was told that it is over.
    pub seen: bool,
}

/// Keeps what a turn has of them.
pub(super) fn keep(db: &Connection, signing: &Signing) -> Result<(), Error> {
    for (device, address) in &signing.keys {
        let sql = "INSERT OR REPLACE INTO device_key (device, address) VALUES (?1, ?2)";
        db.prepare_cached(sql)?.execute(params![device, address])?;
    }
    for DeviceChannel { channel, shares, seen } in &signing.channels {
        let [share, peer_share] = shares.map_or([None, None], |shares| shares.map(Some));
        let sql = "INSERT OR IGNORE INTO device_channel (channel, share, peer_share, seen)
                   VALUES (?1, ?2, ?3, ?4)";
        db.prepare_cached(sql)?.execute(params![channel, share, peer_share, seen])?;
    }
    for channel in &signing.seen {
        let sql = "UPDATE device_channel SET seen = 1 WHERE channel = ?1";
        db.prepare_cached(sql)?.execute([channel])?;
    }
    Ok(())
}

/// Forgets a channel with its record.
pub(super) fn forget(db: &Connection, channel: &[u8; 32]) -> Result<(), Error> {
    db.prepare_cached("DELETE FROM device_channel WHERE channel = ?1")?.execute([channel])?;
    Ok(())
}

impl Store {
    /// The addresses of devices' keys, by their names.
    pub fn device_keys(&self) -> Result<Vec<(String, [u8; 20])>, Error> {
        let mut statement = self.db.prepare_cached("SELECT device, address FROM device_key")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All channels of such devices, the oldest first.
    pub fn device_channels(&self) -> Result<Vec<DeviceChannel>, Error> {
        let sql = "SELECT channel, share, peer_share, seen FROM device_channel ORDER BY place";
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let share: Option<[u8; 32]> = row.get(1)?;
            let shares = share.zip(row.get(2)?).map(<[_; 2]>::from);
            Ok(DeviceChannel { channel: row.get(0)?, shares, seen: row.get(3)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::channels::{Batch, ChannelRow, Committed};

    #[test]
    fn keys_and_channels_are_there_after_a_restart_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let mut store = Store::open(&path, None).unwrap();
        let channel =
            |channel, shares| DeviceChannel { channel: [channel; 32], shares, seen: false };
        let [asked, offered] = [channel(9, Some([[1; 32], [2; 32]])), channel(3, None)];
        let mut commit = |signing| {
            let batch = Batch { signing, ..Batch::default() };
            let stored = Committed::Stored { unknown: vec![] };
            assert_eq!(store.commit_channels(&batch).unwrap(), stored);
        };
        let keys = vec![("car-1".to_owned(), [1; 20]), ("car-1".to_owned(), [2; 20])];
        let channels = vec![asked.clone(), offered.clone()];
        commit(Signing { keys, channels, seen: vec![] });
        commit(Signing { seen: vec![[3; 32]], ..Signing::default() });
        drop(store);
        let store = Store::open(&path, None).unwrap();
        assert_eq!(store.device_keys().unwrap(), [("car-1".to_owned(), [2; 20])]);
        let seen = DeviceChannel { seen: true, ..offered };
        assert_eq!(store.device_channels().unwrap(), [asked, seen]);
    }

    #[test]
    fn a_forgotten_channel_leaves_no_row() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("gateway.db"), None).unwrap();
        let id = [7; 32];
        let records = vec![ChannelRow { id, record: vec![], over: true, enforced_from: 0 }];
        let channels = vec![DeviceChannel { channel: id, shares: None, seen: false }];
        let signing = Signing { channels, ..Signing::default() };
        let begun = Batch { records, signing, ..Batch::default() };
        store.commit_channels(&begun).unwrap();
        assert_eq!(store.device_channels().unwrap().len(), 1);
        let forget = Batch { forgotten: vec![id], ..Batch::default() };
        store.commit_channels(&forget).unwrap();
        assert_eq!(store.device_channels().unwrap(), []);
    }
}
