//! Message sequences of the standards: RFC 7252 Appendix A, with its bytes where it has them.

use sluicegate_coap::{
    Code, Method, Request, Response,
    message::{self, Kind, empty},
};

use crate::bench::{Bench, PEER, message};

/// Figure 16: a basic GET request with a piggybacked response.
#[test]
fn figure_16_a_piggybacked_answer() {
    let mut bench = Bench::new();
    let request = b"\x40\x01\x7d\x34\xbbtemperature";
    bench.hear(request);
    assert!(bench.asked[0].request.is_path(&["temperature"]));
    let mut response = Response::new(Code::CONTENT);
    response.payload = b"22.3 C".to_vec();
    assert_eq!(bench.answer(response)[0].bytes, b"\x60\x45\x7d\x34\xff22.3 C");
}

/// Figure 17: the same with a token.
#[test]
fn figure_17_a_piggybacked_answer_with_a_token() {
    let mut bench = Bench::new();
    bench.hear(b"\x41\x01\x7d\x35\x20\xbbtemperature");
    let mut response = Response::new(Code::CONTENT);
    response.payload = b"22.3 C".to_vec();
    assert_eq!(bench.answer(response)[0].bytes, b"\x61\x45\x7d\x35\x20\xff22.3 C");
}

/// Figure 18: the request is lost and sent again; figure 19: its answer is lost.
#[test]
fn figures_18_and_19_a_request_or_its_answer_is_lost() {
    let mut bench = Bench::new();
    bench.endpoint.request(bench.now, PEER, Request::new(Method::Get, "temperature")).unwrap();
    let first = bench.drain().remove(0);
    let again = bench.wait(3_000);
    assert_eq!(again, std::slice::from_ref(&first));
    bench.hear(&message(Kind::Ack, Code::CONTENT, first.id, &first.token, &[], b"22.3 C"));
    assert_eq!(bench.answers[0].1.as_ref().unwrap().payload, b"22.3 C");
    let mut server = Bench::new();
    server.hear(&first.bytes);
    let answer = server.answer(Response::content(0, "22.3 C"));
    server.wait(3_000);
    assert_eq!(server.hear(&first.bytes), answer);
}

/// Figure 20: the acknowledgement is lost, the request is sent again, the answer comes separately;
/// figure 21: the separate answer comes before the acknowledgement.
#[test]
fn figures_20_and_21_a_separate_answer() {
    for acknowledged in [true, false] {
        let mut bench = Bench::new();
        bench.endpoint.request(bench.now, PEER, Request::new(Method::Get, "temperature")).unwrap();
        let first = bench.drain().remove(0);
        if acknowledged {
            bench.hear(&empty(Kind::Ack, first.id));
        }
        let answer = message(Kind::Con, Code::CONTENT, 0xad7b, &first.token, &[], b"22.3 C");
        assert_eq!(bench.hear(&answer)[0].bytes, empty(Kind::Ack, 0xad7b));
        assert_eq!(bench.answers.len(), 1);
        assert_eq!(bench.wait(100_000), []);
    }
}

/// Figure 22: a request that is not confirmable.
#[test]
fn figure_22_a_non_confirmable_request_and_answer() {
    let mut bench = Bench::new();
    bench.hear(b"\x51\x01\x7d\x40\x75\xbbtemperature");
    let answer = bench.answer(Response::content(0, "22.3 C")).remove(0);
    assert_eq!(
        (answer.kind, answer.code, &answer.token[..]),
        (Kind::Non, Code::CONTENT, &b"\x75"[..])
    );
}

/// Section 3: every type, the longest option and the largest number survive.
#[test]
fn the_message_format_has_one_reading() {
    for kind in [Kind::Con, Kind::Non, Kind::Ack] {
        let long = [7; 1034];
        let options = [(1, &b""[..]), (14, &[1]), (282, b"x"), (283, b"y"), (35000, &long)];
        let bytes = message(kind, Code::CONTENT, 0xfffe, &[1; 8], &options, b"p");
        let read = message::parse(&bytes).unwrap();
        assert_eq!(read.options().collect::<Vec<_>>(), options);
        assert_eq!((read.kind, read.id, read.payload), (kind, 0xfffe, &b"p"[..]));
    }
}
