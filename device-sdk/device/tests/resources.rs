//! The device's resources: requests once, discovery, observation, registration.

use std::fmt::Write as _;

use sluicegate_device::coap::{LinkFormat, Observable, Registration, content_format, option};

use super::*;

/// A valve that counts how often it was moved.
struct Valve {
    state: String,
    moved: u32,
}

impl Application for Valve {
    fn links(&self) -> &[Link<'_>] {
        &[
            Link { path: "valve", attributes: "rt=\"valve\"", observable: Observable::Confirmable },
            Link { path: "a/log", attributes: "", observable: Observable::NonConfirmable },
            Link { path: "gone", attributes: "", observable: Observable::No },
        ]
    }

    fn serve(&mut self, resource: usize, request: &Incoming<'_>, reply: &mut Reply<'_>) -> Code {
        match (resource, request.method) {
            (0, Code::GET) => {
                reply.content_format(content_format::TEXT);
                reply.push(self.state.as_bytes());
                if self.state == "broken" { Code::NOT_FOUND } else { Code::CONTENT }
            }
            (0, Code::PUT) => {
                self.moved += 1;
                self.state = String::from_utf8(request.payload.to_vec()).unwrap();
                write!(reply, "{} {:?}", self.moved, request.query("id")).unwrap();
                Code::CHANGED
            }
            (1, Code::GET) => {
                (0..100).for_each(|line| writeln!(reply, "line {line:03}").unwrap());
                Code::CONTENT
            }
            _ => Code::METHOD_NOT_ALLOWED,
        }
    }
}

fn valve() -> (Endpoint, Valve) {
    let valve = Valve { state: "closed".to_owned(), moved: 0 };
    (Endpoint::new(SEED, BlockSize::B256), valve)
}

fn ask(code: Code, id: u16, token: &[u8], path: &[&str]) -> Answer {
    let ask = Answer::new(Kind::Con, code, id, Token::new(token).unwrap());
    path.iter().fold(ask, |ask, segment| ask.option(option::URI_PATH, segment.as_bytes()))
}

/// Sends a request to the device; its one answer.
fn exchange(endpoint: &mut Endpoint, valve: &mut Valve, now: u64, ask: &Answer) -> Vec<u8> {
    assert_eq!(endpoint.handle(seconds(now), &ask.bytes(), valve), None);
    sent(endpoint, seconds(now), valve)
}

fn code_and_payload(datagram: &[u8]) -> (Code, &[u8]) {
    let message = Message::parse(datagram).unwrap();
    (message.code, message.payload)
}

#[test]
fn a_repeated_command_has_one_effect_and_one_answer() {
    let (mut endpoint, mut valve) = valve();
    let put = ask(Code::PUT, 7, b"t", &["valve"]).option(option::URI_QUERY, b"id=5");
    let put = put.payload(b"open");
    let answer = exchange(&mut endpoint, &mut valve, 0, &put);
    assert_eq!(code_and_payload(&answer), (Code::CHANGED, &b"1 Some(\"5\")"[..]));
    let message = Message::parse(&answer).unwrap();
    assert_eq!((message.kind, message.id, message.token.as_bytes()), (Kind::Ack, 7, &b"t"[..]));
    for now in [2, 6, 246] {
        assert_eq!(exchange(&mut endpoint, &mut valve, now, &put), answer);
    }
    assert_eq!(valve.moved, 1);
    // The same id after EXCHANGE_LIFETIME is another message.
    exchange(&mut endpoint, &mut valve, 247, &put);
    assert_eq!(valve.moved, 2);
}

#[test]
fn a_repeated_non_confirmable_request_is_dropped() {
    let (mut endpoint, mut valve) = valve();
    let mut put = ask(Code::PUT, 7, b"t", &["valve"]);
    put.kind = Kind::Non;
    let answer = exchange(&mut endpoint, &mut valve, 0, &put);
    assert_eq!(Message::parse(&answer).unwrap().kind, Kind::Non);
    endpoint.handle(seconds(1), &put.bytes(), &mut valve);
    assert!(endpoint.poll(seconds(1), &mut valve).is_none());
    assert_eq!(valve.moved, 1);
}

#[test]
fn what_is_not_understood_is_answered() {
    let (mut endpoint, mut valve) = valve();
    for (id, request, code) in [
        (1, ask(Code::GET, 1, b"", &["nothing"]), Code::NOT_FOUND),
        (2, ask(Code::GET, 2, b"", &["valve", ""]), Code::NOT_FOUND),
        (3, ask(Code::DELETE, 3, b"", &["valve"]), Code::METHOD_NOT_ALLOWED),
        (4, ask(Code::POST, 4, b"", &[".well-known", "core"]), Code::METHOD_NOT_ALLOWED),
        (5, ask(Code::GET, 5, b"", &["valve"]).option(2049, b""), Code::BAD_OPTION),
        (6, ask(Code::GET, 6, b"", &["valve"]).uint(option::ACCEPT, 50), Code::NOT_ACCEPTABLE),
        (7, ask(Code::GET, 7, b"", &["valve"]).uint(option::ACCEPT, 0), Code::CONTENT),
        (
            8,
            ask(Code::PUT, 8, b"", &["valve"]).uint(option::BLOCK1, 8),
            Code::REQUEST_ENTITY_TOO_LARGE,
        ),
        (9, ask(Code::GET, 9, b"", &["a", "log"]).uint(option::BLOCK2, 7), Code::BAD_OPTION),
        (
            10,
            ask(Code::GET, 10, b"", &["a", "log"]).uint(option::BLOCK2, 64 << 4),
            Code::BAD_OPTION,
        ),
        (11, ask(Code::GET, 11, b"", &["valve"]).option(2048, b""), Code::CONTENT),
    ] {
        let answer = exchange(&mut endpoint, &mut valve, 0, &request);
        assert_eq!(code_and_payload(&answer).0, code, "{id}");
    }
    assert_eq!(valve.moved, 0);
    for (datagram, reset) in [
        (&b"\x40\x00\x12\x34"[..], true),
        (b"\x40\x01\x12\x34\xff", true),
        (b"\x50\x01\x12\x34\xff", false),
        (b"\x50\x00\x12\x34", false),
        (b"\x60\x01\x12\x34", false),
        (b"\x80\x01\x12\x34", false),
        (b"\x40", false),
    ] {
        assert_eq!(endpoint.handle(seconds(0), datagram, &mut valve), None);
        let (sent, _) = drain(&mut endpoint, seconds(0), &mut valve);
        let expected = if reset { vec![b"\x70\x00\x12\x34".to_vec()] } else { Vec::new() };
        assert_eq!(sent, expected, "{datagram:02x?}");
    }
}

#[test]
fn discovery_lists_the_resources() {
    let (mut endpoint, mut valve) = valve();
    let core = ask(Code::GET, 1, b"", &[".well-known", "core"]);
    let answer = exchange(&mut endpoint, &mut valve, 0, &core);
    let links = "</valve>;rt=\"valve\";obs,</a/log>;obs,</gone>";
    assert_eq!(code_and_payload(&answer), (Code::CONTENT, links.as_bytes()));
    assert_eq!(option(&answer, option::CONTENT_FORMAT), Some(40));
    let body = LinkFormat(valve.links());
    let mut bytes = vec![0; body.size() - 5];
    assert_eq!(body.read(5, &mut bytes), bytes.len());
    assert_eq!(bytes, links.as_bytes()[5..]);
}

#[test]
fn a_long_representation_goes_out_in_blocks_with_one_etag() {
    let (mut endpoint, mut valve) = valve();
    let (mut body, mut etags) = (Vec::<u8>::new(), Vec::new());
    for number in 0.. {
        let get = ask(Code::GET, 100 + number, b"", &["a", "log"]);
        let asked = u32::from(number) << 4 | 3;
        let get = get.uint(option::BLOCK2, asked);
        let answer = exchange(&mut endpoint, &mut valve, 0, &get);
        body.extend(code_and_payload(&answer).1);
        etags.push(Message::parse(&answer).unwrap().option(option::ETAG).unwrap().to_vec());
        let block = option(&answer, option::BLOCK2).unwrap();
        assert_eq!(block & !8, asked);
        if block & 8 == 0 {
            break;
        }
    }
    let expected: String = (0..100).map(|line| format!("line {line:03}\n")).collect();
    assert_eq!(body, expected.as_bytes());
    assert!(etags.iter().all(|etag| *etag == etags[0]));
    // Without a wish the blocks have 256 bytes.
    let answer = exchange(&mut endpoint, &mut valve, 0, &ask(Code::GET, 1, b"", &["a", "log"]));
    assert_eq!(option(&answer, option::BLOCK2), Some(8 | 4));
}

fn observe(token: &[u8], id: u16, resource: &[&str], value: u32) -> Answer {
    let mut ask = ask(Code::GET, id, token, &[]).uint(option::OBSERVE, value);
    ask.options.extend(resource.iter().map(|part| (option::URI_PATH, part.as_bytes().to_vec())));
    ask
}

#[test]
fn a_change_is_told_until_it_is_acknowledged() {
    let (mut endpoint, mut valve) = valve();
    let answer = exchange(&mut endpoint, &mut valve, 0, &observe(b"o", 1, &["valve"], 0));
    let first = option(&answer, option::OBSERVE).unwrap();
    valve.state = "open".to_owned();
    endpoint.changed(0);
    let told = sent(&mut endpoint, seconds(1), &mut valve);
    let message = Message::parse(&told).unwrap();
    assert_eq!((message.kind, message.token.as_bytes()), (Kind::Con, &b"o"[..]));
    assert_eq!((message.code, message.payload), (Code::CONTENT, &b"open"[..]));
    assert!(message.uint(option::OBSERVE).unwrap() > first);
    let again = endpoint.next_deadline().unwrap();
    assert_eq!(sent(&mut endpoint, again, &mut valve), told);
    // A newer state goes out instead, as a message of its own.
    valve.state = "shut".to_owned();
    endpoint.changed(0);
    assert!(endpoint.poll(again, &mut valve).is_none());
    let later = endpoint.next_deadline().unwrap();
    let newest = sent(&mut endpoint, later, &mut valve);
    let message = Message::parse(&newest).unwrap();
    assert_eq!(message.payload, b"shut");
    let ack = Answer::new(Kind::Ack, Code::EMPTY, message.id, Token::default()).bytes();
    assert_eq!(endpoint.handle(later, &ack, &mut valve), None);
    assert_eq!(endpoint.next_deadline(), None);
}

#[test]
fn an_observer_that_is_gone_or_resets_is_forgotten() {
    let (mut endpoint, mut valve) = valve();
    exchange(&mut endpoint, &mut valve, 0, &observe(b"o", 1, &["valve"], 0));
    endpoint.changed(0);
    let mut now = seconds(0);
    let mut messages = 0;
    while let Some(deadline) = endpoint.next_deadline() {
        now = now.max(deadline);
        messages += drain(&mut endpoint, now, &mut valve).0.len();
    }
    assert_eq!(messages, 5);
    endpoint.changed(0);
    assert!(endpoint.poll(now, &mut valve).is_none());
    exchange(&mut endpoint, &mut valve, 100, &observe(b"o", 2, &["valve"], 0));
    endpoint.changed(0);
    let told = sent(&mut endpoint, seconds(100), &mut valve);
    let id = Message::parse(&told).unwrap().id;
    let reset = Answer::new(Kind::Rst, Code::EMPTY, id, Token::default()).bytes();
    endpoint.handle(seconds(100), &reset, &mut valve);
    endpoint.changed(0);
    assert_eq!(endpoint.next_deadline(), None);
}

#[test]
fn an_observation_is_a_token_and_ends_with_its_own() {
    let (mut endpoint, mut valve) = valve();
    for (id, token) in [(1, b"a"), (2, b"b"), (3, b"c"), (4, b"d")] {
        let answer = exchange(&mut endpoint, &mut valve, 0, &observe(token, id, &["a", "log"], 0));
        assert!(option(&answer, option::OBSERVE).is_some());
    }
    // The fifth is only a GET.
    let answer = exchange(&mut endpoint, &mut valve, 0, &observe(b"e", 5, &["a", "log"], 0));
    assert_eq!(option(&answer, option::OBSERVE), None);
    assert_eq!(code_and_payload(&answer).0, Code::CONTENT);
    let answer = exchange(&mut endpoint, &mut valve, 0, &observe(b"b", 6, &["a", "log"], 1));
    assert_eq!(option(&answer, option::OBSERVE), None);
    endpoint.changed(1);
    let (told, _) = drain(&mut endpoint, seconds(1), &mut valve);
    let tokens = told.iter().map(|told| Message::parse(told).unwrap());
    let tokens: Vec<_> = tokens.map(|m| (m.kind, m.token.as_bytes().to_vec())).collect();
    assert_eq!(tokens, [b"a", b"c", b"d"].map(|token| (Kind::Non, token.to_vec())));
    // Once a day a confirmable one.
    endpoint.changed(1);
    let (told, _) = drain(&mut endpoint, seconds(24 * 3600), &mut valve);
    assert_eq!(Message::parse(&told[0]).unwrap().kind, Kind::Con);
}

#[test]
fn an_error_ends_the_observation() {
    let (mut endpoint, mut valve) = valve();
    exchange(&mut endpoint, &mut valve, 0, &observe(b"o", 1, &["valve"], 0));
    valve.state = "broken".to_owned();
    endpoint.changed(0);
    let told = sent(&mut endpoint, seconds(1), &mut valve);
    assert_eq!(code_and_payload(&told).0, Code::NOT_FOUND);
    assert_eq!(option(&told, option::OBSERVE), None);
    endpoint.changed(0);
    assert_eq!(endpoint.next_deadline(), None);
    // A resource that can't be observed answers as ever.
    let answer = exchange(&mut endpoint, &mut valve, 1, &observe(b"o", 2, &["gone"], 0));
    assert_eq!(option(&answer, option::OBSERVE), None);
}

#[test]
fn a_new_connection_ends_observations_but_not_memory() {
    let (mut endpoint, mut valve) = valve();
    exchange(&mut endpoint, &mut valve, 0, &observe(b"o", 1, &["valve"], 0));
    let put = ask(Code::PUT, 7, b"t", &["valve"]).payload(b"open");
    let answer = exchange(&mut endpoint, &mut valve, 0, &put);
    assert_eq!(endpoint.reconnected(), None);
    endpoint.changed(0);
    assert_eq!(exchange(&mut endpoint, &mut valve, 1, &put), answer);
    assert_eq!(valve.moved, 1);
}

#[test]
fn a_registration_is_refreshed_and_made_again() {
    let mut registration = Registration::new("meter-1", 3600).unwrap();
    let valve = Valve { state: String::new(), moved: 0 };
    let body = LinkFormat(valve.links());
    let request = registration.request(valve.links());
    assert_eq!((request.path, request.query), ("rd", "ep=meter-1&lt=3600"));
    assert_eq!((request.content_format, request.size), (Some(40), body.size()));
    let answered = |registration: &mut Registration, now, answer: &Answer| {
        let mut endpoint = asking(&registration.request(&[]));
        let request = sent(&mut endpoint, seconds(now), &mut Bare(b""));
        let message = Message::parse(&request).unwrap();
        let answer = Answer { id: message.id, token: message.token, ..answer_copy(answer) };
        let bytes = answer.bytes();
        let event = endpoint.handle(seconds(now), &bytes, &mut Bare(b"")).unwrap();
        registration.handle(seconds(now), &event)
    };
    let created = Answer::new(Kind::Ack, Code::CREATED, 0, Token::default());
    let created = created.option(option::LOCATION_PATH, b"rd").option(option::LOCATION_PATH, b"4");
    assert!(answered(&mut registration, 10, &created));
    assert_eq!(registration.due(), seconds(10 + 2700));
    let refresh = registration.request(valve.links());
    assert_eq!((refresh.path, refresh.query, refresh.size), ("rd/4", "", 0));
    let changed = Answer::new(Kind::Ack, Code::CHANGED, 0, Token::default());
    assert!(answered(&mut registration, 2710, &changed));
    assert_eq!(registration.due(), seconds(2710 + 2700));
    let forgotten = Answer::new(Kind::Ack, Code::NOT_FOUND, 0, Token::default());
    assert!(!answered(&mut registration, 5410, &forgotten));
    assert_eq!(registration.due(), seconds(5415));
    assert_eq!(registration.request(valve.links()).path, "rd");
    assert!(
        !registration
            .handle(seconds(5500), &Event::Failed(sluicegate_device::coap::Failure::TimeOut))
    );
    assert_eq!(registration.due(), seconds(5510));
}

fn answer_copy(answer: &Answer) -> Answer {
    let (options, payload) = (answer.options.clone(), answer.payload.clone());
    Answer { options, payload, ..*answer }
}
