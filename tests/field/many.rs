//! A thousand devices after a restart of the gateway.

use std::{
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use crate::{
    dtls::{DtlsClient, Event},
    site::{Site, key},
};

const DEVICES: usize = 1_000;

/// What issue and design promise on two cores.
const LIMIT: Duration = Duration::from_secs(10);

/// A gateway that says nothing for so long after a reading has forgotten the session.
const SILENCE: Duration = Duration::from_millis(2_500);

/// A reading that is not acknowledged is sent again after this.
const AGAIN: Duration = Duration::from_secs(2);

struct Reporter {
    name: String,
    socket: UdpSocket,
    client: DtlsClient,
    sent: Option<Instant>,
    /// When the gateway was last heard, or was first asked after that.
    heard: Instant,
    logged: bool,
}

impl Reporter {
    fn new(gateway: SocketAddr, name: &str, number: usize) -> Self {
        let socket = UdpSocket::bind(format!("127.1.{}.{}:0", number / 250, number % 250 + 1));
        let socket = socket.unwrap();
        socket.connect(gateway).unwrap();
        socket.set_nonblocking(true).unwrap();
        let client = DtlsClient::new(name, &key(name), Instant::now());
        let (name, heard) = (name.to_owned(), Instant::now());
        Self { name, socket, client, sent: None, heard, logged: false }
    }

    /// One more reading, in the session that it believes to have.
    fn again(&mut self) {
        (self.sent, self.heard, self.logged) = (None, Instant::now(), false);
    }

    fn step(&mut self, seq: u8) {
        let (now, mut buffer) = (Instant::now(), [0; 2048]);
        while let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard = now;
            self.client.receive(now, &buffer[..length]);
        }
        if self.sent.is_some() && now > self.heard + SILENCE {
            self.client = DtlsClient::new(&self.name, &key(&self.name), now);
            (self.sent, self.heard) = (None, now);
        }
        if self.client.next_timeout().is_some_and(|due| due <= now) {
            self.client.handle_timeout(now);
        }
        if self.client.is_connected() && self.sent.is_none_or(|sent| now > sent + AGAIN) {
            self.sent = Some(now);
            self.client.send(now, &reading(seq));
        }
        while let Some(event) = self.client.poll() {
            match event {
                Event::Send(datagram) => drop(self.socket.send(&datagram)),
                // 2.04, in the acknowledgement or after it.
                Event::Data(message) => self.logged |= message.get(1) == Some(&0x44),
                Event::Connected => {}
                Event::Closed => panic!("a session was refused"),
            }
        }
    }
}

/// `POST /readings?seq=…` with a SenML pack.
fn reading(seq: u8) -> Vec<u8> {
    let mut message = vec![0x41, 2, 0, seq, seq, 0xb8];
    message.extend(b"readings\x11\x6e\x35seq=");
    message.push(b'0' + seq);
    message.push(0xff);
    message.extend(br#"[{"n":"power","u":"W","v":1}]"#);
    message
}

/// All at once: one acknowledged reading each, and a session where there is none.
fn report(all: &mut [Reporter], seq: u8) {
    let end = Instant::now() + Duration::from_secs(40);
    while !all.iter().all(|device| device.logged) {
        let left = all.iter().filter(|device| !device.logged).count();
        assert!(Instant::now() < end, "{left} devices are not back");
        all.iter_mut().filter(|device| !device.logged).for_each(|device| device.step(seq));
    }
}

#[test]
fn a_thousand_devices_are_back_within_ten_seconds_and_parted_within_two() {
    let names: Vec<_> = (0..DEVICES).map(|number| format!("device-{number}")).collect();
    let site = Site::new(&names);
    let gateway = site.gateway();
    let first = Instant::now();
    let new = |(number, name): (usize, &String)| Reporter::new(site.secure, name, number);
    let mut devices: Vec<_> = names.iter().enumerate().map(new).collect();
    report(&mut devices, 1);
    let first = first.elapsed();
    // Killed, it parts from nobody: every device goes on in a session that nobody knows.
    gateway.kill();
    let gateway = site.gateway();
    let begun = Instant::now();
    devices.iter_mut().for_each(Reporter::again);
    report(&mut devices, 2);
    let took = begun.elapsed();
    println!("{DEVICES} devices at the start: {first:?}, after the restart: {took:?}");
    println!("of that, {SILENCE:?} until a device gives up its session");
    assert!(took > SILENCE && took < SILENCE + LIMIT, "{took:?}");
    assert_eq!(site.rows(), 2 * DEVICES as u64);
    let stopped = gateway.stop();
    println!("a stop with {DEVICES} sessions took {stopped:?}");
    assert!(stopped < Duration::from_secs(2), "{stopped:?}");
    let parted = |device: &mut Reporter| {
        let mut buffer = [0; 2048];
        while let Ok(length) = device.socket.recv(&mut buffer) {
            device.client.receive(Instant::now(), &buffer[..length]);
        }
        !device.client.is_connected()
    };
    let told = devices.iter_mut().filter_map(|device| parted(device).then_some(())).count();
    assert_eq!(told, DEVICES, "every device knows that it has to begin anew");
}
