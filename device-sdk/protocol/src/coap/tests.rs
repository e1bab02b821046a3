//! What is refused, and the boundaries of the encoding; devices and gateways test the rest.

use std::vec::Vec;

use super::{
    Code, Kind, Message, Token,
    option::{Header, Iter},
};

#[test]
fn format_errors_are_refused() {
    let refused: [&[u8]; 22] = [
        b"",
        b"\x40\x01\x00",
        b"\x00\x01\x00\x00",
        b"\x80\x01\x00\x00",
        b"\xc0\x01\x00\x00",
        b"\x41\x01\x00\x00",
        b"\x49\x01\x00\x00123456789",
        b"\x4f\x01\x00\x00123456789012345",
        b"\x40\x00\x00\x00\x00",
        b"\x41\x00\x00\x00\x00",
        b"\x40\x00\x00\x00\xff\x00",
        b"\x40\x20\x00\x00",
        b"\x40\x60\x00\x00",
        b"\x40\xc0\x00\x00",
        b"\x40\xe0\x00\x00",
        b"\x40\x01\x00\x00\xff",
        b"\x40\x01\x00\x00\xf0",
        b"\x40\x01\x00\x00\x0f",
        b"\x40\x01\x00\x00\x01",
        b"\x40\x01\x00\x00\xd0",
        b"\x40\x01\x00\x00\xe0\x00",
        b"\x40\x01\x00\x00\xe0\xff\xff",
    ];
    for bytes in refused {
        assert!(Message::parse(bytes).is_err(), "{bytes:02x?}");
    }
    // Option 65535, and one more.
    assert!(Message::parse(b"\x40\x01\x00\x00\xe0\xfe\xf2").is_ok());
    assert!(Message::parse(b"\x40\x01\x00\x00\xe0\xfe\xf2\x10").is_err());
}

#[test]
fn what_may_be_a_message_can_be_rejected() {
    assert_eq!(Message::header(b"\x4f\x01\x12\x34"), Some((Kind::Con, 0x1234)));
    assert_eq!(Message::header(b"\x70\x01\x00\x01\xff"), Some((Kind::Rst, 1)));
    assert_eq!(Message::header(b"\x40\x01\x12"), None);
    assert_eq!(Message::header(b"\x80\x01\x12\x34"), None);
}

#[test]
fn at_most_so_many_options_are_read() {
    for payload in [&b""[..], b"\xffx"] {
        let message = [b"\x40\x01\x00\x00\x10\x10\x10", payload].concat();
        assert!(Message::parse_bounded(&message, 3).is_ok());
        assert!(Message::parse_bounded(&message, 2).is_err());
    }
}

#[test]
fn deltas_and_lengths_have_one_encoding_each() {
    let boundaries = [0, 1, 12, 13, 268, 269, 65_535];
    for (delta, length) in boundaries.iter().flat_map(|a| boundaries.map(|b| (*a, b))) {
        let mut option: Vec<u8> = Header::new(delta, length).as_bytes().into();
        option.resize(option.len() + usize::from(length), 7);
        let read: Vec<_> =
            Iter::new(&option).map(|(number, value)| (number, value.len())).collect();
        assert_eq!(read, [(delta, usize::from(length))]);
    }
    assert_eq!(Header::new(12, 13).as_bytes(), b"\xcd\x00");
    assert_eq!(Header::new(268, 269).as_bytes(), b"\xde\xff\x00\x00");
}

#[test]
fn a_message_begins_with_type_length_of_the_token_code_and_id() {
    let token = Token::new(b"abc").unwrap();
    for kind in [Kind::Ack, Kind::Con, Kind::Non, Kind::Rst] {
        let begin = Message::first_bytes(kind, Code::CONTENT, 0x1234, &token);
        let message = [&begin, token.as_bytes()].concat();
        let read = Message::parse(&message).unwrap();
        assert_eq!((read.kind, read.code, read.id), (kind, Code::CONTENT, 0x1234));
        assert_eq!(read.token, token);
    }
}
