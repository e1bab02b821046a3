//! A tap between gateway and broker: counts packets, and loses some on purpose.
//!
//! Guarantees: whole MQTT packets are passed on or lost, nothing is changed. Does not: know more of
//! MQTT than the first byte and the length.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU16, Ordering},
    },
    thread,
};

use crate::process::until;

/// Packet types (MQTT 5 §2.1.2).
pub const CONNECT: u8 = 1;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;

/// Bit of a PUBLISH that was sent before.
const DUP: u8 = 0x08;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    Broker,
    Gateway,
}

/// A packet that went by: who sent it, its first byte, whether it was lost.
#[derive(Debug, Clone, Copy)]
struct Passed {
    from: From,
    first: u8,
    lost: bool,
}

#[derive(Default)]
struct Shared {
    lose: Mutex<BTreeSet<(From, u8)>>,
    passed: Mutex<Vec<Passed>>,
    broker: AtomicU16,
    over: AtomicBool,
}

/// A running tap.
pub struct Tap {
    port: u16,
    shared: Arc<Shared>,
}

impl Tap {
    /// Between its port and this broker's.
    pub fn new(broker: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        shared.broker.store(broker, Ordering::SeqCst);
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for gateway in listener.incoming().map_while(Result::ok) {
                if served.over.load(Ordering::SeqCst) {
                    return;
                }
                let broker =
                    TcpStream::connect(("127.0.0.1", served.broker.load(Ordering::SeqCst)));
                if let Ok(broker) = broker {
                    join(&served, &gateway, &broker);
                }
            }
        });
        Self { port, shared }
    }

    /// Where the gateway connects.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Loses packets of this type from now on.
    pub fn lose(&self, from: From, kind: u8) {
        self.shared.lose.lock().unwrap().insert((from, kind));
    }

    /// Loses nothing from now on.
    pub fn lose_nothing(&self) {
        self.shared.lose.lock().unwrap().clear();
    }

    /// Packets of this type that came, lost or not.
    pub fn seen(&self, from: From, kind: u8) -> usize {
        self.count(|passed| passed.from == from && passed.first >> 4 == kind)
    }

    /// Packets of this type that were lost.
    pub fn lost(&self, from: From, kind: u8) -> usize {
        self.count(|passed| passed.from == from && passed.first >> 4 == kind && passed.lost)
    }

    /// Messages that the broker sent once more.
    pub fn redelivered(&self) -> usize {
        let again = PUBLISH << 4 | DUP;
        self.count(|passed| passed.from == From::Broker && passed.first & 0xf8 == again)
    }

    /// Waits until a number is reached.
    pub fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        until(what, || holds(self).then_some(()));
    }

    fn count(&self, holds: impl Fn(&Passed) -> bool) -> usize {
        self.shared.passed.lock().unwrap().iter().filter(|passed| holds(passed)).count()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn join(shared: &Arc<Shared>, gateway: &TcpStream, broker: &TcpStream) {
    for (from, reading, writing) in
        [(From::Gateway, gateway, broker), (From::Broker, broker, gateway)]
    {
        let (reading, writing) = (reading.try_clone().unwrap(), writing.try_clone().unwrap());
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            pass(&shared, from, &reading, &writing);
            let _ = reading.shutdown(Shutdown::Both);
            let _ = writing.shutdown(Shutdown::Both);
        });
    }
}

/// Passes packets on until one side is gone.
fn pass(shared: &Shared, from: From, mut reading: &TcpStream, mut writing: &TcpStream) {
    while let Some(packet) = packet(&mut reading) {
        let first = packet[0];
        let lost = shared.lose.lock().unwrap().contains(&(from, first >> 4));
        shared.passed.lock().unwrap().push(Passed { from, first, lost });
        if !lost && writing.write_all(&packet).is_err() {
            return;
        }
    }
}

/// One packet: its first byte, its length in one to four bytes, its rest (MQTT 5 §2.1).
fn packet(stream: &mut impl Read) -> Option<Vec<u8>> {
    let mut packet = Vec::new();
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    packet.push(byte[0]);
    let mut length = 0usize;
    for position in 0..4 {
        stream.read_exact(&mut byte).ok()?;
        packet.push(byte[0]);
        length |= usize::from(byte[0] & 0x7f) << (7 * position);
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let head = packet.len();
    packet.resize(head + length, 0);
    stream.read_exact(&mut packet[head..]).ok()?;
    Some(packet)
}
