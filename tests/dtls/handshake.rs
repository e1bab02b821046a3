//! Handshakes and messages on lines of every quality.

use std::time::Duration;

use sluicegate_daemon::net::dtls::{Closed, Output, Refused, Settings};

use crate::world::{Faults, Way, World, address, identity, key, name};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_device_with_its_key_gets_in_and_is_known_by_name() {
    let mut world = World::new(2);
    world.switch_on(1);
    world.run(SECOND);
    let open = world.open();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].1, identity(1));
    assert!(world.connected(1));
    world.say(1, b"21.5");
    world.run(SECOND);
    assert_eq!(world.data(), [b"21.5"]);
    let (session, _) = open[0];
    world.act(|gateway, now| gateway.send(now, session, b"2.04")).unwrap();
    world.run(SECOND);
    assert_eq!(world.devices[&address(1)].heard, [b"2.04"]);
    assert_eq!(world.gateway.half_open(), 0);
    assert_eq!(world.gateway.next_timeout(), None, "an open session needs no timer");
}

#[test]
fn the_gateway_sends_less_than_it_receives_before_the_handshake_is_complete() {
    let mut world = World::new(2);
    world.switch_on(1);
    world.run(SECOND);
    let (mut up, mut down) = (0, 0);
    for (way, _, bytes) in &world.sent {
        match way {
            Way::Up => up += bytes.len(),
            Way::Down => down += bytes.len(),
        }
        assert!(down <= up, "{down} bytes for {up}");
    }
}

#[test]
fn a_message_arrives_once_however_often_its_datagram_does() {
    let mut world = World::new(2);
    world.switch_on(1);
    world.run(SECOND);
    world.say(1, b"once");
    let (_, at, record) = world.sent.last().cloned().unwrap();
    world.run(SECOND);
    for _ in 0..3 {
        world.inject(at, &record);
    }
    let mut changed = record;
    *changed.last_mut().unwrap() ^= 1;
    world.inject(at, &changed);
    assert_eq!(world.data(), [b"once"]);
    assert_eq!(world.open().len(), 1);
}

#[test]
fn bad_lines_delay_but_do_not_prevent() {
    let faults = [
        Faults { lost: 3, ..Faults::default() },
        Faults { copied: 2, ..Faults::default() },
        Faults { late: 2, ..Faults::default() },
        Faults { lost: 5, copied: 3, late: 3 },
    ];
    for (seed, faults) in (1..=25).flat_map(|seed| faults.map(|faults| (seed, faults))) {
        let mut world = World::new(4);
        world.seed(seed);
        world.faults = faults;
        for number in 0..4 {
            world.switch_on(number);
        }
        // A device that gave up begins anew, as devices do.
        for _ in 0..12 {
            world.run(10 * SECOND);
            for number in 0..4 {
                if world.devices[&address(number)].closed {
                    world.switch_on(number);
                }
            }
        }
        for number in 0..4 {
            assert!(world.connected(number), "seed {seed}, device {number}");
        }
        world.faults = Faults::default();
        for number in 0..4 {
            world.say(number, name(number).as_bytes());
        }
        world.run(SECOND);
        assert_eq!(world.open().len(), 4, "seed {seed}");
        assert_eq!(world.data().len(), 4, "seed {seed}: a message was lost or doubled");
    }
}

#[test]
fn a_lost_last_flight_is_sent_again_when_the_device_asks() {
    let mut world = World::new(2);
    world.switch_on(1);
    // Everything but the answer to the device's Finished arrives.
    while world.gateway.open() == 0 {
        world.run(Duration::from_millis(1));
    }
    let here = world.devices.remove(&address(1)).unwrap();
    world.run(Duration::from_millis(100));
    world.devices.insert(address(1), here);
    assert!(!world.connected(1));
    world.run(5 * SECOND);
    assert!(world.connected(1));
    assert_eq!(world.open().len(), 1);
}

#[test]
fn a_wrong_key_and_an_unknown_name_fail_alike_and_leave_nothing() {
    for (who, with) in [(name(1), key(2)), ("stranger".to_owned(), key(1))] {
        let mut world = World::new(2);
        world.put(address(1), &who, &with);
        world.run(SECOND);
        assert!(world.told.is_empty(), "{who}");
        assert_eq!(world.gateway.half_open(), 0);
        let (_, _, last) = world.sent.last().unwrap();
        // A plaintext fatal alert: handshake_failure.
        assert_eq!((last[0], &last[13..]), (21, &[2, 40][..]), "{who}");
        assert!(world.devices[&address(1)].closed);
        assert_eq!(world.gateway.next_timeout(), None);
    }
}

#[test]
fn a_good_bye_is_answered_and_ends_the_session() {
    let mut world = World::new(2);
    world.switch_on(1);
    world.run(SECOND);
    world.touch(address(1), |client, _| client.close());
    world.run(SECOND);
    assert_eq!(world.closed(), [Closed::ByPeer]);
    assert!(world.open().is_empty());
}

#[test]
fn the_gateway_s_good_bye_reaches_the_devices() {
    let mut world = World::new(3);
    for number in 0..3 {
        world.switch_on(number);
    }
    world.run(SECOND);
    let (session, _) = world.open()[0];
    world.act(|gateway, now| gateway.close(now, session));
    world.act(|gateway, now| gateway.close_all(now));
    world.run(SECOND);
    assert_eq!(world.closed(), [Closed::ByUs; 3]);
    assert!(world.devices.values().all(|device| device.closed));
    let late = world.act(|gateway, now| gateway.send(now, session, b"late"));
    assert_eq!(late, Err(Refused::Closed));
}

#[test]
fn a_message_of_the_longest_length_fits_and_a_longer_one_is_refused() {
    let mut world = World::new(2);
    world.switch_on(1);
    world.run(SECOND);
    let (session, _) = world.open()[0];
    let longest = world.gateway.max_plaintext();
    assert!(longest >= 1152, "RFC 7252 §4.6");
    let too_long = world.act(|gateway, now| gateway.send(now, session, &vec![1; longest + 1]));
    assert_eq!(too_long, Err(Refused::TooLong));
    for _ in 0..3 {
        world.act(|gateway, now| gateway.send(now, session, &vec![1; longest])).unwrap();
    }
    world.run(SECOND);
    assert_eq!(
        world.devices[&address(1)].heard,
        [vec![1; longest], vec![1; longest], vec![1; longest]]
    );
}

#[test]
fn a_handshake_that_stands_still_is_forgotten() {
    let mut world = World::new(2);
    world.switch_on(1);
    while world.gateway.half_open() == 0 {
        world.run(Duration::from_millis(1));
    }
    world.devices.clear();
    world.run(Settings::default().handshake + SECOND);
    assert_eq!(world.gateway.half_open(), 0);
    assert_eq!(world.gateway.next_timeout(), None);
    assert!(world.told.is_empty());
    let flights = world.sent.iter().filter(|(way, _, bytes)| *way == Way::Down && bytes[13] == 2);
    assert!(flights.count() <= 5, "the first time and four more");
}

#[test]
fn sequence_numbers_go_on_where_the_client_s_are() {
    let mut world = World::new(2);
    world.faults.lost = 1;
    world.switch_on(1);
    // Two ClientHellos are lost, so the one that arrives has the number 2.
    world.run(4 * SECOND);
    world.faults.lost = 0;
    world.run(10 * SECOND);
    assert!(world.connected(1));
    let numbers: Vec<_> = world.sent.iter().map(|(way, _, bytes)| (*way, bytes[10])).collect();
    let first = numbers.iter().position(|(way, _)| *way == Way::Down).unwrap();
    assert_eq!(numbers[first - 1].1, numbers[first].1, "HelloVerifyRequest");
    assert_eq!(numbers[first + 1].1, numbers[first + 2].1, "ServerHello");
    assert!(numbers[first].1 > 0);
}

#[test]
fn who_is_no_longer_enrolled_or_has_a_new_key_is_out() {
    let mut world = World::new(3);
    for number in 0..3 {
        world.switch_on(number);
    }
    world.run(SECOND);
    let mut enrolled = crate::world::enrolled([0, 2]);
    enrolled.insert(identity(2), sluicegate_daemon::net::psk::Psk::new([9; 16]));
    world.act(|gateway, now| gateway.enrol(now, enrolled));
    world.run(SECOND);
    assert_eq!(world.closed(), [Closed::NotEnrolled; 2]);
    let open: Vec<_> = world.open().into_iter().map(|(_, identity)| identity).collect();
    assert_eq!(open, [identity(0)]);
    world.switch_on(1);
    world.switch_on(2);
    world.put(address(3), &name(2), &[9; 16]);
    world.run(SECOND);
    assert!(!world.connected(1) && !world.connected(2) && world.connected(3));
}

#[test]
fn what_is_told_shows_no_key_and_no_message() {
    let mut world = World::new(2);
    world.switch_on(1);
    world.run(SECOND);
    world.say(1, b"password");
    world.run(SECOND);
    let shown = format!("{:?}", world.told);
    assert!(matches!(world.told[..], [Output::Opened { .. }, Output::Data { .. }]));
    assert!(shown.contains("device-1") && !shown.contains("165"), "a key: {shown}");
    assert!(!shown.contains("password") && !shown.contains("112, 97"), "{shown}");
}
