//! Seeds for `sluicegate-channels`: what go-perun wrote.

use crate::Seed;

const GO_PERUN: &str = include_str!("../../../../gateway/channels/tests/vectors/go-perun.txt");

pub(crate) fn seeds() -> Vec<Seed> {
    GO_PERUN.lines().filter_map(seed).collect()
}

/// The seed of a line: name, encoding, bytes.
fn seed(line: &'static str) -> Option<Seed> {
    let (name, rest) = line.split_once(' ')?;
    let (encoding, digits) = rest.split_once(' ')?;
    let target = if encoding == "perunio" { "perunio" } else { "perun_protobuf" };
    let byte = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(byte).collect();
    Some((target, name, bytes?))
}
