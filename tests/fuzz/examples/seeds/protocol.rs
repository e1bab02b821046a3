//! Seeds for `sluicegate-protocol`.

use sluicegate_protocol::{
    Digest,
    merkle::{self, leaf_hash, node_hash},
    note::{self, KeyKind, VerifierKey},
};

use crate::{Seed, body, key, signed};

const ORIGIN: &str = "example.com/gw/1";

pub(crate) fn seeds() -> Vec<Seed> {
    let [a, b, c] = leaves();
    let ab = node_hash(&a, &b);
    let root = node_hash(&ab, &c);
    vec![
        ("checkpoint", "empty", body(ORIGIN, 0, merkle::empty_root()).into_bytes()),
        ("checkpoint", "three", body(ORIGIN, 3, root).into_bytes()),
        (
            "checkpoint",
            "leading-zero",
            body(ORIGIN, 3, root).replace("\n3\n", "\n03\n").into_bytes(),
        ),
        ("inclusion", "second-of-three", proof(1, 3, &[b, a, c])),
        ("inclusion", "last-of-three", proof(2, 3, &[c, ab])),
        ("inclusion", "only", proof(0, 1, &[a])),
        ("inclusion", "outside", proof(3, 3, &[c, ab])),
        ("consistency", "one-to-three", proof(1, 3, &[a, root, b, c])),
        ("consistency", "two-to-three", proof(2, 3, &[ab, root, c])),
        ("consistency", "same", proof(3, 3, &[root, root])),
        ("consistency", "from-nothing", proof(0, 3, &[merkle::empty_root(), root])),
        ("note", "signed", signed(&body(ORIGIN, 3, root), ORIGIN).into_bytes()),
        ("note", "cosigned", cosigned(&body(ORIGIN, 3, root)).into_bytes()),
        ("note", "unsigned", body(ORIGIN, 3, root).into_bytes()),
        ("verifier_key", "log", verifier(KeyKind::Note)),
        ("verifier_key", "witness", verifier(KeyKind::Cosignature)),
    ]
}

fn leaves() -> [Digest; 3] {
    [leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]
}

fn cosigned(text: &str) -> String {
    let mut out = signed(text, ORIGIN);
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
