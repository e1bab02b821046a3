//! Commands over CoAP: to a device that sleeps, through a kill, with one effect and one result.

use serde_json::Value;
use sluicegate_coap::Code;

use crate::{device::Device, process::Process, site::Site};

fn act(site: &Site, value: &str, more: &[&str]) -> Process {
    let head = ["act", "--config", "sluicegate.toml", "meter-1", "valve", value];
    site.place.start(&[&head, more].concat())
}

fn command<'a>(twin: &'a Value, value: &str) -> &'a Value {
    let commands = twin["commands"].as_array().unwrap();
    commands.iter().find(|command| command["value"] == value).unwrap()
}

fn id(query: &[String]) -> &str {
    query.iter().find_map(|part| part.strip_prefix("id=")).unwrap()
}

#[test]
fn a_sleeping_device_gets_it_with_its_next_contact_through_a_kill_and_acts_once() {
    let site = Site::new(&[]);
    let gateway = site.gateway();
    let ended = act(&site, "open", &["--wait", "100ms"]).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    gateway.kill();
    let gateway = site.gateway();
    let mut device = site.device("meter-1");
    device.log(1);
    let first = device.asked();
    assert_eq!((first.path.as_str(), &first.payload[..]), ("valve", &b"open"[..]));
    assert!(first.query.iter().any(|part| part.starts_with("until=")), "{first:?}");
    // Its answer is lost, and then the gateway.
    gateway.kill();
    let _gateway = site.gateway();
    let mut device = site.device("meter-1");
    device.log(2);
    let again = device.asked();
    assert_eq!((id(&again.query), &again.payload), (id(&first.query), &first.payload));
    device.answer(&again, Code::CHANGED, "is open");
    let mut state = Value::Null;
    for seq in 3.. {
        state = command(&site.twin("meter-1"), "open")["state"].clone();
        if state != "waiting" || seq > 20 {
            break;
        }
        device.log(seq);
    }
    assert_eq!(state, "done: is open");
    device.log(30);
    assert!(device.asked.is_empty(), "it ended: {:?}", device.asked);
}

/// The device's session stays, but it hears nothing while it sleeps.
#[test]
fn a_device_that_slept_with_an_open_session_gets_it_at_once_when_it_wakes() {
    let site = Site::new(&[]);
    let _gateway = site.gateway();
    let mut device = site.device("meter-1");
    device.log(1);
    let acting = act(&site, "open", &["--wait", "20s"]);
    // Everything that was sent while it slept is lost.
    let first = device.asked();
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    device.asked.clear();
    device.log(2);
    let again = device.asked();
    assert_eq!(id(&again.query), id(&first.query));
    device.answer(&again, Code::CHANGED, "");
    let ended = acting.end();
    assert!(ended.code == Some(0) && ended.out.contains("done: open"), "{ended:?}");
}

#[test]
fn a_device_with_many_observed_resources_takes_commands_too() {
    let site = Site::new(&[]);
    let _gateway = site.gateway();
    let mut device = site.device("meter-1");
    let links: Vec<_> = (0..8).map(|number| format!("</r{number}>;obs")).collect();
    let rd = device.post(&["rd"], &["ep=meter-1"], 40, links.join(",").as_bytes());
    assert_eq!(rd.code, Code::new(2, 1), "{rd:?}");
    for number in 0..8 {
        let observed = device.asked();
        assert_eq!(observed.path, format!("r{number}"));
        device.observed(&observed, "x");
    }
    let acting = act(&site, "open", &["--wait", "10s"]);
    let asked = device.asked();
    assert_eq!(asked.path, "valve");
    device.answer(&asked, Code::CHANGED, "is open");
    let ended = acting.end();
    assert!(ended.code == Some(0) && ended.out.contains("done: is open"), "{ended:?}");
}

fn refuse(device: &mut Device) {
    let asked = device.asked();
    device.answer(&asked, Code::NOT_FOUND, "no valve");
}

#[test]
fn results_and_states_are_log_entries_that_verify() {
    let site = Site::new(&[]);
    let _gateway = site.gateway();
    let mut device = site.device("meter-1");
    let rd = device.post(&["rd"], &["ep=meter-1"], 40, b"</valve>;obs");
    assert_eq!(rd.code, Code::new(2, 1), "{rd:?}");
    let observed = device.asked();
    assert_eq!(observed.path, "valve");
    device.answer(&observed, Code::CONTENT, "closed");
    let acting = act(&site, "open", &[]);
    refuse(&mut device);
    let ended = acting.end();
    assert!(ended.code == Some(1) && ended.out.contains("4.04 no valve"), "{ended:?}");
    let late = act(&site, "now", &["--valid", "300ms", "--wait", "10s"]);
    device.asked();
    let ended = late.end();
    assert!(ended.code == Some(1) && ended.out.contains("the deadline passed"), "{ended:?}");
    let unknown =
        site.place.run(&["act", "--config", "sluicegate.toml", "nobody", "valve", "open"]);
    assert!(!matches!(unknown.code, Some(0 | 2)) && unknown.err.contains("nobody"), "{unknown:?}");
    let twin = site.twin("meter-1");
    assert_eq!(twin["state"]["valve"]["value"], "closed", "{twin}");
    let file = site.place.prove(&["meter-1"], "all.sgp");
    let (code, report) = site.place.verify(&file, &site.place.policy(), &[]);
    assert!([0, 2].contains(&code), "{code} {report}");
    let report = report.to_string();
    for part in ["no valve", "the deadline passed", "closed", "observed", "command"] {
        assert!(report.contains(part), "{part}: {report}");
    }
}
