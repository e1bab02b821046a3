//! Metered payments between gateways, over TLS, on a ledger of their own process: a car's counter pays a station and a
//! provider, through kills on both sides; a station's valve is open only while it is paid.

use std::{net::UdpSocket, path::PathBuf};

use serde_json::Value;

use crate::{
    channels::{CONFIG, command, fingerprint, free_port, knows, prepare, wait},
    place::{self, Place, alarms, fed},
    process::{Process, until},
};

/// What the car pays: 15 to the station and 2 to the provider for each 10 Wh.
const PAYS: &str = r#"[[meter]]
device = "meter-1"
record = "energy"
unit = "Wh"
step = "10"
[[meter.payee]]
peer = "station"
price = "15"
[[meter.payee]]
peer = "provider"
price = "2"

[anchor]"#;

/// What the station wants for what its own counter says.
const SELLS: &str = r#"[[meter]]
device = "meter-1"
record = "energy"
unit = "Wh"
step = "10"
[meter.payer]
peer = "car"
price = "15"
[meter.actuator]
device = "valve-1"
resource = "valve"
on = "open"
off = "closed"

[anchor]"#;

/// A car's gateway, which has the ledger, and whom it pays.
struct Site {
    car: Place,
    station: Place,
    provider: Place,
    ledger: Process,
}

impl Site {
    fn new() -> Self {
        let [car, station, provider] = [Place::new(), Place::new(), Place::new()];
        let ledger = car.ledger();
        let socket = format!("socket = \"{}\"", car.path("ledger.sock").display());
        let at_car = free_port();
        prepare(&car, "car", at_car, "station");
        let of_car = fingerprint(&car);
        for (place, name) in [(&station, "station"), (&provider, "provider")] {
            place.configure("socket = \"ledger.sock\"", &socket);
            place.configure("key_credential = \"ledger-key\"\n", "");
            let port = free_port();
            prepare(place, name, port, "car");
            knows(&car, name, port, &fingerprint(place));
            knows(place, "car", at_car, &of_car);
        }
        car.configure("[anchor]", PAYS);
        Self { car, station, provider, ledger }
    }

    /// A channel with 10,000 of the car's, and the meter that has begun in it.
    fn open(&self, peer: &str) -> String {
        let arguments = [peer, "meter-1", "10000", "5000"];
        let id = until("a channel", || {
            let ended = self.car.run(&[&["channel", "open"], CONFIG, &arguments].concat());
            (ended.code == Some(0)).then(|| ended.out.trim().to_owned())
        });
        wait(&self.car, &id, &["open", "ours 10000"]);
        wait_party(&self.car, peer, "a session", |party| party["channel"] == id.as_str());
        id
    }

    /// Waits until this is paid to the station and the provider, on both sides of each channel.
    fn wait_paid(&self, ids: &[String; 2], paid: [u64; 2]) {
        let places = [("station", &self.station), ("provider", &self.provider)];
        for ((id, paid), (peer, place)) in ids.iter().zip(paid).zip(places) {
            let ours = 10_000 - paid;
            wait_party(&self.car, peer, "what is due", |party| number(party, "paid") == paid);
            wait(&self.car, id, &["open", &format!("ours {ours}")]);
            wait(place, id, &["open", &format!("ours {}", 5_000 + paid)]);
        }
    }
}

/// Rows of a counter, as sequence number and value.
fn rows(counter: &[(u64, String)]) -> String {
    let row = |(seq, value): &(u64, String)| {
        format!("{},meter-1,{seq},energy,Wh,{value}\n", 1_795_168_800 + seq)
    };
    "time,device,seq,name,unit,value\n".to_owned() + &counter.iter().map(row).collect::<String>()
}

fn feed(place: &Place, seq: u64, value: &str) {
    assert_eq!(place.feed(&rows(&[(seq, value.to_owned())])), 0, "it is new");
}

/// The place's only meter.
fn meter(place: &Place) -> Value {
    let told = place.run(&[&["meter", "list", "--json"], CONFIG].concat());
    let meters: Value = serde_json::from_str(&told.out).unwrap_or_default();
    meters[0].clone()
}

fn party(place: &Place, peer: &str) -> Value {
    let meter = meter(place);
    let parties = meter["parties"].as_array().cloned().unwrap_or_default();
    parties.into_iter().find(|party| party["peer"] == peer).unwrap_or_default()
}

fn wait_party(place: &Place, peer: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    until(&format!("{what}, {peer}"), || Some(party(place, peer)).filter(&holds))
}

fn number(party: &Value, field: &str) -> u64 {
    party[field].as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn alarms_of(place: &Place) -> String {
    alarms(&place.client().status())
}

#[test]
fn a_session_pays_each_payee_one_step_ahead_and_nothing_twice() {
    let site = Site::new();
    let _gateways = [&site.car, &site.station, &site.provider].map(Place::gateway);
    let ids = ["station", "provider"].map(|peer| site.open(peer));
    assert_eq!(party(&site.car, "station")["paid"], "0", "nothing before the first reading");
    feed(&site.car, 0, "1000");
    site.wait_paid(&ids, [15, 2]);
    let counter: Vec<_> = (1..=40).map(|seq| (seq, (1_000 + 3 * seq).to_string())).collect();
    assert_eq!(site.car.feed(&rows(&counter)), 0);
    site.wait_paid(&ids, [13 * 15, 13 * 2]);
    assert_eq!(site.car.feed(&rows(&counter)), 40, "all of them are repeated");
    feed(&site.car, 41, "1124.5");
    for peer in ["station", "provider"] {
        wait_party(&site.car, peer, "the reading", |party| party["delivered"] == "124.5");
    }
    site.wait_paid(&ids, [13 * 15, 13 * 2]);
    feed(&site.car, 42, "1250");
    site.wait_paid(&ids, [26 * 15, 26 * 2]);
    let told = site.car.done(&[&["meter", "list"], CONFIG].concat());
    let line = "meter-1 energy: 15 for each 10 Wh to station; 250 Wh delivered, 25 steps; 390 due \
                with one step ahead, 390 paid, 9610 left; channel ";
    assert!(told.starts_with(line), "{told}");
    assert_eq!(alarms_of(&site.car), "");
    command(&site.car, "close", &ids[0]);
    wait(&site.station, &ids[0], &["withdrawn", "ours 5390"]);
    feed(&site.car, 43, "1260");
    wait_party(&site.car, "provider", "it goes on", |party| party["paid"] == "54");
    until("a word on the station", || {
        alarms_of(&site.car).contains("no open channel with station").then_some(())
    });
}

/// A counter of seconds, paid each second.
#[test]
fn a_payer_killed_again_and_again_pays_each_second_once() {
    let site = Site::new();
    site.car.configure("unit = \"Wh\"\nstep = \"10\"", "unit = \"s\"\nstep = 1");
    let mut car = site.car.gateway();
    let _others = [&site.station, &site.provider].map(Place::gateway);
    let ids = ["station", "provider"].map(|peer| site.open(peer));
    let seconds: Vec<_> = (0..=150).map(|seq| (seq, (7 + seq).to_string())).collect();
    let rows = rows(&seconds).replace(",Wh,", ",s,");
    let mut feed = site.car.start(&[&["feed", "--rate", "40"], CONFIG, &["-"]].concat());
    feed.pipe(&rows);
    for kill in 1..=3 {
        wait_party(&site.car, "provider", "payments", |party| number(party, "paid") > kill * 50);
        car.kill();
        car = site.car.gateway();
    }
    fed(&feed.end(), 151);
    site.wait_paid(&ids, [151 * 15, 151 * 2]);
    // Other readings, more than a start takes in one go, stand between.
    site.car.feed(&place::rows("meter-1", 1_000..1_600));
    site.car.feed(&self::rows(&[(2_000, "160".to_owned())]).replace(",Wh,", ",s,"));
    site.wait_paid(&ids, [154 * 15, 154 * 2]);
    car.kill();
    let _car = site.car.gateway();
    wait_party(&site.car, "station", "the session", |party| party["delivered"] == "153");
    site.wait_paid(&ids, [154 * 15, 154 * 2]);
}

#[test]
fn a_payee_that_was_away_is_within_one_step_when_it_comes_back() {
    let site = Site::new();
    let _car = site.car.gateway();
    let station = site.station.gateway();
    let _provider = site.provider.gateway();
    let ids = ["station", "provider"].map(|peer| site.open(peer));
    feed(&site.car, 0, "0");
    feed(&site.car, 1, "25");
    wait_party(&site.car, "station", "three steps", |party| party["paid"] == "45");
    feed(&site.car, 2, "34");
    station.kill();
    feed(&site.car, 3, "48");
    feed(&site.car, 4, "71");
    wait_party(&site.car, "provider", "the other is paid", |party| party["paid"] == "16");
    let away = party(&site.car, "station");
    assert!(number(&away, "paid") <= 60, "at most one step more than was delivered: {away}");
    assert_eq!(away["due"], "120");
    let _station = site.station.gateway();
    site.wait_paid(&ids, [120, 16]);
}

#[test]
fn a_limit_stops_the_meter_with_a_word_and_the_other_payee_goes_on() {
    let site = Site::new();
    let limit = "[[limit]]\nname = \"small\"\npeer = \"station\"\namount = 50\nperiod = \"24h\"\n\n[anchor]";
    site.car.configure("[anchor]", limit);
    let car = site.car.gateway();
    let _others = [&site.station, &site.provider].map(Place::gateway);
    let ids = ["station", "provider"].map(|peer| site.open(peer));
    for (seq, value) in ["0", "10", "20", "30"].into_iter().enumerate() {
        feed(&site.car, seq as u64, value);
        let paid = (2 * (seq + 1)).to_string();
        wait_party(&site.car, "provider", "it goes on", |party| party["paid"] == paid.as_str());
    }
    until("a word", || {
        let told = alarms_of(&site.car);
        (told.contains("a payment to station was refused") && told.contains("limit")).then_some(())
    });
    site.wait_paid(&ids, [45, 8]);
    car.kill();
    site.car.configure("amount = 50", "amount = 5000");
    let _car = site.car.gateway();
    site.wait_paid(&ids, [60, 8]);
}

/// The valve of the station, a simulated device over DTLS.
fn start_valve(station: &Place) -> (Process, Process) {
    let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    station.configure("listen_dtls = []", &format!("listen_dtls = [\"{address}\"]"));
    let enrolment = station.done(&[&["device", "add"], CONFIG, &["valve-1"]].concat());
    std::fs::write(station.path("enrolment"), enrolment).unwrap();
    let gateway = station.gateway();
    let arguments = ["valve", "enrolment", &address.to_string()];
    let folder: PathBuf = station.path("");
    (gateway, Process::start_program("device", &arguments, &folder, "valve"))
}

/// Waits until the valve has carried out this as the newest command.
fn wait_valve(station: &Place, value: &str) {
    until(&format!("the valve is {value}"), || {
        let show = station.run(&[&["device", "show", "--json"], CONFIG, &["valve-1"]].concat());
        let twin: Value = serde_json::from_str(&show.out).unwrap_or_default();
        let newest = &twin["commands"][0];
        let is_done = newest["state"].as_str().is_some_and(|state| state.starts_with("done"));
        (is_done && newest["value"] == value).then_some(())
    });
}

#[test]
fn who_sells_lets_deliver_only_what_is_paid() {
    let site = Site::new();
    site.car.configure("[[meter.payee]]\npeer = \"provider\"\nprice = \"2\"\n", "");
    site.station.configure("[anchor]", SELLS);
    let car = site.car.gateway();
    let (_station, _valve) = start_valve(&site.station);
    wait_valve(&site.station, "closed");
    let id = site.open("station");
    wait_party(&site.station, "car", "a session", |party| party["channel"] == id.as_str());
    feed(&site.station, 0, "500");
    feed(&site.car, 0, "1000");
    wait_valve(&site.station, "open");
    feed(&site.station, 1, "514.9");
    wait_party(&site.station, "car", "the reading", |party| party["delivered"] == "14.9");
    assert_eq!(
        meter(&site.station)["on"],
        true,
        "a step is paid, and less than half of one is owed"
    );
    feed(&site.station, 2, "515");
    wait_valve(&site.station, "closed");
    feed(&site.car, 1, "1010");
    wait_valve(&site.station, "open");
    car.kill();
    feed(&site.station, 3, "525");
    wait_valve(&site.station, "closed");
    let owed = party(&site.station, "car");
    assert_eq!((owed["paid"].as_str(), owed["delivered"].as_str()), (Some("30"), Some("25")));
    let _car = site.car.gateway();
    feed(&site.car, 2, "1021");
    wait_valve(&site.station, "open");
    command(&site.car, "close", &id);
    wait_valve(&site.station, "closed");
    wait(&site.station, &id, &["withdrawn", "ours 5045"]);
}

#[test]
fn who_can_t_see_what_is_paid_lets_nothing_flow() {
    let site = Site::new();
    site.station.configure("[anchor]", SELLS);
    let _car = site.car.gateway();
    let (station, _valve) = start_valve(&site.station);
    let id = site.open("station");
    wait_party(&site.station, "car", "a session", |party| party["channel"] == id.as_str());
    feed(&site.station, 0, "500");
    feed(&site.car, 0, "1000");
    wait_valve(&site.station, "open");
    station.kill();
    let Site { car, station, ledger, .. } = site;
    ledger.kill();
    let _station = station.gateway();
    wait_valve(&station, "closed");
    let _ledger = car.ledger();
    wait_valve(&station, "open");
}
