//! The ETSI test descriptions TD_COAP_CORE, as far as one endpoint at a bench can show them.

use sluicegate_coap::{
    Code, Method, Response,
    message::{Kind, empty},
    option,
};

use crate::bench::{Bench, message};

/// TD_COAP_CORE_01 to 08: each method, confirmable and not.
#[test]
fn td_coap_core_01_to_08_each_method() {
    let mut bench = Bench::new();
    let cases = [
        (Method::Get, Code::CONTENT),
        (Method::Delete, Code::DELETED),
        (Method::Put, Code::CHANGED),
        (Method::Post, Code::CREATED),
    ];
    for (number, (method, code)) in cases.into_iter().enumerate() {
        for (kind, answered) in [(Kind::Con, Kind::Ack), (Kind::Non, Kind::Non)] {
            let id = number as u16 * 2 + u16::from(kind == Kind::Non);
            let options = [(option::URI_PATH, &b"test"[..]), (option::CONTENT_FORMAT, &[])];
            bench.hear(&message(kind, method.code(), id, &[], &options, b"x"));
            let request = &bench.asked[0].request;
            assert_eq!((request.method, request.confirmable), (method, kind == Kind::Con));
            assert_eq!((request.content_format(), &request.payload[..]), (Some(0), &b"x"[..]));
            let sent = bench.answer(Response::new(code)).remove(0);
            assert_eq!((sent.kind, sent.code), (answered, code));
        }
    }
}

/// TD_COAP_CORE_10 to 12: the token comes back, of every length.
#[test]
fn td_coap_core_10_to_12_the_token_comes_back() {
    let mut bench = Bench::new();
    for length in 0..=8u8 {
        let token = vec![length; length.into()];
        bench.hear(&message(Kind::Con, Code(1), length.into(), &token, &[(11, b"test")], &[]));
        assert_eq!(bench.answer(Response::content(0, "x"))[0].token, token);
    }
}

/// TD_COAP_CORE_13 and 14: several segments of a path, several parameters of a query.
#[test]
fn td_coap_core_13_and_14_paths_and_queries() {
    let mut bench = Bench::new();
    let segments = [(11, &b"seg1"[..]), (11, b"seg2"), (11, b"seg3")];
    let query = [(15, &b"first=1"[..]), (15, b"second=2"), (15, b"third")];
    let options = [&segments[..], &query].concat();
    bench.hear(&message(Kind::Con, Code(1), 1, &[], &options, &[]));
    let request = &bench.asked[0].request;
    assert!(request.is_path(&["seg1", "seg2", "seg3"]));
    let found = ["first", "second", "third", "fir"].map(|name| request.parameter(name));
    assert_eq!(found, [Some("1"), Some("2"), None, None]);
    assert_eq!(request.parameters().count(), 3);
}

/// TD_COAP_CORE_15 and 16: a separate answer whose acknowledgement is lost comes again.
#[test]
fn td_coap_core_15_and_16_a_separate_answer_over_a_lossy_network() {
    let mut bench = Bench::new();
    bench.hear(&message(Kind::Con, Code(1), 1, &[7], &[(11, b"separate")], &[]));
    bench.wait(500);
    let answer = bench.answer(Response::content(0, "x")).remove(0);
    let again = bench.wait(3_000).remove(0);
    assert_eq!(again, answer);
    bench.hear(&empty(Kind::Ack, answer.id));
    assert_eq!(bench.wait(100_000), []);
}

/// TD_COAP_CORE_18 and 19: a location comes back.
#[test]
fn td_coap_core_18_a_location_of_several_segments() {
    let mut bench = Bench::new();
    bench.hear(&message(Kind::Con, Code(2), 1, &[], &[(11, b"test")], b"x"));
    let response = Response::new(Code::CREATED).with_location(["location1", "location2"]);
    let sent = bench.answer(response).remove(0);
    let location: Vec<_> = sent.options.texts(option::LOCATION_PATH).collect();
    assert_eq!(location, ["location1", "location2"]);
}

/// TD_COAP_CORE_20 to 22: Accept, ETag and If-Match reach the application.
#[test]
fn td_coap_core_20_to_22_conditions_reach_the_application() {
    let mut bench = Bench::new();
    let options = [(1, &b"tag"[..]), (4, b"one"), (4, b"two"), (11, b"test"), (17, &[50])];
    bench.hear(&message(Kind::Con, Code(3), 1, &[], &options, b"x"));
    let request = &bench.asked[0].request;
    assert_eq!((request.accepts(), request.options.all(option::ETAG).count()), (Some(50), 2));
    assert_eq!(request.options.first(option::IF_MATCH), Some(&b"tag"[..]));
    let sent = bench.answer(Response::new(Code::VALID).with_etag(b"two")).remove(0);
    assert_eq!((sent.code, sent.options.first(option::ETAG)), (Code::VALID, Some(&b"two"[..])));
}

/// TD_COAP_CORE_31: a ping.
#[test]
fn td_coap_core_31_a_ping() {
    assert_eq!(Bench::new().hear(&empty(Kind::Con, 5))[0].bytes, empty(Kind::Rst, 5));
}
