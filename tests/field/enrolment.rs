//! Enrolment on a stopped store, before a reload, and its end.

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
    site.place.done(&["device", "remove", "--config", "sluicegate.toml", "valve-1"]);
    gateway.hangup();
    until("its session ends", || {
        device.listen();
        device.closed.then_some(())
    });
    assert!(Device::secure(site.secure, "valve-1", &first).is_none());
    other.log(2);
    meter.log(2);
}
