//! An electricity meter: the power now, and from time to time the profile of a whole day.
//!
//! A profile has the energy and the peak of 96 quarter hours in more than 4 KB, so it goes up
//! block-wise.

use sluicegate_device::{
    coap::{Application, Code, Incoming, Link, Observable, Reply},
    senml::{Decimal, NewRecord},
};

use crate::appliance::{Appliance, now, pack, pack_of_one, wobble};

/// A profile follows each so many readings.
const PROFILE_EVERY: u32 = 12;

/// Quarter hours of a day.
const QUARTERS: u32 = 96;

/// The meter of a household.
pub(crate) struct Meter {
    name: String,
}

impl Meter {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// Energy and peak of each quarter hour of the 24 hours before now.
    fn profile(&self, day: u32) -> Vec<u8> {
        let base = format!("{}:", self.name);
        let mut records = Vec::new();
        for quarter in 0..QUARTERS {
            let start = Decimal::new(900 * (i64::from(quarter) - i64::from(QUARTERS)), 0);
            let watts = of_day(quarter, day);
            let record = NewRecord::new().time(start);
            let energy = record.name("energy").unit("Wh").number(Decimal::new(watts / 4, 0));
            records.push(energy);
            let peak = watts + 150 + wobble(quarter, day) / 10;
            records.push(record.name("peak").unit("W").number(Decimal::new(peak, 0)));
        }
        if let Some(first) = records.first_mut() {
            *first = first.base_name(&base).base_time(now());
        }
        pack(&records)
    }
}

impl Appliance for Meter {
    fn measure(&mut self, tick: u32) -> Vec<Vec<u8>> {
        let power = Decimal::new(watts(tick), 0);
        let mut packs = vec![pack_of_one(&self.name, "power", "W", power)];
        if tick % PROFILE_EVERY == PROFILE_EVERY / 2 {
            packs.push(self.profile(tick / PROFILE_EVERY));
        }
        packs
    }
}

impl Application for Meter {
    fn links(&self) -> &[Link<'_>] {
        &[Link { path: "power", attributes: "rt=\"power\"", observable: Observable::No }]
    }

    fn serve(&mut self, _: usize, request: &Incoming<'_>, _: &mut Reply<'_>) -> Code {
        if request.method == Code::GET {
            Code::SERVICE_UNAVAILABLE
        } else {
            Code::METHOD_NOT_ALLOWED
        }
    }
}

/// The mean power of a quarter hour: little at night, a morning, a long evening.
fn of_day(quarter: u32, day: u32) -> i64 {
    const HOURS: [i64; 24] = [
        21, 19, 18, 18, 19, 26, 58, 83, 71, 46, 41, 44, 63, 58, 42, 40, 48, 74, 112, 124, 98, 77,
        49, 30,
    ];
    let hour =
        |quarter: u32| HOURS.iter().cycle().nth(quarter as usize / 4).map_or(0, |of| 10 * of);
    let part = i64::from(quarter % 4);
    let between = (hour(quarter) * (4 - part) + hour(quarter + 4) * part) / 4;
    between + wobble(quarter, day + 7) / 25
}

/// A household: what is always on, a fridge, and now and then a kettle.
fn watts(tick: u32) -> i64 {
    let fridge = if tick % 28 < 12 { 95 } else { 0 };
    let kettle = if (18..26).contains(&(tick % 44)) { 1_980 } else { 0 };
    240 + fridge + kettle + wobble(tick, 1) / 50 + wobble(tick / 6, 2) / 12
}

#[cfg(test)]
mod tests {
    use sluicegate_device::senml::{Format, Pack};

    use super::*;
    use crate::appliance::SIZE;

    #[test]
    fn each_day_profile_needs_blocks_and_fits_a_slot() {
        let mut meter = Meter::new("meter-1");
        for tick in 0..50 * PROFILE_EVERY {
            let packs = meter.measure(tick);
            let profile = tick % PROFILE_EVERY == PROFILE_EVERY / 2;
            assert_eq!(packs.len(), 1 + usize::from(profile));
            for (pack, records) in packs.iter().zip([1, 2 * QUARTERS as usize]) {
                assert_eq!(Pack::parse(Format::Json, pack).map(|pack| pack.len()), Ok(records));
                assert!(records == 1 || (4_097..SIZE).contains(&pack.len()), "{}", pack.len());
            }
        }
    }
}
