//! Seeds for `sluicegate-device`: lives in which the gateway answers as it should.

use std::time::Duration;

use sluicegate_device::{
    Device, Output,
    coap::{Application, Code, Incoming, Kind, Link, Message, Reply, Token, Writer, option},
};
use sluicegate_fuzz::DEVICE;

use crate::Seed;

pub(crate) fn seeds() -> Vec<Seed> {
    let registered = registration();
    let valve = [(option::URI_PATH, &b"valve"[..])];
    let command = [valve[0], (option::URI_QUERY, b"id=7"), (option::URI_QUERY, b"until=2000")];
    let observe = [(option::OBSERVE, &b""[..]), valve[0]];
    let long = [(option::URI_PATH, &b"a"[..]), (option::URI_PATH, b"b"), (option::BLOCK2, b"\x14")];
    let core = [(option::URI_PATH, &b".well-known"[..]), (option::URI_PATH, b"core")];
    let put = message(Kind::Con, Code::PUT, 7, b"t", &command, b"open");
    let get = |options: &[(u16, &[u8])]| message(Kind::Con, Code::GET, 8, b"o", options, b"");
    let twice = message(Kind::Con, Code::PUT, 9, b"t", &command, b"open");
    let reset = message(Kind::Rst, Code::EMPTY, 2, b"", &[], b"");
    let life = |steps: &[(u8, &[u8])]| {
        steps.iter().flat_map(|(kind, bytes)| step(*kind, bytes)).collect::<Vec<_>>()
    };
    let mqtt = |name, text: &str| ("device_mqtt", name, text.as_bytes().to_vec());
    vec![
        ("device", "registered", life(&[(130, b""), (0, &registered), (160, b"")])),
        ("device", "command-twice", life(&[(0, &put), (0, &put), (131, b""), (0, &twice)])),
        ("device", "observed", life(&[(0, &get(&observe)), (176, b""), (150, b""), (0, &reset)])),
        ("device", "long", life(&[(0, &get(&long)), (0, &get(&core))])),
        ("device", "ping", life(&[(0, b"\x40\x00\x12\x34")])),
        ("device", "reading", life(&[(130, b""), (0, &registered), (255, b""), (192, b"")])),
        ("device", "refused", life(&[(0, b"\x40\x01\x12\x34\xff")])),
        mqtt("logged", r#"{"seq":7,"index":42}"#),
        mqtt("refused", r#"{"seq":7,"error":"4.00","reason":"record 3: \"v\""}"#),
        mqtt("command", r#"{"id":1,"value":"op\u0065n","until":1795180000}"#),
        mqtt("number", r#"{"id":1,"value":-1.5e3,"more":[{"a":null}]}"#),
        mqtt("twice", r#"{"id":1,"id":1,"value":true}"#),
    ]
}

fn step(kind: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a datagram is short");
    [&[kind][..], &length.to_be_bytes(), bytes].concat()
}

/// The answer to the registration that the device sends first.
fn registration() -> Vec<u8> {
    struct Nothing;
    impl Application for Nothing {
        fn links(&self) -> &[Link<'_>] {
            &[]
        }

        fn serve(&mut self, _: usize, _: &Incoming<'_>, _: &mut Reply<'_>) -> Code {
            Code::NOT_FOUND
        }
    }
    let mut device = Device::<1, 8>::new(DEVICE);
    device.register("meter-1", 60).expect("the name is short");
    let Some(Output::Send(first)) = device.poll(Duration::ZERO, &mut Nothing) else {
        unreachable!("the registration is due")
    };
    let first = Message::parse(first).expect("a device sends messages");
    let location = [(option::LOCATION_PATH, &b"rd"[..]), (option::LOCATION_PATH, b"1")];
    message(Kind::Ack, Code::CREATED, first.id, first.token.as_bytes(), &location, b"")
}

fn message(
    kind: Kind,
    code: Code,
    id: u16,
    token: &[u8],
    options: &[(u16, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let mut buffer = vec![0; 256];
    let token = Token::new(token).expect("a token is short");
    let mut writer = Writer::new(&mut buffer, kind, code, id, token);
    for (number, value) in options {
        writer.option(*number, value);
    }
    let length = writer.payload(payload).finish().expect("a seed is short");
    buffer.truncate(length);
    buffer
}
