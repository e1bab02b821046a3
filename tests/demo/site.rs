//! A gateway and its ledger: one folder with credentials and one configuration file that both
//! processes read.
//!
//! All paths are below `target/demo`, which is the current folder, so that socket names stay short.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    data,
    failure::{Doing, Failure, Result, expect},
    process::{Process, wait_for},
    watch::{self, Status},
};

/// The ledger's name in `gateway.toml`.
pub(crate) const LEDGER: &str = "ledger.demo.example";

/// How long a process may take until it accepts connections.
const READY: Duration = Duration::from_secs(15);

/// Where the ledger is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ledger {
    /// A process of its own, reached through a socket.
    Served,
    /// In the gateway's process.
    InProcess,
}

/// A folder with everything that one gateway needs.
#[derive(Clone)]
pub(crate) struct Site {
    program: PathBuf,
    folder: &'static str,
}

impl Site {
    /// Writes the configuration and creates the secrets.
    pub(crate) fn create(folder: &'static str, ledger: Ledger) -> Result<Self> {
        let site = Self { program: program()?, folder };
        let credentials = site.path("credentials");
        fs::create_dir_all(&credentials).doing(&credentials)?;
        let config = site.config();
        fs::write(&config, configuration(ledger)).doing(&config)?;
        let secrets = ["log-key", "ledger-key", "account-key"];
        let files = secrets.map(|name| format!("{credentials}/{name}"));
        site.run(site.command("credential").args(files))?;
        Ok(site)
    }

    /// Starts `sluicegate ledger` and waits until it is ready.
    pub(crate) fn start_ledger(&self) -> Result<Process> {
        let mut ledger = Process::start("ledger", &mut self.with_config("ledger"))?;
        ledger.wait_ready(&self.path("ledger.sock"), READY)?;
        Ok(ledger)
    }

    /// Starts `sluicegate run` and waits until it is ready; `name` is that of its log file.
    pub(crate) fn start_gateway(&self, name: &'static str) -> Result<Process> {
        let mut gateway = Process::start(name, &mut self.with_config("run"))?;
        gateway.wait_ready(&self.path("gateway.sock"), READY)?;
        Ok(gateway)
    }

    /// Starts `sluicegate feed` with a file of readings; `name` is that of its log file.
    pub(crate) fn start_feed(
        &self,
        name: &'static str,
        rate: &str,
        file: &Path,
    ) -> Result<Process> {
        Process::start(name, self.with_config("feed").args(["--rate", rate]).arg(file))
    }

    /// What `sluicegate status` says.
    pub(crate) fn status(&self) -> Result<Status> {
        watch::ask(&mut self.status_command())
    }

    /// The command that asks for the status.
    pub(crate) fn status_command(&self) -> Command {
        let mut command = self.with_config("status");
        command.arg("--json").stderr(Stdio::piped());
        command
    }

    /// Waits until the first `size` entries are anchored at finality.
    pub(crate) fn wait_anchored(&self, size: u64, limit: Duration) -> Result<Status> {
        let probe = || Ok(Some(self.status()?).filter(|status| status.anchored_size >= size));
        let text = format!("{size} entries are not anchored after {limit:?}; see gateway.log");
        wait_for(limit, probe)?.ok_or_else(|| Failure::new(text))
    }

    /// What a verifier needs to know of this gateway.
    pub(crate) fn policy(&self, file: &str) -> Result<String> {
        self.run(self.with_config("policy").args(["--out", file]))?;
        fs::read_to_string(file).doing(file)
    }

    /// Writes a bundle.
    pub(crate) fn prove(&self, what: &[&str], file: &str) -> Result<Vec<u8>> {
        self.run(self.with_config("prove").args(what).args(["--out", file]))?;
        fs::read(file).doing(file)
    }

    /// A file of this site.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// `sluicegate <subcommand>`, not started yet.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(subcommand).stdin(Stdio::null());
        command
    }

    fn with_config(&self, subcommand: &str) -> Command {
        let mut command = self.command(subcommand);
        command.args(["--config", &self.config()]);
        command
    }

    fn config(&self) -> String {
        self.path("gateway.toml")
    }

    /// Runs a short command that has to succeed.
    fn run(&self, command: &mut Command) -> Result<()> {
        let output = command.output().doing(format_args!("{command:?}"))?;
        let reason = String::from_utf8_lossy(&output.stderr);
        expect(output.status.success(), || format!("{command:?}: {}", reason.trim()))
    }
}

/// The binary that was built together with this one.
fn program() -> Result<PathBuf> {
    let program =
        env::current_exe().doing("looking for this program")?.with_file_name("sluicegate");
    let text = format!("{} is missing: cargo build --workspace --bins", program.display());
    expect(program.exists(), || text)?;
    Ok(program)
}

/// One file for both processes. Origin and ledger have the same names at every site: names prove
/// nothing.
fn configuration(ledger: Ledger) -> String {
    let socket = if ledger == Ledger::Served { "socket = \"ledger.sock\"\n" } else { "" };
    let devices = data::devices(&data::rows()).into_iter();
    let devices =
        devices.map(|(name, _)| format!("\n[[device]]\nname = \"{name}\"\nclass = \"billing\"\n"));
    format!("{}{socket}{}", include_str!("gateway.toml"), devices.collect::<String>())
}
