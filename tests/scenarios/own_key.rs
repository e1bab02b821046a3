//! A car that signs for itself, over DTLS, in channels of its gateway with a station's: it pays and is paid, its gateway
//! is killed, it is started again itself; and with the car gone for ever its gateway settles what the car had signed.

use std::{fs, net::UdpSocket};

use serde_json::Value;

use crate::{
    channels::{CONFIG, Pair, command, copy_folder, pay, wait},
    place::Place,
    process::{Process, until},
};

/// A pair of gateways, and the address of the car's for devices.
struct World {
    pair: Pair,
    server: String,
}

/// The car, as a process.
struct Car {
    process: Process,
}

impl World {
    fn new() -> Self {
        let pair = Pair::new();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        pair.car.configure("listen_dtls = []", &format!("listen_dtls = [\"{server}\"]"));
        pair.car.configure("answer = \"1s\"", "answer = \"3s\"");
        let add = ["device", "add", "--no-qr", "--signs-itself"];
        let enrolment = pair.car.done(&[&add[..], CONFIG, &["car-1"]].concat());
        fs::write(pair.car.path("car-1.enrolment"), enrolment).unwrap();
        Self { pair, server }
    }

    fn car(&self, said: &str) -> Car {
        let place = &self.pair.car;
        let terms = place.done(&[&["channel", "terms"], CONFIG].concat());
        fs::write(place.path("terms"), terms).unwrap();
        let arguments = ["car", "car-1.enrolment", &self.server, "terms", "key", "flash"];
        let folder = place.path("");
        Car { process: Process::start_program("device", &arguments, &folder, said) }
    }

    /// The newest counter of the car in the log, in watt hours.
    fn energy(&self) -> u64 {
        let show = [&["device", "show", "--json"], CONFIG, &["car-1"]].concat();
        let twin: Value = serde_json::from_str(&self.pair.car.done(&show)).unwrap();
        let energy = &twin["state"]["energy"];
        energy["value"].as_str().map_or(0, |value| value.parse().unwrap())
    }

    /// A channel with 10,000 of the car's and 5,000 of the station's.
    fn open(&self, car: &mut Car, challenge_s: u64) -> String {
        car.say(&format!("open station 10000 5000 {challenge_s}"));
        let opened = car.wait("channel", "open 10000 5000 0");
        let id = opened.split(' ').nth(1).unwrap().to_owned();
        self.pair.wait(&id, "open", "10000", "5000");
        id
    }
}

impl Car {
    fn say(&mut self, order: &str) {
        self.process.say(order);
    }

    /// Waits until so many more readings are in the log.
    fn logs(&self, more: usize) {
        let logged = || {
            let said = self.process.said();
            said.lines().filter(|line| line.starts_with("logged ")).count()
        };
        let wanted = logged() + more;
        until("readings in the log", || (logged() >= wanted).then_some(()));
    }

    /// The newest line with this beginning and this end, as soon as there is one.
    fn wait(&self, begins: &str, ends: &str) -> String {
        until(&format!("{begins} … {ends}"), || {
            let said = self.process.said();
            let is_it = |line: &&str| line.starts_with(begins) && line.ends_with(ends);
            said.lines().rev().find(is_it).map(str::to_owned)
        })
    }
}

#[test]
fn a_car_pays_with_its_own_key_through_the_death_of_its_gateway_and_its_own() {
    let world = World::new();
    let World { pair, .. } = &world;
    let (gateway, _station) = (pair.car.gateway(), pair.station.gateway());
    let mut car = world.car("car-first");
    let address = car.wait("address", "");
    let id = world.open(&mut car, 60);
    car.say("pay 100");
    car.wait("channel", "open 9900 5100 1");
    pay(&pair.station, &id, "50");
    car.wait("channel", "open 9950 5050 2");

    // What the car has not agreed to it does not sign, whoever asks.
    let unasked = pair.car.run(&[&["channel", "pay"], CONFIG, &[&id, "5"]].concat());
    assert_ne!(unasked.code, Some(0));
    assert!(unasked.err.contains("more leaves than was agreed"), "{}", unasked.err);
    car.wait("refused sign", "more leaves than was agreed");
    car.say("allow 5 8");
    until("an allowance", || {
        let paid = pair.car.run(&[&["channel", "pay"], CONFIG, &[&id, "5"]].concat());
        (paid.code == Some(0)).then_some(())
    });
    pair.wait(&id, "open", "9945", "5055");
    let unasked = pair.car.run(&[&["channel", "pay"], CONFIG, &[&id, "5"]].concat());
    assert_ne!(unasked.code, Some(0), "the allowance has 3 left");

    // The gateway dies while the car wants to pay.
    gateway.kill();
    car.say("pay 45");
    let _gateway = pair.car.gateway();
    pair.wait(&id, "open", "9900", "5100");
    car.wait("channel", "open 9900 5100 4");

    // The car dies, and remembers.
    car.process.kill();
    let refused = pair.station.start(&[&["channel", "pay"], CONFIG, &[&id, "10"]].concat()).end();
    assert_ne!(refused.code, Some(0), "the station is told in time that nobody signs");
    let mut car = world.car("car-second");
    assert_eq!(car.wait("address", ""), address);
    car.wait("channel", "open 9900 5100 4");
    car.say("pay 900");
    pair.wait(&id, "open", "9000", "6000");
    car.say("close");
    pair.wait(&id, "withdrawn", "9000", "6000");
    car.wait("channel", " withdrawn 9000 6000 7");
}

#[test]
fn with_the_car_gone_for_ever_its_gateway_settles_with_what_the_car_had_signed() {
    let world = World::new();
    let World { pair, .. } = &world;
    let (_gateway, _station) = (pair.car.gateway(), pair.station.gateway());
    let mut car = world.car("car");
    let id = world.open(&mut car, 5);
    car.say("pay 700");
    pair.wait(&id, "open", "9300", "5700");
    car.process.kill();
    fs::remove_file(pair.car.path("key")).unwrap();
    command(&pair.car, "dispute", &id);
    pair.wait(&id, "withdrawn", "9300", "5700");
}

/// The station's state folder is an old copy, and whoever put it there does not say so: it registers what it knows.
#[test]
fn an_old_state_is_refuted_and_the_car_paid_out_while_the_car_is_off() {
    let world = World::new();
    let World { pair, .. } = &world;
    let (gateway, mut station) = (pair.car.gateway(), pair.station.gateway());
    let mut car = world.car("car");
    let id = world.open(&mut car, 20);
    station.kill();
    let copy = pair.station.path("copy");
    copy_folder(&pair.station.path("state"), &copy);
    station = pair.station.gateway();
    paid(&pair.station, &id, "2000");
    pair.wait(&id, "open", "12000", "3000");
    station.kill();
    gateway.kill();
    car.process.kill();
    fs::remove_dir_all(pair.station.path("state")).unwrap();
    fs::rename(&copy, pair.station.path("state")).unwrap();
    station = pair.station.gateway();
    command(&pair.station, "dispute", &id);
    wait(&pair.station, &id, &["disputed", "ours 5000"]);
    let _gateway = pair.car.gateway();
    wait(&pair.car, &id, &["withdrawn", "ours 12000"]);
    wait(&pair.station, &id, &["withdrawn", "ours 3000"]);
    drop(station);
}

#[test]
fn the_energy_counter_rises_while_the_car_charges_and_survives_it() {
    let world = World::new();
    let _gateway = world.pair.car.gateway();
    let mut car = world.car("car-first");
    car.say("charge on");
    until("energy", || (world.energy() >= 60).then_some(()));
    car.say("charge off");
    car.logs(2);
    let energy = world.energy();
    car.logs(2);
    assert_eq!(world.energy(), energy);
    car.process.kill();
    let car = world.car("car-second");
    car.logs(2);
    assert_eq!(world.energy(), energy);
}

/// Pays as soon as the gateways are connected.
fn paid(place: &Place, id: &str, amount: &str) {
    until("a payment", || {
        let ended = place.run(&[&["channel", "pay"], CONFIG, &[id, amount]].concat());
        (ended.code == Some(0)).then_some(())
    });
}
