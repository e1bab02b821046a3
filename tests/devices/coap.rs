//! A device with CoAP over DTLS: its socket, its session and its clock around `sluicegate_device`.
//!
//! Guarantees: begins a new session when nothing answers for [`SILENCE`] or the network is back;
//! every reading keeps its sequence number through that. Does not: give up.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use sluicegate_device::{
    Config, Device, Event, Output, Report,
    coap::{Application, BlockSize, Seed},
    senml::Format,
};
use tokio::{
    net::UdpSocket,
    time::{MissedTickBehavior, interval, sleep_until},
};

use crate::{
    appliance::{Appliance, PERIOD, SIZE, SLOTS},
    control::{Control, Order},
    dtls::{self, DtlsClient},
    enrolment::Enrolment,
};

/// A gateway that says nothing for so long has forgotten the session.
const SILENCE: Duration = Duration::from_millis(2_500);

/// What the gateway may forget a device after, in seconds.
const LIFETIME: u32 = 86_400;

/// Room for a datagram.
const DATAGRAM: usize = 2_048;

/// A device at work.
pub(crate) struct Station<A> {
    appliance: A,
    device: Box<Device<SLOTS, SIZE>>,
    enrolment: Enrolment,
    socket: UdpSocket,
    session: DtlsClient,
    /// When the clock of the device began.
    start: Instant,
    /// When the gateway was last heard, or the session begun.
    heard: Instant,
    online: bool,
    finishing: bool,
    ticks: u32,
}

impl<A: Appliance + Application> Station<A> {
    /// A device that speaks to the gateway at this address.
    pub(crate) async fn open(
        appliance: A,
        enrolment: Enrolment,
        gateway: SocketAddr,
    ) -> Result<Self, String> {
        let refused = |error| format!("{gateway}: {error}");
        let any = if gateway.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).await.map_err(refused)?;
        socket.connect(gateway).await.map_err(refused)?;
        let config =
            Config { seed: seed(), block: BlockSize::B512, next_seq: appliance.first_seq() };
        let mut device = Box::new(Device::new(config));
        let long = |error| format!("{}: {error}", enrolment.name);
        device.register(&enrolment.name, LIFETIME).map_err(long)?;
        let start = Instant::now();
        let session = DtlsClient::new(&enrolment.name, &enrolment.key, start);
        Ok(Self {
            appliance,
            device,
            enrolment,
            socket,
            session,
            start,
            heard: start,
            online: true,
            finishing: false,
            ticks: 0,
        })
    }

    /// Works until it is finished.
    pub(crate) async fn run(mut self, mut control: Control) -> Result<(), String> {
        let mut period = interval(PERIOD);
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut buffer = [0; DATAGRAM];
        loop {
            self.perform();
            if self.finishing && self.device.readings().is_empty() {
                self.session.close();
                self.perform_session();
                return Ok(());
            }
            let wake = self.next_wake();
            tokio::select! {
                received = self.socket.recv(&mut buffer) => {
                    // An error says that nobody was there for an earlier datagram.
                    self.receive(&buffer[..received.unwrap_or(0)]);
                }
                order = control.next() => self.obey(order?),
                _ = period.tick(), if !self.finishing => self.measure()?,
                () = sleep_until(wake.into()) => self.handle_timeout(),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Finish => self.finishing = true,
            Order::Network(online) => {
                eprintln!("network {}", if online { "on" } else { "off" });
                self.online = online;
                self.renew();
            }
            Order::Other(order) => self.appliance.obey(&order),
        }
    }

    fn measure(&mut self) -> Result<(), String> {
        for pack in self.appliance.measure(self.ticks) {
            let queued = self.device.report(Format::Json, &pack);
            queued.map_err(|error| format!("a reading is lost: {error}"))?;
        }
        self.ticks += 1;
        Ok(())
    }

    fn receive(&mut self, datagram: &[u8]) {
        if self.online && !datagram.is_empty() {
            self.heard = Instant::now();
            self.session.receive(self.heard, datagram);
        }
    }

    fn handle_timeout(&mut self) {
        let now = Instant::now();
        if now >= self.heard + SILENCE && self.expects() {
            eprintln!("silence: a new session");
            self.renew();
        }
        self.session.handle_timeout(now);
    }

    /// Begins a new session.
    fn renew(&mut self) {
        self.heard = Instant::now();
        self.session = DtlsClient::new(&self.enrolment.name, &self.enrolment.key, self.heard);
    }

    /// Whether the gateway owes an answer.
    fn expects(&self) -> bool {
        !self.session.is_connected()
            || !self.device.readings().is_empty()
            || self.appliance.is_waiting()
    }

    fn next_wake(&self) -> Instant {
        let silence = self.expects().then_some(self.heard + SILENCE);
        let own = self.device.next_deadline().into_iter().chain(self.appliance.next_request());
        let own = own.min().filter(|_| self.session.is_connected());
        let device = own.map(|since| self.start + since);
        let far = Instant::now() + SILENCE;
        [silence, device, self.session.next_timeout()].into_iter().flatten().fold(far, Instant::min)
    }

    /// Does all that session and device want done.
    fn perform(&mut self) {
        self.perform_session();
        while self.session.is_connected() {
            if let Some(resource) = self.appliance.changed() {
                self.device.changed(resource);
            }
            let now = Instant::now();
            let since = now.duration_since(self.start);
            if let Some(request) = self.appliance.request(since)
                && self.device.request(&request).is_ok()
            {
                self.appliance.begun();
            }
            match self.device.poll(since, &mut self.appliance) {
                Some(Output::Send(datagram)) => self.session.send(now, datagram),
                Some(Output::Event(event)) => hear(&mut self.appliance, since, event),
                None => return,
            }
            self.perform_session();
        }
    }

    fn perform_session(&mut self) {
        while let Some(event) = self.session.poll() {
            match event {
                // A full socket is a lost datagram.
                dtls::Event::Send(datagram) if self.online => {
                    let _ = self.socket.try_send(&datagram);
                }
                dtls::Event::Send(_) => {}
                dtls::Event::Connected => {
                    eprintln!("session open");
                    let now = self.start.elapsed();
                    self.device.reconnected(now);
                    self.appliance.reconnected(now);
                }
                dtls::Event::Data(datagram) => {
                    let now = self.start.elapsed();
                    let event = self.device.handle(now, &datagram, &mut self.appliance);
                    event.into_iter().for_each(|event| hear(&mut self.appliance, now, event));
                }
                dtls::Event::Closed => {
                    eprintln!("session closed");
                    self.renew();
                }
            }
        }
    }
}

fn hear(appliance: &mut impl Appliance, now: Duration, event: Event<'_>) {
    match event {
        Event::Report(report) => tell_report(&report),
        Event::Registered(is) => eprintln!("registered: {is}"),
        Event::Application(event) => appliance.hear(now, &event),
    }
}

/// Says what became of a reading.
pub(crate) fn tell_report(report: &Report<'_>) {
    match report {
        Report::Logged { seq, index: Some(index) } => println!("logged {seq} {index}"),
        Report::Logged { seq, index: None } => eprintln!("logged {seq} without its place"),
        Report::Refused { seq, code, diagnostic } => {
            println!("refused {seq} {code:?} {}", String::from_utf8_lossy(diagnostic));
        }
        Report::Delayed { seq, code, pause } => eprintln!("delayed {seq} {code:?} {pause:?}"),
    }
}

/// Random enough behind DTLS: another one at each start.
fn seed() -> Seed {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one("seed");
    let [high, low, ..] = random.to_be_bytes();
    Seed { message_id: u16::from_be_bytes([high, low]), token: random }
}
