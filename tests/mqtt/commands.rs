//! Commands and states: published once there is a device to hear them, their results logged.

use std::time::Duration;

use serde_json::json;

use crate::site::Site;

/// Content formats of the gateway's own records.
const COMMAND: u16 = 65_100;
const RESULT: u16 = 65_101;
const OBSERVED: u16 = 65_102;

const ACT: &str = "sluicegate/meter-2/act/valve";

fn act(value: &str) -> Vec<&str> {
    vec!["act", "--config", "sluicegate.toml", "--wait", "20s", "meter-2", "valve", value]
}

#[test]
fn a_command_is_published_and_its_result_is_logged() {
    let site = Site::new();
    let gateway = site.gateway();
    let valve = site.broker.subscribe(ACT);
    for (value, ok) in [("open", true), ("sideways", false)] {
        let acting = site.place.start(&act(value));
        let command = valve.wait(ACT, |command| command["value"] == value);
        assert!(command["until"].as_u64().unwrap() > 1_795_000_000, "{command}");
        let answer = match ok {
            true => json!({ "id": command["id"], "ok": true, "value": value }),
            false => json!({ "id": command["id"], "ok": false, "reason": "no such position" }),
        };
        let result = format!("{ACT}/result");
        site.broker.publish(&result, "no result");
        site.broker.publish(&result, &json!({ "id": 1, "ok": true }).to_string());
        site.broker.publish(&result, &answer.to_string());
        site.broker.publish(&result, &answer.to_string());
        let ended = acting.end();
        assert_eq!(ended.code == Some(0), ok, "{ended:?}");
        let said = ended.out + &ended.err;
        assert!(said.contains(if ok { "open" } else { "no such position" }), "{said}");
    }
    let formats: Vec<u16> = site.logged(gateway).iter().map(|(format, ..)| *format).collect();
    assert_eq!(formats, [COMMAND, RESULT, COMMAND, RESULT]);
}

#[test]
fn a_command_waits_for_a_broker_that_is_away() {
    let mut site = Site::new();
    let _gateway = site.gateway();
    let (folder, port) = (site.place.path(""), site.broker.port());
    let fresh = crate::broker::Broker::start(&folder);
    std::mem::replace(&mut site.broker, fresh).kill();
    site.wait_health("not connected");
    let acting = site.place.start(&act("open"));
    std::thread::sleep(Duration::from_millis(500));
    let broker = crate::broker::Broker::start_at(&folder, port, "allow_anonymous true");
    let valve = broker.subscribe(ACT);
    site.wait_health("connected to");
    // A sign of life of the device brings it the command at once.
    broker.publish("sluicegate/meter-2/state/valve", "closed");
    let command = valve.wait(ACT, |command| command["value"] == "open");
    let answer = json!({ "id": command["id"], "ok": true, "value": "open" });
    broker.publish(&format!("{ACT}/result"), &answer.to_string());
    let ended = acting.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn only_changes_of_a_state_are_logged_also_after_a_restart() {
    let site = Site::new();
    let gateway = site.gateway();
    let told = |value: &str| site.broker.publish("sluicegate/meter-2/state/valve", value);
    let shown = |value: &str| {
        let show = ["device", "show", "--config", "sluicegate.toml", "meter-2", "--json"];
        crate::process::until(value, || {
            let twin: serde_json::Value = serde_json::from_str(&site.place.done(&show)).unwrap();
            (twin["state"]["valve"]["value"] == value).then_some(())
        });
    };
    for value in ["open", "open", "closed", "closed"] {
        told(value);
        shown(value);
    }
    gateway.stop();
    let gateway = site.gateway();
    told("closed");
    told("open");
    shown("open");
    let logged = site.logged(gateway);
    assert_eq!(logged.len(), 3, "{logged:?}");
    assert!(logged.iter().all(|(format, ..)| *format == OBSERVED), "{logged:?}");
}
