//! Simulated devices, each a process of its own: `device meter|thermometer|valve ENROLMENT SERVER`.
//!
//! ENROLMENT is a file with what `sluicegate device add` printed; SERVER is the address of the
//! gateway's CoAP over DTLS, or of the MQTT broker for the thermometer. What a device does on the
//! wire is `device-sdk/device`; the process owns the socket, the clock and the random numbers.
//!
//! Guarantees: standard output has one line for each fact, `logged SEQ INDEX`, `refused SEQ CODE`
//! or `acted ID VALUE`, as soon as the device knows it; standard input takes `network off`,
//! `network on` and `finish`, which ends the process once every reading is acknowledged; the end of
//! standard input ends it at once, so no device outlives who started it. Does not: keep anything on
//! the disk, so a process is a device's whole life.

#[allow(dead_code, unreachable_pub, reason = "shared with tests")]
mod dtls;

mod appliance;
mod coap;
mod control;
mod enrolment;
mod meter;
mod mqtt;
mod thermometer;
mod valve;

use std::{env, process::ExitCode};

use self::{
    coap::Station, control::Control, enrolment::Enrolment, meter::Meter, mqtt::Broker,
    thermometer::Thermometer, valve::Valve,
};

const USAGE: &str = "usage: device meter|thermometer|valve ENROLMENT SERVER";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [kind, enrolment, server] = &arguments[..] else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    match run(kind, enrolment, server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("device: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(kind: &str, enrolment: &str, server: &str) -> Result<(), String> {
    let enrolment = Enrolment::read(enrolment)?;
    let server = server.parse().map_err(|error| format!("{server}: {error}"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("starting: {error}"))?;
    let control = Control::from_stdin();
    runtime.block_on(async {
        match kind {
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
