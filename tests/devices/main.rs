//! Simulated devices, each a process of its own: `device meter|thermometer|valve ENROLMENT SERVER`, and
//! `device car|charger ENROLMENT SERVER TERMS KEY FLASH`.
//!
//! ENROLMENT is a file with what `sluicegate device add` printed; SERVER is the address of the
//! gateway's CoAP over DTLS, or of the MQTT broker for the thermometer. What a device does on the
//! wire is `device-sdk/device`; the process owns the socket, the clock and the random numbers.
//!
//! Guarantees: standard output has one line for each fact, `logged SEQ INDEX`, `refused SEQ CODE`
//! or `acted ID VALUE`, as soon as the device knows it; standard input takes `network off`,
//! `network on` and `finish`, which ends the process once every reading is acknowledged; the end of
//! standard input ends it at once, so no device outlives who started it. Does not: keep anything on
//! the disk, so a process is a device's whole life; but a car does.
//!
//! **The car** signs for itself in payment channels (`signs = "itself"` in its enrolment). TERMS is a
//! file with what `sluicegate channel terms` printed, KEY the file of its key, FLASH that of its books;
//! both are made where they are missing, and a car that is started again with them goes on. Besides the
//! orders above it takes
//!
//! - `open PEER OWN THEIRS CHALLENGE_S`: a channel, amounts in base units; one at a time
//! - `pay AMOUNT`, `close`, `dispute`: in its channel, as soon as that is possible
//! - `allow STEP TOTAL`: payments that the gateway proposes, so much with each, so much in all
//! - `limit DEPOSIT SPENDING`: what it never goes beyond; 1000000 each at first
//! - `charge on`, `charge off`: its energy counter rises, by 20 Wh each half second, or stands still
//!
//! and says, besides what became of its readings (`energy` in `Wh`),
//!
//! - `energy WH`: what it has charged since it was made, whenever that changes
//! - `address 0x…`: that of its key, at the start
//! - `enrolled`: the gateway has it
//! - `channel ID PHASE OWN THEIRS VERSION`: how a channel stands, whenever that changes; VERSION is `-`
//!   before both have signed
//! - `signed ID VERSION`: it has signed that state
//! - `refused sign ID VERSION WHY`: it does not sign that state
//! - `refused key|open|pay|close|dispute CODE WHY`: the gateway does not do what it was asked to
//!
//! **The charger** signs for itself in the same way, and takes the channels that a car proposes. Its relay is the
//! resource `relay`, off at first, that is written `on` and `off`; its counter rises while the relay is on and a car
//! is plugged in: `plug on` at first, `plug off`.

#[allow(dead_code, unreachable_pub, reason = "shared with tests")]
mod dtls;

mod appliance;
mod car;
mod charger;
mod coap;
mod control;
mod enrolment;
mod meter;
mod mqtt;
mod switch;
mod thermometer;
mod valve;

use std::{env, process::ExitCode};

use self::{
    car::Car, charger::Charger, coap::Station, control::Control, enrolment::Enrolment,
    meter::Meter, mqtt::Broker, thermometer::Thermometer, valve::Valve,
};

const USAGE: &str = "usage: device meter|thermometer|valve ENROLMENT SERVER\n       \
                     device car|charger ENROLMENT SERVER TERMS KEY FLASH";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kind, enrolment, server, files @ ..] = &arguments[..] else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    match run(kind, enrolment, server, files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("device: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(kind: &str, enrolment: &str, server: &str, files: &[String]) -> Result<(), String> {
    let enrolment = Enrolment::read(enrolment)?;
    let server = server.parse().map_err(|error| format!("{server}: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("starting: {error}"))?;
    let control = Control::from_stdin();
    runtime.block_on(async {
        match kind {
            "car" => {
                let car = Car::open(&enrolment.name, files, false)?;
                Station::open(car, enrolment, server).await?.run(control).await
            }
            "charger" => {
                let charger = Charger::open(&enrolment.name, files)?;
                Station::open(charger, enrolment, server).await?.run(control).await
            }
            _ if !files.is_empty() => Err(USAGE.to_owned()),
            "meter" => {
                let meter = Meter::new(&enrolment.name);
                Station::open(meter, enrolment, server).await?.run(control).await
            }
            "thermometer" => {
                let thermometer = Thermometer::new(&enrolment.name);
                Broker::new(thermometer, enrolment, server).run(control).await
            }
            "valve" => {
                let valve = Valve::new(&enrolment.name);
                Station::open(valve, enrolment, server).await?.run(control).await
            }
            _ => Err(USAGE.to_owned()),
        }
    })
}
