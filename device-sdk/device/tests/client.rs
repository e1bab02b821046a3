//! Requests: repetition, separate responses, blocks both ways, Echo.

use sluicegate_device::coap::{Failure, Request, option};

use super::*;

const CONTINUE: Code = Code::CONTINUE;
const TEXT: &[u8] = &[b'x'; 2500];

fn upload(size: usize) -> Request<'static> {
    Request::post("readings", 112, size)
}

/// A Block option: number, more, exponent.
fn block(number: u32, more: bool, exponent: u32) -> u32 {
    number << 4 | u32::from(more) << 3 | exponent
}

#[test]
fn a_request_is_answered_with_its_acknowledgement() {
    let mut endpoint = asking(&Request { query: "a=1&b", ..Request::get("one/two") });
    let datagram = sent(&mut endpoint, seconds(0), &mut Bare(b""));
    let message = Message::parse(&datagram).unwrap();
    assert_eq!((message.kind, message.code, message.id), (Kind::Con, Code::GET, 0xfffe));
    let options: Vec<_> = message.options().collect();
    let expected: [(u16, &[u8]); 4] = [(11, b"one"), (11, b"two"), (15, b"a=1"), (15, b"b")];
    assert_eq!(options, expected);
    assert_eq!(endpoint.request(&Request::get("x")), Err(sluicegate_device::Error::Busy));
    let answer = Answer::to(&datagram, Code::CONTENT).payload(b"22.3 C").bytes();
    let event = endpoint.handle(seconds(1), &answer, &mut Bare(b""));
    assert_eq!(response(event), (Code::CONTENT, &b"22.3 C"[..]));
    assert!(!endpoint.is_busy() && endpoint.next_deadline().is_none());
    // The duplicate of an answer answers nothing any more.
    assert_eq!(endpoint.handle(seconds(1), &answer, &mut Bare(b"")), None);
}

#[test]
fn a_lost_request_is_repeated_four_times_with_back_off() {
    let mut endpoint = asking(&Request::get("x"));
    let first = sent(&mut endpoint, seconds(0), &mut Bare(b""));
    let mut now = endpoint.next_deadline().unwrap();
    assert!((seconds(2)..=seconds(3)).contains(&now), "{now:?}");
    let mut pause = now;
    for _ in 0..4 {
        assert!(endpoint.poll(now - Duration::from_nanos(1), &mut Bare(b"")).is_none());
        assert_eq!(sent(&mut endpoint, now, &mut Bare(b"")), first);
        pause *= 2;
        assert_eq!(endpoint.next_deadline(), Some(now + pause));
        now += pause;
    }
    // MAX_TRANSMIT_WAIT
    assert!(now <= seconds(93));
    let (sent, events) = drain(&mut endpoint, now, &mut Bare(b""));
    assert!(sent.is_empty() && !endpoint.is_busy());
    assert_eq!(events, ["Failed(TimeOut)"]);
}

#[test]
fn a_request_that_nothing_answers_is_known_after_two_repetitions() {
    let mut endpoint = asking(&Request::get("x"));
    let request = sent(&mut endpoint, seconds(0), &mut Bare(b""));
    let mut known = Vec::new();
    for _ in 0..3 {
        known.push((endpoint.is_unanswered(), endpoint.next_deadline().unwrap()));
        sent(&mut endpoint, known.last().unwrap().1, &mut Bare(b""));
    }
    assert_eq!([known[0].0, known[1].0, known[2].0], [false, false, true]);
    assert!((seconds(6)..=seconds(9)).contains(&known[1].1), "{known:?}");
    let answer = Answer::to(&request, Code::CONTENT).bytes();
    endpoint.handle(seconds(20), &answer, &mut Bare(b""));
    assert!(!endpoint.is_unanswered());
}

#[test]
fn a_separate_response_is_acknowledged_each_time() {
    let mut endpoint = asking(&Request::get("x"));
    let request = sent(&mut endpoint, seconds(0), &mut Bare(b""));
    let token = Message::parse(&request).unwrap().token;
    let mut empty = Answer::to(&request, Code::EMPTY);
    empty.token = Token::default();
    assert_eq!(endpoint.handle(seconds(1), &empty.bytes(), &mut Bare(b"")), None);
    // No repetition any more.
    assert!(endpoint.poll(seconds(60), &mut Bare(b"")).is_none());
    let separate = Answer::new(Kind::Con, Code::CONTENT, 0xad7b, token).payload(b"ok").bytes();
    assert_eq!(response(endpoint.handle(seconds(60), &separate, &mut Bare(b""))).1, b"ok");
    let acknowledgement = b"\x60\x00\xad\x7b";
    assert_eq!(sent(&mut endpoint, seconds(60), &mut Bare(b"")), acknowledgement);
    assert_eq!(endpoint.handle(seconds(62), &separate, &mut Bare(b"")), None);
    assert_eq!(sent(&mut endpoint, seconds(62), &mut Bare(b"")), acknowledgement);
}

#[test]
fn a_separate_response_may_overtake_its_acknowledgement_or_never_come() {
    let mut endpoint = asking(&Request::get("x"));
    let request = sent(&mut endpoint, seconds(0), &mut Bare(b""));
    let token = Message::parse(&request).unwrap().token;
    let early = Answer::new(Kind::Non, Code::CONTENT, 5, token).bytes();
    assert_eq!(response(endpoint.handle(seconds(1), &early, &mut Bare(b""))).0, Code::CONTENT);
    endpoint.request(&Request::get("x")).unwrap();
    let request = sent(&mut endpoint, seconds(1), &mut Bare(b""));
    let mut empty = Answer::to(&request, Code::EMPTY);
    empty.token = Token::default();
    endpoint.handle(seconds(1), &empty.bytes(), &mut Bare(b""));
    let deadline = endpoint.next_deadline().unwrap();
    assert_eq!(drain(&mut endpoint, deadline, &mut Bare(b"")).1, ["Failed(TimeOut)"]);
}

#[test]
fn an_answer_to_something_else_changes_nothing() {
    let mut endpoint = asking(&Request::get("x"));
    let request = sent(&mut endpoint, seconds(0), &mut Bare(b""));
    let Message { id, token, .. } = Message::parse(&request).unwrap();
    let other = Token::new(b"other").unwrap();
    for answer in [
        Answer::new(Kind::Ack, Code::CONTENT, id, other),
        Answer::new(Kind::Ack, Code::CONTENT, id ^ 1, token),
        Answer::new(Kind::Rst, Code::EMPTY, id ^ 1, Token::default()),
        Answer::new(Kind::Non, Code::CONTENT, id, other),
    ] {
        assert_eq!(endpoint.handle(seconds(1), &answer.bytes(), &mut Bare(b"")), None);
        assert_eq!(drain(&mut endpoint, seconds(1), &mut Bare(b"")).0.len(), 0);
    }
    let unknown = Answer::new(Kind::Con, Code::CONTENT, 9, other).bytes();
    assert_eq!(endpoint.handle(seconds(1), &unknown, &mut Bare(b"")), None);
    assert_eq!(sent(&mut endpoint, seconds(1), &mut Bare(b"")), b"\x70\x00\x00\x09");
    let reset = Answer::new(Kind::Rst, Code::EMPTY, id, Token::default()).bytes();
    let event = endpoint.handle(seconds(1), &reset, &mut Bare(b""));
    assert_eq!(event, Some(Event::Failed(Failure::Reset)));
}

#[test]
fn a_ping_is_answered_by_a_reset() {
    let mut endpoint = Endpoint::new(SEED, BlockSize::B256);
    endpoint.ping().unwrap();
    assert_eq!(sent(&mut endpoint, seconds(0), &mut Bare(b"")), b"\x40\x00\xff\xfe");
    let event = endpoint.handle(seconds(0), b"\x70\x00\xff\xfe", &mut Bare(b""));
    assert_eq!(event, Some(Event::Pong));
}

/// A gateway that takes an upload; gives what it has taken after each message.
fn take_upload(request: &[u8], body: &mut Vec<u8>, exponent: u32) -> Vec<u8> {
    let message = Message::parse(request).unwrap();
    let Some(value) = message.uint(option::BLOCK1) else {
        body.extend(message.payload);
        return Answer::to(request, Code::CHANGED).payload(b"42").bytes();
    };
    let (size, more) = (16 << (value & 7), value & 8 != 0);
    let offset = usize::try_from(value >> 4).unwrap() * size;
    assert!(message.payload.len() == size || !more);
    assert_eq!(option(request, option::SIZE1).is_some(), offset == 0);
    body.truncate(offset);
    assert_eq!(body.len(), offset, "a gap");
    body.extend(message.payload);
    let answer = Answer::to(request, if more { CONTINUE } else { Code::CHANGED });
    let echoed = block(value >> 4, more, exponent.min(value & 7));
    let answer = answer.uint(option::BLOCK1, echoed);
    if more { answer.bytes() } else { answer.payload(b"42").bytes() }
}

#[test]
fn an_upload_goes_in_blocks_of_the_smaller_size() {
    for (preferred, exponent, messages) in [
        (BlockSize::B1024, 6, 3),
        (BlockSize::B256, 6, 10),
        // The first of 1024 bytes, the others of 256.
        (BlockSize::B1024, 4, 7),
    ] {
        let mut endpoint = Endpoint::new(SEED, preferred);
        endpoint.request(&upload(TEXT.len())).unwrap();
        let (mut body, mut count) = (Vec::new(), 0);
        while endpoint.is_busy() {
            let request = sent(&mut endpoint, seconds(count), &mut Bare(TEXT));
            count += 1;
            // Lost once; the repetition is the same message.
            let late = endpoint.next_deadline().unwrap();
            assert_eq!(sent(&mut endpoint, late, &mut Bare(TEXT)), request);
            let answer = take_upload(&request, &mut body, exponent);
            let event = endpoint.handle(late, &answer, &mut Bare(TEXT));
            assert_eq!(event.is_some(), !endpoint.is_busy());
            // The duplicate of an answer is not the answer to the next block.
            assert_eq!(endpoint.handle(late, &answer, &mut Bare(TEXT)), None);
        }
        assert!(body == TEXT && count == messages, "{count}");
    }
}

#[test]
fn a_small_body_goes_in_one_message() {
    let mut endpoint = asking(&upload(5));
    let request = sent(&mut endpoint, seconds(0), &mut Bare(b"12345"));
    assert_eq!(option(&request, option::BLOCK1), None);
    assert_eq!(option(&request, option::CONTENT_FORMAT), Some(112));
    assert_eq!(Message::parse(&request).unwrap().payload, b"12345");
}

#[test]
fn an_upload_begins_again_after_a_gap_and_smaller_after_4_13() {
    let mut endpoint = asking(&upload(TEXT.len()));
    let request = sent(&mut endpoint, seconds(0), &mut Bare(TEXT));
    let smaller = Answer::to(&request, Code::REQUEST_ENTITY_TOO_LARGE)
        .uint(option::BLOCK1, block(0, false, 5));
    assert_eq!(endpoint.handle(seconds(0), &smaller.bytes(), &mut Bare(TEXT)), None);
    let request = sent(&mut endpoint, seconds(0), &mut Bare(TEXT));
    assert_eq!(option(&request, option::BLOCK1), Some(block(0, true, 5)));
    let go_on = Answer::to(&request, CONTINUE).uint(option::BLOCK1, block(0, true, 5)).bytes();
    assert_eq!(endpoint.handle(seconds(0), &go_on, &mut Bare(TEXT)), None);
    // Not for ever.
    for number in [1, 0, 0, 0] {
        let request = sent(&mut endpoint, seconds(0), &mut Bare(TEXT));
        assert_eq!(option(&request, option::BLOCK1), Some(block(number, true, 5)));
        let gap = Answer::to(&request, Code::REQUEST_ENTITY_INCOMPLETE).bytes();
        assert_eq!(endpoint.handle(seconds(0), &gap, &mut Bare(TEXT)), None);
    }
    let request = sent(&mut endpoint, seconds(0), &mut Bare(TEXT));
    let gap = Answer::to(&request, Code::REQUEST_ENTITY_INCOMPLETE).bytes();
    assert_eq!(
        response(endpoint.handle(seconds(0), &gap, &mut Bare(TEXT))).0,
        Code::REQUEST_ENTITY_INCOMPLETE
    );
}

#[test]
fn an_answer_to_another_block_ends_the_upload() {
    for value in [block(1, true, 6), block(0, true, 6) | 1 << 24] {
        let mut endpoint = asking(&upload(TEXT.len()));
        let request = sent(&mut endpoint, seconds(0), &mut Bare(TEXT));
        let answer = Answer::to(&request, CONTINUE).uint(option::BLOCK1, value).bytes();
        let event = endpoint.handle(seconds(0), &answer, &mut Bare(TEXT));
        assert_eq!(event, Some(Event::Failed(Failure::Block)));
    }
    // 2.31 for a body that was complete.
    let mut endpoint = asking(&upload(5));
    let request = sent(&mut endpoint, seconds(0), &mut Bare(b"12345"));
    let answer = Answer::to(&request, CONTINUE).bytes();
    let event = endpoint.handle(seconds(0), &answer, &mut Bare(b""));
    assert_eq!(event, Some(Event::Failed(Failure::Block)));
}

#[test]
fn a_body_that_is_shorter_than_announced_is_not_sent() {
    let mut endpoint = asking(&upload(6));
    let (sent, events) = drain(&mut endpoint, seconds(0), &mut Bare(b"12345"));
    assert!(sent.is_empty());
    assert_eq!(events, ["Failed(TooLong)"]);
}

#[test]
fn a_download_comes_in_blocks() {
    let mut endpoint = Endpoint::new(SEED, BlockSize::B512);
    endpoint.request(&Request::get("readings/7/proof")).unwrap();
    let mut body: Vec<u8> = Vec::new();
    let mut numbers = Vec::new();
    while endpoint.is_busy() {
        let request = sent(&mut endpoint, seconds(0), &mut Bare(b""));
        let asked = option(&request, option::BLOCK2).unwrap();
        numbers.push(asked);
        let (offset, size) = (usize::try_from(asked >> 4).unwrap() * 256, 256);
        assert!(asked & 7 == 4 || asked == 5);
        let piece = &TEXT[offset..TEXT.len().min(offset + size)];
        let more = offset + size < TEXT.len();
        let answer = Answer::to(&request, Code::CONTENT).option(option::ETAG, b"e");
        let answer = answer.uint(option::BLOCK2, block(asked >> 4, more, 4)).payload(piece).bytes();
        let event = endpoint.handle(seconds(0), &answer, &mut Bare(b""));
        let Some(Event::Response(response)) = event else { panic!("{event:?}") };
        assert_eq!((response.offset, response.more), (offset, more));
        body.extend(response.payload);
    }
    assert_eq!(body, TEXT);
    assert_eq!(numbers[..3], [block(0, false, 5), block(1, false, 4), block(2, false, 4)]);
}

#[test]
fn a_download_that_changes_or_has_a_gap_fails() {
    let full = [b'x'; 256];
    let first = |endpoint: &mut Endpoint| {
        let request = sent(endpoint, seconds(0), &mut Bare(b""));
        let answer = Answer::to(&request, Code::CONTENT).option(option::ETAG, b"1");
        let answer = answer.uint(option::BLOCK2, block(0, true, 4)).payload(&full).bytes();
        assert!(endpoint.handle(seconds(0), &answer, &mut Bare(b"")).is_some());
        sent(endpoint, seconds(0), &mut Bare(b""))
    };
    for (etag, value, payload, failure) in [
        (b"2", block(1, false, 4), &full[..9], Failure::Changed),
        (b"1", block(2, false, 4), &full[..9], Failure::Block),
        (b"1", block(1, true, 4), &full[..9], Failure::Block),
        (b"1", block(1, true, 3), &full[..], Failure::Block),
        (b"1", block(1, true, 7), &full[..], Failure::Block),
    ] {
        let mut endpoint = asking(&Request::get("x"));
        let request = first(&mut endpoint);
        let answer = Answer::to(&request, Code::CONTENT).option(option::ETAG, etag);
        let answer = answer.uint(option::BLOCK2, value).payload(payload).bytes();
        let event = endpoint.handle(seconds(0), &answer, &mut Bare(b""));
        assert_eq!(event, Some(Event::Failed(failure)), "{value:x}");
    }
    let mut endpoint = asking(&Request::get("x"));
    let request = first(&mut endpoint);
    let whole = Answer::to(&request, Code::CONTENT).payload(b"whole").bytes();
    let event = endpoint.handle(seconds(0), &whole, &mut Bare(b""));
    assert_eq!(event, Some(Event::Failed(Failure::Block)));
}

#[test]
fn a_challenge_is_answered_with_its_echo_a_few_times() {
    let mut endpoint = asking(&upload(5));
    let mut request = sent(&mut endpoint, seconds(0), &mut Bare(b"12345"));
    for challenge in [b"one", b"two", b"tri", b"for"] {
        let answer = Answer::to(&request, Code::UNAUTHORIZED).option(option::ECHO, challenge);
        assert_eq!(endpoint.handle(seconds(0), &answer.bytes(), &mut Bare(b"12345")), None);
        let again = sent(&mut endpoint, seconds(0), &mut Bare(b"12345"));
        let message = Message::parse(&again).unwrap();
        assert_eq!(message.option(option::ECHO), Some(&challenge[..]));
        assert_eq!(message.payload, b"12345");
        assert_ne!(message.id, Message::parse(&request).unwrap().id);
        request = again;
    }
    let answer = Answer::to(&request, Code::UNAUTHORIZED).option(option::ECHO, b"5").bytes();
    let event = endpoint.handle(seconds(0), &answer, &mut Bare(b""));
    assert_eq!(response(event).0, Code::UNAUTHORIZED);
}

#[test]
fn the_longest_request_fits() {
    let path = "a/".repeat(23) + "bc";
    let query = "a&".repeat(47) + "bc";
    let accept = Some(65_535);
    let mut endpoint = Endpoint::new(SEED, BlockSize::B1024);
    let post = Request::post(&path, 65_535, TEXT.len());
    endpoint.request(&Request { query: &query, accept, ..post }).unwrap();
    let request = sent(&mut endpoint, seconds(0), &mut Bare(TEXT));
    let challenge = Answer::to(&request, Code::UNAUTHORIZED).option(option::ECHO, &[1; 40]);
    assert_eq!(endpoint.handle(seconds(0), &challenge.bytes(), &mut Bare(TEXT)), None);
    let request = sent(&mut endpoint, seconds(0), &mut Bare(TEXT));
    assert_eq!(Message::parse(&request).unwrap().payload.len(), 1024);
    assert!(endpoint.request(&Request::get(&"a".repeat(49))).is_err());
}
