//! All processes of the demo, and what happens to them while the devices work.
//!
//! Order of calls: [`Plant::start`]; then in the order of the story [`Plant::settle`],
//! [`Plant::act`], [`Plant::cut_network`], [`Plant::kill_gateway`]; [`Plant::finish`]; at the very
//! end [`Plant::stop`].

use std::time::{Duration, Instant};

use crate::{
    broker,
    failure::{Failure, Result},
    fleet::{DEVICES, Device, METER, Said, VALVE},
    process::{Process, pause, wait_for},
    site::{BROKER_USER, Ports, Role, Site},
    told::Told,
    watch::now_ms,
};

/// Longest wait for devices to do what they do in a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the meter has no network.
const CUT: Duration = Duration::from_secs(5);

/// How long the gateway stays down.
const DOWN: Duration = Duration::from_secs(2);

/// Longest wait for a clean end (design: under two seconds).
const STOP: Duration = Duration::from_secs(2);

/// Everything that runs.
pub(crate) struct Plant {
    pub(crate) site: Site,
    devices: Vec<Device>,
    gateway: Process,
    broker: Process,
    ledger: Process,
}

/// A stretch of time; wall times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

impl Span {
    /// In seconds, with one decimal.
    pub(crate) fn seconds(self) -> String {
        let ms = self.to_ms.saturating_sub(self.from_ms);
        format!("{}.{} s", ms / 1000, ms / 100 % 10)
    }
}

/// A command and when it was made and answered.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) id: u64,
    pub(crate) value: &'static str,
    pub(crate) span: Span,
}

impl Plant {
    /// Enrols the devices, then starts ledger, broker, gateway and devices.
    pub(crate) fn start(told: &Told) -> Result<Self> {
        let ports = Ports::free()?;
        let site = Site::create("gateway", Role::Field(ports))?;
        DEVICES.iter().try_for_each(|device| site.enrol(device.name, &[], &device.enrolment()))?;
        told.say("Three devices are enrolled: sluicegate device add prints name and key of each.");
        let keys = DEVICES.map(|device| device.key());
        let password = site.broker_password()?;
        let mut users = vec![(BROKER_USER, password.as_str())];
        for (device, key) in DEVICES.iter().zip(&keys) {
            users.push((device.name, key.as_ref().map_err(|e| Failure::new(e.to_string()))?));
        }
        let broker = broker::start(ports.mqtt, &users)?;
        let ledger = site.start_ledger()?;
        let gateway = site.start_gateway("gateway")?;
        told.say("The ledger, the MQTT broker and the gateway run, with fresh keys.");
        let devices = DEVICES.iter().map(|device| Device::start(*device, ports));
        let devices = devices.collect::<Result<Vec<_>>>()?;
        told.say("So do a meter and a valve (CoAP over DTLS) and a thermometer (MQTT).");
        Ok(Self { site, devices, gateway, broker, ledger })
    }

    /// Waits until `count` more readings of each device are acknowledged.
    pub(crate) fn settle(&mut self, count: usize) -> Result<()> {
        let before = self.acknowledged()?;
        let wanted: Vec<usize> = before.iter().map(|before| before + count).collect();
        let text = format!("the devices don't get {count} more readings acknowledged; see *.log");
        self.wait_until(&text, |now| now.iter().zip(&wanted).all(|(now, wanted)| now >= wanted))
    }

    /// Tells the valve something.
    pub(crate) fn act(&mut self, told: &Told, value: &'static str) -> Result<Command> {
        let from_ms = now_ms();
        let id = self.site.act(VALVE, "valve", value)?;
        let span = Span { from_ms, to_ms: now_ms() };
        let seconds = span.seconds();
        told.say(format!("sluicegate act {VALVE} valve {value}: done, in {seconds}."));
        Ok(Command { id, value, span })
    }

    /// The meter has no network for some seconds, and catches up.
    pub(crate) fn cut_network(&mut self, told: &Told) -> Result<Span> {
        let meter = self.devices.iter().position(|device| device.name == METER);
        let meter = meter.ok_or_else(|| Failure::new("there is no meter"))?;
        self.devices[meter].set_network(false)?;
        let from_ms = now_ms();
        told.say(format!("The network of {METER} is cut: it goes on measuring."));
        let others = self.acknowledged()?;
        pause(CUT)?;
        let before = self.acknowledged()?;
        self.devices[meter].set_network(true)?;
        let span = Span { from_ms, to_ms: now_ms() };
        let missed = before.iter().zip(&others).map(|(now, then)| now - then).max().unwrap_or(0);
        let wanted = before[meter] + missed;
        self.wait_until("the meter does not catch up; see meter-1.log", |now| {
            now[meter] >= wanted
        })?;
        let waited = Span { from_ms: span.to_ms, to_ms: now_ms() }.seconds();
        told.say(format!(
            "It is back: what it measured in {} is logged {waited} later.",
            span.seconds()
        ));
        Ok(span)
    }

    /// The gateway is killed, and started again a little later.
    pub(crate) fn kill_gateway(mut self, told: &Told, size: u64) -> Result<(Self, Span)> {
        self.gateway.kill()?;
        let from_ms = now_ms();
        told.say(format!("The gateway is killed (SIGKILL) while the log has {size} entries."));
        pause(DOWN)?;
        self.gateway = self.site.start_gateway("gateway")?;
        let span = Span { from_ms, to_ms: now_ms() };
        let ready = Instant::now();
        self.settle(1)?;
        let (ms, down) = (ready.elapsed().as_millis(), span.seconds());
        let took = format!("{}.{} s", ms / 1000, ms / 100 % 10);
        told.say(format!("It was away for {down}; all three devices are back {took} later."));
        Ok((self, span))
    }

    /// The devices end, once all that they measured is acknowledged.
    pub(crate) fn finish(&mut self) -> Result<Vec<(&'static str, Said)>> {
        self.devices.iter_mut().try_for_each(Device::finish)?;
        let ended = self.devices.drain(..).map(|device| {
            let name = device.name;
            let said = device.wait_end(PATIENCE)?;
            said.check(name)?;
            Ok((name, said))
        });
        ended.collect()
    }

    /// Asks gateway, ledger and broker to end.
    pub(crate) fn stop(self, told: &Told) -> Result<()> {
        let took = self.gateway.stop(STOP)?.as_millis();
        self.ledger.stop(STOP)?;
        self.broker.stop(STOP)?;
        told.say(format!("All processes were asked to end and did; the gateway took {took} ms."));
        Ok(())
    }

    fn acknowledged(&mut self) -> Result<Vec<usize>> {
        self.devices.iter_mut().map(Device::acknowledged).collect()
    }

    /// Waits until the numbers of acknowledged readings are right.
    fn wait_until(&mut self, text: &str, right: impl Fn(&[usize]) -> bool) -> Result<()> {
        let done = wait_for(PATIENCE, || {
            self.gateway.check_runs()?;
            Ok(right(&self.acknowledged()?).then_some(()))
        })?;
        done.ok_or_else(|| Failure::new(text))
    }
}
