//! Thousands of histories from seeds, and those that failed once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use sluicegate_simulator::{Script, run, script::Faults};

fn check(seeds: std::ops::Range<u64>, faults: Faults) {
    for seed in seeds {
        let script = Script::random(seed, 40 + usize::try_from(seed % 120).unwrap(), faults);
        if run(&script).is_err() {
            let shortest = script.shrunk(|script| run(script).is_err());
            let error = run(&shortest).err().unwrap();
            panic!("seed {seed} {faults:?}: {error}\n{shortest}");
        }
    }
}

fn count() -> u64 {
    std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
}

#[test]
fn honest_gateways_on_a_bad_network() {
    check(0..count(), Faults::Honest);
}

#[test]
fn old_states_disputes_and_backups() {
    check(0..count(), Faults::Malicious);
}
