//! What is measured or moved, apart from how it is told.

use std::time::{Duration, SystemTime};

use sluicegate_device::{
    coap::{Event, Request},
    senml::{Decimal, Format, NewRecord, Writer},
};

/// Pause between two readings.
pub(crate) const PERIOD: Duration = Duration::from_millis(500);

/// Readings that wait at most, and bytes of one.
pub(crate) const SLOTS: usize = 48;
pub(crate) const SIZE: usize = 9_216;

/// Something that measures.
pub(crate) trait Appliance {
    /// The packs of this moment; called once each [`PERIOD`] with the number of calls before.
    fn measure(&mut self, tick: u32) -> Vec<Vec<u8>>;

    /// The place of a resource that has another state than when this was last asked.
    fn changed(&mut self) -> Option<usize> {
        None
    }

    /// The number of its first reading.
    fn first_seq(&self) -> u64 {
        1
    }

    /// Somebody says what only this appliance may understand.
    fn obey(&mut self, order: &str) {
        eprintln!("not understood: {order}");
    }

    /// The next request to the gateway that is not about readings.
    fn request(&mut self, _now: Duration) -> Option<Request<'_>> {
        None
    }

    /// That request has begun.
    fn begun(&mut self) {}

    /// What came of it.
    fn hear(&mut self, _now: Duration, event: &Event<'_>) {
        eprintln!("{event:?}");
    }

    /// When there is a request; none while one is under way.
    fn next_request(&self) -> Option<Duration> {
        None
    }

    /// Whether a request is under way.
    fn is_waiting(&self) -> bool {
        false
    }

    /// There is a new session.
    fn reconnected(&mut self, _now: Duration) {}
}

/// The pack of one record, taken now; the base name is the device's name and a colon.
pub(crate) fn pack_of_one(device: &str, name: &str, unit: &str, value: Decimal) -> Vec<u8> {
    let base = format!("{device}:");
    let record = NewRecord::new().base_name(&base).base_time(now()).name(name).unit(unit);
    pack(&[record.number(value)])
}

/// A pack in JSON; empty if it is longer than [`SIZE`].
pub(crate) fn pack(records: &[NewRecord<'_>]) -> Vec<u8> {
    let mut buffer = vec![0; SIZE];
    let mut writer = Writer::new(Format::Json, &mut buffer);
    let written = records.iter().try_for_each(|record| writer.push(record));
    let length = written.and_then(|()| writer.finish().map(<[u8]>::len));
    buffer.truncate(length.unwrap_or(0));
    buffer
}

/// Seconds since 1970, to the millisecond.
pub(crate) fn now() -> Decimal {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Decimal::new(i64::try_from(since.as_millis()).unwrap_or(i64::MAX), -3)
}

/// Between -1000 and 1000, the same for the same place; smooth enough to look like weather.
pub(crate) fn wobble(place: u32, seed: u32) -> i64 {
    let mut state = place.wrapping_mul(0x9E37_79B9) ^ seed.wrapping_mul(0x85EB_CA6B);
    state = (state ^ (state >> 15)).wrapping_mul(0x2C1B_3C6D);
    state = (state ^ (state >> 12)).wrapping_mul(0x297A_2D39);
    i64::from((state ^ (state >> 15)) % 2_001) - 1_000
}
