//! Ports that are in use, and datagrams that can't be answered.

use std::net::UdpSocket;

use crate::{
    device::Device,
    place::alarms,
    process::until,
    site::{Site, key},
};

#[test]
fn a_port_in_use_is_told_and_taken_when_it_is_free() {
    let site = Site::new(&[]);
    let taken = UdpSocket::bind(site.secure).unwrap();
    let _gateway = site.gateway();
    let status =
        site.place.wait_status("the alarm", |status| alarms(status).contains("coaps is NOT"));
    assert!(status["field"].to_string().contains("coaps: NOT served"), "{status}");
    assert!(status["field"].to_string().contains("1 device has NO SECURITY"), "{status}");
    let pack = br#"[{"n":"power","v":1}]"#;
    let answer = site.stranger().post(&["readings"], &["seq=1", "ep=lab-1"], 110, pack);
    assert!(answer.text.parse::<u64>().is_ok(), "{answer:?}");
    site.place.client().log_new("meter-2", 1);
    drop(taken);
    let mut device = until("the port", || Device::secure(site.secure, "meter-1", &key("meter-1")));
    device.log(1);
    let status = site.place.status();
    assert!(!status["field"].to_string().contains("NOT served"), "{status}");
}
