//! Salted commitments: what a log entry says about a reading and its device without showing either.
//!
//! Guarantees: without the salt a commitment can't be tried against guesses of the payload; without the opening a
//! pseudonym can't be tried against guesses of the name.
//! Does not: store keys or salts; `gateway/notary` decides whose they are and how long they live.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::digest::{Digest, sha256};

/// Bytes of a device pseudonym in an entry.
pub const PSEUDONYM_LEN: usize = 16;

const COMMIT_TAG: &[u8] = b"sluicegate/commit/v1\0";
const PSEUDONYM_TAG: &[u8] = b"sluicegate/pseudonym/v1\0";
const DAY_KEY_TAG: &[u8] = b"sluicegate/day-key/v1\0";
const OPENING_TAG: &[u8] = b"sluicegate/pseudonym-opening/v1\0";

/// The commitment to a payload: `SHA-256(tag ‖ 0x00 ‖ salt ‖ payload)`.
pub fn commit(salt: &[u8; 32], payload: &[u8]) -> Digest {
    sha256(&[COMMIT_TAG, salt, payload])
}

/// The salt of one reading: `HMAC-SHA256(key, seq ‖ index)`, both 8 bytes big endian, no sequence number as all ones.
pub fn salt(key: &[u8; 32], seq: Option<u64>, index: u64) -> [u8; 32] {
    mac(key, &[&seq.unwrap_or(u64::MAX).to_be_bytes(), &index.to_be_bytes()])
}

/// The key of a device's day in the log of this origin: the stored half alone opens nothing, and without it the master
/// opens nothing.
///
/// Logs that follow each other count from 0 again, so without the origin two readings of a day could share a salt.
pub fn day_key(master: &[u8; 32], origin: &str, stored: &[u8; 32]) -> [u8; 32] {
    let length = (origin.len() as u64).to_be_bytes();
    mac(master, &[DAY_KEY_TAG, &length, origin.as_bytes(), stored])
}

/// What opens a device's pseudonym of one epoch; show it to link the pseudonym to the name.
pub fn pseudonym_opening(key: &[u8; 32], device: &str, epoch: u32) -> [u8; 32] {
    mac(key, &[OPENING_TAG, &epoch.to_be_bytes(), device.as_bytes()])
}

/// A device's pseudonym: the first 16 bytes of `SHA-256(tag ‖ 0x00 ‖ opening ‖ epoch ‖ name)`.
pub fn pseudonym(opening: &[u8; 32], device: &str, epoch: u32) -> [u8; PSEUDONYM_LEN] {
    let digest = sha256(&[PSEUDONYM_TAG, opening, &epoch.to_be_bytes(), device.as_bytes()]);
    let mut out = [0; PSEUDONYM_LEN];
    out.copy_from_slice(&digest.as_bytes()[..PSEUDONYM_LEN]);
    out
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC fills a short key with zeros to its block of 64 bytes (RFC 2104 §2).
    let mut block = [0; 64];
    block[..32].copy_from_slice(key);
    let mut mac = <Hmac<Sha256> as Mac>::new((&block).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_counts() {
        let key = [7; 32];
        assert_ne!(salt(&key, Some(1), 2), salt(&key, Some(2), 1));
        assert_ne!(salt(&key, None, 2), salt(&key, Some(0), 2));
        let (stored, origin) = ([8; 32], "example.com/gw/1");
        assert_ne!(day_key(&key, origin, &stored), day_key(&key, "example.com/gw/2", &stored));
        assert_ne!(day_key(&key, origin, &stored), day_key(&key, origin, &key));
        let opening = pseudonym_opening(&key, "meter-1", 3);
        assert_ne!(opening, pseudonym_opening(&key, "meter-1", 4));
        assert_ne!(pseudonym(&opening, "meter-1", 3), pseudonym(&opening, "meter-2", 3));
        assert_ne!(commit(&opening, b"21.5"), commit(&key, b"21.5"));
    }

    #[test]
    fn commitment_is_the_documented_hash() {
        let salt = [1; 32];
        let expected = sha256(&[b"sluicegate/commit/v1", &[0], &salt, b"payload"]);
        assert_eq!(commit(&salt, b"payload"), expected);
    }
}
