//! An electricity meter: the power now, and from time to time the profile of a whole day.
//!
//! A profile has 96 quarter hours and more than 4 KB, so it goes up block-wise.

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

    /// The energy of each quarter hour of a day that ended now.
    fn profile(&self, day: u32) -> Vec<u8> {
        let base = format!("{}:", self.name);
        let first = NewRecord::new().base_name(&base).base_time(now()).base_unit("Wh");
        let record = |quarter: u32| {
            let start = 900 * (i64::from(quarter) - i64::from(QUARTERS));
            let energy = Decimal::new(watts(quarter + QUARTERS * day) / 4, 0);
            let record = if quarter == 0 { first } else { NewRecord::new() };
            record.name("energy").time(Decimal::new(start, 0)).number(energy)
        };
        pack(&(0..QUARTERS).map(record).collect::<Vec<_>>())
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
        if request.method == Code::GET { Code::UNAVAILABLE } else { Code::METHOD_NOT_ALLOWED }
    }
}

/// A household: what is always on, a fridge, and now and then a kettle.
fn watts(tick: u32) -> i64 {
    let fridge = if tick % 28 < 12 { 95 } else { 0 };
    let kettle = if (18..26).contains(&(tick % 44)) { 1_980 } else { 0 };
    240 + fridge + kettle + wobble(tick, 1) / 50 + wobble(tick / 6, 2) / 12
}
