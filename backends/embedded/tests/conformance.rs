//! The rules of the port, in process and over the socket, final at once and after two blocks.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use sluicegate_embedded::{
    Client, Embedded, Faults, ManualClock, Owner, Settings, client::Remotely, server, wire::Admin,
};
use sluicegate_ledger::{
    Anchors, Channels, Error, Reply,
    conformance::{self, Fault, Harness, channels::ChannelHarness},
};
use sluicegate_protocol::{
    SigningKey,
    note::{KeyKind, VerifierKey},
};
use tokio::{net::UnixListener, runtime::Runtime};

const NAME: &str = "ledger.example";
const LEDGER_KEY: [u8; 32] = [1; 32];
const ACCOUNT_KEY: [u8; 32] = [2; 32];
const OTHER_KEY: [u8; 32] = [3; 32];

struct Bench<B> {
    runtime: Runtime,
    owner: Arc<Owner>,
    clock: Arc<ManualClock>,
    backend: B,
    other: B,
    finality_blocks: u64,
}

fn verifier() -> String {
    let key = SigningKey::from_bytes(&LEDGER_KEY).verifying_key();
    VerifierKey::new(NAME, KeyKind::Note, key).unwrap().to_string()
}

fn owner(directory: &tempfile::TempDir, finality_blocks: u64) -> (Arc<Owner>, Arc<ManualClock>) {
    // Blocks come only when the harness asks.
    let settings = Settings { finality_blocks, block_interval_ms: u64::MAX, ..Settings::new(NAME) };
    let clock = Arc::new(ManualClock::new(1_000));
    let path = directory.path().join("ledger");
    let owner = Owner::open(&path, settings, &LEDGER_KEY, clock.clone(), true).unwrap();
    (owner, clock)
}

impl<B: Anchors + Channels> Bench<B> {
    fn run(&self) {
        assert_eq!(conformance::all(self), vec![]);
        assert_eq!(conformance::channels::all(self), vec![]);
    }
}

impl<B: Anchors + Channels> ChannelHarness for Bench<B> {
    fn channels(&self) -> &dyn Channels {
        &self.backend
    }

    fn other(&self) -> &dyn Channels {
        &self.other
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(seconds * 1_000);
    }
}

impl<B: Anchors + Channels> Harness for Bench<B> {
    fn ledger(&self) -> &dyn Anchors {
        &self.backend
    }

    fn wait<T>(&self, reply: Reply<'_, T>) -> Result<T, Error> {
        self.runtime.block_on(reply)
    }

    fn produce(&self) {
        self.owner.admin(Admin::Produce).unwrap();
    }

    fn finality_blocks(&self) -> u64 {
        self.finality_blocks
    }

    fn inject(&self, fault: Fault) -> bool {
        let faults = match fault {
            Fault::LoseSubmission => Faults { lose: 1, ..Faults::default() },
            Fault::Unavailable => Faults { fail: 1, ..Faults::default() },
            Fault::UnknownResult => Faults { unknown: 1, ..Faults::default() },
            Fault::Reorg => {
                self.owner.admin(Admin::Reorg { blocks: 1, keep: false }).unwrap();
                return true;
            }
        };
        self.owner.admin(Admin::Faults(faults)).unwrap();
        true
    }

    fn verifier(&self) -> Option<String> {
        Some(verifier())
    }
}

#[test]
fn in_process() {
    for finality_blocks in [0, 2] {
        let directory = tempfile::tempdir().unwrap();
        let (owner, clock) = owner(&directory, finality_blocks);
        let open = |key| Embedded::new(Arc::clone(&owner), key).unwrap();
        let (backend, other) = (open(&ACCOUNT_KEY), open(&OTHER_KEY));
        let runtime = Runtime::new().unwrap();
        Bench { runtime, owner, clock, backend, other, finality_blocks }.run();
    }
}

#[test]
fn over_the_socket() {
    for finality_blocks in [0, 2] {
        let directory = tempfile::tempdir().unwrap();
        let (owner, clock) = owner(&directory, finality_blocks);
        let runtime = Runtime::new().unwrap();
        let socket = directory.path().join("socket");
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&socket).unwrap()
        };
        runtime.spawn(server::serve(listener, Arc::clone(&owner), std::future::pending()));
        let remotely = Remotely {
            socket,
            name: NAME.into(),
            verifier: Some(verifier()),
            limit: Duration::from_secs(5),
        };
        let open = |key| Client::new(remotely.clone(), key).unwrap();
        let (backend, other) = (open(&ACCOUNT_KEY), open(&OTHER_KEY));
        Bench { runtime, owner, clock, backend, other, finality_blocks }.run();
    }
}
