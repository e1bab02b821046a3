//! Targets for `sluicegate-notary`: what a log, a bundle and a policy file hold.

use sluicegate_notary::{
    entry::Entry,
    proof,
    tile::{self, Tile},
};
use sluicegate_protocol::{Digest, merkle};

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
