//! Bounds: rate, peers without proven address (RFC 9175 §2.4), requests that wait, memory.

use sluicegate_coap::{Code, Error, Method, Request, Response, Settings, message::Kind, option};

use crate::bench::{Bench, PEER, block, body, get, get_observe, message, put_block};

#[test]
fn the_rate_holds_and_a_pause_gives_a_burst() {
    let mut bench = Bench::with(Settings { rate: 2, burst: 5, ..Settings::default() });
    let mut id = 0;
    let mut answered = |bench: &mut Bench| {
        (0..20)
            .filter(|_| {
                id += 1;
                bench.hear(&get(id, &[], "r"));
                !bench.asked.is_empty() && bench.answer(Response::content(0, "x")).len() == 1
            })
            .count()
    };
    assert_eq!(answered(&mut bench), 5);
    assert_eq!(bench.sent.last().unwrap().code, Code::TOO_MANY_REQUESTS);
    assert_eq!(bench.sent.last().unwrap().uint(option::MAX_AGE), Some(1));
    bench.wait(1_000);
    assert_eq!(answered(&mut bench), 2);
    bench.wait(100_000);
    assert_eq!(answered(&mut bench), 5);
}

#[test]
fn repetitions_do_not_count_as_requests() {
    let mut bench = Bench::with(Settings { rate: 1, burst: 1, ..Settings::default() });
    bench.hear(&get(1, &[], "r"));
    let answer = bench.answer(Response::content(0, "x"));
    for _ in 0..9 {
        assert_eq!(bench.hear(&get(1, &[], "r")), answer);
    }
}

#[test]
fn a_peer_of_unproven_address_never_gets_more_than_three_times_its_bytes() {
    let mut bench = Bench::new();
    bench.verified = false;
    let (mut received, mut length) = (0, 0);
    for id in 0..50u16 {
        let request = get(id, &[1], "resource");
        received += request.len();
        length += bench.hear(&request).iter().map(|sent| sent.bytes.len()).sum::<usize>();
        if id % 3 == 0 {
            length += bench.wait(600).iter().map(|sent| sent.bytes.len()).sum::<usize>();
        }
        if !bench.asked.is_empty() {
            let sent = bench.answer(Response::content(0, body(id.into())));
            length += sent.iter().map(|sent| sent.bytes.len()).sum::<usize>();
        }
        length += bench.wait(100_000).iter().map(|sent| sent.bytes.len()).sum::<usize>();
        assert!(length <= 3 * received, "{length} for {received}");
    }
}

#[test]
fn what_changes_or_keeps_state_needs_an_echo() {
    let mut bench = Bench::new();
    bench.verified = false;
    let put = |id, echo: Option<&[u8]>| {
        let mut options = vec![(option::URI_PATH, &b"r"[..])];
        options.extend(echo.map(|echo| (option::ECHO, echo)));
        message(Kind::Con, Code(3), id, &[4], &options, b"1")
    };
    let sent = bench.hear(&put(1, None));
    assert_eq!((sent[0].code, bench.asked.len()), (Code::UNAUTHORIZED, 0));
    let echo = sent[0].options.first(option::ECHO).unwrap().to_vec();
    assert_eq!(bench.hear(&get_observe(2, &[1], "resource", 0))[0].code, Code::UNAUTHORIZED);
    let stranger = bench.hear_from(8, &put(3, Some(&echo)));
    assert_eq!((stranger[0].code, bench.asked.len()), (Code::UNAUTHORIZED, 0));
    bench.hear(&put(4, Some(&echo)));
    assert!(bench.asked[0].request.options.first(option::ECHO).is_none());
    bench.answer(Response::new(Code::CHANGED));
    bench.hear(&get(5, &[], "r"));
    let sent = bench.answer(Response::content(0, body(500)));
    assert_eq!((sent[0].code, sent[0].payload.len()), (Code::CONTENT, 500));
    bench.wait(70_000);
    assert_eq!(bench.hear_from(9, &put(6, Some(&echo)))[0].code, Code::UNAUTHORIZED);
}

#[test]
fn a_late_answer_that_is_too_large_becomes_a_demand_for_an_echo() {
    let mut bench = Bench::new();
    bench.verified = false;
    bench.hear(&get(1, &[1], "a-name"));
    bench.wait(500);
    let sent = bench.answer(Response::content(0, body(500)));
    assert_eq!((sent[0].kind, sent[0].code), (Kind::Con, Code::UNAUTHORIZED));
    assert!(sent[0].options.first(option::ECHO).is_some());
}

#[test]
fn a_peer_of_unproven_address_gets_small_blocks_where_they_fit() {
    let mut bench = Bench::new();
    bench.verified = false;
    let whole = body(100);
    let (mut got, mut number) = (Vec::new(), 0_u16);
    loop {
        let block = [(number << 4) as u8 | 1];
        let options = [(option::URI_PATH, &b"a-name-of-some-length"[..]), (option::BLOCK2, &block)];
        let options = if number == 0 { &options[..1] } else { &options[..] };
        let request = message(Kind::Con, Code(1), number, &[1], options, b"");
        bench.hear(&request);
        let sent = bench.answer(Response::content(0, whole.clone()));
        assert_eq!(sent[0].code, Code::CONTENT);
        assert!(sent[0].bytes.len() <= 3 * request.len());
        got.extend_from_slice(&sent[0].payload);
        number += 1;
        let value = sent[0].options.uint(option::BLOCK2).unwrap();
        assert_eq!(value & 7, 1, "blocks of 32 bytes");
        if value >> 3 & 1 == 0 {
            break;
        }
    }
    assert_eq!(got, whole);
}

#[test]
fn a_body_in_one_datagram_is_bounded_too() {
    let mut bench = Bench::with(Settings { body: 100, ..Settings::default() });
    let put = |id, length| message(Kind::Con, Code(3), id, &[], &[(11, b"r")], &body(length));
    assert_eq!(bench.hear(&put(1, 101))[0].code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!((bench.hear(&put(2, 100)), bench.asked.len()), (vec![], 1));
}

#[test]
fn too_many_waiting_requests_are_turned_away() {
    let mut bench = Bench::with(Settings { pending_per_peer: 3, ..Settings::default() });
    for id in 0..3 {
        assert_eq!(bench.hear(&get(id, &[], "r")), []);
    }
    assert_eq!(bench.hear(&get(3, &[], "r"))[0].code, Code::SERVICE_UNAVAILABLE);
    bench.answer(Response::content(0, "x"));
    assert_eq!(bench.hear(&get(3, &[], "r")), []);
}

#[test]
fn strangers_do_not_push_out_verified_peers() {
    let mut bench = Bench::with(Settings { peers: 4, ..Settings::default() });
    for peer in 0..3 {
        bench.hear_from(peer, &get_observe(1, &[1], "r", 0));
        bench.accept(Response::content(0, "x"));
    }
    bench.verified = false;
    for peer in 10..1000 {
        bench.hear_from(peer, &get(1, &[1], "r"));
        bench.answer(Response::content(0, "x"));
    }
    assert_eq!((bench.endpoint.usage().peers, bench.ended.len()), (4, 0));
    bench.verified = true;
    bench.hear_from(4, &get(1, &[1], "r"));
    assert_eq!((bench.endpoint.usage().observations, bench.ended.len()), (3, 0));
    bench.hear_from(5, &get(1, &[1], "r"));
    assert_eq!((bench.endpoint.usage().observations, bench.ended.len()), (2, 1));
}

#[test]
fn requests_of_ours_are_bounded() {
    let settings = Settings { requests_per_peer: 2, requests: 3, body: 100, ..Settings::default() };
    let mut bench = Bench::with(settings);
    let mut request = |peer, length| {
        let request = Request::new(Method::Put, "r").payload(0, body(length));
        bench.endpoint.request(0, peer, request).map(|_| ())
    };
    let to_peer = Err(Error::TooMany { what: "requests to this peer", limit: 2 });
    let in_all = Err(Error::TooMany { what: "requests", limit: 3 });
    assert_eq!([request(1, 9), request(1, 9), request(1, 9)], [Ok(()), Ok(()), to_peer]);
    assert_eq!([request(2, 9), request(2, 9)], [Ok(()), in_all]);
    assert!(matches!(request(2, 101), Err(Error::TooLarge { size: 101, limit: 100, .. })));
}

#[test]
fn old_answers_make_room_for_new_ones() {
    let settings = Settings { bytes: 4_000, rate: 0, ..Settings::default() };
    let mut bench = Bench::with(settings);
    for id in 0..500 {
        bench.hear_from(u32::from(id) % 50, &get(id, &[1], "r"));
        let sent = bench.answer(Response::content(0, body(500)));
        assert_eq!(sent[0].payload.len(), 500);
        assert!(bench.endpoint.usage().bytes <= 4_000);
    }
    assert_eq!(bench.hear_from(499 % 50, &get(499, &[1], "r")).len(), 1);
    bench.endpoint.forget(PEER);
}

#[test]
fn a_request_that_waits_is_not_dropped_for_bytes() {
    let mut bench = Bench::with(Settings { bytes: 4_000, ..Settings::default() });
    bench.hear_from(1, &get(1, &[1], "slow"));
    let begins = |id| put_block(id, "r", (0, true, 6), &body(1024));
    let codes = [2, 3, 4, 5, 6].map(|peer| bench.hear_from(peer, &begins(1))[0].code);
    assert_eq!(codes[..3], [Code::CONTINUE; 3]);
    assert_eq!(codes[3..], [Code::REQUEST_ENTITY_TOO_LARGE; 2]);
    let sent = bench.answer(Response::content(0, "x"));
    assert_eq!(sent.len(), 1, "it is answered");
}

/// The first block of a body, from a peer that nobody vouches for and that shows that its address is its own.
fn unverified_upload(bench: &mut Bench, peer: u32, path: &[u8]) -> Code {
    bench.verified = false;
    let first = block(0, true, 6);
    let begins = |id, echo: Option<&[u8]>| {
        let mut options = vec![(option::URI_PATH, path), (option::BLOCK1, &first)];
        options.extend(echo.map(|echo| (option::ECHO, echo)));
        message(Kind::Con, Code(3), id, &[4], &options, &body(1024))
    };
    let sent = bench.hear_from(peer, &begins(1, None)).remove(0);
    let echo = sent.options.first(option::ECHO).unwrap().to_vec();
    let code = bench.hear_from(peer, &begins(2, Some(&echo))).remove(0).code;
    bench.verified = true;
    code
}

#[test]
fn strangers_hold_a_share_of_the_bytes_and_make_room_first() {
    let settings = Settings { bytes: 8_000, unverified_bytes: 3_500, ..Settings::default() };
    let mut bench = Bench::with(settings);
    let upload = |bench: &mut Bench, peer, number| {
        let part = put_block(10 + number as u16, "r", (number, true, 6), &body(1024));
        bench.hear_from(peer, &part)[0].code
    };
    // What the strangers begin costs other strangers only.
    assert_eq!([0, 1, 2].map(|number| upload(&mut bench, 1, number)), [Code::CONTINUE; 3]);
    for stranger in 100..120 {
        assert_eq!(unverified_upload(&mut bench, stranger, b"r"), Code::CONTINUE);
        assert!(bench.endpoint.usage().bytes <= 3 * 1_024 + 3_500 + 300);
    }
    // Devices get all of it.
    assert_eq!([0, 1, 2].map(|number| upload(&mut bench, 2, number)), [Code::CONTINUE; 3]);
    assert_eq!(upload(&mut bench, 1, 3), Code::CONTINUE);
    assert_eq!(upload(&mut bench, 2, 3), Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(unverified_upload(&mut bench, 200, b"r"), Code::CONTINUE, "there is room again");
    // Nobody goes for what is too large for a stranger.
    let before = bench.endpoint.usage().bytes;
    bench.verified = false;
    let _ = bench.endpoint.request(
        bench.now,
        200,
        Request::new(Method::Put, "r").payload(0, body(3_600)),
    );
    assert_eq!(bench.endpoint.usage().bytes, before);
}

#[test]
fn a_message_that_is_too_long_is_told_so_from_its_header() {
    let mut bench = Bench::with(Settings { datagram: 500, ..Settings::default() });
    let long = |kind, code, id| {
        message(kind, Code(code), id, &[7, 8], &[(option::URI_PATH, b"r")], &body(600))
    };
    let sent = bench.hear(&long(Kind::Con, 2, 5)).remove(0);
    assert_eq!(sent.head(), (Kind::Ack, Code::REQUEST_ENTITY_TOO_LARGE, 5));
    assert_eq!((sent.token.as_slice(), sent.uint(option::BLOCK1)), (&[7, 8][..], Some(4)));
    assert_eq!(bench.hear(&long(Kind::Non, 2, 6))[0].kind, Kind::Non);
    for (kind, code) in [(Kind::Con, 69), (Kind::Ack, 69), (Kind::Rst, 2)] {
        assert_eq!(bench.hear(&long(kind, code, 7)), []);
    }
    assert_eq!(bench.hear(&[0xff; 600]), []);
    assert_eq!((bench.asked.len(), bench.endpoint.usage().peers), (0, 0));
}
