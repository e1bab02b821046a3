//! Hostile local programs: each costs only itself, feeding goes on.

use serde_json::{Value, json};

use crate::{
    client::{Client, reading},
    place::{Place, fed, rows},
};

const ROWS: u64 = 2_000;

#[test]
fn nonsense_costs_its_sender_the_connection_and_nobody_else_anything() {
    let place = Place::with_ledger_in_process();
    let _gateway = place.gateway();
    let feed = place.start_feed(&rows("meter-1", 0..ROWS));
    let overlong = [b"\"".repeat(200_000), b"\n".to_vec()].concat();
    for nonsense in [
        &b"\x00\xff\xfe garbage\n"[..],
        b"{}\n",
        b"{\"reading\":{\"device\":\"meter-1\"}}\n",
        b"{\"reading\":{\"device\":\"meter-1\",\"format\":110,\"payload\":\"[]\",\"more\":1}}\n",
        b"\n",
        b"\"stop\"\n",
        &b"[".repeat(100_000),
        &overlong,
    ] {
        let mut client = place.client();
        client.send(nonsense);
        client.finish();
        let answer = client.answer();
        assert!(answer.is_none_or(|answer| answer["error"].is_string()));
        assert!(client.answer().is_none(), "the connection goes on");
    }
    assert_eq!(fed(&feed.end(), ROWS), 0);
}

#[test]
fn readings_that_break_a_rule_are_refused_by_name_and_the_connection_goes_on() {
    let place = Place::with_ledger_in_process();
    let _gateway = place.gateway();
    let mut client = place.client();
    let good = reading("meter-1", 1);
    for (field, value, named) in [
        ("device", json!("meter-9"), "meter-9"),
        ("device", json!(""), "enrolled"),
        ("format", json!(60), "content format 60"),
        ("payload", json!("21.5 \u{b0}C"), "JSON"),
        ("payload", json!("{}"), "SenML"),
        ("payload", json!("[]"), "SenML"),
        ("payload", json!(format!("[\"{}\"]", "x".repeat(140_000))), "131072 are allowed"),
    ] {
        let mut bad = good.clone();
        bad["reading"][field] = value;
        client.ask(&bad);
        let answer = client.answer().unwrap();
        let reason = answer["refused"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(named), "{field}: {answer}");
        assert_eq!(answer["refused"]["retry"], false, "{answer}");
    }
    client.log_new("meter-1", 1);
}

#[test]
fn who_never_reads_answers_holds_up_nobody() {
    let place = Place::with_ledger_in_process();
    let _gateway = place.gateway();
    let mut deaf = place.client();
    deaf.send_all_that_fits(format!("{}\n", reading("meter-2", 1)).as_bytes());
    assert_eq!(place.feed(&rows("meter-1", 0..ROWS)), 0);
    let mut asking = place.client();
    asking.send_all_that_fits(b"\"status\"\n");
    assert_eq!(place.feed(&rows("meter-1", 0..ROWS)), ROWS);
}

#[test]
fn a_hundred_idle_connections_hold_up_nobody() {
    let place = Place::with_ledger_in_process();
    let gateway = place.gateway();
    let mut idle: Vec<Client> = (0..100).map(|_| place.client()).collect();
    // Half a line is as idle as none.
    for client in &mut idle {
        client.send(b"{\"read");
    }
    assert_eq!(place.feed(&rows("meter-1", 0..ROWS)), 0);
    assert!(place.status()["size"].as_u64() > Some(ROWS));
    assert!(gateway.stop().as_secs() < 2);
}

#[test]
fn a_connection_that_asks_is_kept_while_idle_ones_give_way() {
    let place = Place::with_ledger_in_process();
    let _gateway = place.gateway();
    let mut busy = place.client();
    let mut idle = Vec::new();
    for seq in 0..100 {
        idle.push(place.client());
        assert!(busy.log_new("meter-1", seq) > 0);
    }
    assert_ne!(busy.status(), Value::Null);
}
