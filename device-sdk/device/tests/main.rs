//! Scripted exchanges: a device, a gateway that is a few lines of script, and the network between.
//!
//! Time jumps; nothing sleeps. Messages of the gateway are made by [`Answer`], a writer of the
//! crate; that its bytes are CoAP is what `codec` compares with the examples of RFC 7252.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod actuators;
mod channels;
mod client;
mod codec;
mod log;
mod mqtt;
mod participant;
mod resources;

use std::time::Duration;

use sluicegate_device::coap::{
    Application, BlockSize, Body, Code, Endpoint, Event, Incoming, Kind, Link, Message, Output,
    Reply, Request, Seed, Token, Writer,
};

const SEED: Seed = Seed { message_id: 0xfffe, token: 7 };

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An application without resources.
struct Bare(&'static [u8]);

impl Application for Bare {
    fn links(&self) -> &[Link<'_>] {
        &[]
    }

    fn serve(&mut self, _: usize, _: &Incoming<'_>, _: &mut Reply<'_>) -> Code {
        unreachable!("there are no resources")
    }

    fn body(&self) -> &dyn Body {
        &self.0
    }
}

/// A message of the gateway.
struct Answer {
    kind: Kind,
    code: Code,
    id: u16,
    token: Token,
    options: Vec<(u16, Vec<u8>)>,
    payload: Vec<u8>,
}

impl Answer {
    /// Piggybacked on the acknowledgement of `to`.
    fn to(to: &[u8], code: Code) -> Self {
        let to = Message::parse(to).unwrap();
        Self::new(Kind::Ack, code, to.id, to.token)
    }

    /// A message of its own.
    fn new(kind: Kind, code: Code, id: u16, token: Token) -> Self {
        Self { kind, code, id, token, options: Vec::new(), payload: Vec::new() }
    }

    fn option(mut self, number: u16, value: &[u8]) -> Self {
        self.options.push((number, value.to_vec()));
        self
    }

    fn uint(self, number: u16, value: u32) -> Self {
        let bytes = value.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        self.option(number, &bytes[zeros..])
    }

    fn payload(mut self, payload: &[u8]) -> Self {
        self.payload = payload.to_vec();
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let mut writer = Writer::new(&mut buffer, self.kind, self.code, self.id, self.token);
        for (number, value) in &self.options {
            writer.option(*number, value);
        }
        let length = writer.payload(&self.payload).finish().unwrap();
        buffer.truncate(length);
        buffer
    }
}

/// All datagrams that are due, and then the events.
fn drain(
    endpoint: &mut Endpoint,
    now: Duration,
    application: &mut dyn Application,
) -> (Vec<Vec<u8>>, Vec<String>) {
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    while let Some(output) = endpoint.poll(now, application) {
        match output {
            Output::Send(datagram) => sent.push(datagram.to_vec()),
            Output::Event(event) => events.push(format!("{event:?}")),
        }
    }
    (sent, events)
}

/// The one datagram that is due.
fn sent(endpoint: &mut Endpoint, now: Duration, application: &mut dyn Application) -> Vec<u8> {
    let (mut sent, events) = drain(endpoint, now, application);
    assert!(events.is_empty(), "{events:?}");
    assert_eq!(sent.len(), 1, "{sent:02x?}");
    sent.remove(0)
}

fn option(datagram: &[u8], number: u16) -> Option<u32> {
    Message::parse(datagram).unwrap().uint(number)
}

fn response<'d>(event: Option<Event<'d>>) -> (Code, &'d [u8]) {
    match event {
        Some(Event::Response(response)) if !response.more => (response.code, response.payload),
        event => panic!("not a whole response: {event:?}"),
    }
}

/// An endpoint that has begun a request.
fn asking(request: &Request<'_>) -> Endpoint {
    let mut endpoint = Endpoint::new(SEED, BlockSize::B1024);
    endpoint.request(request).unwrap();
    endpoint
}
