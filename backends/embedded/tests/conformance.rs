//! The rules of the port, in process and over the socket, final at once and after two blocks.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use sluicegate_embedded::{
    Client, Embedded, Faults, ManualClock, Owner, Settings, client::Remotely, server, wire::Admin,
};
use sluicegate_ledger::{
    Anchors, Error, Reply,
    conformance::{self, Fault, Harness},
};
use sluicegate_protocol::{
    SigningKey,
    note::{KeyKind, VerifierKey},
};
use tokio::{net::UnixListener, runtime::Runtime};

const NAME: &str = "ledger.example";
const LEDGER_KEY: [u8; 32] = [1; 32];
const ACCOUNT_KEY: [u8; 32] = [2; 32];

struct Bench<B> {
    runtime: Runtime,
    owner: Arc<Owner>,
    backend: B,
    finality_blocks: u64,
}

fn verifier() -> String {
    let key = SigningKey::from_bytes(&LEDGER_KEY).verifying_key();
    VerifierKey::new(NAME, KeyKind::Note, key).unwrap().to_string()
}

fn owner(directory: &tempfile::TempDir, finality_blocks: u64) -> Arc<Owner> {
    // Blocks come only when the harness asks.
    let settings = Settings { finality_blocks, block_interval_ms: u64::MAX, ..Settings::new(NAME) };
    let clock = Arc::new(ManualClock::new(1_000));
    let path = directory.path().join("ledger");
    Owner::open(&path, settings, &LEDGER_KEY, clock, true).unwrap()
}

impl<B: Anchors> Harness for Bench<B> {
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
        let owner = owner(&directory, finality_blocks);
        let backend = Embedded::new(Arc::clone(&owner), &ACCOUNT_KEY).unwrap();
        let runtime = Runtime::new().unwrap();
        let bench = Bench { runtime, owner, backend, finality_blocks };
        assert_eq!(conformance::all(&bench), vec![]);
    }
}

#[test]
fn over_the_socket() {
    for finality_blocks in [0, 2] {
        let directory = tempfile::tempdir().unwrap();
        let owner = owner(&directory, finality_blocks);
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
        let backend = Client::new(remotely, &ACCOUNT_KEY).unwrap();
        let bench = Bench { runtime, owner, backend, finality_blocks };
        assert_eq!(conformance::all(&bench), vec![]);
    }
}
