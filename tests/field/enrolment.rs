//! Enrolment on a stopped store, before a reload, and its end.

use sluicegate_coap::{Code, Method};

use crate::{device::Device, place::alarms, process::until, site::Site};

/// Enrols a device; gives its key as it was printed.
fn add(site: &Site, name: &str) -> [u8; 16] {
    let said = site.place.done(&["device", "add", "--config", "sluicegate.toml", "--no-qr", name]);
    let hex = said.lines().find_map(|line| line.strip_prefix("PSK")).unwrap().trim();
    u128::from_str_radix(hex, 16).unwrap().to_be_bytes()
}

#[test]
fn a_device_gets_in_after_a_start_or_a_reload_and_is_out_after_its_removal() {
    let site = Site::new(&[]);
    let first = add(&site, "valve-1");
    let gateway = site.gateway();
    let mut device = Device::secure(site.secure, "valve-1", &first).expect("it is enrolled");
    device.log(1);
    let second = add(&site, "valve-2");
    gateway.hangup();
    let mut other = until("the reload", || Device::secure(site.secure, "valve-2", &second));
    other.log(1);
    device.log(2);
    let mut meter = site.device("meter-1");
    site.place.configure("[log]", "[log]\nnonsense = 1");
    gateway.hangup();
    site.place.wait_status("the broken file is told", |status| alarms(status).contains("nonsense"));
    device.log(3);
    meter.log(1);
    site.place.configure("[log]\nnonsense = 1", "[log]");
    let rd = device.post(&["rd"], &["ep=valve-1"], 40, b"</valve>");
    assert_eq!(rd.code, Code::CREATED, "{rd:?}");
    let mut registered =
        || meter.ask(Method::Get, &["rd-lookup", "ep"], &["ep=valve-1"], None, &[]).text;
    assert!(registered().contains("valve-1"));
    site.place.done(&["device", "remove", "--config", "sluicegate.toml", "valve-1"]);
    gateway.hangup();
    until("its session ends", || {
        device.listen();
        device.closed.then_some(())
    });
    assert!(Device::secure(site.secure, "valve-1", &first).is_none());
    assert_eq!(registered(), "");
    other.log(2);
    meter.log(2);
}

#[test]
fn a_simple_registration_is_completed_with_the_devices_own_links() {
    let site = Site::new(&[]);
    let _gateway = site.gateway();
    let mut device = site.device("meter-1");
    let rd = device.ask(Method::Post, &[".well-known", "rd"], &["ep=meter-1"], None, &[]);
    assert_eq!(rd.code, Code::CHANGED, "{rd:?}");
    let asked = device.asked();
    assert_eq!(asked.path, ".well-known/core");
    device.answer(&asked, Code::CONTENT, "</valve>;obs;rt=\"valve\",</info>;rt=\"info\"");
    let observed = device.asked();
    assert_eq!(observed.path, "valve");
    device.observed(&observed, "closed");
    let found = device.ask(Method::Get, &["rd-lookup", "res"], &["rt=valve"], None, &[]);
    assert!(found.text.starts_with("<coaps://127.0.0.1:"), "{found:?}");
    assert!(found.text.contains("/valve>") && !found.text.contains("/info>"), "{found:?}");
    until("the state", || {
        (site.twin("meter-1")["state"]["valve"]["value"] == "closed").then_some(())
    });
}

#[test]
fn a_note_is_shown_with_its_device() {
    let site = Site::new(&[]);
    let _gateway = site.gateway();
    let config = ["--config", "sluicegate.toml", "meter-1"];
    let said = site.place.done(&[&["note"][..], &config, &["seal replaced"]].concat());
    assert!(said.contains("noted, leaf "), "{said}");
    let shown = site.place.done(&[&["device", "show"][..], &config].concat());
    let line = shown.lines().find(|line| line.starts_with("note ")).expect("a note");
    assert!(line.ends_with(": seal replaced"), "{line}");
}
