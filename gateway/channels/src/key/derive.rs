//! The keys of represented devices, all from one seed.
//!
//! Guarantees: a device's name gives one key, on every machine and in every version; knowing one gives no other.
//! Does not: keep the seed; it is a credential.

use hkdf::Hkdf;
use sha2::Sha256;
use sluicegate_protocol::channel::SigningKey;
use zeroize::Zeroizing;

const SALT: &[u8] = b"sluicegate/device-key/v1";

/// The key of a device: HKDF-SHA-256 (RFC 5869) of the seed, with the device's name behind a counter that skips what is
/// no secret key of secp256k1 (never seen: one in 2^128).
pub fn device_key(seed: &[u8; 32], device: &str) -> Result<SigningKey, sluicegate_protocol::Error> {
    let derivation = Hkdf::<Sha256>::new(Some(SALT), seed);
    let mut last = None;
    for counter in 0..4_u8 {
        let mut secret = Zeroizing::new([0; 32]);
        let filled = derivation.expand_multi_info(&[&[counter], device.as_bytes()], &mut *secret);
        debug_assert!(filled.is_ok(), "32 bytes are few");
        match SigningKey::from_bytes(&secret) {
            Ok(key) => return Ok(key),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or(sluicegate_protocol::Error::Channel(
        sluicegate_protocol::channel::Rule::SecretKey,
    )))
}
