//! Processes that are measured, and what they need to start.
//!
//! Guarantees: a process ends when it is dropped; its processor time is what the kernel counted. Does not: show what it
//! says.

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

use crate::Result;

/// What the kernel counts processor time in, per second, on all machines that Debian runs on.
const TICKS: u64 = 100;

/// A running process.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(Self)
    }

    /// Waits until it accepts connections.
    pub(crate) fn wait_socket(&mut self, socket: &Path) -> Result<()> {
        let begun = Instant::now();
        while UnixStream::connect(socket).is_err() {
            if begun.elapsed() > Duration::from_secs(20) || self.0.try_wait()?.is_some() {
                return Err(format!("{} does not serve", socket.display()).into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Resident memory.
    pub(crate) fn memory_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| "no VmRSS".into())
    }

    /// Processor time of all its threads, user and system.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // Behind the name in parentheses: the 12th and 13th field (proc(5): utime, stime).
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        let ticks =
            fields.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok());
        Ok(Duration::from_millis(ticks.sum::<u64>() * 1_000 / TICKS))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `sluicegate ARGUMENTS --config sluicegate.toml` in this folder.
pub(crate) fn sluicegate(folder: &Path, arguments: &[&str]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name("sluicegate"));
    command.args(arguments).args(["--config", "sluicegate.toml"]).current_dir(folder);
    Ok(command)
}

/// Writes a credential.
pub(crate) fn secret(folder: &Path, name: &str, digits: &str) -> Result<()> {
    let file = folder.join("credentials").join(name);
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(file)?;
    Ok(file.write_all(digits.as_bytes())?)
}

/// A port that is free now; that nobody takes it meanwhile is likely enough for a benchmark.
pub(crate) fn free_udp_port() -> Result<u16> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// The same for TCP.
pub(crate) fn free_tcp_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
