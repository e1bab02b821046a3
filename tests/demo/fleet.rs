//! The simulated devices: three processes of `tests/devices`, what they are told and what they say.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    process::{ChildStdin, Command},
    time::Duration,
};

use crate::{
    failure::{Doing, Failure, Result, expect},
    process::Process,
    site::{Ports, built},
};

/// The devices: what each is, its name, and the bundle of all that it sent.
pub(crate) const DEVICES: [Kind; 3] = [
    Kind { what: "meter", name: METER, file: "meter-1.sgp" },
    Kind { what: "thermometer", name: THERMOMETER, file: "thermometer-1.sgp" },
    Kind { what: "valve", name: VALVE, file: "valve-1.sgp" },
];

pub(crate) const METER: &str = "meter-1";
pub(crate) const THERMOMETER: &str = "thermometer-1";
pub(crate) const VALVE: &str = "valve-1";

/// One kind of device.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    what: &'static str,
    pub(crate) name: &'static str,
    pub(crate) file: &'static str,
}

impl Kind {
    /// The file with its name and its PSK.
    pub(crate) fn enrolment(self) -> String {
        format!("{}.enrolment", self.name)
    }

    /// Its PSK in hexadecimal, also its password at the broker.
    pub(crate) fn key(self) -> Result<String> {
        let file = self.enrolment();
        let text = fs::read_to_string(&file).doing(&file)?;
        let key = text.lines().find_map(|line| line.strip_prefix("PSK "));
        let key = key.map(|key| key.trim().to_owned());
        key.ok_or_else(|| Failure::new(format!("{file} has no PSK")))
    }
}

/// A running device.
pub(crate) struct Device {
    pub(crate) name: &'static str,
    process: Process,
    stdin: ChildStdin,
}

/// What a device said so far.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// Acknowledged readings: the sequence number and the place in the log.
    pub(crate) logged: BTreeMap<u64, u64>,
    /// Commands that were carried out: id and value.
    pub(crate) acted: Vec<(u64, String)>,
}

impl Device {
    /// Starts a device.
    pub(crate) fn start(kind: Kind, ports: Ports) -> Result<Self> {
        let port = if kind.name == THERMOMETER { ports.mqtt } else { ports.coaps };
        let mut command = Command::new(built("device")?);
        command.args([kind.what, &kind.enrolment(), &format!("127.0.0.1:{port}")]);
        let (process, stdin) = Process::start_device(kind.name, &mut command)?;
        Ok(Self { name: kind.name, process, stdin })
    }

    /// Plugs its network in or out.
    pub(crate) fn set_network(&mut self, on: bool) -> Result<()> {
        self.tell(if on { "network on" } else { "network off" })
    }

    /// Lets it end, which it does when all its readings are acknowledged.
    pub(crate) fn finish(&mut self) -> Result<()> {
        self.tell("finish")
    }

    /// Waits for that end; gives all that it said.
    pub(crate) fn wait_end(mut self, limit: Duration) -> Result<Said> {
        self.process.wait_end(limit)?;
        self.said()
    }

    /// How many of its readings are acknowledged; fails if it has ended.
    pub(crate) fn acknowledged(&mut self) -> Result<usize> {
        self.process.check_runs()?;
        Ok(self.said()?.logged.len())
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").doing(self.name)
    }

    fn said(&self) -> Result<Said> {
        let file = format!("{}.said", self.name);
        let text = fs::read_to_string(&file).doing(&file)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut said = Said::default();
        for line in whole.lines() {
            said.take(line).ok_or_else(|| Failure::new(format!("{} said: {line}", self.name)))?;
        }
        Ok(said)
    }
}

impl Said {
    /// Takes a line; `None` if it is bad news.
    fn take(&mut self, line: &str) -> Option<()> {
        let [what, number, rest] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
        let number = number.parse().ok()?;
        match what {
            "logged" => self.logged.insert(number, rest.parse().ok()?).is_none().then_some(()),
            "acted" => {
                self.acted.push((number, rest.to_owned()));
                Some(())
            }
            _ => None,
        }
    }

    /// Nothing is missing: the sequence numbers go from 1 to the number of readings.
    pub(crate) fn check(&self, device: &str) -> Result<()> {
        let whole = self.logged.keys().copied().eq((1..).take(self.logged.len()));
        expect(whole && !self.logged.is_empty(), || {
            format!("{device} misses acknowledgements: {:?}", self.logged.keys())
        })
    }
}
