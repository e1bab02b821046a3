//! The message layer (RFC 7252 §4, §5.2, §5.3): acknowledgements, repetition, resets, order.

use sluicegate_coap::{
    Code, Failure, Method, Request, Response, Settings,
    message::{Kind, empty},
    option,
};

use crate::bench::{Bench, PEER, get, message};

fn request() -> Request {
    Request::new(Method::Get, "/a/b")
}

#[test]
fn a_late_answer_comes_in_its_own_message() {
    let mut bench = Bench::new();
    let request = get(1, &[1], "slow");
    bench.hear(&request);
    assert_eq!(bench.wait(499), []);
    assert_eq!(bench.wait(1)[0].bytes, empty(Kind::Ack, 1));
    assert_eq!(bench.hear(&request)[0].bytes, empty(Kind::Ack, 1));
    let sent = bench.answer(Response::content(0, "x"));
    assert_eq!(
        (sent[0].kind, sent[0].code, &sent[0].token[..]),
        (Kind::Con, Code::CONTENT, &[1][..])
    );
    assert_eq!(bench.hear(&request)[0].bytes, empty(Kind::Ack, 1));
    bench.hear(&empty(Kind::Ack, sent[0].id));
    assert_eq!(bench.wait(100_000), []);
}

#[test]
fn a_non_confirmable_request_gets_a_non_confirmable_answer_with_an_id_of_ours() {
    let mut bench = Bench::new();
    bench.hear(&message(Kind::Non, Code(1), 1, &[1], &[(11, b"r")], &[]));
    let sent = bench.answer(Response::content(0, "x"));
    assert_eq!((sent[0].kind, sent[0].code, sent.len()), (Kind::Non, Code::CONTENT, 1));
    assert_eq!(bench.wait(200_000), []);
}

#[test]
fn a_confirmable_message_is_repeated_four_times_with_doubling_pauses() {
    let mut bench = Bench::new();
    let start = bench.now;
    let id = bench.endpoint.request(bench.now, PEER, request()).unwrap();
    let first = bench.drain().remove(0);
    let mut times = vec![];
    while bench.answers.is_empty() {
        bench.now = bench.endpoint.next_timeout().unwrap();
        bench.endpoint.handle_timeout(bench.now);
        times.extend(bench.drain().into_iter().map(|sent| {
            assert_eq!(sent, first);
            bench.now - start
        }));
    }
    assert_eq!(bench.answers, [(id, Err(Failure::Timeout))]);
    let unit = times[0];
    assert!((2_000..=3_000).contains(&unit));
    assert_eq!(times, [1, 3, 7, 15].map(|factor| factor * unit));
    assert_eq!(bench.now - start, 31 * unit);
    assert_eq!(bench.endpoint.usage().bytes, 0);
}

#[test]
fn one_message_is_in_flight_and_the_others_keep_their_order() {
    let mut bench = Bench::new();
    let ids: Vec<_> = ["a", "b", "c"]
        .map(|path| {
            let request = Request::new(Method::Get, path);
            bench.endpoint.request(bench.now, PEER, request).unwrap()
        })
        .into();
    for (id, path) in ids.iter().zip(["a", "b", "c"]) {
        let sent = bench.sent.pop().unwrap_or_else(|| bench.drain().remove(0));
        assert_eq!(sent.options.texts(option::URI_PATH).collect::<Vec<_>>(), [path]);
        bench.sent.clear();
        bench.hear(&message(Kind::Ack, Code::CONTENT, sent.id, &sent.token, &[], b"x"));
        assert_eq!(bench.answers.last().unwrap().0, *id);
    }
    assert_eq!(bench.answers.len(), 3);
}

#[test]
fn a_reset_ends_a_request() {
    let mut bench = Bench::new();
    for request in [request(), request().non_confirmable()] {
        bench.endpoint.request(bench.now, PEER, request).unwrap();
        let sent = bench.drain().remove(0);
        bench.hear(&empty(Kind::Rst, sent.id.wrapping_add(1)));
        assert!(bench.answers.is_empty());
        bench.hear(&empty(Kind::Rst, sent.id));
        assert_eq!(bench.answers.pop().unwrap().1, Err(Failure::Reset));
    }
    assert_eq!(bench.wait(100_000), []);
}

#[test]
fn an_answer_belongs_to_a_request_by_token_and_peer() {
    let mut bench = Bench::new();
    bench.endpoint.request(bench.now, PEER, request()).unwrap();
    let sent = bench.drain().remove(0);
    let answer = |kind, id, token: &[u8]| message(kind, Code::CONTENT, id, token, &[], b"x");
    let wrong = bench.hear(&answer(Kind::Con, 77, b"other"));
    assert_eq!(wrong[0].bytes, empty(Kind::Rst, 77));
    let stranger = bench.hear_from(8, &answer(Kind::Con, 78, &sent.token));
    assert_eq!(stranger[0].bytes, empty(Kind::Rst, 78));
    assert_eq!(bench.hear(&answer(Kind::Ack, sent.id.wrapping_add(1), &sent.token)), []);
    assert!(bench.answers.is_empty());
    let ack = bench.hear(&answer(Kind::Con, 79, &sent.token));
    assert_eq!(ack[0].bytes, empty(Kind::Ack, 79));
    assert_eq!(bench.answers.len(), 1);
    assert_eq!(bench.hear(&answer(Kind::Con, 79, &sent.token))[0].bytes, empty(Kind::Ack, 79));
    let late = bench.hear(&answer(Kind::Con, 80, &sent.token));
    assert_eq!(late[0].bytes, empty(Kind::Rst, 80));
    assert_eq!((bench.answers.len(), bench.wait(100_000)), (1, vec![]));
}

#[test]
fn an_acknowledged_request_waits_for_its_answer_but_not_for_ever() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        bench.endpoint.request(bench.now, PEER, request()).unwrap();
        let sent = bench.drain().remove(0);
        assert_eq!(bench.hear(&empty(Kind::Ack, sent.id)), []);
        assert_eq!(bench.wait(50_000), []);
        if bench.answers.is_empty() {
            bench.hear(&message(Kind::Non, Code::CONTENT, 5, &sent.token, &[], b"x"));
            assert!(bench.answers[0].1.is_ok());
        }
    }
    bench.wait(93_000);
    assert_eq!(bench.answers[1].1, Err(Failure::Timeout));
}

#[test]
fn an_answer_with_an_unknown_critical_option_is_rejected() {
    let mut bench = Bench::new();
    bench.endpoint.request(bench.now, PEER, request()).unwrap();
    let sent = bench.drain().remove(0);
    let options = [(9, &b"?"[..])];
    let answer = message(Kind::Con, Code::CONTENT, 5, &sent.token, &options, b"x");
    assert_eq!(bench.hear(&answer)[0].bytes, empty(Kind::Rst, 5));
    assert_eq!(bench.answers[0].1, Err(Failure::BadOption));
}

#[test]
fn unknown_elective_options_are_dropped() {
    let mut bench = Bench::new();
    let options = [(11, &b"r"[..]), (12, b"too long"), (2048, b"?")];
    bench.hear(&message(Kind::Con, Code(1), 1, &[], &options, &[]));
    let request = &bench.asked[0].request;
    assert_eq!((request.options.iter().count(), request.content_format()), (1, None));
}

#[test]
fn a_repeated_critical_option_is_a_bad_option() {
    let mut bench = Bench::new();
    let options = [(11, &b"r"[..]), (17, &[]), (17, &[])];
    let sent = bench.hear(&message(Kind::Con, Code(1), 1, &[], &options, &[]));
    assert_eq!(sent[0].code, Code::BAD_OPTION);
    let sent = bench.hear(&message(Kind::Con, Code(1), 2, &[], &[(11, b"\xff")], &[]));
    assert_eq!(sent[0].code, Code::BAD_OPTION);
}

#[test]
fn an_unknown_method_and_a_proxy_request_are_refused() {
    let mut bench = Bench::new();
    let sent = bench.hear(&message(Kind::Con, Code(9), 1, &[], &[], &[]));
    assert_eq!(sent[0].code, Code::METHOD_NOT_ALLOWED);
    let sent = bench.hear(&message(Kind::Con, Code(1), 2, &[], &[(39, b"coap")], &[]));
    assert_eq!(sent[0].code, Code::PROXYING_NOT_SUPPORTED);
}

#[test]
fn what_is_not_wanted_is_not_sent() {
    let mut bench = Bench::new();
    for (no_response, code, quiet) in
        [(2, Code::CHANGED, true), (2, Code::NOT_FOUND, false), (26, Code::NOT_FOUND, true)]
    {
        for (kind, id) in [(Kind::Con, no_response), (Kind::Non, no_response + 1)] {
            let id = u16::from(id) + u16::from(code.0) * 256;
            let options = [(11, &b"r"[..]), (option::NO_RESPONSE, &[no_response])];
            bench.hear(&message(kind, Code(3), id, &[], &options, &[]));
            let sent = bench.answer(Response::new(code));
            match (kind, quiet) {
                (Kind::Con, true) => assert_eq!(sent[0].bytes, empty(Kind::Ack, id)),
                (_, true) => assert_eq!(sent, []),
                _ => assert_eq!(sent[0].code, code),
            }
        }
    }
}

#[test]
fn messages_to_a_silent_peer_wait_for_the_probing_rate() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.endpoint.request(bench.now, PEER, request().non_confirmable()).unwrap();
    }
    let first = bench.drain();
    assert_eq!(first.len(), 1);
    let pause = first[0].bytes.len() as u64 * 1000;
    assert_eq!(bench.wait(pause - 1), []);
    assert_eq!(bench.wait(1).len(), 1);
    let answer = message(Kind::Non, Code::CONTENT, 5, &first[0].token, &[], b"x");
    assert_eq!(bench.hear(&answer).len(), 1);
}

#[test]
fn a_peer_that_began_again_is_not_taken_for_a_repetition() {
    let mut bench = Bench::new();
    bench.hear(&get(1, &[1], "r"));
    bench.answer(Response::content(0, "x"));
    bench.hear(&get(1, &[2], "r"));
    assert_eq!(bench.asked.len(), 1);
}

#[test]
fn a_peer_that_is_gone_leaves_nothing() {
    let mut bench = Bench::with(Settings { nstart: 1, ..Settings::default() });
    bench.hear(&get(1, &[1], "r"));
    for _ in 0..3 {
        bench.endpoint.request(bench.now, PEER, request()).unwrap();
    }
    bench.drain();
    bench.endpoint.forget(PEER);
    bench.drain();
    assert!(bench.answers.iter().all(|(_, result)| *result == Err(Failure::Forgotten)));
    assert_eq!(bench.answers.len(), 3);
    assert_eq!(bench.answer(Response::content(0, "x")), []);
    assert_eq!(bench.endpoint.usage(), Bench::new().endpoint.usage());
    assert_eq!(bench.wait(300_000), []);
}
