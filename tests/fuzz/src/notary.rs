//! Targets for `sluicegate-notary`: what a log, a bundle and a policy file hold.

use sluicegate_notary::entry::Entry;

/// A log entry: it has one encoding.
pub fn entry(data: &[u8]) -> bool {
    let Ok(entry) = Entry::decode(data) else { return false };
    assert_eq!(entry.encode(), data);
    true
}
