//! Writes the seeds of all corpora: `cargo run --package sluicegate-fuzz --example seeds`.
//!
//! Guarantees: the same files each time. Does not: remove files, so findings of the fuzzer stay.
//! Run it after a format has changed; `cargo test` says when a corpus has no accepted seed left.

use std::{fs, io, path::Path};

use sluicegate_notary::entry::{
    Beacon, Body, Entry, Erasure, Genesis, Predecessor, Reading, Summary, Timestamp,
};
use sluicegate_protocol::{
    Checkpoint, Digest, SigningKey,
    merkle::{self, leaf_hash, node_hash},
    note::{self, KeyKind, VerifierKey},
    sha256,
};

const ORIGIN: &str = "example.com/gw/1";

fn main() -> io::Result<()> {
    for (target, name, bytes) in protocol().into_iter().chain(entries()) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// Target, file name, content.
type Seed = (&'static str, &'static str, Vec<u8>);

fn protocol() -> Vec<Seed> {
    let [a, b, c] = leaves();
    let ab = node_hash(&a, &b);
    let root = node_hash(&ab, &c);
    vec![
        ("checkpoint", "empty", body(0, merkle::empty_root()).into_bytes()),
        ("checkpoint", "three", body(3, root).into_bytes()),
        ("checkpoint", "leading-zero", body(3, root).replace("\n3\n", "\n03\n").into_bytes()),
        ("inclusion", "second-of-three", proof(1, 3, &[b, a, c])),
        ("inclusion", "last-of-three", proof(2, 3, &[c, ab])),
        ("inclusion", "only", proof(0, 1, &[a])),
        ("inclusion", "outside", proof(3, 3, &[c, ab])),
        ("consistency", "one-to-three", proof(1, 3, &[a, root, b, c])),
        ("consistency", "two-to-three", proof(2, 3, &[ab, root, c])),
        ("consistency", "same", proof(3, 3, &[root, root])),
        ("consistency", "from-nothing", proof(0, 3, &[merkle::empty_root(), root])),
        ("note", "signed", signed(&body(3, root)).into_bytes()),
        ("note", "cosigned", cosigned(&body(3, root)).into_bytes()),
        ("note", "unsigned", body(3, root).into_bytes()),
        ("verifier_key", "log", verifier(KeyKind::Note)),
        ("verifier_key", "witness", verifier(KeyKind::Cosignature)),
    ]
}

fn entries() -> Vec<Seed> {
    let root = sha256(&[b"root"]);
    let seed = |name, body| {
        let time = Timestamp { ms: 1_795_180_000_000, synchronised: true };
        ("entry", name, Entry { time, body }.encode())
    };
    let previous = Predecessor { origin: ORIGIN.to_owned(), size: 7, root };
    let genesis = |previous| Body::Genesis(Genesis { origin: ORIGIN.to_owned(), previous });
    let reading = |seq, gap| {
        let pseudonym = [1; 16];
        Body::Reading(Reading { pseudonym, seq, format: 110, commitment: root, gap })
    };
    let ledger = "embedded:ledger.example".to_owned();
    let summary = Summary { pseudonym: [1; 16], day: 20_777, count: 24, first: 1, last: 50, root };
    let class = "default".to_owned();
    let erasure = Erasure { pseudonym: [1; 16], class, day: 20_777, count: 24 };
    vec![
        seed("genesis", genesis(None)),
        seed("genesis-after-restore", genesis(Some(previous))),
        seed("reading", reading(Some(4), 3)),
        seed("reading-without-seq", reading(None, 0)),
        seed("beacon", Body::Beacon(Beacon { ledger, number: 5, hash: root })),
        seed("summary", Body::Summary(summary)),
        seed("erasure", Body::Erasure(erasure)),
    ]
}

fn leaves() -> [Digest; 3] {
    [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]
}

fn body(size: u64, root: Digest) -> String {
    Checkpoint { origin: ORIGIN, size, root }.to_string()
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

fn signed(text: &str) -> String {
    let mut out = String::new();
    note::sign(text, ORIGIN, &key(), &mut out).expect("a string takes all");
    out
}

fn cosigned(text: &str) -> String {
    let mut out = signed(text);
    let time = 1_795_180_000;
    note::cosign(text, "witness.example", &key(), time, &mut out).expect("a string takes all");
    out
}

fn verifier(kind: KeyKind) -> Vec<u8> {
    let key = VerifierKey::new(ORIGIN, kind, key().verifying_key()).expect("the name is valid");
    key.to_string().into_bytes()
}

fn proof(first: u64, second: u64, hashes: &[Digest]) -> Vec<u8> {
    let mut out = [first.to_be_bytes(), second.to_be_bytes()].concat();
    out.extend(hashes.iter().flat_map(|hash| hash.as_bytes()));
    out
}
