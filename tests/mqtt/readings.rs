//! Readings: logged and acknowledged, or refused with a code and a reason and nothing in the log.

use serde_json::json;

use crate::{
    broker::Login,
    site::{Site, ack, pack, readings},
};

/// Content format of SenML JSON.
const JSON: u16 = 110;

/// `[{"n":"t","v":1}]` in CBOR (RFC 8428 §6).
const CBOR: &[u8] = &[0x81, 0xa2, 0x00, 0x61, b't', 0x02, 0x01];

#[test]
fn a_reading_is_acknowledged_with_its_index_and_a_repeat_gets_the_first_one() {
    let site = Site::new();
    let gateway = site.gateway();
    let device = site.broker.subscribe(&ack("meter-1"));
    site.broker.publish(&readings("meter-1", 7), &pack(230));
    let first = device.wait(&ack("meter-1"), |told| told["seq"] == 7);
    let index = first["index"].as_u64().unwrap();
    assert_eq!(first, json!({ "seq": 7, "index": index }));
    site.broker.publish(&readings("meter-1", 7), &pack(230));
    site.broker.publish("sluicegate/meter-1/readings", &pack(231));
    device.wait(&ack("meter-1"), |told| told.get("seq").is_none());
    let told = device.messages(&ack("meter-1"));
    assert_eq!(told[1], first, "{told:?}");
    let logged = site.logged(gateway);
    assert_eq!(logged, [(JSON, 7, index), (JSON, 0, told[2]["index"].as_u64().unwrap())]);
}

#[test]
fn both_protocol_versions_and_both_formats_are_taken() {
    let site = Site::new();
    let gateway = site.gateway();
    let device = site.broker.subscribe(&ack("meter-1"));
    let file = site.place.path("pack.cbor");
    std::fs::write(&file, CBOR).unwrap();
    let file = file.to_str().unwrap();
    for (seq, version, format) in
        [(1, "mqttv311", None), (2, "mqttv5", None), (3, "mqttv5", Some("application/senml+cbor"))]
    {
        let topic = readings("meter-1", seq);
        let mut arguments = vec!["-V", version, "-t", &topic, "-f", file];
        if let Some(format) = format {
            arguments.extend(["-D", "publish", "content-type", format]);
        }
        let output = site.broker.publish_as(Login::default(), &arguments);
        assert!(output.status.success(), "{output:?}");
        let told = device.wait(&ack("meter-1"), |told| told["seq"] == seq);
        assert!(told["index"].is_u64(), "{told}");
    }
    assert!(site.logged(gateway).iter().all(|(format, ..)| *format == 112));
}

#[test]
fn what_breaks_a_rule_gets_its_code_and_no_leaf() {
    let site = Site::new();
    site.place.configure("[log]\n", "[log]\nmax_payload = 1024\n");
    let slow = "name = \"meter-2\"\nreadings_per_second = 1";
    site.place.configure("name = \"meter-2\"", slow);
    let gateway = site.gateway();
    let devices = site.broker.subscribe("sluicegate/+/readings/ack");
    let publish = |seq, payload: &str| site.broker.publish(&readings("meter-1", seq), payload);
    publish(1, r#"[{"n":"a","v":1},{"n":"b","v":2},{"n":"c","v":"x"}]"#);
    publish(2, "no pack");
    publish(3, &pack(230));
    publish(3, &pack(231));
    publish(4, &format!("[{}]", " ".repeat(1_100)));
    let typed = ["-V", "5", "-D", "publish", "content-type", "text/plain", "-m", "[]"];
    let topic = readings("meter-1", 5);
    site.broker.publish_as(Login::default(), &[&typed[..], &["-t", &topic]].concat());
    site.broker.publish(&readings("stranger", 6), &pack(230));
    for topic in ["sluicegate/meter 1/readings/8", "sluicegate/meter-1/readings/x", "sluicegate/x"]
    {
        site.broker.publish(topic, &pack(230));
    }
    let many: Vec<String> = (0..30).map(|_| "[{\"n\":\"a\",\"v\":1}]".to_owned()).collect();
    let lines = site.place.path("lines");
    std::fs::write(&lines, many.join("\n")).unwrap();
    site.broker.publish_lines("sluicegate/meter-2/readings", &lines);

    let code = |device: &str, seq: u64| {
        let told = devices.wait(&ack(device), |told| told["seq"] == seq);
        (told["error"].as_str().unwrap().to_owned(), told["reason"].to_string())
    };
    let (malformed, reason) = code("meter-1", 1);
    assert_eq!(malformed, "4.00");
    assert!(reason.contains("record "), "{reason}");
    assert_eq!(code("meter-1", 2).0, "4.00");
    devices.wait(&ack("meter-1"), |told| told["seq"] == 3 && told["error"] == "4.09");
    assert_eq!(code("meter-1", 4).0, "4.13");
    assert_eq!(code("meter-1", 5).0, "4.15");
    assert_eq!(code("stranger", 6).0, "4.01");
    let fast = devices.wait(&ack("meter-2"), |told| told["error"] == "4.29");
    assert!(fast["retry_after"].is_u64(), "{fast}");
    let health = site.wait_health("malformed");
    assert!(health.contains("1 messages of unknown devices"), "{health}");

    let logged = site.logged(gateway);
    let accepted = devices.messages(&ack("meter-2"));
    let accepted = accepted.iter().filter(|told| told["index"].is_u64()).count();
    assert!((10..30).contains(&accepted), "{accepted}");
    assert_eq!(logged.len(), 1 + accepted, "{logged:?}");
}

#[test]
fn a_flood_of_strangers_costs_nobody_else_anything() {
    let site = Site::new();
    let gateway = site.gateway();
    let devices = site.broker.subscribe("sluicegate/+/readings/ack");
    let lines = site.place.path("lines");
    std::fs::write(&lines, "[]\n".repeat(5_000)).unwrap();
    site.broker.publish_lines("sluicegate/stranger/readings/1", &lines);
    site.broker.publish(&readings("meter-1", 1), &pack(230));
    devices.wait(&ack("meter-1"), |told| told["seq"] == 1);
    let told = devices.messages(&ack("stranger")).len();
    assert!((1..100).contains(&told), "{told}");
    site.wait_health("5000 messages of unknown devices");
    assert_eq!(site.logged(gateway).len(), 1);
}
