//! Seeds for `sluicegate-coap`.

use sluicegate_coap::{
    Code,
    message::{Kind, Token, Writer, empty},
    option,
};

use crate::Seed;

pub(crate) fn seeds() -> Vec<Seed> {
    let get = message(Kind::Con, Code(1), 1, &[(option::URI_PATH, b"temperature")], b"");
    let observe =
        message(Kind::Con, Code(1), 2, &[(option::OBSERVE, b""), (option::URI_PATH, b"r")], b"");
    let first = block(3, &[0x0a], &[1; 64]);
    let last = block(4, &[0x12], &[2; 9]);
    let put = message(Kind::Non, Code(3), 5, &[(option::URI_PATH, b"r")], b"1");
    let second = message(
        Kind::Con,
        Code(1),
        6,
        &[(option::URI_PATH, b"temperature"), (option::BLOCK2, &[0x10])],
        b"",
    );
    let content = message(Kind::Con, Code::CONTENT, 7, &[(option::OBSERVE, &[5])], b"22.3 C");
    vec![
        ("coap_message", "get", get.clone()),
        ("coap_message", "observe", observe.clone()),
        ("coap_message", "block", first.clone()),
        ("coap_message", "content", content.clone()),
        ("coap_message", "ping", empty(Kind::Con, 9).to_vec()),
        ("coap_message", "unknown-critical", message(Kind::Con, Code(1), 8, &[(9, b"x")], b"")),
        ("coap_message", "marker-without-payload", [&get[..], &[0xff]].concat()),
        ("coap_message", "version-0", [&[0x00], &get[1..]].concat()),
        ("coap_endpoint", "get", script(&[(0, &get), (8, b"x"), (0, &get), (7, &[9; 200])])),
        ("coap_endpoint", "slow", script(&[(0, &get), (6, &[0; 60]), (8, b"x"), (7, &[0; 99])])),
        ("coap_endpoint", "large", script(&[(0, &get), (8, &[7; 60]), (0, &second)])),
        ("coap_endpoint", "blocks", script(&[(0, &first), (0, &last), (0, &last), (8, b"x")])),
        ("coap_endpoint", "observe", script(&[(0, &observe), (8, b"x"), (10, b"y"), (10, b"z")])),
        ("coap_endpoint", "unproven", script(&[(0xe0, &get), (8, &[1; 99]), (0xe0, &put)])),
        (
            "coap_endpoint",
            "client",
            script(&[(11, &[1; 200]), (13, b""), (0, &content), (14, b"")]),
        ),
        ("link_format", "node", b"</sensors/temp>;ct=41;rt=\"temperature-c\";obs".to_vec()),
        (
            "link_format",
            "two",
            b"</a>;title=\"x \\\" y\",<coap://a.example/b>;rel=alternate".to_vec(),
        ),
        ("link_format", "empty", Vec::new()),
        ("link_format", "open", b"</a>;title=\"x".to_vec()),
    ]
}

fn message(kind: Kind, code: Code, id: u16, options: &[(u16, &[u8])], payload: &[u8]) -> Vec<u8> {
    let token = Token::new(b"\x4a").expect("one byte is a token");
    let mut writer = Writer::new(kind, code, id, token, 64);
    options.iter().for_each(|(number, value)| writer.option(*number, value));
    writer.payload(payload)
}

fn block(id: u16, block: &[u8], payload: &[u8]) -> Vec<u8> {
    let options = [(option::URI_PATH, &b"r"[..]), (option::BLOCK1, block)];
    message(Kind::Con, Code(3), id, &options, payload)
}

/// Steps as the target reads them.
fn script(steps: &[(u8, &[u8])]) -> Vec<u8> {
    let step = |(what, bytes): &(u8, &[u8])| {
        let length = u8::try_from(bytes.len()).expect("a step is short");
        [&[*what, length], *bytes].concat()
    };
    steps.iter().flat_map(step).collect()
}
