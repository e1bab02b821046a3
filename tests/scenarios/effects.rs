//! The effects log, checked: what left the process had become durable before.

use std::{collections::BTreeSet, fs};

use crate::place::Place;

/// Lines of the effects log so far.
pub fn read(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.path("effects.log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// How often something of this kind was sent.
pub fn sent(place: &Place, what: &str) -> usize {
    let start = format!("sent {what} ");
    read(place).iter().filter(|line| line.starts_with(&start)).count()
}

/// Every `sent` line stands behind a `durable` line of the same kind with the same hash.
pub fn assert_persisted_before_sent(place: &Place) {
    let mut durable = BTreeSet::new();
    for line in read(place) {
        match line.split_once(' ').unwrap() {
            ("durable", what) => drop(durable.insert(what.to_owned())),
            ("sent", what) => assert!(durable.contains(what), "sent before durable: {what}"),
            (other, _) => panic!("an unknown effect: {other}"),
        }
    }
}
