//! Topics and payloads for a broker.

use std::time::Duration;

use proptest::{collection, prelude::*};
use sluicegate_device::{
    Bytes, Report,
    actuator::Outcome,
    coap::Code,
    mqtt::{self, Ack},
    reporter::Reporter,
    senml::Format,
};

#[test]
fn the_topics_are_those_of_the_gateway() {
    assert_eq!(mqtt::reading_topic("t-1", 7).unwrap().as_str(), "sluicegate/t-1/readings/7");
    assert_eq!(mqtt::ack_topic("t-1").unwrap().as_str(), "sluicegate/t-1/readings/ack");
    assert_eq!(mqtt::act_filter("t-1").unwrap().as_str(), "sluicegate/t-1/act/+");
    let result = mqtt::result_topic("t-1", "valve").unwrap();
    assert_eq!(result.as_str(), "sluicegate/t-1/act/valve/result");
    assert!(mqtt::reading_topic(&"x".repeat(90), 7).is_err());
    let resource = |topic| mqtt::act_resource("t-1", topic);
    assert_eq!(resource("sluicegate/t-1/act/valve"), Some("valve"));
    for other in ["sluicegate/t-2/act/valve", "sluicegate/t-1/act/", result.as_str(), "valve"] {
        assert_eq!(resource(other), None, "{other}");
    }
}

#[test]
fn acknowledgements_are_read() {
    let logged = mqtt::parse_ack(br#"{"seq":7,"index":42}"#);
    assert_eq!(logged, Ok(Ack::Logged { seq: 7, index: 42 }));
    let refused = mqtt::parse_ack(br#"{"error":"4.29","seq":18446744073709551615,"more":[1]}"#);
    let code = Code::TOO_MANY_REQUESTS;
    assert_eq!(refused, Ok(Ack::Refused { seq: u64::MAX, code, reason: None }));
    let refused = mqtt::parse_ack(br#"{"seq":7,"error":"4.00","reason":"record 3: no \"field\""}"#);
    let Ok(Ack::Refused { code, reason: Some(reason), .. }) = refused else { panic!() };
    assert_eq!(code, Code::BAD_REQUEST);
    assert_eq!(reason, "record 3: no \"field\"");
    for wrong in [
        "",
        "7",
        "{}",
        r#"{"seq":7}"#,
        r#"{"index":42}"#,
        r#"{"seq":"7","index":42}"#,
        r#"{"seq":-7,"index":42}"#,
        r#"{"seq":7.0,"index":42}"#,
        r#"{"seq":7,"seq":7,"index":42}"#,
        r#"{"seq":7,"index":42,"error":"4.00"}"#,
        r#"{"seq":7,"error":"2.04"}"#,
        r#"{"seq":7,"error":"4.32"}"#,
        r#"{"seq":7,"error":"4.000"}"#,
        r#"{"seq":7,"error":"400"}"#,
        r#"{"seq":7,"error":4.00}"#,
        r#"{"seq":7,"error":"4.00","reason":1}"#,
        r#"{"seq":7,"index":42}x"#,
    ] {
        assert!(mqtt::parse_ack(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn commands_are_read_and_results_written() {
    let command = mqtt::parse_command(br#"{"id":1,"value":"open","until":1795180000}"#).unwrap();
    assert_eq!((command.id, command.until), (Some(1), Some(1_795_180_000)));
    assert_eq!(command.value.as_str(), "open");
    for (value, text) in [("true", "true"), ("-1.50e3", "-1.50e3"), (r#""\u0041""#, "A")] {
        let payload = format!(r#"{{"value":{value},"id":2}}"#);
        assert_eq!(mqtt::parse_command(payload.as_bytes()).unwrap().value.as_str(), text);
    }
    let long = format!(r#"{{"id":1,"value":"{}"}}"#, "x".repeat(65));
    for wrong in [r#"{"id":1}"#, r#"{"value":"x"}"#, r#"{"id":1,"value":null}"#, &long] {
        assert!(mqtt::parse_command(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let done = Outcome::done(Bytes::new(b"o\"\n").unwrap());
    assert_eq!(mqtt::result(1, &done).as_str(), r#"{"id":1,"ok":true,"value":"o\"\u000a"}"#);
    let late = Outcome::refused(Code::PRECONDITION_FAILED, "too late");
    assert_eq!(mqtt::result(2, &late).as_str(), r#"{"id":2,"ok":false,"reason":"too late"}"#);
}

#[test]
fn a_reading_waits_for_its_acknowledgement() {
    let mut reporter = Reporter::<4, 16>::new(7);
    let now = Duration::from_secs;
    for pack in [b"a", b"b", b"c"] {
        reporter.push(Format::Json, pack).unwrap();
    }
    let ack = |text: &'static str| mqtt::parse_ack(text.as_bytes()).unwrap();
    assert_eq!(reporter.due(now(0)).unwrap().seq, 7);
    reporter.sent(now(0), now(30));
    assert_eq!((reporter.due(now(29)), reporter.next_deadline()), (None, Some(now(30))));
    assert_eq!(reporter.due(now(30)).unwrap().pack, b"a");
    let logged = Some(Report::Logged { seq: 7, index: Some(3) });
    let first = ack(r#"{"seq":7,"index":3}"#);
    assert_eq!(reporter.handle_ack(now(5), &first), logged);
    // The broker delivers at least once.
    assert_eq!(reporter.handle_ack(now(5), &first), None);
    assert_eq!(reporter.due(now(5)).unwrap().seq, 8);
    let (code, pause) = (Code::SERVICE_UNAVAILABLE, now(1));
    let later = reporter.handle_ack(now(5), &ack(r#"{"seq":8,"error":"5.03"}"#));
    assert_eq!(later, Some(Report::Delayed { seq: 8, code, pause }));
    assert_eq!((reporter.due(now(5)), reporter.len()), (None, 2));
    let wrong = ack(r#"{"seq":8,"error":"4.00","reason":"record 0: no name"}"#);
    let (code, diagnostic) = (Code::BAD_REQUEST, &b"record 0: no name"[..]);
    let refused = Some(Report::Refused { seq: 8, code, diagnostic });
    assert_eq!(reporter.handle_ack(now(6), &wrong), refused);
    assert_eq!(reporter.due(now(6)).unwrap().seq, 9);
}

proptest! {
    #[test]
    fn every_result_fits_and_is_read(id: u64, value in "[\\x00-\\x7f]{0,64}", ok: bool) {
        let value = Bytes::new(value.as_bytes()).unwrap();
        let code = if ok { Code::CHANGED } else { Code::BAD_REQUEST };
        let result = mqtt::result(id, &Outcome { code, value });
        let text = result.as_str().replace("\"reason\":", "\"value\":");
        let command = mqtt::parse_command(text.as_bytes()).unwrap();
        prop_assert_eq!((command.id, command.value), (Some(id), value));
    }

    #[test]
    fn no_bytes_panic(bytes in collection::vec(any::<u8>(), 0..60)) {
        let _ = (mqtt::parse_ack(&bytes).is_ok(), mqtt::parse_command(&bytes).is_ok());
    }
}
