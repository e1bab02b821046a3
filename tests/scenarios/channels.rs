//! Channels between two gateways, over TLS, with a ledger of their own process: paid, killed in the middle, closed,
//! and settled against an old state and without the peer.

use std::net::TcpListener;

use crate::{
    effects,
    place::Place,
    process::{Process, until},
};

/// A car's gateway and a station's, and the ledger that both use; the ledger's files are the car's.
pub struct Pair {
    pub car: Place,
    pub station: Place,
    _ledger: Process,
}

impl Pair {
    pub fn new() -> Self {
        let (car, station) = (Place::new(), Place::new());
        let (at_car, at_station) = (free_port(), free_port());
        let ledger = car.ledger();
        let socket = format!("socket = \"{}\"", car.path("ledger.sock").display());
        station.configure("socket = \"ledger.sock\"", &socket);
        station.configure("key_credential = \"ledger-key\"\n", "");
        prepare(&car, "car", at_car, "station");
        prepare(&station, "station", at_station, "car");
        let (of_car, of_station) = (fingerprint(&car), fingerprint(&station));
        knows(&car, "station", at_station, &of_station);
        knows(&station, "car", at_car, &of_car);
        Self { car, station, _ledger: ledger }
    }

    /// A channel with 10,000 of the car's and 5,000 of the station's, as soon as they are connected.
    fn open(&self, challenge_s: &str) -> String {
        let arguments = ["station", "meter-1", "10000", "5000", "--challenge", challenge_s];
        let id = until("a channel", || {
            let ended = self.car.run(&[&["channel", "open"], &arguments[..], CONFIG].concat());
            (ended.code == Some(0)).then(|| ended.out.trim().to_owned())
        });
        self.wait(&id, "open", "10000", "5000");
        id
    }

    /// Waits until both show the channel in this phase, with these balances of the car and the station.
    pub fn wait(&self, id: &str, phase: &str, car: &str, station: &str) {
        wait(&self.car, id, &[phase, &format!("ours {car}"), &format!("theirs {station}")]);
        wait(&self.station, id, &[phase, &format!("ours {station}"), &format!("theirs {car}")]);
    }
}

pub const CONFIG: &[&str] = &["--config", "sluicegate.toml"];

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn prepare(place: &Place, name: &str, port: u16, peer: &str) {
    place.done(&["credential", "credentials/device-seed"]);
    let sections = format!(
        "[channels]\nname = \"{name}\"\nlisten = \"127.0.0.1:{port}\"\n\n\
         [payments]\nkey_credential = \"device-seed\"\nmin_challenge = \"5s\"\nanswer = \"1s\"\n\
         fee_reserve = 100\n\n\
         [[payments.accept]]\npeer = \"{peer}\"\ndevice = \"meter-1\"\n\n[anchor]"
    );
    place.configure("[anchor]", &sections);
    place.configure("scenario.example/gw/1", &format!("scenario.example/{name}"));
}

pub fn fingerprint(place: &Place) -> String {
    let told = place.done(&[&["peer", "identity"], CONFIG].concat());
    let line = told.lines().find_map(|line| line.strip_prefix("fingerprint")).unwrap();
    line.trim().to_owned()
}

pub fn knows(place: &Place, peer: &str, port: u16, fingerprint: &str) {
    let entry = format!(
        "[[peer]]\nname = \"{peer}\"\nendpoint = \"127.0.0.1:{port}\"\n\
         fingerprint = \"{fingerprint}\"\n\n[anchor]"
    );
    place.configure("[anchor]", &entry);
}

pub fn show(place: &Place, id: &str) -> String {
    place.run(&[&["channel", "show"], CONFIG, &[id]].concat()).out
}

pub fn wait(place: &Place, id: &str, words: &[&str]) {
    until(&words.join(", "), || {
        let shown = show(place, id);
        words.iter().all(|word| shown.contains(word)).then_some(())
    });
}

pub fn pay(place: &Place, id: &str, amount: &str) {
    place.done(&[&["channel", "pay"], CONFIG, &[id, amount]].concat());
}

pub fn command(place: &Place, what: &str, id: &str) {
    place.done(&[&["channel", what], CONFIG, &[id]].concat());
}

#[test]
fn a_channel_is_paid_in_survives_a_kill_and_is_settled_to_the_unit() {
    let pair = Pair::new();
    let (car, _station) = (pair.car.gateway(), pair.station.gateway());
    let id = pair.open("60");
    pay(&pair.car, &id, "100");
    pay(&pair.car, &id, "150");
    pay(&pair.station, &id, "50");
    pair.wait(&id, "open", "9800", "5200");
    car.kill();
    let refused = pair.station.start(&[&["channel", "pay"], CONFIG, &[&id, "5"]].concat());
    let car = pair.car.gateway();
    assert_eq!(refused.end().code, Some(0), "it waits for the car, and the car comes back");
    pair.wait(&id, "open", "9805", "5195");
    command(&pair.car, "close", &id);
    pair.wait(&id, "withdrawn", "9805", "5195");
    drop(car);
    for place in [&pair.car, &pair.station] {
        assert!(effects::sent(place, "signature") >= 5);
        effects::assert_persisted_before_sent(place);
    }
}

#[test]
fn without_its_peer_a_gateway_settles_on_the_ledger() {
    let pair = Pair::new();
    let (car, _station) = (pair.car.gateway(), pair.station.gateway());
    let id = pair.open("5");
    pay(&pair.car, &id, "700");
    pair.wait(&id, "open", "9300", "5700");
    car.kill();
    command(&pair.station, "dispute", &id);
    wait(&pair.station, &id, &["withdrawn", "ours 5700"]);
    let _car = pair.car.gateway();
    wait(&pair.car, &id, &["withdrawn", "ours 9300"]);
}

/// The car's state folder is an old copy, and whoever put it there does not say so: it registers what it knows.
#[test]
fn an_old_copy_of_the_car_disputes_and_the_station_gets_its_money() {
    let pair = Pair::new();
    let (mut car, mut station) = (pair.car.gateway(), pair.station.gateway());
    let id = pair.open("20");
    car.kill();
    let copy = pair.car.path("copy");
    copy_folder(&pair.car.path("state"), &copy);
    car = pair.car.gateway();
    pay(&pair.car, &id, "2000");
    pair.wait(&id, "open", "8000", "7000");
    car.kill();
    station.kill();
    std::fs::remove_dir_all(pair.car.path("state")).unwrap();
    std::fs::rename(&copy, pair.car.path("state")).unwrap();
    car = pair.car.gateway();
    command(&pair.car, "dispute", &id);
    wait(&pair.car, &id, &["disputed", "ours 10000"]);
    station = pair.station.gateway();
    wait(&pair.station, &id, &["withdrawn", "ours 7000"]);
    wait(&pair.car, &id, &["withdrawn", "ours 8000"]);
    drop((car, station));
}

pub fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
