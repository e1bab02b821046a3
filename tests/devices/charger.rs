//! A charger: a relay that the gateway switches, and a counter of what it delivered. It signs for itself, as a car does,
//! and takes the channels that a car proposes.
//!
//! Guarantees: nothing is delivered while the relay is off. Does not: know what was paid; its gateway does.

use std::time::Duration;

use sluicegate_device::coap::{
    Application, Body, Code, Event, Incoming, Link, Observable, Reply, Request,
};

use crate::{appliance::Appliance, car::Car, switch::Switch};

/// The charger.
pub(crate) struct Charger {
    /// Its counter, its key and its books are those of a car.
    meter: Car,
    relay: Switch,
    plugged: bool,
}

impl Charger {
    /// The charger of these files, with its relay off and a car plugged in.
    pub(crate) fn open(name: &str, files: &[String]) -> Result<Self, String> {
        let meter = Car::open(name, files, true)?;
        Ok(Self { meter, relay: Switch::new(["off", "on"], false), plugged: true })
    }
}

impl Appliance for Charger {
    fn measure(&mut self, tick: u32) -> Vec<Vec<u8>> {
        self.meter.charge(self.plugged && self.relay.is_on());
        self.meter.measure(tick)
    }

    fn changed(&mut self) -> Option<usize> {
        self.relay.changed().then_some(0)
    }

    fn first_seq(&self) -> u64 {
        self.meter.first_seq()
    }

    fn obey(&mut self, order: &str) {
        match order {
            "plug on" => self.plugged = true,
            "plug off" => self.plugged = false,
            _ => self.meter.obey(order),
        }
    }

    fn request(&mut self, now: Duration) -> Option<Request<'_>> {
        self.meter.request(now)
    }

    fn begun(&mut self) {
        self.meter.begun();
    }

    fn hear(&mut self, now: Duration, event: &Event<'_>) {
        self.meter.hear(now, event);
    }

    fn next_request(&self) -> Option<Duration> {
        self.meter.next_request()
    }

    fn is_waiting(&self) -> bool {
        self.meter.is_waiting()
    }

    fn reconnected(&mut self, now: Duration) {
        self.meter.reconnected(now);
    }
}

impl Application for Charger {
    fn links(&self) -> &[Link<'_>] {
        const LINK: Link<'_> = Link {
            path: "relay",
            attributes: "rt=\"relay\";if=\"core.a\"",
            observable: Observable::Confirmable,
        };
        &[LINK]
    }

    fn serve(&mut self, _: usize, request: &Incoming<'_>, reply: &mut Reply<'_>) -> Code {
        self.relay.serve(request, reply)
    }

    fn body(&self) -> &dyn Body {
        self.meter.body()
    }
}
