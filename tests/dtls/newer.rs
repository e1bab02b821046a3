//! A device that comes again: rebooted, moved, or while the gateway forgot it.

use std::time::Duration;

use sluicegate_daemon::net::{
    Path,
    dtls::{Closed, Output, Settings},
};

use crate::world::{Way, World, address, identity, key, name};

const SECOND: Duration = Duration::from_secs(1);

fn connected(devices: u16) -> World {
    let mut world = World::new(devices);
    for number in 0..devices {
        world.switch_on(number);
    }
    world.run(SECOND);
    assert_eq!(world.open().len(), usize::from(devices));
    world
}

#[test]
fn a_rebooted_device_on_the_same_address_and_port_gets_in() {
    let mut world = connected(1);
    let (before, _) = world.open()[0];
    world.switch_on(0);
    world.run(SECOND);
    assert!(world.connected(0));
    let (after, _) = world.open()[0];
    assert_ne!(before, after);
    assert_eq!(world.closed(), [Closed::Replaced]);
    world.say(0, b"again");
    world.run(SECOND);
    assert!(matches!(&world.told[..], [
        Output::Opened { session: first, .. },
        Output::Closed { session: closed, reason: Closed::Replaced },
        Output::Opened { session: second, .. },
        Output::Data { session, plaintext },
    ] if first == closed && session == second && plaintext == b"again"));
}

#[test]
fn the_old_session_lives_until_the_new_handshake_is_complete() {
    let mut world = connected(1);
    let (session, _) = world.open()[0];
    let old = world.devices.remove(&address(0)).unwrap();
    // Somebody returns the cookie from this address and goes no further.
    world.put(address(0), &name(0), &key(9));
    while world.gateway.half_open() == 0 {
        world.run(Duration::from_millis(1));
    }
    world.devices.insert(address(0), old);
    world.say(0, b"still here");
    world.act(|gateway, now| gateway.send(now, session, b"so am I")).unwrap();
    world.run(SECOND / 2);
    assert_eq!(world.data(), [b"still here"]);
    assert_eq!(world.devices[&address(0)].heard, [b"so am I"]);
    world.run(60 * SECOND);
    assert_eq!(world.gateway.half_open(), 0);
    assert_eq!(world.open(), [(session, identity(0))]);
    assert!(world.closed().is_empty());
}

#[test]
fn a_hello_from_a_spoofed_address_does_not_touch_the_session() {
    let mut world = connected(1);
    let (session, _) = world.open()[0];
    let hello = world.sent.iter().find(|(way, _, _)| *way == Way::Up).unwrap().2.clone();
    for byte in 0..=255 {
        let mut other = hello.clone();
        other[30] = byte;
        world.inject(address(0), &other);
    }
    assert_eq!(world.gateway.half_open(), 0);
    world.say(0, b"here");
    world.run(SECOND);
    assert_eq!(world.data(), [b"here"]);
    assert_eq!(world.open(), [(session, identity(0))]);
}

#[test]
fn a_late_copy_of_the_hello_begins_nothing() {
    let mut world = connected(1);
    let hellos: Vec<_> = world.sent.iter().filter(|(way, _, _)| *way == Way::Up).cloned().collect();
    let before = world.sent.len();
    let (_, at, second) = &hellos[1];
    world.inject(*at, second);
    assert_eq!((world.gateway.half_open(), world.sent.len()), (0, before));
    assert_eq!(world.open().len(), 1);
}

#[test]
fn a_device_that_moved_leaves_nothing_at_its_old_address() {
    let mut world = connected(2);
    world.put(address(7), &name(1), &key(1));
    world.run(SECOND);
    assert!(world.connected(7));
    assert_eq!(world.closed(), [Closed::Replaced]);
    let open: Vec<_> = world.open().into_iter().map(|(_, identity)| identity).collect();
    assert_eq!(open, [identity(0), identity(1)]);
    let moved = world.told.iter().rev().find_map(|output| match output {
        Output::Opened { path, .. } => Some(*path),
        _ => None,
    });
    assert_eq!(moved, Some(Path::to(address(7))));
    // What was left behind can't speak any more.
    world.say(1, b"ghost");
    world.run(SECOND);
    assert!(world.data().is_empty());
}

#[test]
fn an_address_belongs_to_who_proved_a_key_there_last() {
    let mut world = connected(2);
    world.put(address(0), &name(1), &key(1));
    world.run(SECOND);
    assert_eq!(world.closed(), [Closed::Replaced; 2], "of the address and of the device");
    let open: Vec<_> = world.open().into_iter().map(|(_, identity)| identity).collect();
    assert_eq!(open, [identity(1)]);
}

#[test]
fn the_quietest_session_makes_room() {
    let mut world = World::with(Settings { established: 2, ..Settings::default() }, 3);
    for number in 0..2 {
        world.switch_on(number);
        world.run(SECOND);
    }
    world.say(0, b"awake");
    world.run(SECOND);
    world.switch_on(2);
    world.run(SECOND);
    assert_eq!(world.closed(), [Closed::Evicted]);
    let open: Vec<_> = world.open().into_iter().map(|(_, identity)| identity).collect();
    assert_eq!(open, [identity(0), identity(2)]);
    assert!(world.devices[&address(1)].closed, "it was told");
}

/// Whatever was under way: a device that begins anew when a handshake fails, or when nobody answers
/// what it says, is back within ten seconds.
#[test]
fn a_device_survives_a_new_gateway_at_every_moment() {
    for moment in 0..9 {
        let mut world = World::new(1);
        world.switch_on(0);
        world.run(Duration::from_millis(10 * moment));
        world.replace_gateway();
        world.told.clear();
        world.run(9 * SECOND);
        if world.gateway.open() == 0 {
            assert!(moment > 0);
            assert!(world.devices[&address(0)].closed || world.connected(0), "moment {moment}");
            world.switch_on(0);
            world.run(SECOND);
        }
        assert!(world.connected(0), "moment {moment}");
        assert_eq!(world.open().len(), 1, "moment {moment}");
    }
}
