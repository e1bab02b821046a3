//! Readings over CoAP: acknowledged once, refused with a reason.

use serde_json::json;
use sluicegate_coap::{Code, Method};

use crate::site::Site;

#[test]
fn a_repeat_gets_the_first_index_through_a_kill_and_a_new_session() {
    let site = Site::new(&[]);
    let gateway = site.gateway();
    let mut device = site.device("meter-1");
    let first = device.log(1);
    assert_eq!(device.log(1), first);
    let last = device.log(5);
    gateway.kill();
    let _gateway = site.gateway();
    let mut device = site.device("meter-1");
    assert_eq!((device.log(1), device.log(5)), (first, last));
    assert!(device.log(6) > last);
    let other = device.post(&["readings"], &["seq=6"], 110, br#"[{"n":"power","v":0}]"#);
    assert_eq!(other.code, Code::new(4, 9));
    let twin = site.twin("meter-1");
    assert_eq!((&twin["gaps"], &twin["highest_seq"]), (&json!([[2, 4]]), &json!(6)));
    assert_eq!(twin["contact"][1], "CoAP");
    assert_eq!(site.rows(), 3);
}

#[test]
fn what_is_wrong_is_named_and_reaches_nothing() {
    let site = Site::new(&[]);
    site.place.configure("name = \"lab-1\"", "name = \"lab-1\"\nreadings_per_second = 1");
    let _gateway = site.gateway();
    let (mut device, mut stranger) = (site.device("meter-1"), site.stranger());
    let pack = br#"[{"n":"power","v":1}]"#;
    for query in [&["seq=1"][..], &["ep=meter-1"], &["ep=nobody"], &["ep=meter-2"]] {
        assert_eq!(stranger.post(&["readings"], query, 110, pack).code, Code::UNAUTHORIZED);
    }
    let get =
        stranger.ask(Method::Get, &["devices", "meter-1", "power"], &["ep=meter-1"], None, &[]);
    assert_eq!((get.code, get.text.as_str()), (Code::UNAUTHORIZED, ""));
    let two = br#"[{"n":"power","v":1},{"n":"power"}]"#;
    for (query, format, payload, code, named) in [
        ("seq=1", 0, &pack[..], Code::UNSUPPORTED_CONTENT_FORMAT, "110"),
        ("seq=1", 110, two, Code::BAD_REQUEST, "record 1"),
        ("seq=x", 110, pack, Code::BAD_REQUEST, "seq"),
        ("seq=1", 112, pack, Code::BAD_REQUEST, ""),
    ] {
        let answer = device.post(&["readings"], &[query], format, payload);
        assert!(answer.code == code && answer.text.contains(named), "{answer:?}");
    }
    let get = device.ask(Method::Get, &["devices", "lab-1", "power"], &[], None, &[]);
    assert_eq!(get.code, Code::FORBIDDEN);
    assert_eq!(site.rows(), 0);
    // Ten seconds' worth may come at once.
    let mut refused = None;
    for seq in 0..20 {
        let query = [format!("seq={seq}"), "ep=lab-1".to_owned()];
        let answer = stranger.post(&["readings"], &[&query[0], &query[1]], 110, pack);
        if answer.code != Code::CHANGED {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("twenty at once are too many");
    assert_eq!((refused.code, refused.max_age), (Code::TOO_MANY_REQUESTS, Some(2)));
    assert!((10..15).contains(&site.rows()), "{}", site.rows());
    assert!(device.log(1) > 0, "nobody else waits");
}
