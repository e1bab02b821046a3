//! Messages: the bytes of RFC 7252 Appendix A, what is not written, round trips.

use proptest::{collection, prelude::*};
use sluicegate_device::coap::{Code, Kind, Message, Token, Writer, option};

use super::*;

#[test]
fn the_examples_of_the_rfc() {
    // Figures 16 and 17: a GET and its piggybacked response, without and with a token.
    let get = b"\x40\x01\x7d\x34\xbbtemperature";
    let message = Message::parse(get).unwrap();
    assert_eq!((message.kind, message.code, message.id), (Kind::Con, Code::GET, 0x7d34));
    assert_eq!(message.option(option::URI_PATH), Some(&b"temperature"[..]));
    assert!(message.token.as_bytes().is_empty() && message.payload.is_empty());
    let content = b"\x60\x45\x7d\x34\xff22.3 C";
    let message = Message::parse(content).unwrap();
    assert_eq!(
        (message.kind, message.code, message.payload),
        (Kind::Ack, Code::CONTENT, &b"22.3 C"[..])
    );
    let get = b"\x41\x01\x7d\x35\x20\xbbtemperature";
    assert_eq!(Message::parse(get).unwrap().token.as_bytes(), b"\x20");
    let mut buffer = [0; 32];
    let token = Token::new(b"\x20").unwrap();
    let mut writer = Writer::new(&mut buffer, Kind::Con, Code::GET, 0x7d35, token);
    let length = writer.option(option::URI_PATH, b"temperature").finish().unwrap();
    assert_eq!(&buffer[..length], get);
}

#[test]
fn what_does_not_fit_or_descends_is_not_written() {
    let mut buffer = [0; 12];
    let mut writer = Writer::new(&mut buffer, Kind::Con, Code::GET, 1, Token::default());
    assert!(writer.option(11, b"1234567").finish().is_ok());
    assert!(writer.payload(b"1").finish().is_err());
    let mut writer = Writer::new(&mut buffer, Kind::Con, Code::GET, 1, Token::default());
    assert!(writer.option(12, b"").option(11, b"").finish().is_err());
    assert!(Token::new(b"123456789").is_none());
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        id: u16,
        token in collection::vec(any::<u8>(), 0..=8),
        mut options in collection::vec((any::<u16>(), collection::vec(any::<u8>(), 0..300)), 0..6),
        payload in collection::vec(any::<u8>(), 0..50),
    ) {
        options.sort_by_key(|(number, _)| *number);
        let mut answer = Answer::new(Kind::Non, Code::CONTENT, id, Token::new(&token).unwrap());
        (answer.options, answer.payload) = (options.clone(), payload.clone());
        let bytes = answer.bytes();
        let message = Message::parse(&bytes).unwrap();
        prop_assert_eq!((message.id, message.token.as_bytes()), (id, &token[..]));
        let read: Vec<_> = message.options().map(|(n, value)| (n, value.to_vec())).collect();
        prop_assert_eq!(read, options);
        prop_assert_eq!(message.payload, payload);
    }

    #[test]
    fn no_bytes_panic(bytes in collection::vec(any::<u8>(), 0..60)) {
        let _ = Message::parse(&bytes).map(|message| message.options().count());
    }
}
