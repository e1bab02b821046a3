//! Seeds for `sluicegate-notary`.

use sluicegate_notary::{
    entry::{Beacon, Body, Entry, Erasure, Genesis, Predecessor, Reading, Summary, Timestamp},
    tile,
    tlog_proof::{Extra, TlogProof},
};
use sluicegate_protocol::{
    Digest,
    merkle::{leaf_hash, node_hash},
    sha256,
};

use crate::{
    Seed,
    fixture::{Gateway, at},
};

const ORIGIN: &str = "example.com/gw/1";

pub(crate) fn seeds() -> Vec<Seed> {
    [entries(), tiles(), many(), proofs()].concat()
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

fn tiles() -> Vec<Seed> {
    let mut bundle = vec![2];
    for entry in [&b"first"[..], b""] {
        tile::encode_entry(entry, &mut bundle).expect("the entry is short");
    }
    vec![
        ("tile_path", "entries", b"tile/entries/x001/x234/067".to_vec()),
        ("tile_path", "partial", b"tile/0/x001/067.p/8".to_vec()),
        ("tile_path", "full-as-partial", b"tile/0/067.p/256".to_vec()),
        ("tile_entries", "two", bundle),
        ("tile_entries", "cut", vec![1, 0, 2, 7]),
    ]
}

/// Proofs of many leaves in a tree of three.
fn many() -> Vec<Seed> {
    let [a, b, c] = [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")];
    vec![
        ("multi_inclusion", "one", many_proof(3, &[(1, b)], &[a, c])),
        ("multi_inclusion", "two", many_proof(3, &[(0, a), (2, c)], &[b])),
        ("multi_inclusion", "last", many_proof(3, &[(2, c)], &[node_hash(&a, &b)])),
        ("multi_inclusion", "all", many_proof(3, &[(0, a), (1, b), (2, c)], &[])),
        ("multi_inclusion", "descending", many_proof(3, &[(2, c), (0, a)], &[b])),
    ]
}

fn many_proof(size: u64, leaves: &[(u64, Digest)], nodes: &[Digest]) -> Vec<u8> {
    let mut out = vec![u8::try_from(leaves.len()).expect("few leaves")];
    out.extend(size.to_be_bytes());
    for (index, leaf) in leaves {
        out.extend(index.to_be_bytes());
        out.extend(leaf.as_bytes());
    }
    out.extend(nodes.iter().flat_map(|node| node.as_bytes()));
    out
}

/// Bundles, proofs and policies of the verifier's own tests: one genuine gateway and a forger.
fn proofs() -> Vec<Seed> {
    let (gateway, forger) = (Gateway::new(1), Gateway::new(101));
    let day = [&[at::BEACON], &at::METER_1[..], &[at::SUMMARY]].concat();
    let bare = gateway.bundle(gateway.parts(&[at::NEXT_DAY])).expect("the parts fit");
    let mut unnamed = gateway.full_parts(&at::METER_2);
    unnamed.openings.clear();
    unnamed.devices.clear();
    let unnamed = gateway.bundle(unnamed).expect("the parts fit");
    let policy = |text: String| text.into_bytes();
    vec![
        ("bundle", "day", gateway.file(&day)),
        ("bundle", "reading", gateway.file(&[at::READING])),
        ("bundle", "not-anchored", bare.to_bytes()),
        ("bundle", "without-values", unnamed.to_bytes()),
        ("bundle", "forged", forger.file(&[at::READING])),
        ("tlog_proof", "reading", tlog_proof(&gateway, at::READING)),
        ("tlog_proof", "forged", tlog_proof(&forger, at::READING)),
        ("policy", "full", policy(gateway.policy())),
        ("policy", "without-witnesses", policy(gateway.policy_without_witnesses())),
        ("policy", "without-quorum", policy(gateway.log_line())),
    ]
}

fn tlog_proof(gateway: &Gateway, index: u64) -> Vec<u8> {
    let entry = gateway.entries[usize::try_from(index).expect("a small index")].clone();
    let opening = gateway.opening(index).map(|opening| (opening.salt, opening.payload));
    let extra = Extra { entry, opening, device: Some(gateway.device("meter-1")) };
    let checkpoint = gateway.checkpoint(&[0, 1]);
    let proof = TlogProof::assemble(checkpoint, index, &extra, &gateway.leaves());
    proof.expect("the parts fit").to_string().into_bytes()
}
