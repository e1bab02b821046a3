//! Seeds for `sluicegate-ledger`.

use sluicegate_fuzz::LEDGER;
use sluicegate_ledger::{
    AnchorEvidence, BlockEvidence, Budgets, Class, Request, Signed, TransactionId, cbor,
    evidence::{BlockHeader, Operation, Receipt},
    outbox::Record,
};
use sluicegate_protocol::{
    Digest,
    merkle::{self, Frontier},
    sha256,
};

use crate::{Seed, body, signed};

pub(crate) fn seeds() -> Vec<Seed> {
    let evidence = anchor_evidence();
    let mut unsigned = evidence.clone();
    unsigned.block.head = unsigned.block.head.replace(LEDGER, "other.example");
    let attempts = vec![attempt(4, 10), attempt(4, 12)];
    vec![
        ("anchor_evidence", "two-blocks", evidence.to_bytes()),
        ("anchor_evidence", "other-ledger", unsigned.to_bytes()),
        ("outbox_record", "intent", record(Class::Routine, Vec::new())),
        ("outbox_record", "bumped", record(Class::Routine, attempts.clone())),
        ("outbox_record", "dispute", record(Class::Dispute { stake: u128::MAX }, attempts)),
        ("outbox_record", "two-nonces", record(Class::Routine, vec![attempt(4, 1), attempt(5, 1)])),
        ("fee_budgets", "new", cbor::encode(&Budgets::default())),
        ("fee_budgets", "exhausted", cbor::encode(&Budgets::exhausted())),
    ]
}

/// A ledger of two blocks; the second holds two anchors.
fn anchor_evidence() -> AnchorEvidence {
    let receipts = [receipt(1), receipt(2)];
    let genesis = BlockHeader {
        number: 0,
        time_ms: 1_795_180_000_000,
        parent: Digest::new([0; 32]),
        transactions: 0,
        root: merkle::empty_root(),
    };
    let second = BlockHeader {
        number: 1,
        time_ms: 1_795_180_005_000,
        parent: genesis.hash(),
        transactions: 2,
        root: merkle::node_hash(&receipts[0].leaf(), &receipts[1].leaf()),
    };
    let mut blocks = Frontier::new();
    blocks.push(genesis.hash());
    blocks.push(second.hash());
    let head = signed(&body(LEDGER, 2, blocks.root()), LEDGER);
    let block = BlockEvidence { head, header: second.to_bytes(), path: vec![genesis.hash()] };
    let (receipt, path) = (receipts[1].to_bytes(), vec![receipts[0].leaf()]);
    AnchorEvidence { block, receipt, index: 1, path }
}

fn receipt(byte: u8) -> Receipt {
    Receipt {
        transaction: sha256(&[&[byte]]),
        account: [byte; 32],
        nonce: 0,
        fee: 10,
        operation: Operation::Anchor(sha256(&[b"checkpoint", &[byte]])),
    }
}

fn record(class: Class, attempts: Vec<Signed>) -> Vec<u8> {
    let request = Request::Anchor(sha256(&[b"checkpoint"]));
    Record { request, class, attempts }.to_bytes()
}

fn attempt(nonce: u64, fee: u128) -> Signed {
    let bytes = vec![1, 2, 3];
    Signed { id: TransactionId(sha256(&[&bytes])), nonce, fee, bytes }
}
