//! Targets for `sluicegate-ledger`: evidence from a ledger, and what the outbox keeps.

use sluicegate_ledger::{AnchorEvidence, Budgets, cbor, outbox::Record};
use sluicegate_protocol::{
    SigningKey,
    note::{KeyKind, VerifierKey},
    sha256,
};

/// The ledger whose key the targets trust; it signed one head, in the seed `two-blocks`.
pub const LEDGER: &str = "ledger.example";

/// Evidence: one encoding; what verifies is what the ledger signed.
pub fn anchor_evidence(data: &[u8]) -> bool {
    let Ok(evidence) = AnchorEvidence::decode(data) else { return false };
    assert_eq!(evidence.to_bytes(), data);
    let _ = evidence.ledger_id();
    let public = SigningKey::from_bytes(&[1; 32]).verifying_key();
    let key = VerifierKey::new(LEDGER, KeyKind::Note, public).expect("the name is valid");
    let Ok(facts) = evidence.verify(&key) else { return false };
    assert_eq!((facts.block.number, facts.block.head_size), (1, 2), "a forged block");
    assert_eq!(facts.digest, sha256(&[b"checkpoint", &[2]]), "a forged anchor");
    true
}

/// An outbox record: one encoding, one nonce.
pub fn outbox_record(data: &[u8]) -> bool {
    let Ok(record) = Record::decode(data) else { return false };
    assert_eq!(record.to_bytes(), data);
    assert!(record.attempts.iter().all(|attempt| Some(attempt.nonce) == record.nonce()));
    assert!(record.attempts.iter().all(|attempt| attempt.fee <= record.charged()));
    true
}

/// Fee budgets: one encoding.
pub fn fee_budgets(data: &[u8]) -> bool {
    let Ok(budgets) = Budgets::decode(data) else { return false };
    assert_eq!(cbor::encode(&budgets), data);
    true
}
