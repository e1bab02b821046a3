//! A place with a broker: the configuration of the gateway's side, and what its log holds.
//!
//! Order of calls: [`Site::new`], changes of the configuration, [`Site::gateway`], devices, and
//! [`Site::logged`] at the end.

use std::fs;

use sluicegate_notary::entry::{Body, Entry, Reading};

use crate::{
    broker::Broker,
    logged,
    place::Place,
    process::{Process, until},
};

/// A gateway's folder with a broker beside it.
pub struct Site {
    pub place: Place,
    pub broker: Broker,
}

impl Site {
    /// With a broker that lets everybody in.
    pub fn new() -> Self {
        let place = Place::with_ledger_in_process();
        let broker = Broker::start(&place.path(""));
        Self::with(place, broker)
    }

    /// With this broker.
    pub fn with(place: Place, broker: Broker) -> Self {
        let port = broker.port();
        let mut sections = format!("[mqtt]\nport = {port}\npatience = \"1s\"\n\n");
        let text = fs::read_to_string(place.path("sluicegate.toml")).unwrap();
        if !text.contains("[coap]") {
            sections.push_str("[coap]\nlisten = []\nlisten_dtls = []\n\n");
        }
        let device = "[[device]]\nname = \"meter-1\"";
        place.configure(device, &format!("{sections}{device}"));
        Self { place, broker }
    }

    /// Lets the gateway reach the broker through another port.
    pub fn reach_broker_at(&self, port: u16) {
        let own = format!("port = {}", self.broker.port());
        self.place.configure(&own, &format!("port = {port}"));
    }

    /// Starts the gateway and waits until it listens to the broker.
    pub fn gateway(&self) -> Process {
        let gateway = self.place.gateway();
        self.wait_health("connected to");
        gateway
    }

    /// Waits until the health of MQTT says this.
    pub fn wait_health(&self, text: &str) -> String {
        let mut client = self.place.client();
        let mut last = String::new();
        until(text, || {
            let status = client.status();
            let lines = status["field"].as_array().unwrap().iter().map(|line| line.as_str());
            let line = lines.flatten().find(|line| line.starts_with("mqtt: "))?.to_owned();
            if line != last {
                eprintln!("{line}");
                last.clone_from(&line);
            }
            let told = line.strip_prefix("mqtt: ")?;
            (told.starts_with(text) || told.contains("; ") && told.contains(text)).then_some(line)
        })
    }

    /// Stops the gateway, and gives its leaves of devices: content format, sequence number or 0, index.
    pub fn logged(&self, gateway: Process) -> Vec<(u16, u64, u64)> {
        gateway.stop();
        let entries = logged::entries(&logged::folder(&self.place, 1));
        let reading = |(index, entry): (usize, Entry)| match entry.body {
            Body::Reading(Reading { format, seq, .. }) => {
                Some((format, seq.unwrap_or(0), index as u64))
            }
            _ => None,
        };
        entries.into_iter().enumerate().filter_map(reading).collect()
    }
}

/// The pack of a reading.
pub fn pack(value: u64) -> String {
    format!(r#"[{{"bn":"m:","bt":1795168800,"n":"power","u":"W","v":{value}}}]"#)
}

/// Where a device publishes a reading.
pub fn readings(device: &str, seq: u64) -> String {
    format!("sluicegate/{device}/readings/{seq}")
}

/// Where a device hears what became of it.
pub fn ack(device: &str) -> String {
    format!("sluicegate/{device}/readings/ack")
}
