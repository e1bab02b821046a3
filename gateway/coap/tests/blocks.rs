//! Block-wise transfers (RFC 7959), with the sequences of its section 3.

use sluicegate_coap::{
    Code, Response, Settings,
    block::Block,
    message::{Kind, empty},
    option,
};

use crate::bench::{Bench, block, body, get, get_observe, message, put_block};

fn get_block(id: u16, path: &str, (number, exponent): (u32, u8)) -> Vec<u8> {
    let value = block(number, false, exponent);
    let options = [(option::URI_PATH, path.as_bytes()), (option::BLOCK2, &value[..])];
    message(Kind::Con, Code(1), id, &[9], &options, &[])
}

fn block2(sent: &crate::bench::Sent) -> (u32, bool, u8) {
    let Block { number, more, exponent } =
        Block::decode(sent.uint(option::BLOCK2).unwrap()).unwrap();
    (number, more, exponent)
}

/// Figure 2: a simple block-wise GET.
#[test]
fn a_large_answer_comes_in_blocks_of_one_representation() {
    let mut bench = Bench::new();
    let whole = body(2500);
    bench.hear(&get(1, &[1], "status"));
    let first = bench.answer(Response::content(0, whole.clone())).remove(0);
    assert_eq!((block2(&first), first.kind), ((0, true, 6), Kind::Ack));
    let mut read = first.payload.clone();
    for number in 1..3 {
        let sent = bench.hear(&get_block(number as u16 + 1, "status", (number, 6))).remove(0);
        assert_eq!(block2(&sent), (number, number == 1, 6));
        assert_eq!(sent.options.first(option::ETAG), first.options.first(option::ETAG));
        assert_eq!(sent.uint(option::CONTENT_FORMAT), Some(0));
        read.extend(sent.payload);
    }
    assert!(bench.asked.is_empty());
    assert_eq!(read, whole);
    assert_eq!(bench.hear(&get_block(9, "status", (3, 6)))[0].code, Code::BAD_REQUEST);
}

/// Figure 3: the client asks for a size at once; figure 4: only for the second block.
#[test]
fn a_client_may_ask_for_smaller_blocks_at_any_time() {
    let mut bench = Bench::new();
    let whole = body(200);
    bench.hear(&get_block(1, "status", (0, 2)));
    let first = bench.answer(Response::content(0, whole.clone())).remove(0);
    assert_eq!((block2(&first), &first.payload[..]), ((0, true, 2), &whole[..64]));
    let second = bench.hear(&get_block(2, "status", (2, 1))).remove(0);
    assert_eq!((block2(&second), &second.payload[..]), ((2, true, 1), &whole[64..96]));
}

#[test]
fn blocks_of_an_answer_that_was_not_kept_come_from_the_application() {
    let settings = Settings { representations_per_peer: 0, ..Settings::default() };
    let mut bench = Bench::with(settings);
    let mut tags = vec![];
    for (number, fill) in [(0, 1), (1, 1), (2, 2)] {
        bench.hear(&get_block(number as u16, "r", (number, 6)));
        let sent = bench.answer(Response::content(0, [fill; 3000])).remove(0);
        assert_eq!(block2(&sent).0, number);
        tags.push(sent.options.first(option::ETAG).unwrap().to_vec());
    }
    assert_eq!(tags[0], tags[1]);
    assert_ne!(tags[1], tags[2]);
}

#[test]
fn a_kept_answer_is_dropped_when_nobody_asks() {
    let mut bench = Bench::new();
    bench.hear(&get(1, &[1], "r"));
    bench.answer(Response::content(0, body(5_000)));
    assert!(bench.endpoint.usage().bytes > 5_000);
    bench.wait(61_000);
    assert!(bench.endpoint.usage().bytes < 1_500);
    bench.hear(&get_block(2, "r", (1, 6)));
    assert_eq!(bench.asked.len(), 1);
}

/// Figure 7: a simple atomic block-wise PUT.
#[test]
fn a_body_comes_in_blocks_and_is_handed_on_once() {
    let mut bench = Bench::new();
    let whole = body(300);
    for (number, more) in [(0, true), (1, true)] {
        let part = &whole[number as usize * 128..][..128];
        let sent = bench.hear(&put_block(number as u16, "options", (number, more, 3), part));
        assert_eq!(sent[0].code, Code::CONTINUE);
        assert_eq!(sent[0].uint(option::BLOCK1), Some(number << 4 | 8 | 3));
    }
    assert!(bench.asked.is_empty());
    bench.hear(&put_block(2, "options", (2, false, 3), &whole[256..]));
    assert_eq!(bench.asked[0].request.payload, whole);
    assert_eq!(bench.asked[0].request.options.first(option::BLOCK1), None);
    let sent = bench.answer(Response::new(Code::CHANGED));
    assert_eq!((sent[0].code, sent[0].uint(option::BLOCK1)), (Code::CHANGED, Some(2 << 4 | 3)));
}

/// Figure 9: the server asks for smaller blocks.
#[test]
fn the_server_may_ask_for_smaller_blocks() {
    let mut bench = Bench::with(Settings { block: 1, ..Settings::default() });
    let whole = body(150);
    let first = bench.hear(&put_block(1, "options", (0, true, 3), &whole[..128]));
    assert_eq!(first[0].uint(option::BLOCK1), Some(8 | 1));
    bench.hear(&put_block(2, "options", (4, false, 1), &whole[128..]));
    assert_eq!(bench.asked[0].request.payload, whole);
}

#[test]
fn a_block_sent_again_under_a_new_id_changes_nothing() {
    let mut bench = Bench::new();
    for (id, number) in [(1, 0), (2, 1), (3, 1)] {
        let sent = bench.hear(&put_block(id, "r", (number, true, 0), &[number as u8; 16]));
        assert_eq!(sent[0].code, Code::CONTINUE);
    }
    let other = bench.hear(&put_block(4, "r", (1, true, 0), &[7; 16]));
    assert_eq!(other[0].code, Code::REQUEST_ENTITY_INCOMPLETE);
}

#[test]
fn a_block_of_the_wrong_length_or_size_is_a_bad_request() {
    let mut bench = Bench::new();
    for (id, block, length) in [
        (1, (0, true, 0), 15),
        (2, (0, true, 0), 17),
        (3, (0, false, 0), 17),
        (4, (0, true, 7), 1024),
    ] {
        let sent = bench.hear(&put_block(id, "r", block, &body(length)));
        assert_eq!(sent[0].code, Code::BAD_REQUEST, "{id}");
    }
    assert!(bench.asked.is_empty());
}

#[test]
fn a_body_announced_too_large_is_refused_with_its_first_block() {
    let mut bench = Bench::new();
    let first = block(0, true, 0);
    let size = [0, 0x10, 0, 0];
    let options = [(11, &b"r"[..]), (option::BLOCK1, &first), (option::SIZE1, &size)];
    let sent = bench.hear(&message(Kind::Con, Code(2), 1, &[], &options, &[0; 16]));
    assert_eq!(sent[0].code, Code::REQUEST_ENTITY_TOO_LARGE);
    assert_eq!(sent[0].uint(option::SIZE1), Some(256 * 1024));
    assert_eq!(bench.endpoint.usage().bytes, sent[0].bytes.len());
}

#[test]
fn a_transfer_that_stands_still_is_dropped() {
    let mut bench = Bench::new();
    bench.hear(&put_block(1, "r", (0, true, 6), &[0; 1024]));
    bench.wait(59_000);
    assert!(bench.endpoint.usage().bytes >= 1024);
    bench.wait(1_000);
    assert!(bench.endpoint.usage().bytes < 100);
    let sent = bench.hear(&put_block(2, "r", (1, false, 6), &[0; 10]));
    assert_eq!(sent[0].code, Code::REQUEST_ENTITY_INCOMPLETE);
}

#[test]
fn the_blocks_of_a_transfer_do_not_count_as_requests() {
    let mut bench = Bench::with(Settings { rate: 1, burst: 2, ..Settings::default() });
    for number in 0..100u16 {
        let sent = bench.hear(&put_block(number, "r", (number.into(), true, 0), &[0; 16]));
        assert_eq!(sent[0].code, Code::CONTINUE);
    }
    bench.hear(&get(200, &[1], "large"));
    bench.answer(Response::content(0, body(1000 * 50)));
    for number in 1..48 {
        let sent = bench.hear(&get_block(200 + number, "large", (number.into(), 6)));
        assert_eq!(sent[0].code, Code::CONTENT);
    }
}

/// Figure 12: a large answer to a large POST.
#[test]
fn a_large_answer_to_a_large_request() {
    let mut bench = Bench::new();
    let whole = body(2000);
    bench.hear(&put_block(1, "soap", (0, true, 6), &whole[..1024]));
    bench.hear(&put_block(2, "soap", (1, false, 6), &whole[1024..]));
    let mut response = Response::new(Code::CHANGED);
    response.payload = whole.clone();
    let sent = bench.answer(response).remove(0);
    assert_eq!((block2(&sent), sent.uint(option::BLOCK1)), ((0, true, 6), Some(1 << 4 | 6)));
    let value = block(1, false, 6);
    let options = [(11, &b"soap"[..]), (option::BLOCK2, &value)];
    let next = message(Kind::Con, Code(3), 3, &[9], &options, &[]);
    assert_eq!(bench.hear(&next)[0].payload, whole[1024..]);
    bench.wait(61_000);
    let next = message(Kind::Con, Code(3), 4, &[9], &options, &[]);
    assert_eq!(bench.hear(&next)[0].code, Code::REQUEST_ENTITY_INCOMPLETE);
    assert!(bench.asked.is_empty());
}

/// RFC 7959 figure 13: a large notification; its further blocks are fetched by GET.
#[test]
fn a_large_notification_is_fetched_block_by_block() {
    let mut bench = Bench::new();
    bench.hear(&get_observe(1, &[1], "large", 0));
    let observation = bench.asked[0].observe.unwrap();
    bench.accept(Response::content(0, "small"));
    bench.endpoint.notify(bench.now, observation, Response::content(0, body(1500)));
    let sent = bench.drain().remove(0);
    assert_eq!((block2(&sent), sent.payload.len()), ((0, true, 6), 1024));
    bench.hear(&empty(Kind::Ack, sent.id));
    assert_eq!(bench.hear(&get_block(2, "large", (1, 6)))[0].payload, body(1500)[1024..]);
}

#[test]
fn the_size_of_an_answer_is_told_when_asked() {
    let mut bench = Bench::new();
    let options = [(11, &b"r"[..]), (option::SIZE2, &[])];
    bench.hear(&message(Kind::Con, Code(1), 1, &[], &options, &[]));
    assert_eq!(bench.answer(Response::content(0, body(5000)))[0].uint(option::SIZE2), Some(5000));
}
