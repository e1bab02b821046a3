//! Seeds for `sluicegate-embedded`: a short life of a ledger.

use sluicegate_embedded::{
    disk::MemoryDisk,
    owner::Faults,
    record::{Genesis, Record},
    transaction::{Body, Transaction},
    wire::{Admin, Answer, Question},
};
use sluicegate_fuzz::{LEDGER, open_ledger, records_of};
use sluicegate_ledger::{Cursor, Error, Request, TransactionId};
use sluicegate_protocol::sha256;

use crate::{Seed, key};

pub(crate) fn seeds() -> Vec<Seed> {
    [transactions(), records(), questions(), life()].concat()
}

fn transactions() -> Vec<Seed> {
    let transaction = transaction(0);
    vec![
        ("transaction", "signed", transaction.to_bytes()),
        ("transaction", "body", transaction.body.to_bytes()),
    ]
}

fn records() -> Vec<Seed> {
    let (name, key) = (LEDGER.to_owned(), key().verifying_key().to_bytes());
    let genesis = Genesis { name, key, grant: 1_000, finality_blocks: 2, time_ms: 1 };
    let block = Record::Block { header: vec![1, 2], transactions: vec![id()] };
    vec![
        ("ledger_record", "genesis", Record::Genesis(genesis).to_bytes()),
        ("ledger_record", "accepted", Record::Accepted(transaction(0)).to_bytes()),
        ("ledger_record", "block", block.to_bytes()),
        ("ledger_record", "retracted", Record::Retracted { blocks: 1, keep: true }.to_bytes()),
    ]
}

fn questions() -> Vec<Seed> {
    let digest = sha256(&[b"checkpoint"]);
    let faults = Faults { delay_ms: 10, fail: 1, unknown: 2, lose: 3, base_fee: Some(12) };
    let seed = |name, question: Question| ("ledger_question", name, question.to_bytes());
    vec![
        seed("account", Question::Account([7; 32])),
        seed("faults", Question::Admin(Admin::Faults(faults))),
        seed("reorg", Question::Admin(Admin::Reorg { blocks: 2, keep: false })),
        seed("anchor-evidence", Question::AnchorEvidence(digest)),
        seed("block-evidence", Question::BlockEvidence(3)),
        seed("describe", Question::Describe),
        seed("events", Question::Events(Cursor(vec![0; 8]))),
        seed("status", Question::Status(id())),
        seed("submit", Question::Submit(transaction(0).to_bytes())),
    ]
}

/// A ledger with an anchor: its file, and what it answers.
fn life() -> Vec<Seed> {
    let disk = MemoryDisk::default();
    let mut chain = open_ledger(&disk).expect("an empty disk becomes a ledger");
    let empty = records_of(&disk);
    let accepted = chain.submit(&transaction(0).to_bytes()).expect("the account has its grant");
    assert!(accepted == id(), "the ledger gives the identifier that was signed");
    chain.submit(&transaction(1).to_bytes()).expect("the nonce follows");
    chain.produce(1_795_180_000_000).expect("memory takes all");
    chain.produce(1_795_180_001_000).expect("memory takes all");
    let digest = sha256(&[b"checkpoint", &0_u64.to_be_bytes()]);
    let evidence = chain.anchor_evidence(&digest).expect("it is anchored");
    let events = chain.events(&Cursor(Vec::new())).expect("an empty cursor is the beginning");
    let account = chain.account(&transaction(0).body.account);
    let answer = |name, answer: Answer| ("ledger_answer", name, answer.to_bytes());
    vec![
        ("ledger_file", "new", empty),
        ("ledger_file", "two-blocks", records_of(&disk)),
        answer("account", Answer::Account(account)),
        answer("anchor", Answer::Anchor(chain.find(&digest))),
        answer("no-anchor", Answer::Anchor(None)),
        answer("block-evidence", Answer::BlockEvidence(evidence.block.clone())),
        answer("anchor-evidence", Answer::AnchorEvidence(evidence)),
        answer("done", Answer::Done),
        answer("error", Answer::Error(Error::Rejected("the signature does not verify".into()))),
        answer("fee-too-low", Answer::Error(Error::FeeTooLow { needed: 12 })),
        answer("events", Answer::Events(events)),
        answer("fee", Answer::Fee(10)),
        answer("head", Answer::Head { head: chain.head(), signed: chain.signed_head() }),
        answer("name", Answer::Name(LEDGER.to_owned())),
        answer("status", Answer::Status(chain.status(&id()))),
    ]
}

fn transaction(nonce: u64) -> Transaction {
    let digest = sha256(&[b"checkpoint", &nonce.to_be_bytes()]);
    let account = key().verifying_key().to_bytes();
    Body::new(account, nonce, 10, &Request::Anchor(digest)).sign(LEDGER, &key())
}

fn id() -> TransactionId {
    transaction(0).body.id(LEDGER)
}
