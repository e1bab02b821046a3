//! A water valve with a flow meter: closed and opened by command, its state can be observed.
//!
//! Guarantees: a command acts once, however often it comes.

use sluicegate_device::{
    coap::{Application, Code, Incoming, Link, Observable, Reply},
    senml::Decimal,
};

use crate::{
    appliance::{Appliance, pack_of_one, wobble},
    switch::Switch,
};

/// The valve.
pub(crate) struct Valve {
    name: String,
    /// On is open.
    switch: Switch,
    /// Hundredths of a litre a minute.
    flow: i64,
}

impl Valve {
    /// An open one.
    pub(crate) fn new(name: &str) -> Self {
        let switch = Switch::new(["closed", "open"], true);
        Self { name: name.to_owned(), switch, flow: 1_200 }
    }
}

impl Appliance for Valve {
    fn measure(&mut self, tick: u32) -> Vec<Vec<u8>> {
        let target = if self.switch.is_on() { 1_200 + wobble(tick, 5) / 12 } else { 0 };
        self.flow += (target - self.flow) * 2 / 3;
        let flow = Decimal::new(self.flow, -2);
        vec![pack_of_one(&self.name, "flow", "l/min", flow)]
    }

    fn changed(&mut self) -> Option<usize> {
        self.switch.changed().then_some(0)
    }
}

impl Application for Valve {
    fn links(&self) -> &[Link<'_>] {
        const LINK: Link<'_> = Link {
            path: "valve",
            attributes: "rt=\"valve\";if=\"core.a\"",
            observable: Observable::Confirmable,
        };
        &[LINK]
    }

    fn serve(&mut self, _: usize, request: &Incoming<'_>, reply: &mut Reply<'_>) -> Code {
        self.switch.serve(request, reply)
    }
}
