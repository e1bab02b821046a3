//! A flood from a hundred thousand addresses, while an honest device reports.

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Instant,
};

use crate::{
    dtls::{DtlsClient, Event},
    process::Process,
    site::Site,
};

const ADDRESSES: u32 = 100_000;

/// After so many, everything that is bounded is full.
const WARM: u32 = 30_000;

/// Kilobytes by which the process may still grow.
const GROWTH: u64 = 8 << 10;

fn resident(gateway: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", gateway.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

/// The first message of a handshake.
fn hello() -> Vec<u8> {
    let mut client = DtlsClient::new("meter-1", &[7; 16], Instant::now());
    client.handle_timeout(Instant::now());
    match client.poll() {
        Some(Event::Send(datagram)) => datagram,
        other => panic!("{other:?}"),
    }
}

/// `POST /readings?ep=<name>` with a SenML pack.
fn post(number: u32) -> Vec<u8> {
    let mut message = vec![0x44, 2, 0, 1];
    message.extend(number.to_be_bytes());
    message.extend(b"\xb8readings\x11\x6e\x38ep=nobod\xff");
    message.extend(br#"[{"n":"power","v":1}]"#);
    message
}

#[test]
fn a_flood_from_100_000_addresses_costs_nobody_else_and_no_memory() {
    let site = Site::new(&[]);
    let gateway = site.gateway();
    let mut device = site.device("meter-1");
    let sent = AtomicU32::new(0);
    let hello = hello();
    let (mut warm, mut seq) = (None, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..ADDRESSES {
                let address = Ipv4Addr::from_bits(0x7f02_0001 + number);
                let socket = UdpSocket::bind((address, 0)).unwrap();
                let _ = socket.send_to(&post(number), site.plain);
                let _ = socket.send_to(&hello, site.secure);
                sent.store(number + 1, Ordering::Relaxed);
            }
        });
        while sent.load(Ordering::Relaxed) < ADDRESSES {
            seq += 1;
            device.log(seq);
            if warm.is_none() && sent.load(Ordering::Relaxed) > WARM {
                warm = Some(resident(&gateway));
            }
        }
    });
    device.log(seq + 1);
    let (warm, end) = (warm.expect("the device was heard meanwhile"), resident(&gateway));
    println!("{seq} readings during the flood; {warm} KB resident early in it, {end} KB after it");
    assert!(seq > 5, "{seq} readings during the flood");
    assert!(end < warm + GROWTH, "{warm} KB before, {end} KB after");
    assert_eq!(site.rows(), seq + 1);
}
