//! A gateway and its devices on a simulated network: latency, loss, copies and disorder from a
//! seed, and a clock that jumps to the next thing that happens.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use sluicegate_daemon::net::{
    Path,
    dtls::{Closed, Output, SessionId, Sessions, Settings},
    psk::{Enrolled, Identity, Psk},
};
use zeroize::Zeroizing;

use crate::client::{DtlsClient, Event};

/// What happens to one datagram in so many; 0 is never.
#[derive(Default, Clone, Copy)]
pub struct Faults {
    pub lost: u64,
    pub copied: u64,
    pub late: u64,
}

/// Which way a datagram goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Up,
    Down,
}

/// One device, or what sits at its address.
pub struct Device {
    pub client: DtlsClient,
    pub heard: Vec<Vec<u8>>,
    pub closed: bool,
}

pub struct World {
    pub now: Instant,
    pub gateway: Sessions,
    pub devices: BTreeMap<SocketAddr, Device>,
    /// What the gateway told, in order, without datagrams.
    pub told: Vec<Output>,
    /// Every datagram that was sent, in order.
    pub sent: Vec<(Way, SocketAddr, Vec<u8>)>,
    pub faults: Faults,
    wire: BTreeMap<(Instant, u64), (Way, SocketAddr, Vec<u8>)>,
    count: u64,
    dice: u64,
}

/// The key of device `number`.
pub fn key(number: u16) -> [u8; 16] {
    let mut key = [0xA5; 16];
    key[..2].copy_from_slice(&number.to_be_bytes());
    key
}

pub fn name(number: u16) -> String {
    format!("device-{number}")
}

pub fn identity(number: u16) -> Identity {
    Identity::new(&name(number)).unwrap()
}

/// The devices with these numbers.
pub fn enrolled(numbers: impl IntoIterator<Item = u16>) -> Enrolled {
    numbers.into_iter().map(|number| (identity(number), Psk::new(key(number)))).collect()
}

/// A place in the network.
pub fn address(number: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 10_000 + number)
}

pub fn sessions(settings: Settings, enrolled: Enrolled, now: Instant) -> Sessions {
    Sessions::new(settings, enrolled, now, &Zeroizing::new([7; 32])).unwrap()
}

impl World {
    pub fn new(devices: u16) -> Self {
        Self::with(Settings::default(), devices)
    }

    pub fn with(settings: Settings, devices: u16) -> Self {
        let now = Instant::now();
        Self {
            now,
            gateway: sessions(settings, enrolled(0..devices), now),
            devices: BTreeMap::new(),
            told: Vec::new(),
            sent: Vec::new(),
            faults: Faults::default(),
            wire: BTreeMap::new(),
            count: 0,
            dice: 1,
        }
    }

    /// A gateway with another secret, which knows the first device and nothing of what was before.
    pub fn replace_gateway(&mut self) {
        let secret = Zeroizing::new([8; 32]);
        self.gateway =
            Sessions::new(Settings::default(), enrolled([0]), self.now, &secret).unwrap();
    }

    /// A device is switched on at its own address; whatever was there before is gone.
    pub fn switch_on(&mut self, number: u16) {
        self.put(address(number), &name(number), &key(number));
    }

    pub fn put(&mut self, at: SocketAddr, identity: &str, key: &[u8; 16]) {
        let client = DtlsClient::new(identity, key, self.now);
        self.devices.insert(at, Device { client, heard: Vec::new(), closed: false });
        self.touch(at, |client, now| client.handle_timeout(now));
    }

    /// Lets a device do something.
    pub fn touch(&mut self, at: SocketAddr, work: impl FnOnce(&mut DtlsClient, Instant)) {
        let now = self.now;
        let Some(device) = self.devices.get_mut(&at) else { return };
        work(&mut device.client, now);
        let mut sent = VecDeque::new();
        while let Some(event) = device.client.poll() {
            match event {
                Event::Send(bytes) => sent.push_back(bytes),
                Event::Data(data) => device.heard.push(data),
                Event::Closed => device.closed = true,
                Event::Connected => {}
            }
        }
        for bytes in sent {
            self.post(Way::Up, at, bytes);
        }
    }

    pub fn say(&mut self, number: u16, what: &[u8]) {
        self.touch(address(number), |client, now| client.send(now, what));
    }

    /// Lets the gateway do something.
    pub fn act<T>(&mut self, work: impl FnOnce(&mut Sessions, Instant) -> T) -> T {
        let done = work(&mut self.gateway, self.now);
        while let Some(output) = self.gateway.poll_output() {
            match output {
                Output::Send(datagram) => {
                    self.post(Way::Down, datagram.path.peer, datagram.bytes);
                }
                other => self.told.push(other),
            }
        }
        done
    }

    /// A datagram from nowhere.
    pub fn inject(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.act(|gateway, now| gateway.receive(now, Path::to(from), bytes));
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let device = self.devices.iter().filter_map(|(at, device)| {
                Some((device.client.next_timeout()?.max(self.now), *at))
            });
            let device = device.min();
            let gateway = self.gateway.next_timeout();
            let wire = self.wire.first_key_value().map(|((at, _), _)| *at);
            let next = [device.map(|(at, _)| at), gateway, wire].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if wire == Some(next) {
                let Some((_, (way, at, bytes))) = self.wire.pop_first() else { break };
                match way {
                    Way::Up => self.inject(at, &bytes),
                    Way::Down => self.touch(at, |client, now| client.receive(now, &bytes)),
                }
            } else if gateway == Some(next) {
                self.act(|gateway, now| gateway.handle_timeout(now));
            } else if let Some((_, at)) = device {
                self.touch(at, |client, now| client.handle_timeout(now));
            }
        }
        self.now = end;
    }

    pub fn connected(&self, number: u16) -> bool {
        self.devices.get(&address(number)).is_some_and(|device| device.client.is_connected())
    }

    /// The open sessions, by what the gateway told.
    pub fn open(&self) -> Vec<(SessionId, Identity)> {
        let mut open = BTreeMap::new();
        for output in &self.told {
            match output {
                Output::Opened { session, identity, .. } => {
                    assert!(open.insert(*session, identity.clone()).is_none(), "opened twice");
                }
                Output::Closed { session, .. } => {
                    assert!(open.remove(session).is_some(), "closed what is not open");
                }
                Output::Data { session, .. } => {
                    assert!(open.contains_key(session), "data without a session");
                }
                Output::Send(_) => unreachable!("sent, not told"),
            }
        }
        assert_eq!(open.len(), self.gateway.open());
        open.into_iter().collect()
    }

    /// What devices said, by what the gateway told.
    pub fn data(&self) -> Vec<Vec<u8>> {
        let data = self.told.iter().filter_map(|output| match output {
            Output::Data { plaintext, .. } => Some(plaintext.clone()),
            _ => None,
        });
        data.collect()
    }

    pub fn closed(&self) -> Vec<Closed> {
        let closed = self.told.iter().filter_map(|output| match output {
            Output::Closed { reason, .. } => Some(*reason),
            _ => None,
        });
        closed.collect()
    }

    fn post(&mut self, way: Way, at: SocketAddr, bytes: Vec<u8>) {
        assert!(bytes.len() <= 1232, "{} bytes do not fit in IPv6's smallest MTU", bytes.len());
        self.sent.push((way, at, bytes.clone()));
        if self.hits(self.faults.lost) {
            return;
        }
        let late = if self.hits(self.faults.late) { 700 } else { 0 };
        if self.hits(self.faults.copied) {
            self.carry(way, at, bytes.clone(), 30);
        }
        self.carry(way, at, bytes, 10 + late);
    }

    fn carry(&mut self, way: Way, at: SocketAddr, bytes: Vec<u8>, delay_ms: u64) {
        self.count += 1;
        let when = self.now + Duration::from_millis(delay_ms);
        self.wire.insert((when, self.count), (way, at, bytes));
    }

    /// Once in `one_in` calls, by the seed.
    fn hits(&mut self, one_in: u64) -> bool {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        one_in != 0 && self.dice.is_multiple_of(one_in)
    }

    pub fn seed(&mut self, seed: u64) {
        self.dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    }
}
