//! The gateway that is measured: its plan, its devices and their readings, on days of its own.
//!
//! Guarantees: the same every time; a hundred devices send a thousand readings each on every day.

use std::path::{Path, PathBuf};

use sluicegate_daemon::{identity::Identity, recorder::Plan};
use sluicegate_notary::{
    entry::{DAY_MS, Timestamp},
    log::{Now, Submission},
};

/// Name of the log.
pub(crate) const ORIGIN: &str = "bench.example/gw/1";

/// Bytes of a payload.
pub(crate) const PAYLOAD: usize = 100;

/// Devices, and readings of each on a day.
pub(crate) const DEVICES: u64 = 100;
pub(crate) const READINGS_PER_DAY: u64 = 1_000;

/// Days of this many readings follow each other from here on.
const FIRST_DAY: u64 = 20_000;

/// The name that the database of every gateway has.
pub(crate) fn database(state: &Path) -> PathBuf {
    state.join("gateway.db")
}

/// The keys of its log.
pub(crate) fn identity() -> Identity {
    Identity::new(&[7; 32])
}

/// A gateway that commits whatever waits as soon as it is driven.
pub(crate) fn plan(state: &Path) -> Plan {
    Plan {
        origin: ORIGIN.to_owned(),
        identity: identity(),
        database: database(state),
        vfs: None,
        devices: (0..DEVICES).map(device).collect(),
        commit_delay_ms: 0,
        commit_count: 100,
        max_pending: 10_000,
        max_payload: 16_384,
    }
}

/// Keys of device days that need no randomness here.
pub(crate) fn entropy() -> impl FnMut() -> [u8; 32] + Send {
    let mut count = 0_u64;
    move || {
        count += 1;
        *sluicegate_protocol::sha256(&[&count.to_be_bytes()]).as_bytes()
    }
}

/// The moment of a reading, the first being number 0.
pub(crate) fn moment(number: u64) -> Now {
    let per_day = DEVICES * READINGS_PER_DAY;
    let in_day = number % per_day * (DAY_MS / per_day);
    let ms = (FIRST_DAY + number / per_day) * DAY_MS + in_day;
    Now { monotonic_ms: ms, wall: Timestamp { ms, synchronised: true } }
}

/// The reading with this number; its device and its place among the device's readings follow.
pub(crate) fn reading(number: u64) -> Submission {
    let (device_number, seq) = device_and_seq(number);
    let device = device(device_number);
    let mut payload = format!(
        "[{{\"bn\":\"{device}\",\"bt\":{},\"n\":\"power\",\"u\":\"W\",\"v\":{}}}]",
        moment(number).wall.ms / 1000,
        number % 10_007
    )
    .into_bytes();
    payload.resize(PAYLOAD, b' ');
    let class = "default".to_owned();
    Submission { ticket: number, device, class, seq: Some(seq), format: 110, payload }
}

/// Which device sent the reading with this number, and under which sequence number.
pub(crate) const fn device_and_seq(number: u64) -> (u64, u64) {
    (number % DEVICES, number / DEVICES)
}

/// A device's name.
pub(crate) fn device(number: u64) -> String {
    format!("meter-{number:03}")
}
