//! Damage and tampering: every changed byte, every cut, everything left over.

use sluicegate_notary::{
    Error,
    bundle::{Bundle, Parts},
    policy::Policy,
    tlog_proof::{Extra, TlogProof},
    verify::{Verdict, verify},
};
use sluicegate_protocol::sha256;

use crate::{
    fixture::{Gateway, at},
    judge, verdict,
};

/// Day, beacon, summary, erasure, anchor and witnesses in one bundle.
fn everything(gateway: &Gateway) -> Vec<u8> {
    gateway.file(&[0, 1, 2, 4, 6, 7, 8, 9, 11])
}

/// Writes a fitting checksum under changed contents, as a forger would.
fn reseal(bytes: &mut [u8]) {
    let body = bytes.len() - 34;
    let checksum = sha256(&[&[0x88], &bytes[1..body]]);
    bytes[body + 2..].copy_from_slice(checksum.as_bytes());
}

#[test]
fn every_value_of_every_byte_of_a_small_bundle() {
    let gateway = Gateway::new(1);
    let bytes = gateway.bundle(gateway.parts(&[at::READING])).unwrap().to_bytes();
    let policy = gateway.policy_without_witnesses();
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    assert_eq!(verify(&bytes, &policy).verdict, Verdict::NotAnchored);
    let mut changed = bytes.clone();
    for position in 0..bytes.len() {
        for value in 0..=255 {
            if value != bytes[position] {
                changed[position] = value;
                let verdict = verify(&changed, &policy).verdict;
                assert_eq!(verdict, Verdict::Invalid, "byte {position} as {value}");
            }
        }
        changed[position] = bytes[position];
    }
}

#[test]
fn every_bit_of_every_byte_of_a_full_bundle() {
    let gateway = Gateway::new(1);
    let bytes = everything(&gateway);
    let policy = gateway.policy();
    assert_eq!(verdict(&bytes, &policy), Verdict::Valid);
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let mut changed = bytes.clone();
    for position in 0..bytes.len() {
        let old = bytes[position];
        let flips = (0..8).map(|bit| old ^ 1 << bit);
        for value in flips.chain([0, 255, !old, old.wrapping_add(1)]).filter(|v| *v != old) {
            changed[position] = value;
            let verdict = verify(&changed, &policy).verdict;
            assert_eq!(verdict, Verdict::Invalid, "byte {position} as {value}");
        }
        changed[position] = old;
    }
}

#[test]
fn a_fitting_checksum_does_not_help() {
    let gateway = Gateway::new(1);
    let bytes = everything(&gateway);
    let policy = gateway.policy();
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    let original = verify(&bytes, &policy);
    let body = bytes.len() - 34;
    for position in 0..body {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[position] ^= 1 << bit;
            reseal(&mut changed);
            let report = verify(&changed, &policy);
            // What no key covers may go: a cosignature or an anchor becomes a stranger's, and is missed.
            let missed = matches!(report.verdict, Verdict::QuorumMissing | Verdict::NotAnchored);
            let same = missed && report.readings == original.readings;
            let allowed = report.verdict == Verdict::Invalid || same;
            assert!(allowed, "byte {position} bit {bit}: {}", report.to_text());
        }
    }
}

#[test]
fn cut_and_continued_files() {
    let gateway = Gateway::new(1);
    let bytes = everything(&gateway);
    let policy = gateway.policy();
    for cut in 0..bytes.len() {
        assert_eq!(verdict(&bytes[..cut], &policy), Verdict::Invalid, "{cut}");
        assert_eq!(verdict(&bytes[cut + 1..], &policy), Verdict::Invalid, "{cut}");
    }
    for tail in [&[0][..], &[0xf6], &bytes] {
        let longer = [&bytes, tail].concat();
        assert_eq!(verdict(&longer, &policy), Verdict::Invalid);
    }
}

#[test]
fn lengths_that_nothing_follows_are_refused_at_once() {
    let gateway = Gateway::new(1);
    let policy = gateway.policy();
    let head = gateway.file(&[at::READING]);
    // The array of entries follows the magic and the checkpoint, whose text has a header of three bytes.
    let entries = 1 + 21 + 3 + gateway.checkpoint(&[0, 1]).len();
    assert_eq!(head[entries], 0x81);
    for size in [[0x9b, 0xff, 0xff, 0xff], [0x9a, 0x7f, 0xff, 0xff], [0x9f, 0, 0, 0]] {
        let mut huge = head[..entries].to_vec();
        huge.extend(size);
        huge.extend([0xff; 40]);
        assert_eq!(verdict(&huge, &policy), Verdict::Invalid);
    }
}

#[test]
fn lists_that_do_not_ascend_and_entries_that_are_none_are_refused_while_reading() {
    let gateway = Gateway::new(1);
    let bundle = gateway.bundle(gateway.full_parts(&[1, 2, 3])).unwrap();
    let changes: [fn(&mut Parts); 8] = [
        |parts| parts.entries.swap(0, 1),
        |parts| parts.entries[1] = parts.entries[0].clone(),
        |parts| parts.entries[0].1.clear(),
        |parts| parts.entries[0].1.truncate(24),
        |parts| parts.devices.swap(0, 1),
        |parts| parts.openings.swap(0, 1),
        |parts| parts.openings[1] = parts.openings[0].clone(),
        |parts| parts.beacons = vec![parts.beacons[0].clone(); 4],
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let mut other = bundle.clone();
        change(&mut other.parts);
        let refused = Bundle::decode(&other.to_bytes());
        assert_eq!(refused, Err(Error::Encoding { what: "bundle" }), "{place}");
    }
}

#[test]
fn a_tlog_proof_of_too_short_an_entry_is_no_bundle() {
    let gateway = Gateway::new(1);
    let extra = Extra { entry: gateway.entries[2].clone(), opening: None, device: None };
    let note = gateway.checkpoint(&[]);
    let proof = TlogProof::assemble(note, at::READING, &extra, &gateway.leaves()).unwrap();
    let whole = proof.to_bundle().unwrap();
    assert_eq!(Bundle::decode(&whole.to_bytes()), Ok(whole));
    // An extra of an array of three: a byte string of 24 zeros, and nothing that opens it.
    let short = [&[0x83, 0x58, 24][..], &[0; 24], &[0xf6, 0xf6]].concat();
    let empty = vec![0x83, 0x40, 0xf6, 0xf6];
    for extra in [short, empty] {
        let other = TlogProof { extra: Some(extra), ..proof.clone() };
        assert!(matches!(other.to_bundle(), Err(Error::Encoding { .. })));
    }
}

#[test]
fn other_encodings_of_the_same_bundle() {
    let gateway = Gateway::new(1);
    let bytes = gateway.file(&[at::READING]);
    let policy = gateway.policy();
    let indefinite = [&[0x9f], &bytes[1..], &[0xff]].concat();
    assert_eq!(verdict(&indefinite, &policy), Verdict::Invalid);
    let mut longer = [&[0x98, 9], &bytes[1..]].concat();
    assert_eq!(verdict(&longer, &policy), Verdict::Invalid);
    let body = longer.len() - 34;
    let checksum = sha256(&[&longer[..body]]);
    longer[body + 2..].copy_from_slice(checksum.as_bytes());
    assert_eq!(verdict(&longer, &policy), Verdict::Invalid);
}

#[test]
fn every_byte_of_a_tlog_proof() {
    let gateway = Gateway::new(1);
    let opening = gateway.opening(at::READING).unwrap();
    let extra = Extra {
        entry: gateway.entries[2].clone(),
        opening: Some((opening.salt, opening.payload)),
        device: Some(gateway.device("meter-1")),
    };
    let note = gateway.checkpoint(&[0, 1]);
    let proof = TlogProof::assemble(note, at::READING, &extra, &gateway.leaves()).unwrap();
    let text = proof.to_string();
    assert_eq!(TlogProof::parse(&text), Ok(proof));
    let policy = gateway.policy();
    let report = judge(text.as_bytes(), &policy);
    assert_eq!(report.verdict, Verdict::NotAnchored, "{}", report.to_text());
    assert_eq!(report.readings[0].device.as_deref(), Some("meter-1"));
    // As with a resealed bundle, a cosignature may become a stranger's, or be cut off with its line.
    let refused = |verdict| matches!(verdict, Verdict::Invalid | Verdict::QuorumMissing);
    for position in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.clone().into_bytes();
            changed[position] ^= 1 << bit;
            let verdict = verdict(&changed, &policy);
            assert!(refused(verdict), "byte {position} bit {bit}");
        }
        assert!(refused(verdict(&text.as_bytes()[..position], &policy)), "cut at {position}");
    }
    assert_eq!(verdict(format!("{text}\n").as_bytes(), &policy), Verdict::Invalid);
}

#[test]
fn a_bundle_is_decoded_as_it_was_encoded() {
    let gateway = Gateway::new(1);
    let bundle = gateway.bundle(gateway.full_parts(&[1, 2, 3])).unwrap();
    assert_eq!(Bundle::decode(&bundle.to_bytes()), Ok(bundle));
}
