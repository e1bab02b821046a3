//! Who is enrolled, and what becomes of keys.

use std::{fs, path::Path};

use super::*;
use crate::testing::Place;

const METER: &str = "[[device]]\nname = \"meter-1\"\nsecurity = \"none\"\n";

fn device(name: &str) -> Device {
    Device {
        name: name.to_owned(),
        class: "default".to_owned(),
        psk_credential: None,
        security: Security::Psk,
        reads: Vec::new(),
        signs: crate::config::Signs::Gateway,
        readings_per_second: 100,
    }
}

fn key(registry: &Registry, name: &str) -> Option<[u8; 16]> {
    Some(*registry.get(name)?.psk.as_ref()?.expose())
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: std::path::PathBuf| match path.is_dir() {
        true => files(&path),
        false => vec![fs::read(path).unwrap()],
    };
    entries.flat_map(read).collect()
}

fn contains(all: &[u8], part: &[u8]) -> bool {
    all.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_key_is_in_no_file_and_the_same_after_a_restart() {
    let place = Place::new(METER);
    let (_, psk) = add(&place.config(), device("valve-1")).unwrap();
    let hex: String = psk.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    for file in files(&place.path("")) {
        assert!(!contains(&file, psk.expose()) && !contains(&file, hex.as_bytes()));
    }
    let (registry, _) = Registry::load(&place.config());
    assert_eq!(key(&registry, "valve-1"), Some(*psk.expose()));
    assert!(registry.psks().find(b"valve-1").is_some());
}

#[test]
fn a_device_is_enrolled_once_and_gets_a_new_key_after_its_removal() {
    let place = Place::new(METER);
    let config = place.config();
    let (_, first) = add(&config, device("valve-1")).unwrap();
    assert!(add(&config, device("valve-1")).unwrap_err().to_string().contains("already"));
    assert!(add(&config, device("meter-1")).unwrap_err().to_string().contains("configuration"));
    for wrong in ["", "a b", ".x", "a/b", "..", &"x".repeat(33)] {
        assert!(add(&config, device(wrong)).is_err(), "{wrong:?}");
    }
    enrol::remove(&config, "valve-1").unwrap();
    assert!(enrol::remove(&config, "valve-1").is_err());
    assert!(Registry::load(&config).0.get("valve-1").is_none());
    let (_, second) = add(&config, device("valve-1")).unwrap();
    assert_ne!(first.expose(), second.expose());
}

#[test]
fn any_name_that_is_allowed_can_be_enrolled() {
    let place = Place::new(METER);
    for name in ["a.new", "x", "A-_.9", &"y".repeat(32)] {
        add(&place.config(), device(name)).unwrap();
        assert!(Registry::load(&place.config()).0.get(name).is_some(), "{name}");
    }
    // What a power cut left of an enrolment.
    fs::write(place.path("state/devices/.new"), b"{").unwrap();
    assert_eq!(Registry::load(&place.config()).1.len(), 1, "only that of meter-1");
}

#[test]
fn the_configuration_wins_over_an_enrolment() {
    let place = Place::new("");
    add(&place.config(), device("meter-1")).unwrap();
    place.configure(&METER.replace("security", "class = \"billing\"\nsecurity"));
    let (registry, _) = Registry::load(&place.config());
    assert_eq!(registry.get("meter-1").unwrap().device.class, "billing");
    assert!(registry.psks().is_empty());
}

#[test]
fn a_damaged_enrolment_costs_one_device() {
    let place = Place::new("");
    for name in ["a", "b", "c"] {
        add(&place.config(), device(name)).unwrap();
    }
    fs::write(place.path("state/devices/b"), b"{}").unwrap();
    fs::copy(place.path("state/devices/c"), place.path("state/devices/d")).unwrap();
    let (registry, alarms) = Registry::load(&place.config());
    assert_eq!(registry.names(), ["a", "c"]);
    let told: Vec<_> = alarms.iter().map(ToString::to_string).collect();
    assert!(told.len() == 2 && told[0].contains("device b") && told[1].contains("another device"));
}

#[test]
fn what_is_wrong_is_told_once() {
    let place = Place::new(METER);
    let (registry, alarms) = Registry::load(&place.config());
    assert!(alarms.len() == 1 && alarms[0].to_string().contains("security is none"), "{alarms:?}");
    assert!(registry.reload(&place.config()).is_empty());
    place.configure("[[device]]\nname = \"meter-2\"\npsk_credential = \"missing\"\n");
    let alarms = registry.reload(&place.config());
    assert!(alarms.len() == 1 && alarms[0].to_string().contains("meter-2"), "{alarms:?}");
    assert!(registry.get("meter-1").is_none() && key(&registry, "meter-2").is_none());
    place.configure(METER);
    assert_eq!(registry.reload(&place.config()).len(), 1, "it is news again");
}
