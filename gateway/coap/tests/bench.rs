//! One endpoint on the bench: a clock, a peer that writes raw messages, and what came out.

use sluicegate_coap::{
    Code, Endpoint, ExchangeId, ObservationId, Options, Output, Request, RequestId, Response,
    Settings,
    message::{self, Kind, Token, Writer},
    option,
};

/// A message that came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) to: u32,
    pub(crate) kind: Kind,
    pub(crate) code: Code,
    pub(crate) id: u16,
    pub(crate) token: Vec<u8>,
    pub(crate) options: Options,
    pub(crate) payload: Vec<u8>,
    pub(crate) bytes: Vec<u8>,
}

impl Sent {
    fn new(to: u32, bytes: Vec<u8>) -> Self {
        let message = message::parse(&bytes).unwrap();
        Self {
            to,
            kind: message.kind,
            code: message.code,
            id: message.id,
            token: message.token.as_bytes().to_vec(),
            options: Options::accept(message.options().as_bytes()).unwrap(),
            payload: message.payload.to_vec(),
            bytes,
        }
    }

    pub(crate) fn uint(&self, number: u16) -> Option<u32> {
        self.options.uint(number)
    }

    /// Type, code and message ID.
    pub(crate) fn head(&self) -> (Kind, Code, u16) {
        (self.kind, self.code, self.id)
    }
}

/// A request that came out.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) exchange: ExchangeId,
    pub(crate) request: Request,
    pub(crate) observe: Option<ObservationId>,
}

/// The endpoint and what came out of it.
pub(crate) struct Bench {
    pub(crate) endpoint: Endpoint<u32>,
    pub(crate) now: u64,
    pub(crate) verified: bool,
    pub(crate) sent: Vec<Sent>,
    pub(crate) asked: Vec<Asked>,
    pub(crate) answers: Vec<(RequestId, Result<Response, sluicegate_coap::Failure>)>,
    pub(crate) notifications: Vec<(RequestId, Response)>,
    pub(crate) ended: Vec<ObservationId>,
}

/// The peer that speaks if nothing else is said.
pub(crate) const PEER: u32 = 7;

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        Self {
            endpoint: Endpoint::new(settings, [9; 32]),
            now: 1_000,
            verified: true,
            sent: Vec::new(),
            asked: Vec::new(),
            answers: Vec::new(),
            notifications: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// A datagram from [`PEER`]; gives what is sent back at once.
    pub(crate) fn hear(&mut self, datagram: &[u8]) -> Vec<Sent> {
        self.hear_from(PEER, datagram)
    }

    pub(crate) fn hear_from(&mut self, peer: u32, datagram: &[u8]) -> Vec<Sent> {
        self.endpoint.receive(self.now, peer, self.verified, datagram);
        self.drain()
    }

    /// The answer to the oldest request that waits; gives what is sent.
    pub(crate) fn answer(&mut self, response: Response) -> Vec<Sent> {
        let asked = self.asked.remove(0);
        self.endpoint.respond(self.now, asked.exchange, response);
        self.drain()
    }

    /// The same, and where the request wants to observe, it does from now on.
    pub(crate) fn accept(&mut self, response: Response) -> Vec<Sent> {
        let asked = self.asked.remove(0);
        self.endpoint.accept(self.now, asked.exchange, response);
        self.drain()
    }

    pub(crate) fn notify(&mut self, observation: ObservationId, text: &str) -> Vec<Sent> {
        self.endpoint.notify(self.now, observation, Response::content(0, text));
        self.drain()
    }

    /// Time passes, and everything that is due meanwhile is done; gives what is sent.
    pub(crate) fn wait(&mut self, time: u64) -> Vec<Sent> {
        let end = self.now + time;
        let first = self.sent.len();
        while let Some(next) = self.endpoint.next_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.endpoint.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
        self.sent[first..].to_vec()
    }

    /// Takes out all effects; gives the messages.
    pub(crate) fn drain(&mut self) -> Vec<Sent> {
        let first = self.sent.len();
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { peer, datagram } => self.sent.push(Sent::new(peer, datagram)),
                Output::Request { exchange, request, observe, .. } => {
                    self.asked.push(Asked { exchange, request, observe });
                }
                Output::Response { id, result } => self.answers.push((id, result)),
                Output::Notification { id, response } => self.notifications.push((id, response)),
                Output::ObservationEnded { observation } => self.ended.push(observation),
            }
        }
        self.sent[first..].to_vec()
    }
}

/// The bytes of a message.
pub(crate) fn message(
    kind: Kind,
    code: Code,
    id: u16,
    token: &[u8],
    options: &[(u16, &[u8])],
    payload: &[u8],
) -> Vec<u8> {
    let token = Token::new(token).unwrap();
    let mut writer = Writer::new(kind, code, id, token, 64);
    for (number, value) in options {
        writer.option(*number, value);
    }
    writer.payload(payload)
}

/// A confirmable GET of a path of one segment.
pub(crate) fn get(id: u16, token: &[u8], path: &str) -> Vec<u8> {
    message(Kind::Con, Code(1), id, token, &[(option::URI_PATH, path.as_bytes())], &[])
}

/// A confirmable GET that observes or ends it.
pub(crate) fn get_observe(id: u16, token: &[u8], path: &str, observe: u8) -> Vec<u8> {
    let value = [observe];
    let observe = if observe == 0 { &[][..] } else { &value[..] };
    let options = [(option::OBSERVE, observe), (option::URI_PATH, path.as_bytes())];
    message(Kind::Con, Code(1), id, token, &options, &[])
}

/// A confirmable message with a block of a body, number, more and exponent.
pub(crate) fn put_block(
    id: u16,
    path: &str,
    (number, more, exponent): (u32, bool, u8),
    payload: &[u8],
) -> Vec<u8> {
    let value = block(number, more, exponent);
    let options = [(option::URI_PATH, path.as_bytes()), (option::BLOCK1, &value[..])];
    message(Kind::Con, Code(3), id, &id.to_be_bytes(), &options, payload)
}

/// The value of a block option in three bytes.
pub(crate) fn block(number: u32, more: bool, exponent: u8) -> [u8; 3] {
    let [_, a, b, c] = (number << 4 | u32::from(more) << 3 | u32::from(exponent)).to_be_bytes();
    [a, b, c]
}

/// Bytes that differ from place to place.
pub(crate) fn body(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8 ^ (place >> 8) as u8).collect()
}
