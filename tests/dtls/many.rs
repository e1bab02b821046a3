//! A thousand devices at once, as after a restart of the gateway.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use sluicegate_daemon::net::{
    Path,
    dtls::{Output, Settings},
};

use crate::{
    client::{DtlsClient, Event},
    world::{address, enrolled, key, name, sessions},
};

/// All devices send at once, and the gateway takes what came in before it hears anything new: every
/// handshake is under way at the same time.
#[test]
fn a_thousand_devices_are_back_at_once() {
    let now = Instant::now();
    let mut gateway = sessions(Settings::default(), enrolled(0..1000), now);
    let mut devices: Vec<_> =
        (0..1000).map(|number| DtlsClient::new(&name(number), &key(number), now)).collect();
    let (mut work, mut passed) = (Duration::ZERO, Duration::ZERO);
    while devices.iter().any(|device| !device.is_connected()) {
        assert!(passed < Duration::from_secs(10), "too late");
        let mut up = VecDeque::new();
        for (number, device) in (0..).zip(&mut devices) {
            device.handle_timeout(now + passed);
            while let Some(event) = device.poll() {
                assert_ne!(event, Event::Closed);
                if let Event::Send(bytes) = event {
                    up.push_back((Path::to(address(number)), bytes));
                }
            }
        }
        let begun = Instant::now();
        for (path, bytes) in up {
            gateway.receive(now + passed, path, &bytes);
        }
        gateway.handle_timeout(now + passed);
        work += begun.elapsed();
        passed += Duration::from_millis(10);
        while let Some(output) = gateway.poll_output() {
            if let Output::Send(datagram) = output {
                let number = usize::from(datagram.path.peer.port() - 10_000);
                devices[number].receive(now + passed, &datagram.bytes);
            }
        }
    }
    assert_eq!((gateway.open(), gateway.half_open()), (1000, 0));
    println!("1,000 handshakes: {work:?} of the gateway, {passed:?} on the clock of the devices");
    assert!(work < Duration::from_secs(5), "{work:?}");
}
