//! Whom the verifier believes: nobody but the policy.

use sluicegate_notary::{
    bundle::Parts,
    verify::{Block, Check, LedgerAnswer, Status, Verdict},
};
use sluicegate_protocol::{Digest, sha256};

use crate::{
    fixture::{Gateway, LEDGER, ORIGIN, at},
    judge, verdict,
};

const SHOWN: [u64; 2] = [at::BEACON, at::READING];

fn block(number: u64, hash: Digest) -> Block {
    Block::new(format!("embedded:{LEDGER}"), number, hash, 0)
}

#[test]
fn a_complete_forgery_with_fresh_keys_is_invalid() {
    let (gateway, forger) = (Gateway::new(1), Gateway::new(50));
    let forged = forger.file(&SHOWN);
    assert_eq!(verdict(&forged, &forger.policy()), Verdict::Valid);
    let report = judge(&forged, &gateway.policy());
    assert_eq!(report.verdict, Verdict::Invalid);
    assert!(report.readings.is_empty() && report.log.is_none());
    let another_key = format!("No key that the policy has for the log {ORIGIN} signed this");
    assert!(report.summary.contains(&another_key), "{}", report.summary);
    let report = judge(&forged, "quorum none\n");
    assert_eq!(report.verdict, Verdict::Invalid);
    let no_key = format!("The policy has no key for the log {ORIGIN}:");
    assert!(report.summary.contains(&no_key), "{}", report.summary);
}

#[test]
fn a_ledger_of_the_same_name_with_another_key_is_invalid() {
    let (gateway, forger) = (Gateway::new(1), Gateway::new(50));
    let policy = gateway.log_line() + &forger.ledger_line() + "quorum none\n";
    assert_eq!(verdict(&gateway.file(&[at::READING]), &policy), Verdict::Invalid);
    assert_eq!(verdict(&gateway.file(&SHOWN), &policy), Verdict::Invalid);
    let both = policy + &gateway.ledger_line();
    assert_eq!(verdict(&gateway.file(&SHOWN), &both), Verdict::Valid);
}

#[test]
fn an_anchor_on_an_unknown_ledger_is_not_checked() {
    let gateway = Gateway::new(1);
    let policy = gateway.log_line() + "quorum none\n";
    let report = judge(&gateway.file(&SHOWN), &policy);
    assert_eq!(report.verdict, Verdict::NotAnchored);
    assert_eq!((report.bracket.not_before, report.bracket.not_after), (None, None));
    let anchor = report.steps.iter().find(|step| step.check == Check::Anchor).unwrap();
    assert_eq!(anchor.status, Status::NotChecked);
    assert!(anchor.text.contains(LEDGER));
}

#[test]
fn anchors_of_other_checkpoints_and_other_blocks_are_refused() {
    let gateway = Gateway::new(1);
    let policy = gateway.policy();
    let other = Parts {
        anchors: vec![gateway.anchor_of(sha256(&[b"another checkpoint"]))],
        ..gateway.full_parts(&SHOWN)
    };
    assert!(gateway.bundle(other.clone()).is_err());
    let two = Parts { anchors: vec![gateway.anchor(); 2], ..gateway.full_parts(&SHOWN) };
    let wrong_block = Parts { beacons: vec![gateway.block(2)], ..gateway.full_parts(&SHOWN) };
    let no_block = Parts { beacons: Vec::new(), ..gateway.full_parts(&SHOWN) };
    let left_over = Parts { beacons: vec![gateway.block(1)], ..gateway.full_parts(&[2]) };
    for parts in [other, two, wrong_block, no_block, left_over] {
        let mut bundle = gateway.bundle(gateway.full_parts(&SHOWN)).unwrap();
        assert_eq!(verdict(&bundle.to_bytes(), &policy), Verdict::Valid);
        bundle.parts = parts;
        assert_eq!(verdict(&bundle.to_bytes(), &policy), Verdict::Invalid);
    }
}

#[test]
fn an_anchor_that_is_not_later_than_the_beacon_is_a_contradiction() {
    let gateway = Gateway::new(1);
    let mut other = Gateway::new(1);
    other.name_new_blocks();
    let shown = [at::READING, other.entries.len() as u64 - 1];
    let mut parts = other.full_parts(&shown);
    let log = judge(&other.file(&shown), &gateway.policy()).log.unwrap();
    // The same ledger key vouches for a history in which the anchor is older than what it anchors.
    parts.anchors = vec![gateway.anchor_of(Digest::from_hex(&log.digest).unwrap())];
    let report = judge(&other.bundle(parts).unwrap().to_bytes(), &gateway.policy());
    assert_eq!(report.verdict, Verdict::Invalid, "{}", report.to_text());
}

#[test]
fn the_quorum_of_witnesses() {
    let gateway = Gateway::new(1);
    let policy = gateway.policy();
    let with = |witnesses: &[u8]| {
        let checkpoint = gateway.checkpoint(witnesses);
        let parts = Parts { checkpoint, ..gateway.full_parts(&SHOWN) };
        gateway.bundle(parts).unwrap().to_bytes()
    };
    for (witnesses, expected) in [
        (&[0, 1][..], Verdict::Valid),
        (&[2, 1], Verdict::Valid),
        (&[0, 1, 2], Verdict::Valid),
        (&[0, 1, 9], Verdict::Valid),
        (&[1], Verdict::QuorumMissing),
        (&[], Verdict::QuorumMissing),
        (&[1, 9], Verdict::QuorumMissing),
        (&[1, 1], Verdict::Invalid),
    ] {
        assert_eq!(verdict(&with(witnesses), &policy), expected, "{witnesses:?}");
    }
    let report = judge(&with(&[0, 2]), &policy);
    assert_eq!(report.witnesses.len(), 2);
    assert_eq!(report.witnesses[1].name, "w2");
    let report = judge(&with(&[]), &gateway.policy_without_witnesses());
    assert_eq!(report.verdict, Verdict::Valid);
}

#[test]
fn a_ledger_that_was_asked() {
    let gateway = Gateway::new(1);
    let (policy, unanchored) = (gateway.policy_without_witnesses(), gateway.parts(&SHOWN));
    let unanchored = gateway.bundle(unanchored).unwrap().to_bytes();
    let anchored = gateway.file(&SHOWN);
    let ask = |file: &[u8], policy: &str, answer: &LedgerAnswer| {
        let report = judge(file, policy).with_answer(answer.clone());
        assert_eq!(report.exit_code, report.verdict.exit_code());
        report.verdict
    };
    let shown = judge(&anchored, &policy).bracket.not_after.unwrap();
    let confirmed = LedgerAnswer::Confirmed(shown.clone());
    let other = LedgerAnswer::Confirmed(block(shown.number, sha256(&[b"fork"])));
    let early = LedgerAnswer::Confirmed(block(1, sha256(&[b"early"])));
    let absent = LedgerAnswer::NotFound { ledger: LEDGER.into() };
    let silent = LedgerAnswer::Unreachable { reason: "connection refused".into() };
    for (file, answer, expected) in [
        (&unanchored, &confirmed, Verdict::Valid),
        (&anchored, &confirmed, Verdict::Valid),
        (&anchored, &other, Verdict::NotAnchored),
        (&anchored, &early, Verdict::NotAnchored),
        (&unanchored, &early, Verdict::NotAnchored),
        (&unanchored, &absent, Verdict::NotAnchored),
        (&anchored, &absent, Verdict::NotAnchored),
        (&unanchored, &silent, Verdict::LedgerUnreachable),
    ] {
        assert_eq!(ask(file, &policy, answer), expected, "{answer:?}");
    }
    let strict = gateway.policy();
    assert_eq!(ask(&unanchored, &strict, &confirmed), Verdict::QuorumMissing);
    assert_eq!(ask(&unanchored, &strict, &silent), Verdict::QuorumMissing);
    assert_eq!(ask(&unanchored[1..], &policy, &confirmed), Verdict::Invalid);
}
