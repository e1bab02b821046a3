//! A thermometer in a cold store, whose door is opened now and then.

use sluicegate_device::senml::Decimal;

use crate::appliance::{Appliance, pack_of_one, wobble};

/// The thermometer.
pub(crate) struct Thermometer {
    name: String,
    /// Thousandths of a degree.
    temperature: i64,
}

impl Thermometer {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), temperature: 3_900 }
    }
}

impl Appliance for Thermometer {
    fn measure(&mut self, tick: u32) -> Vec<Vec<u8>> {
        let open = (14..24).contains(&(tick % 48));
        let target = if open { 9_500 } else { 3_800 };
        self.temperature += (target - self.temperature) / 12 + wobble(tick, 3) / 20;
        let rounded = Decimal::new(self.temperature / 10, -2);
        vec![pack_of_one(&self.name, "temperature", "Cel", rounded)]
    }
}
