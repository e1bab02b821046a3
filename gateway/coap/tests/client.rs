//! Our own requests: bodies in blocks, Echo, observations (RFC 7641 §3, RFC 7959, RFC 9175).

use sluicegate_coap::{
    Code, Failure, Method, Request, Settings,
    message::{Kind, empty},
    option,
};

use crate::bench::{Bench, PEER, Sent, block, body, message};

fn ask(bench: &mut Bench, request: Request) -> Sent {
    bench.endpoint.request(bench.now, PEER, request).unwrap();
    bench.drain().remove(0)
}

fn answer(sent: &Sent, code: Code, options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
    message(Kind::Ack, code, sent.id, &sent.token, options, payload)
}

#[test]
fn a_large_body_goes_in_blocks_of_the_size_that_the_peer_wants() {
    let mut bench = Bench::new();
    let whole = body(2000);
    let first = ask(&mut bench, Request::new(Method::Put, "r").payload(42, whole.clone()));
    assert_eq!((first.uint(option::BLOCK1), first.uint(option::SIZE1)), (Some(8 | 6), Some(2000)));
    let smaller = block(0, true, 4);
    let options = [(option::BLOCK1, &smaller[..])];
    let mut sent = bench.hear(&answer(&first, Code::CONTINUE, &options, &[])).remove(0);
    let mut read = first.payload.clone();
    for number in 4u32.. {
        let more = read.len() + 256 < whole.len();
        assert_eq!(sent.uint(option::BLOCK1), Some(number << 4 | u32::from(more) << 3 | 4));
        read.extend(&sent.payload);
        let value = block(number, more, 4);
        let options = [(option::BLOCK1, &value[..])];
        let code = if more { Code::CONTINUE } else { Code::CHANGED };
        match bench.hear(&answer(&sent, code, &options, &[])).pop() {
            Some(next) => sent = next,
            None => break,
        }
    }
    assert_eq!(read, whole);
    assert_eq!(bench.answers[0].1.as_ref().unwrap().code, Code::CHANGED);
}

#[test]
fn a_peer_that_lost_its_part_gets_the_body_again() {
    let mut bench = Bench::new();
    let first = ask(&mut bench, Request::new(Method::Put, "r").payload(42, body(1500)));
    let value = block(0, true, 6);
    let options = [(option::BLOCK1, &value[..])];
    let second = bench.hear(&answer(&first, Code::CONTINUE, &options, &[])).remove(0);
    let again = bench.hear(&answer(&second, Code::REQUEST_ENTITY_INCOMPLETE, &[], &[])).remove(0);
    assert_eq!((again.uint(option::BLOCK1), again.payload), (Some(8 | 6), first.payload));
}

#[test]
fn a_large_answer_is_put_together() {
    let mut bench = Bench::new();
    let whole = body(200);
    let mut sent = ask(&mut bench, Request::new(Method::Get, "r"));
    for (number, part) in whole.chunks(64).enumerate() {
        let more = part.len() == 64;
        let value = block(number as u32, more, 2);
        let options = [(option::ETAG, &b"t"[..]), (option::BLOCK2, &value)];
        let next = bench.hear(&answer(&sent, Code::CONTENT, &options, part));
        if more {
            sent = next[0].clone();
            assert_eq!(sent.uint(option::BLOCK2), Some((number as u32 + 1) << 4 | 2));
        }
    }
    let response = bench.answers[0].1.clone().unwrap();
    assert_eq!((&response.payload, response.etag()), (&whole, Some(&b"t"[..])));
    assert_eq!(response.options.first(option::BLOCK2), None);
}

#[test]
fn an_answer_that_changes_between_its_blocks_is_asked_for_again() {
    let mut bench = Bench::new();
    let first = ask(&mut bench, Request::new(Method::Get, "r"));
    let part = |sent: &Sent, number, more, tag: &[u8]| {
        let value = block(number, more, 0);
        answer(sent, Code::CONTENT, &[(option::ETAG, tag), (option::BLOCK2, &value)], &[1; 16])
    };
    let second = bench.hear(&part(&first, 0, true, b"a")).remove(0);
    let again = bench.hear(&part(&second, 1, false, b"b")).remove(0);
    assert_eq!(again.uint(option::BLOCK2), None);
    let second = bench.hear(&part(&again, 0, true, b"b")).remove(0);
    bench.hear(&part(&second, 1, false, b"b"));
    assert_eq!(bench.answers[0].1.as_ref().unwrap().payload, [1; 32]);
}

#[test]
fn blocks_that_do_not_fit_together_or_never_end_fail() {
    for (number, more, length, failure) in [
        (2, true, 16, Failure::Blocks),
        (1, true, 15, Failure::Blocks),
        (1, true, 16, Failure::TooLarge),
    ] {
        let mut bench = Bench::with(Settings { body: 20, ..Settings::default() });
        let first = ask(&mut bench, Request::new(Method::Get, "r"));
        let value = block(0, true, 0);
        let second = bench.hear(&answer(&first, Code::CONTENT, &[(23, &value)], &[0; 16]));
        let value = block(number, more, 0);
        bench.hear(&answer(&second[0], Code::CONTENT, &[(23, &value)], &body(length)));
        assert_eq!(bench.answers[0].1, Err(failure));
        assert!(bench.endpoint.usage().bytes == 0);
    }
}

#[test]
fn an_echo_that_is_demanded_is_given_once() {
    let mut bench = Bench::new();
    let mut sent = ask(&mut bench, Request::new(Method::Put, "r").payload(0, "1"));
    let demand = |sent: &Sent| answer(sent, Code::UNAUTHORIZED, &[(option::ECHO, b"echo")], &[]);
    sent = bench.hear(&demand(&sent)).remove(0);
    assert_eq!(
        (sent.options.first(option::ECHO), &sent.payload[..]),
        (Some(&b"echo"[..]), &b"1"[..])
    );
    assert_eq!(bench.hear(&demand(&sent)), []);
    assert_eq!(bench.answers[0].1.as_ref().unwrap().code, Code::UNAUTHORIZED);
}

fn notification(sent: &Sent, id: u16, sequence: u8, text: &[u8]) -> Vec<u8> {
    let options = [(option::OBSERVE, &[sequence][..]), (option::MAX_AGE, &[100])];
    message(Kind::Con, Code::CONTENT, id, &sent.token, &options, text)
}

/// A bench that observes; the first state has the number 9.
fn observing() -> (Bench, Sent) {
    let mut bench = Bench::new();
    bench.endpoint.observe(bench.now, PEER, Request::new(Method::Get, "r")).unwrap();
    let sent = bench.drain().remove(0);
    assert_eq!(sent.uint(option::OBSERVE), Some(0));
    let options = [(option::OBSERVE, &[9][..]), (option::MAX_AGE, &[100])];
    bench.hear(&answer(&sent, Code::CONTENT, &options, b"9"));
    assert_eq!(bench.answers.len(), 1);
    (bench, sent)
}

#[test]
fn notifications_are_handed_out_in_order_and_old_ones_dropped() {
    let (mut bench, sent) = observing();
    for (id, sequence) in [(1, 12), (2, 11), (3, 12), (4, 13)] {
        let ack = bench.hear(&notification(&sent, id, sequence, &[sequence]));
        assert_eq!(ack[0].bytes, empty(Kind::Ack, id));
    }
    bench.wait(50_000);
    bench.hear(&notification(&sent, 5, 3, &[3]));
    bench.wait(79_000);
    bench.sent.clear();
    bench.hear(&notification(&sent, 6, 3, &[3]));
    let states: Vec<_> = bench.notifications.iter().map(|(_, it)| it.payload[0]).collect();
    assert_eq!(states, [12, 13, 3]);
}

#[test]
fn a_state_that_is_too_old_is_asked_for_again() {
    let (mut bench, sent) = observing();
    assert_eq!(bench.wait(104_999), []);
    let again = bench.wait(10_001).remove(0);
    assert_eq!((again.uint(option::OBSERVE), &again.token), (Some(0), &sent.token));
    let options = [(option::OBSERVE, &[10][..])];
    bench.hear(&answer(&again, Code::CONTENT, &options, b"10"));
    assert_eq!(bench.notifications[0].1.payload, b"10");
    assert_eq!(bench.wait(200_000).len(), 5);
    assert_eq!(bench.answers[1].1, Err(Failure::Timeout));
}

#[test]
fn a_state_that_did_not_change_keeps_its_number_and_the_observation() {
    let (mut bench, _) = observing();
    for _ in 0..5 {
        let again = bench.wait(115_000).remove(0);
        let options = [(option::OBSERVE, &[9][..]), (option::MAX_AGE, &[100])];
        bench.hear(&answer(&again, Code::CONTENT, &options, b"9"));
    }
    assert_eq!((bench.answers.len(), bench.endpoint.usage().requests), (1, 1));
}

#[test]
fn an_old_notification_does_not_stop_what_is_under_way() {
    let (mut bench, sent) = observing();
    let again = bench.wait(115_000).remove(0);
    bench.hear(&notification(&sent, 1, 5, b"old"));
    assert_eq!(bench.wait(3_000), [again]);
    let value = block(0, true, 0);
    let options = [(option::OBSERVE, &[20][..]), (option::BLOCK2, &value)];
    let first = message(Kind::Con, Code::CONTENT, 2, &sent.token, &options, &[5; 16]);
    let fetch = bench.hear(&first).remove(1);
    bench.hear(&notification(&sent, 3, 19, b"old"));
    assert_eq!(bench.wait(3_000), [fetch]);
}

#[test]
fn an_observation_ends_when_the_peer_says_so() {
    let (mut bench, sent) = observing();
    bench.hear(&message(Kind::Con, Code::NOT_FOUND, 1, &sent.token, &[], &[]));
    assert_eq!(bench.answers[1].1.as_ref().unwrap().code, Code::NOT_FOUND);
    let late = bench.hear(&notification(&sent, 2, 20, b"x"));
    assert_eq!(late[0].bytes, empty(Kind::Rst, 2));
    assert_eq!(bench.endpoint.usage().requests, 0);
}

#[test]
fn a_cancelled_observation_is_taken_back_and_rejected() {
    let (mut bench, sent) = observing();
    let id = bench.answers[0].0;
    bench.endpoint.cancel(bench.now, id);
    let taken_back = bench.drain().remove(0);
    assert_eq!((taken_back.uint(option::OBSERVE), &taken_back.token), (Some(1), &sent.token));
    bench.hear(&answer(&taken_back, Code::CONTENT, &[], b"x"));
    let mut late = notification(&sent, 2, 20, b"x");
    assert_eq!(bench.hear(&late)[0].bytes, empty(Kind::Rst, 2));
    late[0] |= 0x10;
    late[3] = 3;
    assert_eq!(bench.hear(&late)[0].bytes, empty(Kind::Rst, 3));
    assert_eq!((bench.answers.len(), bench.notifications.len()), (1, 0));
    assert_eq!(bench.wait(100_000), []);
}

#[test]
fn a_large_notification_is_fetched() {
    let (mut bench, sent) = observing();
    let value = block(0, true, 0);
    let options = [(option::OBSERVE, &[20][..]), (option::BLOCK2, &value)];
    let first = message(Kind::Con, Code::CONTENT, 1, &sent.token, &options, &[5; 16]);
    let fetch = bench.hear(&first).remove(1);
    assert_eq!((fetch.uint(option::OBSERVE), fetch.uint(option::BLOCK2)), (None, Some(1 << 4)));
    let value = block(1, false, 0);
    bench.hear(&answer(&fetch, Code::CONTENT, &[(option::BLOCK2, &value)], &[6; 3]));
    assert_eq!(bench.notifications[0].1.payload, [&[5; 16][..], &[6; 3]].concat());
}

#[test]
fn a_cancelled_request_is_not_repeated() {
    let mut bench = Bench::new();
    let id = bench.endpoint.request(bench.now, PEER, Request::new(Method::Get, "r")).unwrap();
    let sent = bench.drain().remove(0);
    bench.endpoint.cancel(bench.now, id);
    assert_eq!(bench.wait(50_000), []);
    bench.hear(&answer(&sent, Code::CONTENT, &[], b"x"));
    assert_eq!((bench.answers.len(), bench.endpoint.usage().bytes), (0, 0));
}

#[test]
fn a_peer_that_wakes_gets_at_once_what_it_has_not_acknowledged() {
    let mut bench = Bench::new();
    let first = ask(&mut bench, Request::new(Method::Put, "r").payload(0, b"on".to_vec()));
    bench.endpoint.awake(bench.now, PEER);
    assert!(bench.drain().is_empty(), "it was sent just now");
    // Two repetitions are lost on a peer that sleeps; the next one is far away.
    assert_eq!(bench.wait(12_000).len(), 2);
    bench.endpoint.awake(bench.now, PEER);
    let again = bench.drain();
    assert_eq!((again.len(), &again[0].bytes), (1, &first.bytes));
    bench.endpoint.awake(bench.now, PEER);
    assert!(bench.drain().is_empty(), "once for each sign of life within ACK_TIMEOUT");
    bench.hear(&answer(&first, Code::CHANGED, &[], b""));
    bench.wait(5_000);
    bench.endpoint.awake(bench.now, PEER);
    assert!(bench.drain().is_empty() && bench.answers.len() == 1);
}
