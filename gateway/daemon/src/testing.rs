//! A place for unit tests: a folder with a configuration, its credentials and an open store.

use std::{fs, path::PathBuf, time::Duration};

use tempfile::TempDir;
use tokio::task::LocalSet;

use crate::{
    clock::Clock,
    config::Config,
    credentials,
    devices::{
        Registry, changes::Changes, commands::Commands, contacts::Contacts, record::Record, twin,
    },
    intake::Intake,
    keeper::Keeper,
    setup,
};

const CONFIGURATION: &str = r#"state = "state"
credentials = "credentials"
socket = "gateway.sock"

[log]
origin = "test.example/gw/1"
key_credential = "log-key"
commit_delay = "1ms"
max_payload = 2000

[ledger]
name = "ledger.test.example"
socket = "ledger.sock"
account_credential = "account-key"
"#;

pub(crate) struct Place(TempDir);

/// What unit tests take from an open store.
pub(crate) struct Parts {
    pub(crate) keeper: Keeper,
    pub(crate) registry: Registry,
    pub(crate) contacts: Contacts,
    pub(crate) changes: Changes,
    pub(crate) clock: Clock,
    pub(crate) intake: Intake,
    thread: std::thread::JoinHandle<()>,
}

impl Place {
    /// With these devices, as in the configuration.
    pub(crate) fn new(devices: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for name in ["log-key", "account-key"] {
            credentials::create(&place.path("credentials").join(name)).unwrap();
        }
        place.configure(devices);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn configure(&self, devices: &str) {
        fs::write(self.path("sluicegate.toml"), format!("{CONFIGURATION}{devices}")).unwrap();
    }

    pub(crate) fn config(&self) -> Config {
        Config::load(&self.path("sluicegate.toml")).unwrap()
    }

    pub(crate) fn open(&self) -> Parts {
        let (config, clock) = (self.config(), Clock::start());
        let (keeper, thread) = Keeper::start(setup::desk(&config, clock).unwrap()).unwrap();
        let (registry, _) = Registry::load(&config);
        let (contacts, changes) = (Contacts::default(), Changes::default());
        let intake = Intake::new(
            keeper.clone(),
            registry.clone(),
            contacts.clone(),
            changes.clone(),
            clock,
            config.log.max_payload,
        );
        Parts { keeper, registry, contacts, changes, clock, intake, thread }
    }
}

impl Parts {
    pub(crate) async fn commands(&self) -> Commands {
        let parts = (self.keeper.clone(), self.registry.clone(), self.contacts.clone());
        Commands::load(parts.0, parts.1, parts.2, self.clock).await.unwrap()
    }

    /// The gateway's own records of a device, oldest first.
    pub(crate) async fn records(&self, device: &str) -> Vec<Record> {
        let name = device.to_owned();
        let own = self.keeper.call(move |desk, _| twin::own_records(desk, &name).unwrap());
        own.await.unwrap().into_iter().rev().map(|(_, record)| record).collect()
    }

    pub(crate) async fn size(&self) -> u64 {
        self.keeper.call(|desk, _| desk.recorder.files().size()).await.unwrap()
    }

    pub(crate) fn close(self) {
        self.keeper.stop();
        self.thread.join().unwrap();
    }
}

/// Runs on an executor like the gateway's, with a limit.
pub(crate) fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(20), work).await };
    LocalSet::new().block_on(&runtime, limited).expect("in time")
}
