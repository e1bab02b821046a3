//! The client: many ports, each with some confirmable requests under way, plain or over DTLS.
//!
//! Guarantees: every request has a message ID that its port did not use before in the run; an answer with another code
//! than the expected one is an error.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    time::{Duration, Instant},
};

use super::server::{key, name};
use crate::{
    Result,
    dtls::{DtlsClient, Event},
};

/// Requests under way at each port.
const WINDOW: usize = 8;

/// An unanswered request is given up after this.
const LOST: Duration = Duration::from_secs(2);

/// What is asked.
pub(super) struct Load {
    code: u8,
    /// Options and payload; `{seq}` numbers of eight digits are written over at `seq_at`.
    rest: Vec<u8>,
    seq_at: Option<usize>,
    expected: u8,
}

impl Load {
    /// GET of a path of one segment.
    pub(super) fn get(path: &str) -> Self {
        let mut rest = Vec::new();
        option(&mut rest, 11, path.as_bytes());
        Self { code: 1, rest, seq_at: None, expected: 0x45 }
    }

    /// GET of one link.
    pub(super) fn discover() -> Self {
        let mut rest = Vec::new();
        option(&mut rest, 11, b".well-known");
        option(&mut rest, 0, b"core");
        option(&mut rest, 4, b"rt=sluicegate.state");
        Self { code: 1, rest, seq_at: None, expected: 0x45 }
    }

    /// POST of a reading; its device is `open` on the plain port.
    pub(super) fn reading() -> Self {
        let mut rest = Vec::new();
        option(&mut rest, 11, b"readings");
        option(&mut rest, 1, &[110]);
        option(&mut rest, 3, b"ep=open");
        rest.push(0xff);
        let pack = br#"[{"bn":"m/","n":"energy","u":"Wh","v":00000000,"t":1795132800}]"#;
        let value = pack.windows(8).position(|digits| digits == b"00000000").unwrap_or(0);
        let seq_at = Some(rest.len() + value);
        rest.extend_from_slice(pack);
        Self { code: 2, rest, seq_at, expected: 0x44 }
    }

    fn message(&self, id: u16, number: u32) -> Vec<u8> {
        let mut message = vec![0x44, self.code];
        message.extend_from_slice(&id.to_be_bytes());
        message.extend_from_slice(&number.to_be_bytes());
        let start = message.len();
        message.extend_from_slice(&self.rest);
        if let Some(at) = self.seq_at {
            // A number without a leading zero: JSON allows none.
            let digits = format!("{:08}", 10_000_000 + number % 80_000_000);
            message[start + at..start + at + 8].copy_from_slice(digits.as_bytes());
        }
        message
    }
}

/// Appends an option (RFC 7252 §3.1) of fewer than 269 bytes.
fn option(message: &mut Vec<u8>, delta: u8, value: &[u8]) {
    match u8::try_from(value.len()) {
        Ok(length @ 0..13) => message.push(delta << 4 | length),
        Ok(length) => message.extend([delta << 4 | 13, length - 13]),
        Err(_) => unreachable!("no option here is so long"),
    }
    message.extend_from_slice(value);
}

/// Asks for some time and counts the answers.
pub(super) trait Asking {
    fn ask(&mut self, load: &Load, time: Duration) -> Result<u64>;
}

/// One port.
struct Port {
    socket: UdpSocket,
    next_id: u16,
    under_way: usize,
    heard: Instant,
}

impl Port {
    fn new(server: u16) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(("127.0.0.1", server))?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, next_id: 0, under_way: 0, heard: Instant::now() })
    }

    fn receive(&self, buffer: &mut [u8]) -> Result<Option<usize>> {
        match self.socket.recv(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn next(&mut self, load: &Load, number: &mut u32) -> Vec<u8> {
        self.next_id = self.next_id.wrapping_add(1);
        self.under_way += 1;
        *number = number.wrapping_add(1);
        load.message(self.next_id, *number)
    }

    /// Counts an answer, or an acknowledgement whose answer comes later as nothing.
    fn count(&mut self, load: &Load, message: &[u8]) -> Result<(u64, Option<[u8; 4]>)> {
        let [first, code, id_high, id_low, ..] = message else { return Ok((0, None)) };
        if *code == 0 {
            return Ok((0, None));
        }
        if *code != load.expected {
            return Err(format!("an answer has the code {}.{:02}", code >> 5, code & 31).into());
        }
        self.under_way = self.under_way.saturating_sub(1);
        self.heard = Instant::now();
        // A confirmable answer wants to be acknowledged.
        let acknowledgement = (first >> 4 & 3 == 0).then_some([0x60, 0, *id_high, *id_low]);
        Ok((1, acknowledgement))
    }

    fn give_up_lost(&mut self) {
        if self.under_way > 0 && self.heard.elapsed() > LOST {
            self.under_way = 0;
            self.heard = Instant::now();
        }
    }
}

/// Ports that speak plain CoAP.
pub(super) struct Plain {
    ports: Vec<Port>,
    number: u32,
}

impl Plain {
    pub(super) fn new(server: u16, ports: usize) -> Result<Self> {
        let ports = (0..ports).map(|_| Port::new(server)).collect::<Result<_>>()?;
        Ok(Self { ports, number: 0 })
    }
}

impl Asking for Plain {
    fn ask(&mut self, load: &Load, time: Duration) -> Result<u64> {
        let (end, mut answered, mut buffer) = (Instant::now() + time, 0, [0; 2048]);
        while Instant::now() < end {
            for port in &mut self.ports {
                while let Some(length) = port.receive(&mut buffer)? {
                    let (count, acknowledgement) = port.count(load, &buffer[..length])?;
                    answered += count;
                    if let Some(acknowledgement) = acknowledgement {
                        port.socket.send(&acknowledgement)?;
                    }
                }
                port.give_up_lost();
                while port.under_way < WINDOW {
                    let message = port.next(load, &mut self.number);
                    port.socket.send(&message)?;
                }
            }
        }
        Ok(answered)
    }
}

/// Ports with a DTLS session each.
pub(super) struct Secured {
    ports: Vec<(Port, DtlsClient)>,
    number: u32,
}

impl Secured {
    /// Opens sessions, all at once; gives how long that took.
    pub(super) fn open(server: u16, devices: usize) -> Result<(Self, Duration)> {
        let start = Instant::now();
        let mut ports = Vec::with_capacity(devices);
        for number in 0..devices {
            let client = DtlsClient::new(&name(number), &key(number), Instant::now());
            ports.push((Port::new(server)?, client));
        }
        let mut secured = Self { ports, number: 0 };
        while !secured.ports.iter().all(|(_, client)| client.is_connected()) {
            if start.elapsed() > Duration::from_secs(60) {
                return Err("not all DTLS handshakes ended".into());
            }
            for (port, client) in &mut secured.ports {
                step(port, client, |_, _| Ok(None))?;
            }
        }
        Ok((secured, start.elapsed()))
    }

    /// Goes on with the first of them.
    pub(super) fn keep(&mut self, ports: usize) {
        self.ports.truncate(ports);
    }
}

/// Takes what arrived, does what is due, sends; `data` gets each message of the server.
fn step(
    port: &mut Port,
    client: &mut DtlsClient,
    mut data: impl FnMut(&mut Port, &[u8]) -> Result<Option<[u8; 4]>>,
) -> Result<()> {
    let mut buffer = [0; 2048];
    let now = Instant::now();
    while let Some(length) = port.receive(&mut buffer)? {
        client.receive(now, &buffer[..length]);
    }
    if client.next_timeout().is_some_and(|due| due <= now) {
        client.handle_timeout(now);
    }
    while let Some(event) = client.poll() {
        match event {
            Event::Send(datagram) => drop(port.socket.send(&datagram)?),
            Event::Data(message) => {
                if let Some(acknowledgement) = data(port, &message)? {
                    client.send(now, &acknowledgement);
                }
            }
            Event::Connected => {}
            Event::Closed => return Err("a DTLS session ended".into()),
        }
    }
    Ok(())
}

impl Asking for Secured {
    fn ask(&mut self, load: &Load, time: Duration) -> Result<u64> {
        let (end, mut answered) = (Instant::now() + time, 0);
        while Instant::now() < end {
            for (port, client) in &mut self.ports {
                port.give_up_lost();
                while port.under_way < WINDOW {
                    let message = port.next(load, &mut self.number);
                    client.send(Instant::now(), &message);
                }
                step(port, client, |port, message| {
                    let (count, acknowledgement) = port.count(load, message)?;
                    answered += count;
                    Ok(acknowledgement)
                })?;
            }
        }
        Ok(answered)
    }
}
