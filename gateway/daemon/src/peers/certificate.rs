//! The certificate that shows a gateway to its peers, and what is read of theirs.
//!
//! Guarantees: key and name give the same bytes for ever, so that the fingerprint that administrators exchanged stays;
//! nothing in it expires. Does not: trust anything that a certificate says; a peer is who has the pinned one and signs
//! with its key. What is written is the least that X.509 allows (RFC 5280 §4.1), with the name as `CN` and as DNS name,
//! for peers that check names (Go).

use rsa::{RsaPublicKey as Components, pkcs8::DecodePublicKey, traits::PublicKeyParts};
use rustls::{pki_types::CertificateDer, server::ParsedCertificate};
use sha2::{Digest as _, Sha256};
use sluicegate_channels::wire::RsaPublicKey;
use sluicegate_protocol::Digest;

/// `sha256WithRSAEncryption`, with its empty parameters.
const SHA256_WITH_RSA: &[u8] =
    &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11, 5, 0];

/// `rsaEncryption`, with its empty parameters.
const RSA_ENCRYPTION: &[u8] = &[0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

/// Version 3.
const VERSION: &[u8] = &[0xa0, 3, 2, 1, 2];

/// From the beginning of 2020, and without an end (RFC 5280 §4.1.2.5).
const VALIDITY: (&[u8], &[u8]) = (b"200101000000Z", b"99991231235959Z");

const COMMON_NAME: &[u8] = &[6, 3, 0x55, 4, 3];
const SUBJECT_ALT_NAME: &[u8] = &[6, 3, 0x55, 0x1d, 0x11];

const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const OCTET_STRING: u8 = 4;
const UTF8_STRING: u8 = 12;
const UTC_TIME: u8 = 23;
const GENERALIZED_TIME: u8 = 24;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const DNS_NAME: u8 = 0x82;
const EXTENSIONS: u8 = 0xa3;

/// The SHA-256 of a certificate.
pub(super) fn fingerprint(certificate: &[u8]) -> Digest {
    Digest::new(Sha256::digest(certificate).into())
}

/// What a certificate's signature is made over; `key` is a PKCS #1 public key.
pub(super) fn to_be_signed(name: &str, key: &[u8]) -> Vec<u8> {
    let subject = distinguished(name);
    let from = tlv(UTC_TIME, &[VALIDITY.0]);
    let until = tlv(GENERALIZED_TIME, &[VALIDITY.1]);
    let key_info = tlv(SEQUENCE, &[RSA_ENCRYPTION, &tlv(BIT_STRING, &[&[0], key])]);
    let names = tlv(SEQUENCE, &[&tlv(DNS_NAME, &[name.as_bytes()])]);
    let names = tlv(SEQUENCE, &[SUBJECT_ALT_NAME, &tlv(OCTET_STRING, &[&names])]);
    let parts: [&[u8]; 8] = [
        VERSION,
        &tlv(INTEGER, &[&serial(key)]),
        SHA256_WITH_RSA,
        &subject,
        &tlv(SEQUENCE, &[&from, &until]),
        &subject,
        &key_info,
        &tlv(EXTENSIONS, &[&tlv(SEQUENCE, &[&names])]),
    ];
    tlv(SEQUENCE, &parts)
}

/// The certificate of what was signed and the signature.
pub(super) fn signed(to_be_signed: &[u8], signature: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[to_be_signed, SHA256_WITH_RSA, &tlv(BIT_STRING, &[&[0], signature])])
}

/// The RSA key of a certificate; `None` if it has another kind of key.
pub(super) fn rsa_key(certificate: &CertificateDer<'_>) -> Option<RsaPublicKey> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let key = Components::from_public_key_der(&parsed.subject_public_key_info()).ok()?;
    let exponent = key.e_bytes().iter().try_fold(0u32, |value, byte| {
        value.checked_mul(256).and_then(|value| value.checked_add(u32::from(*byte)))
    });
    RsaPublicKey::new(&key.n_bytes(), exponent?).ok()
}

fn distinguished(name: &str) -> Vec<u8> {
    let attribute = tlv(SEQUENCE, &[COMMON_NAME, &tlv(UTF8_STRING, &[name.as_bytes()])]);
    tlv(SEQUENCE, &[&tlv(SET, &[&attribute])])
}

/// A positive number that no other key has.
fn serial(key: &[u8]) -> [u8; 8] {
    let hash: [u8; 32] = Sha256::digest(key).into();
    let mut serial = [0; 8];
    serial.copy_from_slice(&hash[..8]);
    serial[0] = serial[0] & 0x3f | 0x40;
    serial
}

/// A value of DER: tag, length, contents.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut value = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => value.push(short),
        _ => {
            let digits = length.to_be_bytes();
            let digits = &digits[digits.iter().take_while(|digit| **digit == 0).count()..];
            // At most 8 digits.
            value.push(0x80 | digits.len().to_le_bytes()[0]);
            value.extend(digits);
        }
    }
    parts.iter().for_each(|part| value.extend(*part));
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short_or_long() {
        assert_eq!(tlv(4, &[b"ab", b"c"]), [4, 3, b'a', b'b', b'c']);
        assert_eq!(tlv(4, &[&[0; 127]])[..2], [4, 127]);
        assert_eq!(tlv(4, &[&[0; 128]])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[&[0; 300]])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn what_is_no_certificate_has_no_key() {
        assert_eq!(rsa_key(&CertificateDer::from(vec![])), None);
        assert_eq!(rsa_key(&CertificateDer::from(vec![0x30; 700])), None);
    }
}
