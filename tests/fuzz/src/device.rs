//! Targets for `sluicegate-device`: a device among hostile datagrams, and its MQTT payloads.

use std::time::Duration;

use sluicegate_device::{
    Config, Device, Event, Output,
    actuator::{Actuator, Command, Outcome},
    coap::{
        Application, BlockSize, Body, Code, Incoming, Link, MAX_DATAGRAM, Message, Observable,
        Reply, Request, Seed,
    },
    mqtt,
    senml::Format,
};

/// The device of the target; its tokens can be foreseen.
pub const CONFIG: Config =
    Config { seed: Seed { message_id: 1, token: 1 }, block: BlockSize::B256, next_seq: 1 };

const PACK: &[u8] = &[b'x'; 600];

/// A device with a valve: it moves once for each command with an id that it still remembers.
struct Valve(Actuator<4>);

impl Application for Valve {
    fn links(&self) -> &[Link<'_>] {
        &[
            Link { path: "valve", attributes: "if=\"a\"", observable: Observable::Confirmable },
            Link { path: "a/b", attributes: "", observable: Observable::NonConfirmable },
        ]
    }

    fn serve(&mut self, resource: usize, request: &Incoming<'_>, reply: &mut Reply<'_>) -> Code {
        if request.method == Code::GET {
            (0..resource * 40).for_each(|_| reply.push(b"0123456789"));
            return Code::CONTENT;
        }
        let command = match Command::from_request(request) {
            Ok(command) => command,
            Err(code) => return code,
        };
        let known = command.id.is_some_and(|id| self.0.outcome(id).is_some());
        let outcome = self.0.run(&command, Some(1000), |_| {
            assert!(!known, "a command acted twice");
            Outcome::done(command.value)
        });
        reply.push(outcome.value.as_slice());
        outcome.code
    }

    fn body(&self) -> &dyn Body {
        &PACK
    }
}

/// Steps of a device's life: a kind and a length, then bytes; a datagram for the kinds below 128.
pub struct Steps<'a>(pub &'a [u8]);

impl<'a> Iterator for Steps<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let ([kind, high, low], rest) = self.0.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (bytes, rest) = rest.split_at(length.min(rest.len()));
        self.0 = rest;
        Some((*kind, bytes))
    }
}

/// A life: whatever comes, the device sends only messages that fit and parse, it has always done
/// what is due, and a command acts once. Accepted if a datagram had an answer or was one.
pub fn device(data: &[u8]) -> bool {
    let mut device = Device::<2, 600>::new(CONFIG);
    let (mut valve, mut now) = (Valve(Actuator::new()), Duration::ZERO);
    device.register("meter-1", 60).expect("the name is short");
    let mut effects = 0_usize;
    for (kind, bytes) in Steps(data).take(200) {
        match kind {
            0..128 => {
                let event = device.handle(now, bytes, &mut valve);
                effects +=
                    usize::from(event.is_some_and(|e| !matches!(e, Event::Registered(false))));
                let request = Message::parse(bytes).is_ok_and(|m| m.code.class() == 0);
                effects += usize::from(request && drain(&mut device, now, &mut valve) > 0);
            }
            128..160 => now += Duration::from_millis(u64::from(kind - 127) * 500),
            160..176 => now += Duration::from_secs(u64::from(kind - 159) * 20_000),
            176..192 => device.changed((kind % 2).into()),
            192..208 => drop(device.reconnected(now)),
            208..224 => drop(device.request(&Request::get("readings/1/proof"))),
            224..240 => drop(device.request(&Request::post("x", 0, PACK.len()))),
            _ => drop(device.report(Format::Json, &PACK[..usize::from(kind - 239) * 30])),
        }
        drain(&mut device, now, &mut valve);
    }
    effects > 0
}

fn drain(device: &mut Device<2, 600>, now: Duration, valve: &mut Valve) -> usize {
    let mut outputs = 0;
    while let Some(output) = device.poll(now, valve) {
        outputs += 1;
        assert!(outputs < 20, "it sends for ever");
        if let Output::Send(datagram) = output {
            assert!(datagram.len() <= MAX_DATAGRAM);
            Message::parse(datagram).expect("what is sent is a message");
        }
    }
    let deadline = device.next_deadline();
    assert!(deadline.is_none_or(|deadline| deadline > now), "{deadline:?} at {now:?}");
    outputs
}

/// Acknowledgements and commands over MQTT.
pub fn device_mqtt(data: &[u8]) -> bool {
    let acknowledgement = mqtt::parse_ack(data).is_ok();
    let Ok(command) = mqtt::parse_command(data) else { return acknowledgement };
    let id = command.id.expect("a command has an id");
    let result = mqtt::result(id, &Outcome::done(command.value));
    let again = mqtt::parse_command(result.as_slice()).expect("a result is fit for a command");
    assert_eq!((again.id, again.value), (command.id, command.value));
    true
}
