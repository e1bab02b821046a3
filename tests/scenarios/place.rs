//! The place of a scenario: a folder with a configuration, credentials, and everything that the
//! processes make there.
//!
//! Order of calls: [`Place::new`], [`Place::configure`] where the defaults don't fit,
//! [`Place::ledger`], [`Place::gateway`], then commands.

use std::{
    cell::Cell,
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    client::{Client, measured},
    process::{Ended, Process, until},
};

/// Credentials of a place.
const CREDENTIALS: [&str; 3] = ["log-key", "ledger-key", "account-key"];

/// Impatient, so that a scenario takes seconds.
const CONFIGURATION: &str = r#"state = "state"
credentials = "credentials"
socket = "gateway.sock"
effects_log = "effects.log"

[coap]
listen = []
listen_dtls = []

[log]
origin = "scenario.example/gw/1"
key_credential = "log-key"
commit_delay = "20ms"
publish_interval = "200ms"

[ledger]
name = "ledger.scenario.example"
socket = "ledger.sock"
state = "ledger"
key_credential = "ledger-key"
account_credential = "account-key"
block_interval = "50ms"
finality_blocks = 1

[anchor]
interval = "150ms"
retry = "200ms"
max_fee_per_day = 100000

[[device]]
name = "meter-1"
class = "billing"

[[device]]
name = "meter-2"
"#;

/// A folder for one gateway, and for a ledger where it has its own.
pub struct Place {
    folder: TempDir,
    processes: Cell<u32>,
}

impl Place {
    /// With a ledger process of its own and two devices.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("credentials")).unwrap();
        fs::write(folder.path().join("sluicegate.toml"), CONFIGURATION).unwrap();
        let place = Self { folder, processes: Cell::new(0) };
        let files = CREDENTIALS.map(|name| format!("credentials/{name}"));
        let made = place.run(&["credential", &files[0], &files[1], &files[2]]);
        assert_eq!(made.code, Some(0), "{}", made.err);
        place
    }

    /// With a ledger in the gateway's own process.
    pub fn with_ledger_in_process() -> Self {
        let place = Self::new();
        place.configure("socket = \"ledger.sock\"\n", "");
        place
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the configuration.
    pub fn configure(&self, from: &str, to: &str) {
        let file = self.path("sluicegate.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from:?} is not in the configuration");
        fs::write(file, text.replace(from, to)).unwrap();
    }

    /// Starts a process with these arguments.
    pub fn start(&self, arguments: &[&str]) -> Process {
        let number = self.processes.replace(self.processes.get() + 1);
        let name = arguments.first().unwrap_or(&"nothing");
        Process::start(arguments, self.folder.path(), &format!("{number}-{name}"))
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).end()
    }

    /// Runs a command that must do its work.
    pub fn done(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}{}", ended.out, ended.err);
        ended.out
    }

    /// Starts the ledger process and waits until it serves.
    pub fn ledger(&self) -> Process {
        self.serving(self.start(&["ledger", "--config", "sluicegate.toml"]), "ledger.sock")
    }

    /// Starts the gateway and waits until it answers.
    pub fn gateway(&self) -> Process {
        let gateway =
            self.serving(self.start(&["run", "--config", "sluicegate.toml"]), "gateway.sock");
        self.status();
        gateway
    }

    fn serving(&self, mut process: Process, socket: &str) -> Process {
        until(socket, || {
            assert!(process.runs(), "it ended at its start");
            UnixStream::connect(self.path(socket)).ok()
        });
        process
    }

    /// A client of the gateway.
    pub fn client(&self) -> Client {
        Client::connect(&self.path("gateway.sock"))
    }

    /// Feeds rows through a pipe.
    pub fn start_feed(&self, rows: &str) -> Process {
        let mut feed = self.start(&["feed", "--config", "sluicegate.toml", "-"]);
        feed.pipe(rows);
        feed
    }

    /// Feeds rows that must all be taken; gives how many of them were there before.
    pub fn feed(&self, rows: &str) -> u64 {
        fed(&self.start_feed(rows).end(), rows.lines().count() as u64 - 1)
    }

    /// What the gateway says of itself.
    pub fn status(&self) -> Value {
        let text = self.done(&["status", "--config", "sluicegate.toml", "--json"]);
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until the gateway says of itself what `holds` wants.
    pub fn wait_status(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut client = self.client();
        until(what, || Some(client.status()).filter(&holds))
    }

    /// Waits until a final anchor covers all readings.
    pub fn wait_anchored(&self) -> Value {
        self.wait_status("all is anchored", |status| {
            status["oldest_unanchored_ms"].is_null()
                && status["anchored_size"].as_u64() > Some(0)
                && states(status).iter().all(|state| state == "final")
        })
    }

    /// Writes a proof; `what` selects readings, `name` is the file.
    pub fn prove(&self, what: &[&str], name: &str) -> PathBuf {
        let head = ["prove", "--config", "sluicegate.toml", "--out", name, "--device"];
        self.done(&[&head, what].concat());
        self.path(name)
    }

    /// Writes the policy that verifiers need.
    pub fn policy(&self) -> PathBuf {
        self.done(&["policy", "--config", "sluicegate.toml", "--out", "policy"]);
        self.path("policy")
    }

    /// Verifies a file; gives the exit code and the report.
    pub fn verify(&self, file: &Path, policy: &Path, more: &[&str]) -> (i32, Value) {
        let (file, policy) = (file.to_str().unwrap(), policy.to_str().unwrap());
        let ended = self.run(&[&["verify", "--json", "--policy", policy, file], more].concat());
        let said: Value = serde_json::from_str(&ended.out).unwrap_or_default();
        (ended.code.unwrap(), said["report"].clone())
    }
}

/// Reads the summary of a feed that must have taken all rows; gives how many were there before.
pub fn fed(feed: &Ended, rows: u64) -> u64 {
    assert_eq!(feed.code, Some(0), "{}{}", feed.out, feed.err);
    let all = format!("feed: {rows} readings acknowledged, ");
    let rest = feed.out.strip_prefix(&all).unwrap_or_else(|| panic!("{}", feed.out));
    let repeated = rest.strip_suffix(" of them repeated, 0 refused\n");
    repeated.unwrap_or_else(|| panic!("{}", feed.out)).parse().unwrap()
}

/// States of the anchors, newest first.
pub fn states(status: &Value) -> Vec<String> {
    let anchors = status["anchors"].as_array().unwrap();
    anchors.iter().map(|anchor| anchor["state"].as_str().unwrap().to_owned()).collect()
}

/// All alarms in one text.
pub fn alarms(status: &Value) -> String {
    status["alarms"].as_array().unwrap().iter().map(Value::to_string).collect()
}

/// CSV rows of a device, one for each sequence number.
pub fn rows(device: &str, seqs: impl IntoIterator<Item = u64>) -> String {
    let mut text = "time,device,seq,name,unit,value\n".to_owned();
    for seq in seqs {
        let (second, value) = measured(seq);
        text.push_str(&format!("{second},{device},{seq},power,W,{value}\n"));
    }
    text
}
