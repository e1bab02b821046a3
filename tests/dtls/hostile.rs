//! Strangers: floods, forged datagrams, cookies that were not given.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use sluicegate_daemon::net::{Path, dtls::Settings};

use crate::world::{Way, World, address, identity, key, name};

const SECOND: Duration = Duration::from_secs(1);

/// The first and the second ClientHello of a device.
fn hellos() -> (World, Vec<u8>, Vec<u8>) {
    let mut world = World::new(1);
    world.switch_on(0);
    world.run(Duration::from_millis(15));
    world.run(Duration::from_millis(10));
    let up: Vec<_> = world.sent.iter().filter(|(way, _, _)| *way == Way::Up).collect();
    assert_eq!(up.len(), 2);
    let (first, second) = (up[0].2.clone(), up[1].2.clone());
    world.devices.clear();
    (world, first, second)
}

#[test]
fn a_hello_without_a_cookie_is_answered_from_nothing() {
    let (mut world, hello, _) = hellos();
    world.run(60 * SECOND);
    assert_eq!(world.gateway.half_open(), 0);
    let before = world.sent.len();
    for number in 0..100_000_u32 {
        let mut spoofed = hello.clone();
        spoofed[27..31].copy_from_slice(&number.to_be_bytes());
        let ip = IpAddr::V4(Ipv4Addr::from_bits(0x0A01_0000 + number));
        let from = SocketAddr::new(ip, 5684);
        world.act(|gateway, now| gateway.receive(now, Path::to(from), &spoofed));
        let (_, to, answer) = world.sent.pop().unwrap();
        assert_eq!(to, from);
        assert!(answer.len() < spoofed.len(), "{} for {}", answer.len(), spoofed.len());
    }
    assert_eq!(world.sent.len(), before);
    assert_eq!((world.gateway.half_open(), world.gateway.next_timeout()), (0, None));
}

#[test]
fn a_cookie_holds_for_its_address_its_handshake_and_its_time() {
    let (mut world, _, hello) = hellos();
    let begins = |world: &mut World, from, hello: &[u8]| {
        let before = world.gateway.half_open();
        world.inject(from, hello);
        let (_, _, answer) = world.sent.last().unwrap();
        // Of the handshake message: 3 is HelloVerifyRequest, 2 is ServerHello.
        match (world.gateway.half_open() - before, answer[13]) {
            (1, 2) => true,
            (0, 3) => false,
            other => panic!("{other:?}"),
        }
    };
    world.run(60 * SECOND);
    assert!(!begins(&mut world, address(1), &hello), "another port");
    let other = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), address(0).port());
    assert!(!begins(&mut world, other, &hello), "another address");
    let mut changed = hello.clone();
    changed[40] ^= 1;
    assert!(!begins(&mut world, address(0), &changed), "another handshake");
    // Behind record, handshake, version, random and an empty session identifier: length and cookie.
    assert_eq!(hello[60], 32);
    let mut changed = hello.clone();
    changed[61] ^= 1;
    assert!(!begins(&mut world, address(0), &changed), "another cookie");
    assert!(begins(&mut world, address(0), &hello));
    world.run(240 * SECOND);
    assert!(!begins(&mut world, address(0), &hello), "too old");
}

#[test]
fn forged_plaintext_reaches_no_session_and_ends_none() {
    let mut world = World::new(1);
    world.switch_on(0);
    world.run(SECOND);
    let (session, _) = world.open()[0];
    let before = world.sent.len();
    let record = |content_type: u8, epoch: u8, sequence: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        let header = [content_type, 0xFE, 0xFD, 0, epoch, 0, 0, 0, 0, 0, sequence, 0, length];
        [&header, content].concat()
    };
    let key_exchange = [&[16, 0, 0, 4, 0, 2, 0, 0, 0, 0, 0, 4][..], &[0, 2, b'h', b'i']].concat();
    let forged = [
        record(23, 0, 9, b"open the valve"),
        [record(22, 0, 8, &key_exchange), record(23, 0, 9, b"open the valve")].concat(),
        record(21, 0, 9, &[2, 40]),
        record(21, 0, 9, &[1, 0]),
        record(20, 0, 9, &[1]),
        record(23, 1, 60, b"open the valve, please"),
        record(21, 1, 60, &[2, 40]),
        record(21, 1, 60, &[0; 26]),
        record(23, 2, 60, b"open the valve, please"),
        record(22, 0, 9, &[14, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]),
        record(
            22,
            0,
            9,
            &[20, 0, 0, 12, 0, 3, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ),
        vec![0; 13],
        vec![23],
        Vec::new(),
        vec![22; 4096],
    ];
    for _ in 0..20 {
        for datagram in &forged {
            world.inject(address(0), datagram);
            world.inject(address(5), datagram);
        }
    }
    assert_eq!(world.gateway.half_open(), 0);
    world.say(0, b"here");
    world.run(SECOND);
    assert_eq!(world.data(), [b"here"]);
    assert_eq!(world.open(), [(session, identity(0))]);
    assert!(world.sent.len() <= before + 2, "one answer at most, to the repeated key exchange");
}

/// A world in which strangers at `strangers` have returned their cookies and stay silent.
fn besieged(settings: Settings, strangers: impl Iterator<Item = SocketAddr>) -> World {
    let mut world = World::with(settings, 1);
    for stranger in strangers {
        world.put(stranger, "stranger", &key(9));
        world.run(Duration::from_millis(35));
        assert!(world.devices.remove(&stranger).is_some());
        assert!(world.gateway.half_open() <= 20);
    }
    world
}

fn few() -> Settings {
    Settings { half_open: 20, ..Settings::default() }
}

#[test]
fn a_network_that_takes_all_handshakes_loses_its_oldest_to_others() {
    let ports =
        (1..=100).map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), port));
    let mut world = besieged(few(), ports);
    assert_eq!(world.gateway.half_open(), 20);
    world.switch_on(0);
    world.run(Duration::from_millis(100));
    assert!(world.connected(0));
    assert_eq!(world.gateway.half_open(), 19);
}

#[test]
fn half_of_an_ipv6_address_is_one_network() {
    let hosts =
        (1..=40).map(|host| SocketAddr::new(format!("2001:db8::{host:x}").parse().unwrap(), 5));
    let mut world = besieged(few(), hosts);
    assert_eq!(world.gateway.half_open(), 20);
    let neighbour = "[2001:db8:0:1::1]:5".parse().unwrap();
    world.put(neighbour, &name(0), &key(0));
    world.run(Duration::from_millis(100));
    assert_eq!(world.open().len(), 1);
}

#[test]
fn among_many_networks_the_oldest_makes_room_after_two_seconds() {
    let hosts = (1..=20).map(|host| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)), 5));
    let mut world = besieged(few(), hosts);
    assert_eq!(world.gateway.half_open(), 20);
    world.switch_on(0);
    world.run(Duration::from_millis(100));
    assert!(!world.connected(0), "all others are as young");
    world.run(5 * SECOND);
    assert!(world.connected(0), "it asked again");
}

#[test]
fn a_hello_with_the_cookie_of_a_gateway_s_former_life_is_asked_for_another() {
    let (mut world, hello, second) = hellos();
    world.devices.clear();
    world.replace_gateway();
    world.sent.clear();
    world.inject(address(0), &second);
    let request = world.sent.last().unwrap().2.clone();
    // Record and message number, type, and the cookie.
    assert_eq!((request[10], request[13], request[18]), (second[10], 3, 1));
    assert_ne!(request[28..], second[61..93]);
    let mut third = second;
    third[61..93].copy_from_slice(&request[28..]);
    (third[10], third[18]) = (2, 2);
    world.inject(address(0), &third);
    let answer = &world.sent.last().unwrap().2;
    assert_eq!((answer[10], answer[13], answer[18]), (2, 2, 2), "a ServerHello");
    assert_eq!(world.gateway.half_open(), 1);
    world.inject(address(0), &hello);
    assert_eq!(world.gateway.half_open(), 1);
}

#[test]
fn a_client_that_wants_another_cipher_suite_is_told_so() {
    let (mut world, _, hello) = hellos();
    world.run(60 * SECOND);
    let mut other = hello;
    let suite = other.windows(2).position(|two| two == [0xC0, 0xA8]).unwrap();
    other[suite] = 0xC1;
    world.inject(address(0), &other);
    let (_, _, answer) = world.sent.last().unwrap();
    assert_eq!((answer[0], &answer[13..]), (21, &[2, 40][..]));
    assert_eq!(world.gateway.half_open(), 0);
}
