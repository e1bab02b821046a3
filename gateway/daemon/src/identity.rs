//! The keys of the log, all derived from one credential.
//!
//! Guarantees: signing, pseudonyms and salts use keys that say nothing about each other; whoever has the credential can
//! go on after the database was lost. Does not: print, store or send a key; memory is wiped when it is dropped.

use hkdf::Hkdf;
use sha2::Sha256;
use sluicegate_notary::entry::{Pseudonym, epoch_of};
use sluicegate_protocol::{
    SigningKey,
    commitment::{day_key, pseudonym, pseudonym_opening},
    note::{KeyKind, VerifierKey},
};
use zeroize::Zeroizing;

use crate::net::psk::{KEY_BYTES, Psk};

/// Key material of one gateway's log.
#[derive(Clone)]
pub struct Identity {
    secret: Zeroizing<[u8; 32]>,
    pseudonyms: Zeroizing<[u8; 32]>,
    salts: Zeroizing<[u8; 32]>,
}

impl Identity {
    /// Derives all keys from the 32 bytes of the log's credential.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self {
            pseudonyms: derive(secret, &[b"sluicegate/log/pseudonyms/v1"]),
            salts: derive(secret, &[b"sluicegate/log/salts/v1"]),
            secret: Zeroizing::new(*secret),
        }
    }

    /// Signs the checkpoints of this origin; every origin has a key of its own.
    pub fn signing_key(&self, origin: &str) -> SigningKey {
        let label = [b"sluicegate/log/signing/v1\0", origin.as_bytes()];
        SigningKey::from_bytes(&derive(&self.secret, &label))
    }

    /// What a verifier's policy names: the log's key under this origin.
    pub fn verifier_key(&self, origin: &str) -> Result<String, sluicegate_protocol::Error> {
        let key = self.signing_key(origin).verifying_key();
        Ok(VerifierKey::new(origin, KeyKind::Note, key)?.to_string())
    }

    /// Derives pseudonyms.
    pub fn pseudonym_key(&self) -> [u8; 32] {
        *self.pseudonyms
    }

    /// Derives the keys of device days.
    pub fn salt_key(&self) -> [u8; 32] {
        *self.salts
    }

    /// A device's pseudonym on a day, with what opens it.
    pub fn pseudonym(&self, device: &str, day: u32) -> (Pseudonym, [u8; 32]) {
        let epoch = epoch_of(day);
        let opening = pseudonym_opening(&self.pseudonyms, device, epoch);
        (pseudonym(&opening, device, epoch), opening)
    }

    /// The PSK of a device that was enrolled with this nonce.
    pub fn psk(&self, device: &str, nonce: &[u8; 32]) -> Psk {
        let label: [&[u8]; 4] = [b"sluicegate/psk/v1\0", device.as_bytes(), b"\0", nonce];
        let derived = derive(&self.secret, &label);
        let mut psk = Zeroizing::new([0; KEY_BYTES]);
        psk.copy_from_slice(&derived[..KEY_BYTES]);
        Psk::new(*psk)
    }

    /// Seals the key that peers know this gateway by.
    pub fn peer_key(&self) -> [u8; 32] {
        *derive(&self.secret, &[b"sluicegate/peers/key/v1"])
    }

    /// The key of a device's day in the log of this origin, from its stored half.
    pub fn day_key(&self, origin: &str, stored: &[u8; 32]) -> [u8; 32] {
        day_key(&self.salts, origin, stored)
    }
}

fn derive(secret: &[u8; 32], label: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // HKDF-SHA256 can't run out of output at 32 bytes.
    let _ = Hkdf::<Sha256>::new(None, secret).expand_multi_info(label, &mut *key);
    key
}
