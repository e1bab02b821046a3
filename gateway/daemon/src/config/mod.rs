//! The configuration file: TOML, every key known, every value checked before anything starts.
//!
//! Guarantees: an unknown key, a wrong unit or a contradiction is an error that names the place; secrets are named, never
//! held (`…_credential` is the name of a file that systemd or the administrator provides). Does not: touch the network
//! or the state. Relative paths count from the folder of the file; systemd's directories win where they are given.

mod channels;
mod field;
mod meter;
mod peers;

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
};

pub use self::{
    channels::{Accept, Limit, Payments, Units},
    field::{Coap, Device, MAX_NAME, Mqtt, Security, Signs},
    meter::{Actuator, Meter},
    peers::{Channels, Peer, PeerCodec},
};
use serde::Deserialize;
use sluicegate_protocol::note::VerifierKey;

use crate::Error;

/// Longest payload that can be configured, in bytes.
const MAX_PAYLOAD: usize = 1 << 20;

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where everything durable lies; `$STATE_DIRECTORY` if absent.
    pub state: Option<PathBuf>,
    /// Folder of credentials; `$CREDENTIALS_DIRECTORY` if absent.
    pub credentials: Option<PathBuf>,
    /// Local socket for readings and commands.
    pub socket: PathBuf,
    /// File that notes what became durable and what left the process; for tests and the demo.
    pub effects_log: Option<PathBuf>,
    /// The log.
    pub log: Log,
    /// The ledger.
    pub ledger: Ledger,
    /// When and for how much to anchor.
    #[serde(default)]
    pub anchor: Anchor,
    /// How long payloads live, by class; a class that is not here keeps them for ever.
    #[serde(default)]
    pub retention: BTreeMap<String, Retention>,
    /// CoAP, plain and over DTLS.
    #[serde(default)]
    pub coap: Coap,
    /// MQTT through a broker; without it there is none.
    pub mqtt: Option<Mqtt>,
    /// Channels with other gateways; without it there are none.
    pub channels: Option<Channels>,
    /// The gateways and go-perun nodes that channels are kept with.
    #[serde(default, rename = "peer")]
    pub peers: Vec<Peer>,
    /// Payment channels; without it there are none.
    pub payments: Option<Payments>,
    /// How much may leave the keys of the devices.
    #[serde(default, rename = "limit")]
    pub limits: Vec<Limit>,
    /// What readings of devices pay, and what is wanted for what they deliver.
    #[serde(default, rename = "meter")]
    pub meters: Vec<Meter>,
    /// The devices that are enrolled here; others are enrolled with `sluicegate device add`.
    #[serde(default, rename = "device")]
    pub devices: Vec<Device>,
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// Identity of the log: a schema-less URL that nobody else uses.
    pub origin: String,
    /// Credential that all keys of the log are derived from.
    pub key_credential: String,
    /// Longest wait of a reading for its commit, at most a second.
    #[serde(default = "defaults::commit_delay")]
    pub commit_delay: Duration,
    /// So many readings are committed without waiting.
    #[serde(default = "defaults::commit_count")]
    pub commit_count: usize,
    /// Most readings that wait; more are refused as busy.
    #[serde(default = "defaults::max_pending")]
    pub max_pending: usize,
    /// Longest payload of a reading, in bytes.
    #[serde(default = "defaults::max_payload")]
    pub max_payload: usize,
    /// How often the folder is brought up to date for readers of its tiles.
    #[serde(default = "defaults::publish_interval")]
    pub publish_interval: Duration,
}

/// `[ledger]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Which backend.
    #[serde(default)]
    pub kind: LedgerKind,
    /// The ledger's name, which its signed heads carry.
    pub name: String,
    /// Socket of a ledger process; without it the ledger runs in this process.
    pub socket: Option<PathBuf>,
    /// Folder of the ledger's file, for its owner; below the state folder if absent.
    pub state: Option<PathBuf>,
    /// Credential of the ledger's own key, for its owner.
    pub key_credential: Option<String>,
    /// Key that the ledger's heads must carry, for others than its owner.
    pub verifier_key: Option<String>,
    /// Credential of the gateway's account.
    pub account_credential: String,
    /// Pause between blocks.
    #[serde(default = "defaults::block_interval")]
    pub block_interval: Duration,
    /// Blocks that have to follow before a block is final.
    #[serde(default)]
    pub finality_blocks: u64,
    /// Fee of a transaction, in base units.
    #[serde(default = "defaults::base_fee")]
    pub base_fee: u64,
    /// What an account holds when the ledger first sees it, in base units.
    #[serde(default = "defaults::grant")]
    pub grant: u64,
}

/// Which backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LedgerKind {
    /// The embedded ledger: a file with one owner process.
    #[default]
    Embedded,
}

/// `[anchor]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Anchor {
    /// At most one anchor in this time, if the log grew.
    pub interval: Duration,
    /// One anchor in this time even if it did not.
    pub heartbeat: Duration,
    /// Pause after a failure.
    pub retry: Duration,
    /// So many unanchored readings do not wait for the interval; 0 for no such limit.
    pub max_leaves: u64,
    /// Ceiling of one transaction's fee, in base units.
    pub max_fee: u64,
    /// Ceiling of a ledger day's fees, in base units.
    pub max_fee_per_day: u64,
}

impl Default for Anchor {
    fn default() -> Self {
        Self {
            interval: Duration(600_000),
            heartbeat: Duration(86_400_000),
            retry: Duration(30_000),
            max_leaves: 0,
            max_fee: 10,
            max_fee_per_day: 1_000,
        }
    }
}

/// `[retention.<class>]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Payloads and keys are erased when their day lies so many days back.
    pub keep_days: u32,
}

/// A duration in milliseconds, written as `250ms`, `2s`, `10m`, `24h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Duration(pub u64);

impl TryFrom<String> for Duration {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let factor = match unit {
            "ms" => Some(1),
            "s" => Some(1_000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        let value =
            digits.parse::<u64>().ok().zip(factor).and_then(|(n, unit)| n.checked_mul(unit));
        value.map(Self).ok_or(format!("{text:?} is no duration: write 250ms, 2s, 10m, 24h or 7d"))
    }
}

impl Duration {
    /// For timers.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}

impl Config {
    /// Reads and checks a file; paths come out absolute or relative to the working directory, as the file's path is.
    pub fn load(file: &Path) -> Result<Self, Error> {
        Self::load_as(file, file)
    }

    /// Reads and checks `file` as if it stood in the place of `original`.
    pub fn load_as(file: &Path, original: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Configuration { file: file.to_owned(), reason };
        let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        Self::parse(&text, original.parent().unwrap_or(Path::new(""))).map_err(wrong)
    }

    /// Reads and checks the text of a file in `folder`; the error says where and what.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        config.resolve(folder);
        config.check()?;
        Ok(config)
    }

    /// Folder of everything durable.
    pub fn state(&self) -> &Path {
        self.state.as_deref().unwrap_or(Path::new("state"))
    }

    /// Folder of the embedded ledger's file.
    pub fn ledger_state(&self) -> PathBuf {
        self.ledger.state.clone().unwrap_or_else(|| self.state().join("ledger"))
    }

    /// The device with this name.
    pub fn device(&self, name: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.name == name)
    }

    fn resolve(&mut self, folder: &Path) {
        let given = |name: &str| env::var_os(name).map(PathBuf::from);
        self.state = self.state.take().or_else(|| given("STATE_DIRECTORY"));
        self.credentials = self.credentials.take().or_else(|| given("CREDENTIALS_DIRECTORY"));
        let optional = [
            &mut self.state,
            &mut self.credentials,
            &mut self.effects_log,
            &mut self.ledger.socket,
            &mut self.ledger.state,
        ];
        for path in optional.into_iter().flatten().chain([&mut self.socket]) {
            *path = folder.join(&*path);
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.state.is_none() {
            return Err("state is missing, and $STATE_DIRECTORY is not set".to_owned());
        }
        check_origin("log.origin", &self.log.origin, sluicegate_notary::entry::MAX_ORIGIN - 11)?;
        check_origin("ledger.name", &self.ledger.name, 53)?;
        if self.log.commit_delay.0 > 1_000 {
            return Err("log.commit_delay is longer than 1s".to_owned());
        }
        if !(1..=4_096).contains(&self.log.commit_count) {
            return Err("log.commit_count is not between 1 and 4096".to_owned());
        }
        if !(1..=MAX_PAYLOAD).contains(&self.log.max_payload) {
            return Err("log.max_payload is not between 1 and 1048576 bytes".to_owned());
        }
        if let Some(key) = &self.ledger.verifier_key {
            VerifierKey::parse(key).map_err(|error| format!("ledger.verifier_key: {error}"))?;
        }
        if self.ledger.socket.is_none() && self.ledger.key_credential.is_none() {
            return Err("ledger.socket or ledger.key_credential is needed: a ledger process to \
                        talk to, or the key of a ledger in this process"
                .to_owned());
        }
        if self.coap.listen.len() > 1 || self.coap.listen_dtls.len() > 1 {
            return Err("coap.listen and coap.listen_dtls have one address at most; [::] means \
                        all of them"
                .to_owned());
        }
        self.mqtt.as_ref().map_or(Ok(()), Mqtt::check)?;
        peers::check(self.channels.as_ref(), &self.peers)?;
        channels::check(self.payments.as_ref(), &self.limits, &self.devices)?;
        meter::check(&self.meters, self.payments.as_ref(), &self.peers)?;
        self.check_devices()
    }

    fn check_devices(&self) -> Result<(), String> {
        self.retention.keys().try_for_each(|class| field::check_class(class))?;
        for (position, device) in self.devices.iter().enumerate() {
            device.check()?;
            let name = &device.name;
            if self.devices[..position].iter().any(|other| other.name == *name) {
                return Err(format!("device {name:?} is there twice"));
            }
        }
        Ok(())
    }
}

fn check_origin(key: &str, origin: &str, limit: usize) -> Result<(), String> {
    let printable = origin.chars().all(|c| c.is_ascii_graphic() && c != '+');
    if origin.is_empty() || origin.len() > limit || !printable {
        return Err(format!("{key} is empty, longer than {limit} bytes, or has a space or plus"));
    }
    Ok(())
}

mod defaults {
    use super::Duration;

    pub(super) const fn commit_delay() -> Duration {
        Duration(250)
    }

    pub(super) const fn commit_count() -> usize {
        100
    }

    pub(super) const fn max_pending() -> usize {
        1_000
    }

    pub(super) const fn max_payload() -> usize {
        128 * 1024
    }

    pub(super) const fn publish_interval() -> Duration {
        Duration(60_000)
    }

    pub(super) const fn block_interval() -> Duration {
        Duration(1_000)
    }

    pub(super) const fn base_fee() -> u64 {
        1
    }

    pub(super) const fn grant() -> u64 {
        1_000_000_000
    }

    pub(super) const fn readings_per_second() -> u32 {
        100
    }

    pub(super) fn class() -> String {
        "default".to_owned()
    }
}

#[cfg(test)]
impl Config {
    /// The smallest valid configuration, with everything below `folder`.
    pub(crate) fn for_tests(folder: &Path) -> Self {
        let file = folder.join("sluicegate.toml");
        fs::write(&file, tests::MINIMAL).unwrap();
        let config = Self::load(&file).unwrap();
        Self { credentials: Some(folder.to_owned()), ..config }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const MINIMAL: &str = r#"
        state = "state"
        socket = "gateway.sock"
        [log]
        origin = "example.com/gw/1"
        key_credential = "log-key"
        [ledger]
        name = "ledger.example.com"
        key_credential = "ledger-key"
        account_credential = "account-key"
        [[device]]
        name = "meter-1"
    "#;

    fn load(text: &str) -> Result<Config, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sluicegate.toml");
        fs::write(&file, text).unwrap();
        Config::load(&file).map_err(|error| error.to_string())
    }

    #[test]
    fn a_minimal_file_has_sensible_defaults() {
        let config = load(MINIMAL).unwrap();
        assert_eq!((config.log.commit_delay, config.log.commit_count), (Duration(250), 100));
        assert_eq!(config.device("meter-1").unwrap().class, "default");
        assert!(config.socket.is_absolute() && config.state().ends_with("state"));
    }

    #[test]
    fn payments_have_defaults_and_limits_names() {
        let text = format!(
            "{MINIMAL}\n[payments]\nkey_credential = \"device-seed\"\nmin_value = \"12345678901234567890123\"\n\
             [[limit]]\nname = \"daily\"\namount = 500\nperiod = \"24h\""
        );
        let config = load(&text).unwrap();
        let payments = config.payments.unwrap();
        assert_eq!(payments.challenge, Duration(86_400_000));
        assert_eq!(payments.min_value.0.to_string(), "12345678901234567890123");
        assert_eq!(config.limits[0].amount.0.to_string(), "500");
        let twice = "[[limit]]\nname = \"daily\"\namount = 1\nperiod = \"1h\"";
        assert!(load(&format!("{text}\n{twice}")).unwrap_err().contains("daily"));
        let short = text.replace("[[limit]]", "challenge = \"1m\"\n[[limit]]");
        assert!(load(&short).unwrap_err().contains("payments.challenge"));
        assert!(load(&text.replace("= 500", "= \"5 0\"")).unwrap_err().contains("no amount"));
        let its = text.replace("= 500", "= 500\ndevice = \"car-1\"");
        assert!(load(&its).is_ok());
        let car = format!("{its}\n[[device]]\nname = \"car-1\"\nsigns = \"itself\"");
        assert!(load(&car).unwrap_err().contains("its limits are its own"));
    }

    #[test]
    fn mistakes_are_named() {
        for (from, to, named) in [
            ("socket =", "sokcet =", "sokcet"),
            ("\"example.com/gw/1\"", "\"a b\"", "log.origin"),
            ("name = \"meter-1\"", "name = \"meter 1\"", "meter 1"),
            ("[log]", "[log]\ncommit_delay = \"2s\"", "commit_delay"),
            ("[log]", "[log]\ncommit_delay = \"2 s\"", "no duration"),
            ("[[device]]", "[[device]]\nname = \"meter-1\"\n[[device]]", "twice"),
            ("key_credential = \"ledger-key\"", "", "ledger.socket or"),
        ] {
            let error = load(&MINIMAL.replace(from, to)).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
