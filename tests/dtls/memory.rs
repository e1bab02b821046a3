//! What sessions and floods cost in memory, of this process, which does nothing else.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(missing_docs, unreachable_pub, dead_code, reason = "a test binary has no interface")]

#[path = "../devices/dtls.rs"]
mod client;
mod world;

use std::time::{Duration, Instant};

use sluicegate_daemon::net::{
    Path,
    dtls::{Output, Sessions, Settings},
};

use crate::{
    client::{DtlsClient, Event},
    world::{address, enrolled, key, name, sessions},
};

const SESSIONS: u16 = 2000;

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Carries datagrams until the device has nothing to say, or `datagrams` of them went up.
fn talk(
    gateway: &mut Sessions,
    device: &mut DtlsClient,
    number: u16,
    now: Instant,
    datagrams: usize,
) {
    let mut carried = 0;
    device.handle_timeout(now);
    while let Some(event) = device.poll() {
        if let Event::Send(bytes) = event {
            if carried == datagrams {
                return;
            }
            carried += 1;
            gateway.receive(now, Path::to(address(number)), &bytes);
            while let Some(output) = gateway.poll_output() {
                if let Output::Send(datagram) = output {
                    device.receive(now, &datagram.bytes);
                }
            }
        }
    }
}

fn per_session(datagrams: usize) -> (Sessions, u64) {
    let now = Instant::now();
    let settings = Settings { half_open: SESSIONS.into(), ..Settings::default() };
    let mut gateway = sessions(settings, enrolled(0..SESSIONS), now);
    let before = resident();
    for number in 0..SESSIONS {
        let mut device = DtlsClient::new(&name(number), &key(number), now);
        talk(&mut gateway, &mut device, number, now, datagrams);
        if device.is_connected() {
            device.send(now, &[b'x'; 100]);
            talk(&mut gateway, &mut device, number, now, 1);
        }
    }
    let each = resident().saturating_sub(before) / u64::from(SESSIONS);
    (gateway, each)
}

#[test]
fn a_session_costs_at_most_8_kb_and_a_flood_of_hellos_nothing() {
    let (open, each) = per_session(usize::MAX);
    assert_eq!(open.open(), usize::from(SESSIONS));
    println!("an open session: {each} bytes");
    assert!(each <= 8192, "{each} bytes per open session");

    let (mut half, each) = per_session(2);
    assert_eq!(half.half_open(), usize::from(SESSIONS));
    println!("a handshake under way: {each} bytes");
    assert!(each <= 8192, "{each} bytes per handshake");

    let now = Instant::now();
    let mut device = DtlsClient::new("stranger", &key(0), now);
    device.handle_timeout(now);
    let Some(Event::Send(mut hello)) = device.poll() else { panic!("no hello") };
    let before = resident();
    for number in 0..100_000_u32 {
        hello[27..31].copy_from_slice(&number.to_be_bytes());
        let ip = std::net::Ipv4Addr::from_bits(0x0A01_0000 + number);
        half.receive(now, Path::to((ip, 5684).into()), &hello);
        assert!(matches!(half.poll_output(), Some(Output::Send(_))));
        assert!(half.poll_output().is_none());
    }
    let grown = resident().saturating_sub(before);
    println!("100,000 spoofed hellos: {grown} bytes");
    assert!(grown <= 256 * 1024, "{grown} bytes");
    half.handle_timeout(now + Duration::from_secs(3600));
    assert_eq!(half.half_open(), 0);
}
