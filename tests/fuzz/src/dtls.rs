//! Target for the table of DTLS sessions of `sluicegate-daemon`.

use std::time::{Duration, Instant};

use sluicegate_daemon::net::{
    Path,
    dtls::{Output, Sessions, Settings},
    psk::{Identity, Psk},
};
use zeroize::Zeroizing;

use crate::client::{DtlsClient, Event};

/// Name and key of the device that the table knows.
const DEVICE: (&str, [u8; 16]) = ("device", [1; 16]);

const HALF_OPEN: usize = 4;

/// Datagrams `(place, length of two bytes, bytes)…` from the place of a device with an open session
/// (0), from two others (1, 2), and pauses of so many milliseconds (3). Whatever comes, the device's
/// session stays open and only what the device said comes out of it; nobody is sent more than three
/// times what came from there; handshakes stay few, and are forgotten in the end. Accepted is what
/// begins a handshake.
pub fn dtls_sessions(data: &[u8]) -> bool {
    let mut table = Table::new();
    table.connect();
    let begun = table.play(data);
    table.check();
    begun
}

/// An empty table as the target makes it, for the seeds too.
pub fn dtls_table(now: Instant) -> Sessions {
    let settings = Settings { half_open: HALF_OPEN, ..Settings::default() };
    let (name, key) = DEVICE;
    let identity = Identity::new(name).expect("a good name");
    let enrolled = [(identity, Psk::new(key))].into_iter().collect();
    Sessions::new(settings, enrolled, now, &Zeroizing::new([3; 32])).expect("good settings")
}

/// The places that datagrams come from.
pub fn dtls_place(number: u8) -> Path {
    Path::to(([192, 0, 2, number], 5684).into())
}

struct Table {
    sessions: Sessions,
    device: DtlsClient,
    now: Instant,
    /// Bytes from and to each place.
    traffic: [(usize, usize); 3],
    said: usize,
}

impl Table {
    fn new() -> Self {
        let now = Instant::now();
        let device = DtlsClient::new(DEVICE.0, &DEVICE.1, now);
        Self { sessions: dtls_table(now), device, now, traffic: [(0, 0); 3], said: 0 }
    }

    fn connect(&mut self) {
        self.device.handle_timeout(self.now);
        self.carry();
        assert!(self.device.is_connected());
    }

    /// Carries what the device sends; whether a ServerHello was sent to anybody.
    fn carry(&mut self) -> bool {
        let mut begun = self.drain();
        while let Some(event) = self.device.poll() {
            assert_ne!(event, Event::Closed);
            if let Event::Send(bytes) = event {
                self.sessions.receive(self.now, dtls_place(0), &bytes);
                self.traffic[0].0 += bytes.len();
                begun |= self.drain();
            }
        }
        begun
    }

    fn drain(&mut self) -> bool {
        let mut begun = false;
        while let Some(output) = self.sessions.poll_output() {
            match output {
                Output::Send(datagram) => {
                    let place = (0..3).find(|place| dtls_place(*place) == datagram.path);
                    let place = place.expect("sent to nobody");
                    self.traffic[usize::from(place)].1 += datagram.bytes.len();
                    begun |= datagram.bytes.get(13) == Some(&2);
                    if place == 0 && self.said == 0 {
                        self.device.receive(self.now, &datagram.bytes);
                    }
                }
                Output::Data { plaintext, .. } => {
                    assert_eq!(plaintext, self.said.to_be_bytes());
                    self.said += 1;
                }
                Output::Opened { path, .. } => assert_eq!((path, self.said), (dtls_place(0), 0)),
                Output::Closed { .. } => unreachable!("the session was closed from outside"),
            }
        }
        begun
    }

    fn play(&mut self, mut data: &[u8]) -> bool {
        self.say();
        let mut begun = false;
        while let Some(([place, high, low], rest)) = data.split_first_chunk() {
            let length = u16::from_be_bytes([*high, *low]);
            let bytes = rest.get(..usize::from(length)).unwrap_or(rest);
            if *place < 3 {
                self.traffic[usize::from(*place)].0 += bytes.len();
                self.sessions.receive(self.now, dtls_place(*place), bytes);
                data = &rest[bytes.len()..];
            } else {
                self.now += Duration::from_millis(length.into());
                self.sessions.handle_timeout(self.now);
                data = rest;
            }
            begun |= self.drain();
            assert!(self.sessions.half_open() <= HALF_OPEN);
            assert!(self.sessions.next_timeout().is_none_or(|at| at > self.now));
        }
        begun
    }

    fn say(&mut self) {
        self.device.send(self.now, &self.said.to_be_bytes());
        let before = self.said;
        self.carry();
        assert_eq!(self.said, before + 1, "the device was not heard");
    }

    fn check(&mut self) {
        for (place, (from, to)) in self.traffic.iter().enumerate() {
            // A whole flight is sent five times at most.
            assert!(*to <= 5 * *from, "{to} bytes for {from} to place {place}");
        }
        self.say();
        self.now += Duration::from_secs(3600);
        self.sessions.handle_timeout(self.now);
        assert_eq!((self.sessions.open(), self.sessions.half_open()), (1, 0));
        assert_eq!(self.sessions.next_timeout(), None);
    }
}
