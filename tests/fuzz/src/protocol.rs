//! Targets for `sluicegate-protocol`: notes, keys, checkpoints and Merkle proofs.

use sluicegate_protocol::{
    Checkpoint, Digest, SigningKey, merkle,
    note::{self as signed, KeyKind, Note, VerifierKey},
};

/// A note. One that verifies holds the very line that the key's owner signs.
pub fn note(data: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(data) else { return false };
    let Ok(note) = Note::parse(text) else { return false };
    assert!(text.starts_with(note.text()) && note.text().ends_with('\n'));
    assert!((1..=signed::MAX_SIGNATURES).contains(&note.signatures().count()));
    let key = SigningKey::from_bytes(&[1; 32]);
    let public = key.verifying_key();
    for line in note.signatures() {
        let verifier = VerifierKey::new(line.name(), KeyKind::Note, public)
            .expect("names in a parsed note are valid");
        if note.verify(&verifier).is_ok() {
            let mut again = String::new();
            signed::sign(note.text(), line.name(), &key, &mut again).expect("a string takes all");
            let line = again.rsplit("\n\n").next().expect("rsplit gives at least one part");
            assert!(text.contains(line), "a second signature of one text was accepted");
        }
        let witness = VerifierKey::new(line.name(), KeyKind::Cosignature, public)
            .expect("names in a parsed note are valid");
        let _ = note.verify_cosignature(&witness);
    }
    true
}

/// A verifier key: one that is read is written the same.
pub fn verifier_key(data: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(data) else { return false };
    let Ok(key) = VerifierKey::parse(text) else { return false };
    assert_eq!(key.to_string(), text);
    true
}

/// A checkpoint body: one that is read is written the same.
pub fn checkpoint(data: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(data) else { return false };
    let Ok(checkpoint) = Checkpoint::parse(text) else { return false };
    assert_eq!(checkpoint.to_string(), text);
    true
}

/// An inclusion proof, `index ‖ size ‖ leaf ‖ path`: it proves its leaf under its root, no other.
pub fn inclusion(data: &[u8]) -> bool {
    let Some(([index, size], hashes)) = numbers_and_hashes(data) else { return false };
    let Some((leaf, path)) = hashes.split_first() else { return false };
    let Ok(root) = merkle::root_from_inclusion(leaf, index, size, path) else { return false };
    let verify = |leaf, path: &[Digest]| merkle::verify_inclusion(leaf, index, size, path, &root);
    assert!(index < size && path.len() == merkle::path_length(index, size).unwrap_or(usize::MAX));
    assert!(verify(leaf, path).is_ok());
    assert!(verify(&root, path).is_err() || path.is_empty());
    assert!(verify(leaf, &[path, &[root]].concat()).is_err());
    for length in 0..path.len() {
        assert!(verify(leaf, &path[..length]).is_err());
    }
    true
}

/// A consistency proof, `old size ‖ new size ‖ old root ‖ new root ‖ path`: no other path and no
/// other roots prove the same.
pub fn consistency(data: &[u8]) -> bool {
    let Some(([old, new], hashes)) = numbers_and_hashes(data) else { return false };
    let [old_root, new_root, path @ ..] = hashes.as_slice() else { return false };
    let verify = |old_root: &Digest, new_root: &Digest, path: &[Digest]| {
        merkle::verify_consistency(old, old_root, new, new_root, path).is_ok()
    };
    if !verify(old_root, new_root, path) {
        return false;
    }
    assert!(old <= new);
    assert!(!verify(&merkle::leaf_hash(b"fork"), new_root, path));
    assert!(old == 0 || !verify(old_root, &merkle::leaf_hash(b"fork"), path));
    assert!(!verify(old_root, new_root, &[path, &[*new_root]].concat()));
    true
}

/// Two numbers of 8 bytes, big endian, and whole hashes.
fn numbers_and_hashes(data: &[u8]) -> Option<([u64; 2], Vec<Digest>)> {
    let (numbers, hashes) = data.split_first_chunk::<16>()?;
    let number = |at: usize| numbers[at..at + 8].iter().fold(0, |n, &b| n << 8 | u64::from(b));
    let hashes = hashes.chunks(32).map(Digest::from_slice).collect::<Option<_>>()?;
    Some(([number(0), number(8)], hashes))
}
