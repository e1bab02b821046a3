//! Targets for `sluicegate-notary`: what a log, a bundle and a policy file hold.

use sluicegate_notary::{
    Error,
    bundle::Bundle,
    entry::{DAY_MS, Entry},
    policy::Policy,
    proof,
    tile::{self, Tile},
    tlog_proof::TlogProof,
    verify::{Reading, Value, Verdict, verify},
};
use sluicegate_protocol::{Digest, merkle, sha256};

/// Trusts the one log, ledger and witnesses of the seeds; each key signed one state.
const POLICY: &[u8] = include_bytes!("../corpus/policy/full");

/// Entries under the one checkpoint that the log of the seeds signed.
const LOG_SIZE: u64 = 15;

/// A log entry: it has one encoding.
pub fn entry(data: &[u8]) -> bool {
    let Ok(entry) = Entry::decode(data) else { return false };
    assert_eq!(entry.encode(), data);
    true
}

/// The path of a tile: one that is read is written the same.
pub fn tile_path(data: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(data) else { return false };
    let Ok(tile) = Tile::parse(text) else { return false };
    assert_eq!(tile.to_string(), text);
    true
}

/// An entry bundle, `width ‖ bytes`: its entries written again give the same bytes.
pub fn tile_entries(data: &[u8]) -> bool {
    let Some((width, bytes)) = data.split_first() else { return false };
    let Ok(entries) = tile::decode_entries(bytes, u16::from(*width)) else { return false };
    let mut again = Vec::new();
    for entry in entries {
        tile::encode_entry(entry, &mut again).expect("a decoded entry is not too long");
    }
    assert_eq!(again, bytes);
    true
}

/// A proof of many leaves, `count ‖ size ‖ (index ‖ leaf)… ‖ nodes`: only with exactly its nodes,
/// for leaves in order and inside of the tree; for one leaf the same as an inclusion path.
pub fn multi_inclusion(data: &[u8]) -> bool {
    let Some((leaves, size, nodes)) = leaves_and_nodes(data) else { return false };
    if let [(index, leaf)] = leaves.as_slice()
        && let Ok(ordered) = proof::multi_from_path(*index, size, &nodes)
    {
        let root = merkle::root_from_inclusion(leaf, *index, size, &nodes);
        assert_eq!(proof::root_from_multi(&leaves, size, &ordered).ok(), root.ok());
    }
    let Ok(root) = proof::root_from_multi(&leaves, size, &nodes) else { return false };
    assert!(leaves.is_sorted_by(|(a, _), (b, _)| a < b), "leaves out of order");
    assert!(leaves.iter().all(|(index, _)| *index < size), "a leaf outside of the tree");
    let longer = [nodes.as_slice(), &[root]].concat();
    assert!(proof::root_from_multi(&leaves, size, &longer).is_err());
    if let Some((_, shorter)) = nodes.split_last() {
        assert!(proof::root_from_multi(&leaves, size, shorter).is_err());
    }
    true
}

/// A bundle: one encoding; what is proven with it is what the log of the seeds holds.
///
/// A wrong checksum is set right, or the fuzzer would never come past it.
pub fn bundle(data: &[u8]) -> bool {
    let mut file = data.to_vec();
    if Bundle::decode(data) == Err(Error::Checksum)
        && let Some((body, checksum)) = file.split_last_chunk_mut::<32>()
    {
        // The last two bytes before it are the header of the checksum's byte string.
        let covered = &body[1..body.len() - 2];
        *checksum = *sha256(&[&[0x88], covered]).as_bytes();
    }
    let Ok(bundle) = Bundle::decode(&file) else { return false };
    assert_eq!(bundle.to_bytes(), file);
    let _ = bundle.check();
    proven(&file)
}

/// A tlog-proof: one text; what is proven with it is what the log of the seeds holds.
pub fn tlog_proof(data: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(data) else { return false };
    let Ok(proof) = TlogProof::parse(text) else { return false };
    assert_eq!(proof.to_string(), text);
    if let Ok(bundle) = proof.to_bundle() {
        assert_eq!(Bundle::decode(&bundle.to_bytes()).as_ref(), Ok(&bundle));
    }
    proven(data)
}

/// A policy: all of its witnesses are enough, and none of them is not if any is asked for.
pub fn policy(data: &[u8]) -> bool {
    let Ok(policy) = Policy::parse(data) else { return false };
    assert!(policy.quorum_met(|_| true));
    assert_eq!(policy.quorum_met(|_| false), !policy.has_quorum());
    true
}

/// Whether the file proves anything under [`POLICY`].
fn proven(data: &[u8]) -> bool {
    let policy = Policy::parse(POLICY).expect("the committed policy is well-formed");
    let report = verify(data, &policy);
    let _ = (report.to_text(), report.to_json());
    if report.verdict == Verdict::Invalid {
        assert!(report.readings.is_empty(), "an invalid file shows readings");
        return false;
    }
    let log = report.log.expect("a proof names its log");
    assert_eq!((log.origin.as_str(), log.size), ("example.com/gw/1", LOG_SIZE), "a forged log");
    report.readings.iter().for_each(assert_genuine);
    true
}

/// The readings of the seeds tell their device and the minute of the day they are from.
fn assert_genuine(reading: &Reading) {
    let Value::Text(value) = &reading.value else {
        return assert_eq!(reading.value, Value::Withheld);
    };
    let minute = (reading.time_ms % DAY_MS / 60_000 + 1440 - 6 * 60) % 1440;
    let tomorrow = if reading.index == 13 { 1440 } else { 0 };
    let number = format!("\"v\":{}}}", minute + tomorrow);
    assert!(value.ends_with(&number), "a forged value: {value} is not {number}");
    if let Some(device) = &reading.device {
        assert!(value.contains(device.as_str()), "a forged device: {device} for {value}");
    }
}

type Leaves = Vec<(u64, Digest)>;

fn leaves_and_nodes(data: &[u8]) -> Option<(Leaves, u64, Vec<Digest>)> {
    let (count, data) = data.split_first()?;
    let (size, data) = data.split_first_chunk()?;
    let (leaves, nodes) = data.split_at_checked(usize::from(*count) * 40)?;
    let leaf = |bytes: &[u8]| {
        let (index, hash) = bytes.split_first_chunk()?;
        Some((u64::from_be_bytes(*index), Digest::from_slice(hash)?))
    };
    let leaves = leaves.chunks(40).map(leaf).collect::<Option<_>>()?;
    let nodes = nodes.chunks(32).map(Digest::from_slice).collect::<Option<_>>()?;
    Some((leaves, u64::from_be_bytes(*size), nodes))
}
