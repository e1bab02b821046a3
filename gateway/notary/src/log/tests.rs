//! The sequencer against a store in memory: order of effects, repeats, days, erasure, bounds.

use std::{collections::BTreeMap, string::ToString, vec};

use sluicegate_protocol::{Checkpoint, merkle::leaf_hash, note::Note};

use super::*;
use crate::entry::{Body, DAY_MS, Entry, Reading, Summary};

/// Performs outputs the way a daemon does, and can be asked what is durable.
#[derive(Default)]
struct Memory {
    readings: Vec<ReadingRow>,
    keys: BTreeMap<DayKey, [u8; 32]>,
    entries: Vec<Vec<u8>>,
    acknowledged: Vec<(Ticket, u64, bool)>,
    published: Vec<String>,
    heads: Vec<u64>,
}

impl History for Memory {
    type Error = ();

    fn reading(&self, device: &str, seq: u64) -> Result<Option<Known>, ()> {
        let found = self.readings.iter().find(|r| r.day.device == device && r.seq == Some(seq));
        Ok(found.map(|row| Known { index: row.index, payload: Some(row.payload.clone()) }))
    }

    fn highest_seq(&self, device: &str) -> Result<Option<u64>, ()> {
        Ok(self.readings.iter().filter(|r| r.day.device == device).filter_map(|r| r.seq).max())
    }

    fn day(&self, device: &str, day: u32) -> Result<DayLeaves, ()> {
        let rows = self.readings.iter().filter(|r| r.day.device == device && r.day.day == day);
        let leaf = |index| leaf_hash(&self.entries[usize::try_from(index).unwrap()]);
        Ok(rows.map(|row| (row.index, leaf(row.index))).collect())
    }

    fn key(&self, day: &DayKey) -> Result<Option<[u8; 32]>, ()> {
        Ok(self.keys.get(day).copied())
    }
}

fn settings() -> Settings {
    Settings {
        origin: "example.com/gw/1".to_string(),
        previous: None,
        signing_key: SigningKey::from_bytes(&[1; 32]),
        pseudonym_key: [2; 32],
        salt_key: [3; 32],
        commit_delay_ms: 1000,
        commit_count: 100,
        max_pending: 200,
        max_payload: 64,
    }
}

fn at(ms: u64) -> Now {
    Now { monotonic_ms: ms, wall: Timestamp { ms: 20_000 * DAY_MS + ms, synchronised: true } }
}

fn reading(ticket: u64, device: &str, seq: u64) -> Submission {
    Submission {
        ticket,
        device: device.to_string(),
        class: "default".to_string(),
        seq: Some(seq),
        format: 110,
        payload: std::format!("{device} {seq}").into_bytes(),
    }
}

fn drain(log: &mut Log, memory: &mut Memory, now: Now) {
    let mut counter = 0;
    let mut entropy = || {
        counter += 1;
        [counter; 32]
    };
    while let Some(output) = log.poll_output(now, memory, &mut entropy).unwrap() {
        match output {
            Output::Store(store) => {
                assert_eq!(store.first, memory.entries.len() as u64);
                memory.heads.extend(store.head.map(|(size, _)| size));
                memory.keys.extend(store.keys.into_iter().map(|row| (row.day, row.stored)));
                memory.readings.extend(store.readings);
                log.persisted();
            }
            Output::Append(append) => {
                memory.entries.extend(append.entries);
                log.persisted();
            }
            Output::Record { size, .. } => {
                memory.heads.push(size);
                log.persisted();
            }
            Output::Acknowledge(ack) => {
                assert!(ack.index < memory.entries.len() as u64, "acknowledged before durable");
                memory.acknowledged.push((ack.ticket, ack.index, ack.repeated));
            }
            Output::Publish { size, note } => {
                assert!(memory.heads.contains(&size), "published before durable");
                memory.published.push(note);
            }
            Output::Erase(days) => memory.keys.retain(|day, _| !days.contains(day)),
        }
    }
}

fn started() -> (Log, Memory) {
    let mut log = Log::new(settings(), Resume::default(), at(0));
    let mut memory = Memory::default();
    drain(&mut log, &mut memory, at(0));
    (log, memory)
}

fn body(memory: &Memory, index: usize) -> Body {
    Entry::decode(&memory.entries[index]).unwrap().body
}

#[test]
fn a_log_begins_with_its_genesis_leaf() {
    let (log, memory) = started();
    assert_eq!(log.size(), 1);
    assert!(matches!(body(&memory, 0), Body::Genesis(genesis) if genesis.previous.is_none()));
}

#[test]
fn readings_wait_for_company_but_not_longer_than_the_delay() {
    let (mut log, mut memory) = started();
    log.submit(at(10), reading(1, "a", 0), &memory).unwrap();
    drain(&mut log, &mut memory, at(500));
    assert!(memory.acknowledged.is_empty());
    assert_eq!(log.next_deadline(), Some(1010));
    drain(&mut log, &mut memory, at(1010));
    assert_eq!(memory.acknowledged, vec![(1, 1, false)]);
    for seq in 1..=100 {
        log.submit(at(1020), reading(seq, "a", seq), &memory).unwrap();
    }
    drain(&mut log, &mut memory, at(1020));
    assert_eq!(memory.acknowledged.len(), 101);
}

#[test]
fn a_repeat_gets_the_first_index_before_and_after_the_commit() {
    let (mut log, mut memory) = started();
    for ticket in 1..=3 {
        log.submit(at(0), reading(ticket, "a", 7), &memory).unwrap();
    }
    drain(&mut log, &mut memory, at(1000));
    assert_eq!(memory.acknowledged, vec![(1, 1, false), (2, 1, true), (3, 1, true)]);
    let mut restarted =
        Log::new(settings(), Resume { frontier: log.frontier.clone(), open_days: vec![] }, at(0));
    restarted.submit(at(1), reading(4, "a", 7), &memory).unwrap();
    drain(&mut restarted, &mut memory, at(2000));
    assert_eq!(memory.acknowledged.last(), Some(&(4, 1, true)));
    assert_eq!(memory.entries.len(), 2);
}

#[test]
fn a_sequence_number_names_one_reading() {
    let (mut log, mut memory) = started();
    let other = Submission { payload: b"other".to_vec(), ..reading(2, "a", 7) };
    log.submit(at(0), reading(1, "a", 7), &memory).unwrap();
    let refused =
        |result| matches!(result, Err(SubmitError::Refused(Error::SequenceReused { .. })));
    assert!(refused(log.submit(at(0), other.clone(), &memory)));
    drain(&mut log, &mut memory, at(1000));
    assert!(refused(log.submit(at(0), other, &memory)));
}

#[test]
fn a_repeat_in_another_format_is_a_repeat_before_and_after_the_commit() {
    let (mut log, mut memory) = started();
    let again = Submission { format: 50, ..reading(2, "a", 7) };
    log.submit(at(0), reading(1, "a", 7), &memory).unwrap();
    log.submit(at(0), again.clone(), &memory).unwrap();
    drain(&mut log, &mut memory, at(1000));
    log.submit(at(1000), Submission { ticket: 3, ..again }, &memory).unwrap();
    drain(&mut log, &mut memory, at(1000));
    assert_eq!(memory.acknowledged, vec![(1, 1, false), (2, 1, true), (3, 1, true)]);
    assert!(matches!(body(&memory, 1), Body::Reading(Reading { format: 110, .. })));
}

#[test]
fn the_same_key_and_index_in_another_log_give_another_commitment() {
    let commitment = |origin: &str| {
        let settings = Settings { origin: origin.to_string(), ..settings() };
        let mut log = Log::new(settings, Resume::default(), at(0));
        let mut memory = Memory::default();
        drain(&mut log, &mut memory, at(0));
        log.submit(at(0), Submission { seq: None, ..reading(1, "a", 0) }, &memory).unwrap();
        drain(&mut log, &mut memory, at(1000));
        match body(&memory, 1) {
            Body::Reading(reading) => reading.commitment,
            other => panic!("{other:?}"),
        }
    };
    assert_ne!(commitment("example.com/gw/1"), commitment("example.com/gw/2"));
}

#[test]
fn gaps_and_late_arrivals_are_seen() {
    let (mut log, mut memory) = started();
    for (ticket, seq) in [(1, 5), (2, 9), (3, 7), (4, 10)] {
        log.submit(at(0), reading(ticket, "a", seq), &memory).unwrap();
    }
    drain(&mut log, &mut memory, at(1000));
    let gaps: Vec<u64> = (1..5)
        .map(|index| match body(&memory, index) {
            Body::Reading(reading) => reading.gap,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(gaps, vec![0, 3, 0, 0]);
}

#[test]
fn bounds_refuse_and_change_nothing() {
    let (mut log, mut memory) = started();
    let long = Submission { payload: vec![0; 65], ..reading(1, "a", 0) };
    let result = log.submit(at(0), long, &memory);
    assert!(matches!(result, Err(SubmitError::Refused(Error::TooLong { limit: 64, .. }))));
    for seq in 0..200 {
        log.submit(at(0), reading(seq, "a", seq), &memory).unwrap();
    }
    let result = log.submit(at(0), reading(200, "a", 200), &memory);
    assert!(matches!(result, Err(SubmitError::Refused(Error::Busy { pending: 200 }))));
    drain(&mut log, &mut memory, at(0));
    assert_eq!((log.pending(), memory.acknowledged.len()), (0, 200));
}

#[test]
fn checkpoints_are_signed_over_durable_leaves_and_published_when_durable() {
    let (mut log, mut memory) = started();
    log.submit(at(0), reading(1, "a", 0), &memory).unwrap();
    log.want_checkpoint();
    log.commit_now();
    drain(&mut log, &mut memory, at(0));
    let note = Note::parse(&memory.published[0]).unwrap();
    let checkpoint = Checkpoint::parse(note.text()).unwrap();
    let mut frontier = Frontier::new();
    for entry in &memory.entries {
        frontier.push(leaf_hash(entry));
    }
    assert_eq!((checkpoint.size, checkpoint.root), (2, frontier.root()));
}

#[test]
fn a_day_is_summarised_once_and_again_when_the_clock_steps_back() {
    let (mut log, mut memory) = started();
    let tomorrow = at(DAY_MS);
    log.submit(at(0), reading(1, "a", 0), &memory).unwrap();
    log.submit(at(0), reading(2, "b", 0), &memory).unwrap();
    drain(&mut log, &mut memory, at(1000));
    log.handle_timer(at(2000));
    log.handle_timer(tomorrow);
    log.handle_timer(tomorrow);
    log.commit_now();
    drain(&mut log, &mut memory, tomorrow);
    assert_eq!(memory.entries.len(), 5);
    log.submit(at(3000), reading(3, "a", 1), &memory).unwrap();
    log.commit_now();
    drain(&mut log, &mut memory, at(3000));
    log.handle_timer(tomorrow);
    log.commit_now();
    drain(&mut log, &mut memory, tomorrow);
    let Body::Summary(summary) = body(&memory, 6) else { panic!("no summary") };
    let mut frontier = Frontier::new();
    for index in [1, 5] {
        frontier.push(leaf_hash(&memory.entries[index]));
    }
    assert_eq!((summary.count, summary.first, summary.last), (2, 1, 5));
    assert_eq!((summary.day, summary.root), (20_000, frontier.root()));
}

#[test]
fn a_restart_summarises_the_days_that_were_open() {
    let (mut log, mut memory) = started();
    log.submit(at(0), reading(1, "a", 0), &memory).unwrap();
    drain(&mut log, &mut memory, at(1000));
    let open_days = vec![("a".to_string(), 20_000)];
    let resume = Resume { frontier: log.frontier.clone(), open_days };
    let mut log = Log::new(settings(), resume, at(2000));
    log.handle_timer(at(DAY_MS));
    log.commit_now();
    drain(&mut log, &mut memory, at(DAY_MS));
    assert!(matches!(body(&memory, 2), Body::Summary(Summary { count: 1, .. })));
}

#[test]
fn an_erasure_is_an_entry_before_the_key_is_gone() {
    let (mut log, mut memory) = started();
    log.submit(at(0), reading(1, "a", 0), &memory).unwrap();
    drain(&mut log, &mut memory, at(1000));
    let day = memory.keys.keys().next().cloned().unwrap();
    log.erase(at(2000), day.clone(), 1);
    log.commit_now();
    drain(&mut log, &mut memory, at(2000));
    assert!(matches!(body(&memory, 2), Body::Erasure(erasure) if erasure.count == 1));
    assert!(memory.keys.is_empty());
    log.submit(at(3000), reading(2, "a", 1), &memory).unwrap();
    drain(&mut log, &mut memory, at(4000));
    assert!(memory.keys.contains_key(&day), "a new key after the erasure");
}
