//! The servers that are measured, as processes, and a load on them.

use std::{
    fs,
    io::Write,
    net::{TcpListener, UdpSocket},
    os::unix::{fs::OpenOptionsExt, net::UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::client::{Asking, Load};
use crate::Result;

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

/// What the kernel counts processor time in, per second, on all machines that Debian runs on.
const TICKS: u64 = 100;

/// A running server, ended when it is dropped.
pub(super) struct Server {
    process: Child,
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
    let (start, used) = (Instant::now(), server.processor_time()?);
    let answered = asking.ask(load, time)? as f64;
    let used = server.processor_time()? - used;
    Ok(Run {
        per_second: answered / start.elapsed().as_secs_f64(),
        per_processor_second: answered / used.as_secs_f64(),
    })
}

impl Server {
    /// libcoap's example server.
    pub(super) fn libcoap() -> Result<Self> {
        let plain = free_port()?;
        let mut command = Command::new("coap-server-notls");
        command.args(["-A", "127.0.0.1", "-p", &plain.to_string(), "-v", "0"]);
        let process = spawn(&mut command)
            .map_err(|error| format!("coap-server-notls (Debian: libcoap3-bin): {error}"))?;
        thread::sleep(Duration::from_millis(500));
        Ok(Self { process, plain, secure: 0 })
    }

    /// The gateway, with so many devices that have a key and one that has none.
    pub(super) fn gateway(folder: &Path, devices: usize) -> Result<Self> {
        let folder = folder.join("field");
        fs::create_dir_all(folder.join("credentials"))?;
        let (plain, secure) = (free_port()?, free_port()?);
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
        let program = std::env::current_exe()?.with_file_name("sluicegate");
        let mut command = Command::new(program);
        command.args(["run", "--config", "sluicegate.toml"]).current_dir(&folder);
        let process = spawn(&mut command)?;
        let server = Self { process, plain, secure };
        let begun = Instant::now();
        while UnixStream::connect(folder.join("gateway.sock")).is_err() {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err("the gateway did not start".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        thread::sleep(Duration::from_millis(500));
        Ok(server)
    }

    /// Resident memory.
    pub(super) fn memory_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| "no VmRSS".into())
    }

    /// Processor time of all its threads, user and system.
    fn processor_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // Behind the name in parentheses: the 12th and 13th field (proc(5): utime, stime).
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks =
            fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
        Ok(Duration::from_millis(ticks.sum::<u64>() * 1_000 / TICKS))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(command: &mut Command) -> std::io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

fn secret(folder: &Path, name: &str, digits: &str) -> Result<()> {
    let file = folder.join("credentials").join(name);
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    Ok(file.write_all(digits.as_bytes())?)
}

/// A port that is free for UDP; that nobody takes it meanwhile is likely enough for a benchmark.
fn free_port() -> Result<u16> {
    drop(TcpListener::bind("127.0.0.1:0")?);
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}
