//! A gateway and its ledger: one folder with credentials and one configuration file that both
//! processes read.
//!
//! All paths are below `target/demo`, which is the current folder, so that socket names stay short.

use std::{
    env, fs,
    io::Write,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use crate::{
    failure::{Doing, Failure, Result, expect},
    process::{Process, wait_for},
    watch::{self, Status},
};

/// The ledger's name in `gateway.toml`.
pub(crate) const LEDGER: &str = "ledger.demo.example";

/// The gateway's name at the broker, and the credential of its password.
pub(crate) const BROKER_USER: &str = "sluicegate";
const BROKER_PASSWORD: &str = "mqtt-password";

/// How long a process may take until it accepts connections.
const READY: Duration = Duration::from_secs(15);

/// What a gateway is for.
#[derive(Clone, Copy)]
pub(crate) enum Role {
    /// It serves devices, and reaches the ledger, a process of its own, through a socket.
    Field(Ports),
    /// It is fed from a file, and has a ledger in its own process.
    Alone,
}

/// Where the field is served.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    /// CoAP over DTLS, at the gateway.
    pub(crate) coaps: u16,
    /// The MQTT broker.
    pub(crate) mqtt: u16,
}

impl Ports {
    /// Two that are free now.
    pub(crate) fn free() -> Result<Self> {
        let udp = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let tcp = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let port = "looking for a free port";
        Ok(Self { coaps: udp.doing(port)?.port(), mqtt: tcp.doing(port)?.port() })
    }
}

/// A folder with everything that one gateway needs.
#[derive(Clone)]
pub(crate) struct Site {
    program: PathBuf,
    folder: String,
}

impl Site {
    /// Writes the configuration and creates the secrets.
    pub(crate) fn create(folder: &str, role: Role) -> Result<Self> {
        let secrets = ["log-key", "ledger-key", "account-key", BROKER_PASSWORD];
        Self::with(folder, &configuration(role), &secrets)
    }

    /// The same with this configuration and these secrets.
    pub(crate) fn with(folder: &str, configuration: &str, secrets: &[&str]) -> Result<Self> {
        let site = Self { program: built("sluicegate")?, folder: folder.to_owned() };
        let credentials = site.path("credentials");
        fs::create_dir_all(&credentials).doing(&credentials)?;
        let config = site.config();
        fs::write(&config, configuration).doing(&config)?;
        let files = secrets.iter().map(|name| format!("{credentials}/{name}"));
        run(site.command("credential").args(files))?;
        Ok(site)
    }

    /// Adds sections to the configuration.
    pub(crate) fn configure(&self, more: &str) -> Result<()> {
        let config = self.config();
        let file = fs::File::options().append(true).open(&config);
        file.and_then(|mut file| file.write_all(more.as_bytes())).doing(&config)
    }

    /// Enrols a device; `file` gets what was printed, name and PSK.
    pub(crate) fn enrol(&self, device: &str, options: &[&str], file: &str) -> Result<()> {
        let mut add = self.with_config("device add");
        let add = add.args(["--no-qr", "--class", "billing"]).args(options);
        let output = run(add.arg(device))?;
        fs::write(file, output.stdout).doing(file)
    }

    /// The gateway's password at the broker.
    pub(crate) fn broker_password(&self) -> Result<String> {
        let file = self.path("credentials/") + BROKER_PASSWORD;
        fs::read_to_string(&file).doing(&file).map(|text| text.trim().to_owned())
    }

    /// Starts `sluicegate ledger` and waits until it is ready.
    pub(crate) fn start_ledger(&self) -> Result<Process> {
        self.start_ledger_as("ledger")
    }

    /// The same; `name` is that of its log file.
    pub(crate) fn start_ledger_as(&self, name: &str) -> Result<Process> {
        let mut ledger = Process::start(name, &mut self.with_config("ledger"))?;
        ledger.wait_socket(&self.path("ledger.sock"), READY)?;
        Ok(ledger)
    }

    /// Starts `sluicegate run` and waits until it is ready; `name` is that of its log file.
    pub(crate) fn start_gateway(&self, name: &str) -> Result<Process> {
        let mut gateway = Process::start(name, &mut self.with_config("run"))?;
        gateway.wait_socket(&self.path("gateway.sock"), READY)?;
        Ok(gateway)
    }

    /// Sends a file of readings with `sluicegate feed`.
    pub(crate) fn feed(&self, file: &Path) -> Result<()> {
        run(self.with_config("feed").arg(file)).map(drop)
    }

    /// Tells a device to do something, waits for its answer, and gives the command's id.
    pub(crate) fn act(&self, device: &str, resource: &str, value: &str) -> Result<u64> {
        let mut act = self.with_config("act");
        let output = run(act.args(["--wait", "20s", device, resource, value]))?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let id = said.strip_prefix("command ").and_then(|rest| rest.split_once(": done: "));
        let id = id.filter(|(_, told)| *told == value).and_then(|(id, _)| id.parse().ok());
        id.ok_or_else(|| Failure::new(format!("{device}: {resource} {value}: {said}")))
    }

    /// What `sluicegate device show` says of a device.
    pub(crate) fn show(&self, device: &str) -> Result<String> {
        let output = run(self.with_config("device show").arg(device))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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
        run(self.with_config("policy").args(["--out", file]))?;
        fs::read_to_string(file).doing(file)
    }

    /// Writes a bundle.
    pub(crate) fn prove(&self, what: &[&str], file: &str) -> Result<Vec<u8>> {
        run(self.with_config("prove").args(what).args(["--out", file]))?;
        fs::read(file).doing(file)
    }

    /// A file of this site.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// `sluicegate <subcommand>`, not started yet.
    pub(crate) fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(subcommand.split(' ')).stdin(Stdio::null());
        command
    }

    pub(crate) fn with_config(&self, subcommand: &str) -> Command {
        let mut command = self.command(subcommand);
        command.args(["--config", &self.config()]);
        command
    }

    fn config(&self) -> String {
        self.path("gateway.toml")
    }
}

/// Runs a short command that has to succeed.
pub(crate) fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().doing(format_args!("{command:?}"))?;
    let said = [&output.stdout, &output.stderr].map(|part| String::from_utf8_lossy(part));
    expect(output.status.success(), || format!("{command:?}: {}", said.concat().trim()))?;
    Ok(output)
}

/// A binary that was built together with this one.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let program = env::current_exe().doing("looking for this program")?.with_file_name(name);
    let text = format!("{} is missing: cargo build --workspace --bins", program.display());
    expect(program.exists(), || text)?;
    Ok(program)
}

/// One file for both processes. Origin and ledger have the same names at every site: names prove
/// nothing.
fn configuration(role: Role) -> String {
    let field = match role {
        Role::Field(Ports { coaps, mqtt }) => format!(
            "socket = \"ledger.sock\"\n\n\
             [coap]\nlisten = []\nlisten_dtls = [\"127.0.0.1:{coaps}\"]\n\n\
             [mqtt]\nport = {mqtt}\nuser = \"{BROKER_USER}\"\n\
             password_credential = \"{BROKER_PASSWORD}\"\npatience = \"3s\"\n"
        ),
        Role::Alone => {
            "\n[coap]\nlisten = []\nlisten_dtls = []\n\n[[device]]\nname = \"meter-1\"\n".to_owned()
        }
    };
    format!("{}{field}", include_str!("gateway.toml"))
}
