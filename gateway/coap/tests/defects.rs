//! The ten defects of other implementations that this one must not have, one test each; the ninth, that a datagram which
//! can't be sent stops everything, is one of sockets: `gateway/daemon/src/net/udp.rs` has its test.

use sluicegate_coap::{
    Code, Response, Settings,
    message::{Kind, empty},
    option,
};

use crate::bench::{Bench, PEER, body, get, get_observe, message, put_block};

#[test]
fn defect_1_a_block_number_has_twenty_bits() {
    let mut bench = Bench::new();
    let fragment = bench.hear(&put_block(1, "p", (4096, true, 0), &[1; 16]));
    assert_eq!(fragment[0].code, Code::REQUEST_ENTITY_INCOMPLETE);
    assert!(bench.asked.is_empty());
    let whole = body(4100 * 16 + 5);
    for (number, part) in whole.chunks(16).enumerate() {
        let more = (number + 1) * 16 < whole.len();
        let sent = bench.hear(&put_block(number as u16 + 9, "p", (number as u32, more, 0), part));
        assert!(!more || sent[0].code == Code::CONTINUE, "{number}: {sent:?}");
    }
    assert_eq!(bench.asked[0].request.payload, whole);
}

#[test]
fn defect_2_a_missing_block_is_not_filled_with_zeros() {
    let mut bench = Bench::new();
    assert_eq!(bench.hear(&put_block(1, "p", (0, true, 2), &[1; 64]))[0].code, Code::CONTINUE);
    let gap = bench.hear(&put_block(2, "p", (5, false, 2), &[2; 64]));
    assert_eq!(gap[0].head(), (Kind::Ack, Code::REQUEST_ENTITY_INCOMPLETE, 2));
    assert!(bench.asked.is_empty());
    assert_eq!(
        bench.hear(&put_block(3, "p", (1, false, 2), &[2; 64]))[0].code,
        Code::REQUEST_ENTITY_INCOMPLETE
    );
    assert!(bench.asked.is_empty());
}

#[test]
fn defect_3_a_repeated_last_block_runs_the_handler_once() {
    let mut bench = Bench::new();
    bench.hear(&put_block(1, "p", (0, true, 2), &[1; 64]));
    let last = put_block(2, "p", (1, false, 2), &[2; 10]);
    bench.hear(&last);
    assert_eq!(bench.hear(&last), []);
    assert_eq!((bench.asked.len(), bench.asked[0].request.payload.len()), (1, 74));
    let answer = bench.answer(Response::new(Code::CHANGED));
    assert_eq!(answer[0].uint(option::BLOCK1), Some(1 << 4 | 2));
    assert_eq!(bench.hear(&last), answer);
    let again = bench.hear(&put_block(3, "p", (1, false, 2), &[2; 10]));
    assert_eq!(again[0].code, Code::REQUEST_ENTITY_INCOMPLETE);
    assert!(bench.asked.is_empty());
}

#[test]
fn defect_4_bodies_and_transfers_are_bounded() {
    let settings = Settings { body: 1000, rate: 0, ..Settings::default() };
    let mut bench = Bench::with(settings);
    for number in 0..15 {
        let sent = bench.hear(&put_block(number, "p", (number.into(), true, 2), &[1; 64]));
        assert_eq!(sent[0].code, Code::CONTINUE);
    }
    let large = bench.hear(&put_block(15, "p", (15, true, 2), &[1; 64]));
    assert_eq!(large[0].code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(large[0].uint(option::SIZE1), Some(1000));
    for path in 0..200u16 {
        bench.hear(&put_block(100 + path, &path.to_string(), (0, true, 6), &[1; 1000]));
        bench.hear(&put_block(400 + path, &path.to_string(), (0, true, 5), &[1; 512]));
    }
    let bytes = bench.endpoint.usage().bytes;
    assert!(bytes <= 2 * 512 + 64 * 64, "{bytes}");
    bench.wait(300_000);
    assert_eq!(bench.endpoint.usage().bytes, 0);
}

#[test]
fn defect_5_a_duplicate_runs_the_handler_once() {
    let mut bench = Bench::new();
    let request = get(1, &[1], "r");
    bench.hear(&request);
    assert_eq!(bench.hear(&request), []);
    let answer = bench.answer(Response::content(0, "x"));
    assert_eq!(answer[0].head(), (Kind::Ack, Code::CONTENT, 1));
    assert_eq!(bench.hear(&request), answer);
    bench.wait(246_000);
    assert_eq!(bench.hear(&request), answer);
    bench.wait(2_000);
    bench.hear(&request);
    assert_eq!(bench.asked.len(), 1);
    let non = message(Kind::Non, Code(2), 2, &[2], &[(option::URI_PATH, b"r")], &[]);
    bench.hear(&non);
    assert_eq!((bench.hear(&non), bench.asked.len()), (vec![], 2));
}

#[test]
fn defect_6_what_is_not_well_formed_or_understood_is_refused() {
    let mut bench = Bench::new();
    let unknown = [(option::URI_PATH, &b"r"[..]), (option::URI_PATH + 2, b"?")];
    let sent = bench.hear(&message(Kind::Con, Code(1), 1, &[5], &unknown, &[]));
    assert_eq!(sent[0].head(), (Kind::Ack, Code::BAD_OPTION, 1));
    let sent = bench.hear(&message(Kind::Non, Code(1), 2, &[5], &unknown, &[]));
    assert_eq!((sent[0].kind, sent[0].code), (Kind::Non, Code::BAD_OPTION));
    for foreign in [&[][..], &[0x40, 1, 0], &[0x00, 1, 0, 0], &[0x80, 1, 0, 0], &[0xc0, 1, 0, 0]] {
        assert_eq!(bench.hear(foreign), [], "{foreign:02x?}");
    }
    let malformed: [&[u8]; 9] = [
        &[0x40, 1, 0, 3, 0xff],
        &[0x41, 0, 0, 3, 9],
        &[0x40, 0, 0, 3, 0xb1, b'r'],
        &[0x40, 0x21, 0, 3],
        &[0x40, 0xc1, 0, 3],
        &[0x40, 0xe1, 0, 3],
        &[0x49, 1, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        &[0x40, 1, 0, 3, 0xe1, 0xff, 0xff, 0],
        &[0x40, 1, 0, 3, 0xb9, b'r'],
    ];
    for bytes in malformed {
        let sent = bench.hear(bytes);
        assert_eq!(sent.len(), 1, "{bytes:02x?}");
        assert_eq!(sent[0].bytes, empty(Kind::Rst, 3), "{bytes:02x?}");
        let silent = [&[bytes[0] | 0x10], &bytes[1..]].concat();
        assert_eq!(bench.hear(&silent), [], "{bytes:02x?}");
    }
    assert!(bench.asked.is_empty());
}

#[test]
fn defect_7_a_ping_gets_a_reset() {
    let mut bench = Bench::new();
    let sent = bench.hear(&empty(Kind::Con, 0x1234));
    assert_eq!(sent[0].bytes, empty(Kind::Rst, 0x1234));
    assert_eq!(bench.hear(&empty(Kind::Non, 1)), []);
}

#[test]
fn defect_8_a_second_token_is_a_second_observer() {
    let mut bench = Bench::new();
    for token in [1, 2] {
        bench.hear(&get_observe(token.into(), &[token], "r", 0));
    }
    let observations: Vec<_> = bench.asked.iter().map(|asked| asked.observe.unwrap()).collect();
    assert_ne!(observations[0], observations[1]);
    for _ in 0..2 {
        let sent = bench.accept(Response::content(0, "a"));
        assert!(sent[0].uint(option::OBSERVE).is_some());
    }
    for (observation, token) in observations.into_iter().zip([1, 2]) {
        let sent = bench.notify(observation, "b");
        assert_eq!((sent[0].token.as_slice(), sent[0].to), (&[token][..], PEER));
        bench.hear(&empty(Kind::Ack, sent[0].id));
    }
}

#[test]
fn defect_10_a_flood_finds_bounds_an_echo_and_too_many_requests() {
    let settings = Settings { peers: 500, bytes: 100_000, exchanges: 1_000, ..Settings::default() };
    let mut bench = Bench::with(settings);
    bench.verified = false;
    for source in 0..100_000u32 {
        let id = source as u16;
        let first = if source % 2 == 0 {
            get(id, &[1], "r")
        } else {
            put_block(id, "r", (0, true, 6), &[0; 1024])
        };
        bench.hear_from(source, &first);
        if !bench.asked.is_empty() {
            bench.answer(Response::content(0, [1; 20]));
        }
        let usage = bench.endpoint.usage();
        assert!(usage.peers <= 500 && usage.bytes <= 100_000 && usage.exchanges <= 1_000);
        bench.sent.clear();
    }
    let mut refused = None;
    for id in 0..1_000 {
        let sent = bench.hear(&get(id, &[], "resource"));
        refused = sent.into_iter().find(|sent| sent.code == Code::TOO_MANY_REQUESTS);
        if refused.is_some() {
            break;
        }
        bench.answer(Response::content(0, "x"));
    }
    assert_eq!(refused.unwrap().uint(option::MAX_AGE), Some(1));
    let large = bench.hear_from(1, &message(Kind::Con, Code(1), 1, &[1], &[(11, b"large")], &[]));
    assert_eq!(large, []);
    let sent = bench.answer(Response::content(0, body(500)));
    assert_eq!((sent[0].code, sent.len()), (Code::UNAUTHORIZED, 1));
    assert!(sent[0].options.first(option::ECHO).is_some());
}
