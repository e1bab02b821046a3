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
    std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_500)
}

#[test]
fn honest_gateways_on_a_bad_network() {
    check(0..count(), Faults::Honest);
}

#[test]
fn old_states_disputes_and_backups() {
    check(0..count(), Faults::Malicious);
}

/// Every history that failed once, as the shortest script that showed it.
#[test]
fn what_failed_once_holds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/regressions");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let script: Script = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        assert_eq!(script.to_string().parse::<Script>().unwrap(), script);
        if let Err(error) = run(&script) {
            panic!("{}: {error}", path.display());
        }
        count += 1;
    }
    assert!(count >= 8, "the scripts are there");
}
