//! Seeds for the life of channels: histories, and the records that they leave on the disks.

use sluicegate_channels::record::Stored;
use sluicegate_simulator::{Script, World, random::Random, script::Faults};

use crate::Seed;

pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, seed) in [("short", 1), ("middle", 2), ("long", 3)] {
        let mut random = Random::new(seed);
        let bytes = (0..40 * seed).map(|_| random.next().to_be_bytes()[0]);
        seeds.push(("channel_history", name, bytes.collect()));
    }
    for (name, seed) in [("honest", 4), ("restored", 55), ("disputed", 209)] {
        seeds.push(("channel_record", name, record(seed)));
    }
    seeds
}

/// The first record on a disk after a history.
fn record(seed: u64) -> Vec<u8> {
    let mut world = World::new();
    let script = Script::random(seed, 90, Faults::Malicious);
    script.0.iter().for_each(|event| world.take(*event));
    let mut records = world.gateways.iter().flat_map(|gateway| gateway.channels());
    records.next().expect("a channel was begun").to_bytes()
}
