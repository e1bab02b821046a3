//! aiocoap (PyPI) as a device: resource directory, observation both ways, large bodies block-wise.

use std::{
    fmt::Write,
    fs,
    io::{BufRead, BufReader, Read},
};

use crate::site::Site;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/device.py");

/// A day of a meter: a pack of more than 100 KB.
fn profile() -> String {
    let mut pack = r#"[{"bn":"lab-1/","bt":1795132800,"n":"energy","u":"Wh","v":0}"#.to_owned();
    for second in (30..86_400).step_by(30) {
        write!(pack, r#",{{"n":"energy","u":"Wh","v":{},"t":{second}}}"#, second / 7).unwrap();
    }
    pack + "]"
}

#[test]
fn a_device_registers_observes_and_moves_a_day_profile() {
    let site = Site::start();
    let (profile_file, proof) = (site.place.path("profile.json"), site.place.path("day.sgp"));
    let profile = profile();
    assert!(profile.len() > 100_000, "{}", profile.len());
    fs::write(&profile_file, &profile).unwrap();
    let gateway = format!("coap://127.0.0.1:{}", site.plain);
    let files = [profile_file.to_str().unwrap(), proof.to_str().unwrap()];
    let mut device = site.python(&[SCRIPT, &gateway, files[0], files[1]]);
    let mut lines = BufReader::new(device.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        let observing = line.starts_with("observing");
        said.push(line);
        if observing {
            let act = ["act", "--config", "sluicegate.toml", "lab-1", "switch", "on"];
            let acted = site.place.done(&act);
            assert!(acted.contains("done"), "{acted}");
        }
    }
    let mut error = String::new();
    device.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(device.wait().unwrap().success(), "{said:#?}\n{error}");
    assert!(said.contains(&"writes 1".to_owned()), "{said:#?}");
    let (code, report) = site.place.verify(&proof, &site.place.policy(), &[]);
    assert!([0, 2].contains(&code), "{report}");
    assert_eq!(report["readings"][0]["value"]["text"], profile.as_str(), "{said:#?}");
}
