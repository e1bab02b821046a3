//! Seeds for the DTLS sessions: handshakes as far as they are the same each time.

use std::time::Instant;

use sluicegate_daemon::net::dtls::Output;
use sluicegate_fuzz::{dtls_place, dtls_table};

use crate::Seed;

const DTLS_1_2: [u8; 2] = [0xFE, 0xFD];

pub(crate) fn seeds() -> Vec<Seed> {
    let first = hello(0, &[]);
    let second = hello(1, &cookie(1, &first));
    let same_place = hello(1, &cookie(0, &first));
    let flight = [key_exchange(b"device"), record(20, 0, 3, &[1]), record(22, 1, 0, &[7; 40])];
    let apart = flight.iter().flat_map(|record| said(1, record)).collect::<Vec<_>>();
    let (whole, stranger) = (flight.concat(), key_exchange(b"stranger"));
    let handshake = |rest: &[u8]| [&said(1, &first)[..], &said(1, &second), rest].concat();
    vec![
        ("dtls_sessions", "hello", said(1, &first)),
        ("dtls_sessions", "flight", handshake(&said(1, &whole))),
        ("dtls_sessions", "flight-apart", handshake(&apart)),
        ("dtls_sessions", "stranger", handshake(&said(1, &stranger))),
        ("dtls_sessions", "again", handshake(&[said(1, &second), pause(), pause()].concat())),
        ("dtls_sessions", "beside", [said(0, &same_place), said(0, &whole)].concat()),
        ("dtls_sessions", "plaintext", said(0, &record(23, 0, 9, b"open"))),
        ("dtls_sessions", "repeated", said(0, &[stranger, record(23, 1, 9, &[5; 30])].concat())),
    ]
}

/// A datagram from a place, as the target reads it.
fn said(place: u8, datagram: &[u8]) -> Vec<u8> {
    let length = u16::try_from(datagram.len()).expect("a datagram is short");
    [&[place][..], &length.to_be_bytes(), datagram].concat()
}

/// A second and a half, long enough for a flight to be sent again.
fn pause() -> Vec<u8> {
    [&[3][..], &1500_u16.to_be_bytes()].concat()
}

fn hello(message: u16, cookie: &[u8]) -> Vec<u8> {
    let length = [u8::try_from(cookie.len()).expect("a cookie is short")];
    // One cipher suite, no compression, and the extended master secret.
    let rest = [0, 2, 0xC0, 0xA8, 1, 0, 0, 4, 0, 0x17, 0, 0];
    let body = [&DTLS_1_2[..], &[0x42; 32], &[0], &length, cookie, &rest].concat();
    record(22, 0, u8::try_from(message).expect("a small number"), &handshake(1, message, &body))
}

fn key_exchange(identity: &[u8]) -> Vec<u8> {
    let length = u16::try_from(identity.len()).expect("an identity is short");
    record(22, 0, 2, &handshake(16, 2, &[&length.to_be_bytes()[..], identity].concat()))
}

fn handshake(message_type: u8, message: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a message is short").to_be_bytes();
    let header = [&[message_type, 0][..], &length, &message.to_be_bytes(), &[0; 4], &length];
    [&header.concat()[..], body].concat()
}

fn record(content_type: u8, epoch: u8, sequence: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a record is short").to_be_bytes();
    let numbers = [0, epoch, 0, 0, 0, 0, 0, sequence];
    [&[content_type][..], &DTLS_1_2, &numbers, &length, content].concat()
}

/// The cookie that the table asks a place for.
fn cookie(place: u8, hello: &[u8]) -> Vec<u8> {
    let now = Instant::now();
    let mut table = dtls_table(now);
    table.receive(now, dtls_place(place), hello);
    let Some(Output::Send(request)) = table.poll_output() else { unreachable!("no answer") };
    request.bytes[28..].to_vec()
}
