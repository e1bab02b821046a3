//! Targets for `sluicegate-coap`: messages, a whole endpoint under a script, links and the directory.

use sluicegate_coap::{
    Code, Endpoint, ExchangeId, Method, ObservationId, Options, Output, Request, RequestId,
    Response, Settings,
    directory::{Caller, Directory, Limits},
    format, link,
    message::{self, Message, Writer},
};

/// A message: one that is read is written the same, and what is accepted of its options too.
pub fn coap_message(data: &[u8]) -> bool {
    let Ok(message) = message::parse(data) else { return false };
    let Message { kind, code, id, token, .. } = message;
    let mut writer = Writer::new(kind, code, id, token, data.len());
    message.options().for_each(|(number, value)| writer.option(number, value));
    assert_eq!(writer.payload(message.payload), data);
    let Ok(options) = Options::accept(message.options().as_bytes()) else { return false };
    let mut again = Options::new();
    options.iter().for_each(|(number, value)| again.insert(number, value));
    assert_eq!(again, options);
    options.iter().for_each(|(number, _)| again.remove(number));
    assert_eq!(again, Options::new());
    true
}

/// Links: what is read is written so that it reads the same, and the directory takes it or not.
pub fn link_format(data: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(data) else { return false };
    let Ok(links) = link::parse(text) else { return false };
    let mut written = String::new();
    links.iter().for_each(|link| link.write(&mut written));
    assert_eq!(link::parse(&written).expect("what is written is read"), links);
    let mut directory = Directory::new(Limits::default());
    let caller = Caller { name: Some("node"), base: "coap://[::1]" };
    let post = Request::new(Method::Post, "rd").payload(format::LINK_FORMAT, text);
    let _ = directory.handle(0, &post, caller);
    for path in ["rd-lookup/res", "rd-lookup/ep"] {
        let get = Request::new(Method::Get, path).query("ep=node");
        let answer = directory.handle(0, &get, caller).expect("this is the directory's");
        let sluicegate_coap::directory::Answer::Respond(response) = answer else {
            unreachable!("a look-up is answered at once")
        };
        let found = core::str::from_utf8(&response.payload).expect("links are text");
        assert!(link::parse(found).is_ok());
    }
    true
}

/// A script `(what, length, bytes)…` for an endpoint: datagrams of eight peers, half of them of
/// unproven address, time, and what the application does. Bounds and the limit of three times hold,
/// and everything that is sent is a message. Accepts a script in which a request comes through.
pub fn coap_endpoint(data: &[u8]) -> bool {
    let mut script = Script::new();
    let mut rest = data;
    while let [what, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(after.len().min(usize::from(*length)));
        script.step(*what, *length, bytes);
        script.settle();
        rest = after;
    }
    script.now = script.now.saturating_add(100_000_000);
    for _ in 0..50 {
        script.endpoint.handle_timeout(script.now);
        script.settle();
        script.now += 100_000_000;
    }
    script.came > 0
}

/// The endpoint and what came out of it.
struct Script {
    now: u64,
    endpoint: Endpoint<u8>,
    settings: Settings,
    asked: Vec<ExchangeId>,
    observations: Vec<ObservationId>,
    requests: Vec<RequestId>,
    /// Bytes from and to each peer, and whether we sent it a request.
    traffic: [(usize, usize, bool); 8],
    came: u32,
}

impl Script {
    fn new() -> Self {
        let settings = Settings {
            peers: 6,
            bytes: 20_000,
            bytes_per_peer: 6_000,
            body: 5_000,
            exchanges: 20,
            exchanges_per_peer: 8,
            observations: 10,
            requests: 10,
            ..Settings::default()
        };
        Self {
            now: 0,
            endpoint: Endpoint::new(settings.clone(), [1; 32]),
            settings,
            asked: Vec::new(),
            observations: Vec::new(),
            requests: Vec::new(),
            traffic: [(0, 0, false); 8],
            came: 0,
        }
    }

    fn step(&mut self, what: u8, length: u8, bytes: &[u8]) {
        let peer = what >> 5;
        match what & 15 {
            0..6 => {
                self.traffic[usize::from(peer)].0 += bytes.len();
                self.endpoint.receive(self.now, peer, is_verified(peer), bytes);
            }
            6 | 7 => {
                self.now += u64::from(length) * if what & 1 == 0 { 10 } else { 1_000 };
                self.endpoint.handle_timeout(self.now);
            }
            8 | 9 => {
                let code = if what & 1 == 0 { Code::CONTENT } else { Code::NOT_FOUND };
                let mut response = Response::new(code);
                response.payload = bytes.repeat(1 + usize::from(length));
                if let Some(exchange) = self.asked.pop() {
                    match length & 1 {
                        0 => self.endpoint.accept(self.now, exchange, response),
                        _ => self.endpoint.respond(self.now, exchange, response),
                    }
                }
            }
            10 => {
                let response = Response::content(0, bytes.repeat(20));
                if let Some(observation) = self.observations.last() {
                    self.endpoint.notify(self.now, *observation, response);
                }
            }
            11..14 => self.call(what, peer, bytes),
            14 => {
                if let Some(id) = self.requests.pop() {
                    self.endpoint.cancel(self.now, id);
                }
            }
            _ => self.endpoint.forget(peer),
        }
    }

    fn call(&mut self, what: u8, peer: u8, bytes: &[u8]) {
        self.traffic[usize::from(peer)].2 = true;
        let put = Request::new(Method::Put, "a").payload(0, bytes.repeat(10));
        let get = Request::new(Method::Get, "a");
        let id = match what & 15 {
            11 => self.endpoint.request(self.now, peer, put),
            12 => self.endpoint.request(self.now, peer, get.non_confirmable()),
            _ => self.endpoint.observe(self.now, peer, get),
        };
        self.requests.extend(id);
    }

    fn settle(&mut self) {
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { peer, datagram } => {
                    assert!(message::parse(&datagram).is_ok(), "{datagram:02x?}");
                    assert!(datagram.len() <= self.settings.datagram);
                    let (received, sent, called) = &mut self.traffic[usize::from(peer)];
                    *sent += datagram.len();
                    let free = *called || is_verified(peer);
                    assert!(free || *sent <= 3 * *received, "{sent} for {received}");
                }
                Output::Request { exchange, observe, request, .. } => {
                    assert!(request.payload.len() <= self.settings.body);
                    self.came += 1;
                    self.asked.push(exchange);
                    self.observations.extend(observe);
                }
                Output::Response { id, result: Err(_) } => {
                    self.requests.retain(|other| *other != id);
                }
                _ => {}
            }
        }
        let usage = self.endpoint.usage();
        let Settings { peers, bytes, exchanges, observations, requests, .. } = self.settings;
        assert!(usage.peers <= peers && usage.bytes <= bytes && usage.exchanges <= exchanges);
        assert!(usage.observations <= observations && usage.requests <= requests);
    }
}

/// The first four peers are verified.
const fn is_verified(peer: u8) -> bool {
    peer < 4
}
