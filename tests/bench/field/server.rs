//! The servers that are measured, as processes, and a load on them.

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::client::{Asking, Load};
use crate::{
    Result,
    process::{self, Process, free_udp_port, secret},
};

/// Key of the device with this number.
pub(super) fn key(number: usize) -> [u8; 16] {
    let mut key = [0x5a; 16];
    key[..8].copy_from_slice(&(number as u64).to_be_bytes());
    key
}

/// Name of the device with this number.
pub(super) fn name(number: usize) -> String {
    format!("bench-{number}")
}

/// A running server, ended when it is dropped.
pub(super) struct Server {
    pub(super) process: Process,
    pub(super) plain: u16,
    pub(super) secure: u16,
}

/// What a load came to.
pub(super) struct Run {
    pub(super) per_second: f64,
    pub(super) per_processor_second: f64,
}

/// Loads a server for this time, after a warm-up.
pub(super) fn load(
    server: &Server,
    asking: &mut impl Asking,
    load: &Load,
    time: Duration,
) -> Result<Run> {
    asking.ask(load, time / 5)?;
    let (start, used) = (Instant::now(), server.process.processor_time()?);
    let answered = asking.ask(load, time)? as f64;
    let used = server.process.processor_time()? - used;
    Ok(Run {
        per_second: answered / start.elapsed().as_secs_f64(),
        per_processor_second: answered / used.as_secs_f64(),
    })
}

impl Server {
    /// libcoap's example server.
    pub(super) fn libcoap() -> Result<Self> {
        let plain = free_udp_port()?;
        let mut command = Command::new("coap-server-notls");
        command.args(["-A", "127.0.0.1", "-p", &plain.to_string(), "-v", "0"]);
        let process = Process::start(&mut command)
            .map_err(|error| format!("coap-server-notls (Debian: libcoap3-bin): {error}"))?;
        thread::sleep(Duration::from_millis(500));
        Ok(Self { process, plain, secure: 0 })
    }

    /// The gateway, with so many devices that have a key and one that has none.
    pub(super) fn gateway(folder: &Path, devices: usize) -> Result<Self> {
        let folder = folder.join("field");
        fs::create_dir_all(folder.join("credentials"))?;
        let (plain, secure) = (free_udp_port()?, free_udp_port()?);
        let mut text = format!(
            "state = \"state\"\ncredentials = \"credentials\"\nsocket = \"gateway.sock\"\n\
             [coap]\nlisten = [\"127.0.0.1:{plain}\"]\nlisten_dtls = [\"127.0.0.1:{secure}\"]\n\
             requests_per_second = 1000000\nrequest_burst = 1000000\n\
             [log]\norigin = \"bench.example/field\"\nkey_credential = \"log-key\"\n\
             commit_delay = \"20ms\"\ncommit_count = 1000\nmax_pending = 10000\n\
             [ledger]\nname = \"ledger.bench.example\"\nkey_credential = \"ledger-key\"\n\
             account_credential = \"account-key\"\n\
             [[device]]\nname = \"open\"\nsecurity = \"none\"\nreadings_per_second = 1000000\n"
        );
        for number in 0..devices {
            let name = name(number);
            text += &format!(
                "[[device]]\nname = \"{name}\"\npsk_credential = \"{name}\"\n\
                 readings_per_second = 1000000\n"
            );
            let digits = key(number).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            secret(&folder, &name, &digits)?;
        }
        for (number, name) in ["log-key", "ledger-key", "account-key"].into_iter().enumerate() {
            secret(&folder, name, &format!("{number:064x}"))?;
        }
        fs::write(folder.join("sluicegate.toml"), text)?;
        let mut command = process::sluicegate(&folder, &["run"])?;
        let mut process = Process::start(&mut command)?;
        process.wait_socket(&folder.join("gateway.sock"))?;
        thread::sleep(Duration::from_millis(500));
        Ok(Self { process, plain, secure })
    }
}
