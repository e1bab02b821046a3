//! The ledger on a socket: restarts, silence, hostile peers, another ledger, and what is not allowed.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{path::Path, sync::Arc, time::Duration};

use sluicegate_embedded::{
    Client, Faults, Owner, Settings, SystemClock,
    client::Remotely,
    server::{self, MAX_CONNECTIONS},
    wire::{Admin, Answer, Question},
};
use sluicegate_ledger::{Anchors, Error, Fee, Ledger, Remedy, Request, Signed, Status};
use sluicegate_protocol::{
    SigningKey,
    note::{KeyKind, VerifierKey},
    sha256,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    runtime::Runtime,
    task::JoinHandle,
};

const NAME: &str = "ledger.example";

fn owner(directory: &Path, faults_allowed: bool) -> Arc<Owner> {
    let settings = Settings { block_interval_ms: 20, ..Settings::new(NAME) };
    let path = directory.join("ledger");
    loop {
        let settings = settings.clone();
        match Owner::open(&path, settings, &[1; 32], Arc::new(SystemClock), faults_allowed) {
            // The server before lets it go when its last connection has ended.
            Err(sluicegate_embedded::Error::Owned(_)) => {
                std::thread::sleep(Duration::from_millis(5))
            }
            opened => return opened.unwrap(),
        }
    }
}

fn serve(directory: &Path, faults_allowed: bool) -> JoinHandle<Result<(), Error>> {
    let socket = directory.join("socket");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    let owner = owner(directory, faults_allowed);
    tokio::spawn(server::serve(listener, owner, std::future::pending()))
}

fn client(directory: &Path) -> Client {
    client_with(directory, NAME, 1)
}

fn client_with(directory: &Path, name: &str, key: u8) -> Client {
    let verifying = SigningKey::from_bytes(&[key; 32]).verifying_key();
    let verifier = VerifierKey::new(name, KeyKind::Note, verifying).unwrap().to_string();
    let remotely = Remotely {
        socket: directory.join("socket"),
        name: name.into(),
        verifier: Some(verifier),
        limit: Duration::from_millis(300),
    };
    Client::new(remotely, &[2; 32]).unwrap()
}

async fn signed(client: &Client, text: &str) -> Signed {
    let request = Request::Anchor(sha256(&[text.as_bytes()]));
    let nonce = client.account().await.unwrap().next_nonce;
    client.sign(&client.build(&request, nonce, Fee::Estimate).await.unwrap()).unwrap()
}

async fn until_final(client: &Client, signed: &Signed) {
    while !matches!(client.status(&signed.id).await.unwrap(), Status::Final { .. }) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_restart_is_survived_and_an_outage_says_retry_later() {
    Runtime::new().unwrap().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let client = client(directory.path());
        let unreachable = client.head().await.unwrap_err();
        assert!(matches!(unreachable, Error::Unreachable(_)), "{unreachable}");
        assert_eq!(unreachable.remedy(), Remedy::RetryLater);
        let serving = serve(directory.path(), false);
        let signed = signed(&client, "a").await;
        client.submit(&signed).await.unwrap();
        until_final(&client, &signed).await;
        let head = client.head().await.unwrap();
        serving.abort();
        let _ = serving.await;
        // Connections end with the server; its file is free again when the last of them is gone.
        while client.head().await.is_ok() {}
        let serving = serve(directory.path(), false);
        assert_eq!(client.head().await.unwrap().finalised, head.finalised);
        let found = client.newest().await.unwrap().unwrap();
        assert!(client.anchor_evidence(&found.digest).await.is_ok());
        assert!(client.block_evidence(0).await.is_ok());
        assert_eq!(client.block_evidence(900).await, Err(Error::NotFound));
        serving.abort();
    });
}

#[test]
fn shutdown_ends_the_server() {
    Runtime::new().unwrap().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("socket")).unwrap();
        let owner = owner(directory.path(), false);
        assert_eq!(server::serve(listener, owner, async {}).await, Ok(()));
    });
}

#[test]
fn silence_is_an_unknown_result_for_a_submission_only() {
    Runtime::new().unwrap().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let _serving = serve(directory.path(), true);
        let client = client(directory.path());
        let signed = signed(&client, "slow").await;
        let slow = Faults { delay_ms: 600, ..Faults::default() };
        client.admin(Admin::Faults(slow)).await.unwrap();
        let unknown = client.submit(&signed).await;
        assert!(matches!(unknown, Err(Error::ResultUnknown(_))), "{unknown:?}");
        let silent = client.head().await;
        assert!(matches!(silent, Err(Error::Unreachable(_))), "{silent:?}");
        // The delay is also on the greeting of a new connection: it is taken away by another way in.
        let mut stream = UnixStream::connect(directory.path().join("socket")).await.unwrap();
        let usual = Question::Admin(Admin::Faults(Faults::default()));
        assert_eq!(ask(&mut stream, &usual.to_bytes()).await, Some(Answer::Done));
        until_final(&client, &signed).await;
    });
}

async fn ask(stream: &mut UnixStream, message: &[u8]) -> Option<Answer> {
    stream.write_u32(u32::try_from(message.len()).unwrap()).await.ok()?;
    stream.write_all(message).await.ok()?;
    let length = stream.read_u32().await.ok()?;
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut bytes).await.ok()?;
    Answer::decode(&bytes).ok()
}

#[test]
fn a_bad_peer_loses_only_its_connection() {
    Runtime::new().unwrap().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let _serving = serve(directory.path(), false);
        let socket = directory.path().join("socket");
        let client = client(directory.path());
        client.head().await.unwrap();
        let mut bad = UnixStream::connect(&socket).await.unwrap();
        let answer = ask(&mut bad, b"nonsense").await;
        assert!(matches!(answer, Some(Answer::Error(Error::Malformed(_)))));
        assert_eq!(ask(&mut bad, &Question::Head.to_bytes()).await, None, "closed");
        let mut long = UnixStream::connect(&socket).await.unwrap();
        long.write_u32(u32::MAX).await.unwrap();
        assert!(long.read_u32().await.is_err(), "closed");
        client.head().await.unwrap();
    });
}

#[test]
fn connections_are_bounded() {
    Runtime::new().unwrap().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let _serving = serve(directory.path(), false);
        let socket = directory.path().join("socket");
        let mut held = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut stream = UnixStream::connect(&socket).await.unwrap();
            assert!(ask(&mut stream, &Question::Head.to_bytes()).await.is_some());
            held.push(stream);
        }
        let refused = client(directory.path()).head().await;
        assert!(matches!(refused, Err(Error::Unreachable(_))), "{refused:?}");
        held.clear();
        let client = client(directory.path());
        while client.head().await.is_err() {}
    });
}

#[test]
fn another_ledger_and_another_key_are_noticed() {
    Runtime::new().unwrap().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let _serving = serve(directory.path(), false);
        let other = client_with(directory.path(), "other.example", 1);
        assert!(matches!(other.head().await, Err(Error::Contradiction(_))));
        let forged = client_with(directory.path(), NAME, 9);
        assert!(matches!(forged.head().await, Err(Error::Proof(_))));
        assert!(matches!(forged.block_evidence(0).await, Err(Error::Proof(_))));
    });
}

#[test]
fn faults_need_permission() {
    Runtime::new().unwrap().block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let _serving = serve(directory.path(), false);
        let client = client(directory.path());
        for admin in [
            Admin::Produce,
            Admin::Reorg { blocks: 1, keep: false },
            Admin::Faults(Faults::default()),
        ] {
            assert!(matches!(client.admin(admin).await, Err(Error::Rejected(_))));
        }
    });
}
