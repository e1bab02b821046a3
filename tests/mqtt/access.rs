//! The broker's access list of `gateway/daemon/src/mqtt/README.md` holds each device to its topics.

use std::{fs, process::Command};

use crate::{
    broker::{Broker, Login, free_port, program},
    place::Place,
    site::{Site, ack, pack, readings},
};

/// The file with the lines that administrators copy.
const README: &str = include_str!("../../gateway/daemon/src/mqtt/README.md");

/// The code block of the README that follows this heading.
fn block(file: &str) -> String {
    let after = README.split_once(&format!("`{file}`")).unwrap().1;
    let block = after.split_once("```\n").unwrap().1;
    block.split_once("```").unwrap().0.to_owned()
}

#[test]
fn a_device_can_speak_only_for_itself() {
    let place = Place::with_ledger_in_process();
    place.done(&["credential", "credentials/mqtt-password"]);
    let secret = fs::read_to_string(place.path("credentials/mqtt-password")).unwrap();
    let passwords = place.path("passwords");
    fs::write(&passwords, "").unwrap();
    for (user, password) in [("sluicegate", secret.trim()), ("meter-1", "one"), ("meter-2", "two")]
    {
        let mut command = Command::new(program("mosquitto_passwd", "/usr/bin"));
        let made = command.arg("-b").arg(&passwords).args([user, password]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    fs::write(place.path("acl"), block("acl")).unwrap();
    // Only listener and paths differ from the README.
    let lines: String = block("mosquitto.conf")
        .lines()
        .filter(|line| !line.starts_with("listener") && !line.starts_with("max_"))
        .filter(|line| !line.starts_with("persistence"))
        .map(|line| {
            format!("{}\n", line.replace("/etc/mosquitto", place.path("").to_str().unwrap()))
        })
        .collect();
    let broker = Broker::start_at(&place.path(""), free_port(), &lines);
    let site = Site::with(place, broker);
    let login = "user = \"sluicegate\"\npassword_credential = \"mqtt-password\"\n";
    site.place.configure("[mqtt]\n", &format!("[mqtt]\n{login}"));
    let gateway = site.gateway();

    let one = Login { user: Some(("meter-1", "one")) };
    let two = Login { user: Some(("meter-2", "two")) };
    let (own, other) = (readings("meter-2", 1), readings("meter-1", 1));
    let ready = "sluicegate/meter-1/x/ready";
    let first = site.broker.subscribe_as(one, "sluicegate/#", ready);
    let publish = |login, topic: &str| {
        let payload = pack(230);
        site.broker.publish_as(login, &["-V", "5", "-t", topic, "-m", &payload])
    };
    let refused = publish(two, &other);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.to_lowercase().contains("not authori"), "{refused:?}");
    assert!(!publish(Login::default(), &other).status.success(), "nobody has to be somebody");
    assert!(!publish(Login { user: Some(("meter-1", "two")) }, &other).status.success());
    let second = site.broker.subscribe_as(two, &ack("meter-2"), "sluicegate/meter-2/x/ready");
    assert!(publish(two, &own).status.success());
    second.wait(&ack("meter-2"), |told| told["index"].is_u64());
    assert_eq!(first.messages(&ack("meter-2")).len(), 0, "it heard what is not for it");
    // Nor does it take the gateway's place at the broker by its name.
    for id in ["sluicegate", "gateway"] {
        let ready = ["-i", id, "-t", "sluicegate/meter-2/x/ready", "-m", "?"];
        assert!(site.broker.publish_as(two, &ready).status.success());
    }
    assert!(publish(two, &readings("meter-2", 2)).status.success());
    second.wait(&ack("meter-2"), |told| told["seq"] == 2);
    let files = fs::read_dir(site.place.path("")).unwrap().map(|file| file.unwrap().path());
    let run = files.filter(|file| file.to_string_lossy().ends_with("-run.err")).last().unwrap();
    let said = fs::read_to_string(run).unwrap();
    assert_eq!(said.matches("connected to the broker").count(), 1, "{said}");
    let logged = site.logged(gateway);
    assert_eq!(logged.len(), 2, "{logged:?}");
}
