//! A device behind an MQTT broker, by MQTT 3.1.1: its connection around `sluicegate_device`.
//!
//! Guarantees: a reading is published again until the gateway has acknowledged it; a connection
//! that breaks is made anew. Does not: trust the broker's own acknowledgement, or give up.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rumqttc::{AsyncClient, EventLoop, Incoming, MqttOptions, QoS};
use sluicegate_device::{
    mqtt::{ack_topic, parse_ack, reading_topic},
    reporter::Reporter,
    senml::Format,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, sleep, sleep_until},
};

use crate::{
    appliance::{Appliance, PERIOD, SLOTS},
    coap::tell_report,
    control::{Control, Order},
    enrolment::Enrolment,
};

/// How long the device waits for the gateway's word before it publishes a reading again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Pause before the next connection.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest pause without a look at the clock.
const LOOK: Duration = Duration::from_secs(1);

/// Room for a reading.
const SIZE: usize = 256;

/// A device at work.
pub(crate) struct Broker<A> {
    appliance: A,
    reporter: Reporter<SLOTS, SIZE>,
    enrolment: Enrolment,
    server: SocketAddr,
    start: Instant,
    link: Option<Link>,
    /// Whether the broker listens, and tells what we subscribed to.
    ready: bool,
    finishing: bool,
    ticks: u32,
}

/// A connection, or the attempt at one.
struct Link {
    client: AsyncClient,
    incoming: UnboundedReceiver<Incoming>,
    task: JoinHandle<()>,
}

impl<A: Appliance> Broker<A> {
    /// A device of the broker at this address.
    pub(crate) fn new(appliance: A, enrolment: Enrolment, server: SocketAddr) -> Self {
        let (reporter, start) = (Reporter::new(1), Instant::now());
        let mut device = Self {
            appliance,
            reporter,
            enrolment,
            server,
            start,
            link: None,
            ready: false,
            finishing: false,
            ticks: 0,
        };
        device.connect();
        device
    }

    /// Works until it is finished.
    pub(crate) async fn run(mut self, mut control: Control) -> Result<(), String> {
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !(self.finishing && self.reporter.is_empty()) {
            self.publish()?;
            let wake = self.next_wake();
            tokio::select! {
                packet = next(&mut self.link) => self.take(packet)?,
                order = control.next() => self.obey(order?),
                _ = period.tick(), if !self.finishing => self.measure()?,
                () = sleep_until(wake.into()) => {}
            }
        }
        Ok(())
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Finish => self.finishing = true,
            Order::Network(online) => {
                eprintln!("network {}", if online { "on" } else { "off" });
                if online { self.connect() } else { self.disconnect() }
            }
            Order::Other(order) => self.appliance.obey(&order),
        }
    }

    fn connect(&mut self) {
        self.disconnect();
        let name = self.enrolment.name.as_str();
        let (host, port) = (self.server.ip().to_string(), self.server.port());
        let mut options = MqttOptions::new(name, host, port);
        options.set_credentials(name, self.enrolment.hex.as_str());
        options.set_keep_alive(Duration::from_secs(5));
        let (client, events) = AsyncClient::new(options, SLOTS);
        let (sender, incoming) = unbounded_channel();
        let task = tokio::spawn(listen(events, sender));
        self.link = Some(Link { client, incoming, task });
    }

    /// The connection is cut, without a good-bye.
    fn disconnect(&mut self) {
        self.ready = false;
        if let Some(link) = self.link.take() {
            link.task.abort();
        }
    }

    fn measure(&mut self) -> Result<(), String> {
        for pack in self.appliance.measure(self.ticks) {
            let queued = self.reporter.push(Format::Json, &pack);
            queued.map_err(|error| format!("a reading is lost: {error}"))?;
        }
        self.ticks += 1;
        Ok(())
    }

    /// Publishes the oldest reading if it is due.
    fn publish(&mut self) -> Result<(), String> {
        let now = self.start.elapsed();
        let link = self.link.as_ref().filter(|_| self.ready);
        let Some((link, reading)) = link.zip(self.reporter.due(now)) else { return Ok(()) };
        let topic = reading_topic(&self.enrolment.name, reading.seq).map_err(|e| e.to_string())?;
        // A queue that is full is a lost message.
        let _ = link.client.try_publish(topic.as_str(), QoS::AtLeastOnce, false, reading.pack);
        self.reporter.sent(now, PATIENCE);
        Ok(())
    }

    fn take(&mut self, packet: Option<Incoming>) -> Result<(), String> {
        let Some(packet) = packet else {
            self.connect();
            return Ok(());
        };
        match packet {
            Incoming::ConnAck(_) => self.subscribe()?,
            Incoming::SubAck(_) => {
                eprintln!("connected");
                self.ready = true;
                self.reporter.reconnected();
            }
            Incoming::Publish(message) => match parse_ack(&message.payload) {
                Ok(ack) => {
                    let report = self.reporter.handle_ack(self.start.elapsed(), &ack);
                    report.iter().for_each(tell_report);
                }
                Err(error) => eprintln!("{}: {error}", message.topic),
            },
            _ => {}
        }
        Ok(())
    }

    fn subscribe(&self) -> Result<(), String> {
        let topic = ack_topic(&self.enrolment.name).map_err(|error| error.to_string())?;
        if let Some(link) = &self.link {
            let _ = link.client.try_subscribe(topic.as_str(), QoS::AtLeastOnce);
        }
        Ok(())
    }

    fn next_wake(&self) -> Instant {
        let due = self.reporter.next_deadline().filter(|_| self.ready);
        let far = Instant::now() + LOOK;
        due.map_or(far, |due| far.min(self.start + due))
    }
}

/// The next packet of the broker; `None` when the connection has ended.
async fn next(link: &mut Option<Link>) -> Option<Incoming> {
    match link {
        Some(link) => link.incoming.recv().await,
        None => std::future::pending().await,
    }
}

/// Its future is only dropped with the connection: the client would lose what it was writing.
async fn listen(mut events: EventLoop, sender: UnboundedSender<Incoming>) {
    loop {
        match events.poll().await {
            Ok(rumqttc::Event::Incoming(packet)) => drop(sender.send(packet)),
            Ok(rumqttc::Event::Outgoing(_)) => {}
            Err(error) => {
                eprintln!("{error}");
                return sleep(PAUSE).await;
            }
        }
    }
}
