//! Targets for the life of channels: histories of two gateways, and the record that the store holds.

use sluicegate_channels::{Record, record::Stored};
use sluicegate_simulator::{Script, run};

/// Events of a history, longer ones are cut: more only takes longer.
const MAX_EVENTS: usize = 200;

/// A history: two bytes are an event. What must hold in every history holds in this one.
pub fn channel_history(data: &[u8]) -> bool {
    let script = Script::from_bytes(data.get(..2 * MAX_EVENTS).unwrap_or(data));
    if let Err(error) = run(&script) {
        panic_with(&error, &script.shrunk(|shorter| run(shorter).is_err()));
    }
    !script.0.is_empty()
}

#[expect(clippy::panic, reason = "a broken promise is a finding, with the script that shows it")]
fn panic_with(error: &str, script: &Script) {
    panic!("{error}\n{script}");
}

/// The record of a channel: what is read is written again as the same bytes, or, of the version before, as longer ones.
pub fn channel_record(data: &[u8]) -> bool {
    let Ok(record) = Record::from_bytes(data) else { return false };
    let written = record.to_bytes();
    assert!(written == data || written.len() > data.len(), "a second encoding");
    assert!(Record::from_bytes(&written).is_ok_and(|again| again == record), "another record");
    true
}
