//! The ledger on a local socket, for other gateways.
//!
//! Guarantees: a bounded number of connections, each with bounded messages and a time limit; whoever sends something
//! else is told so and loses only its own connection (I7). Does not: create the socket or its permissions.

use std::{future::Future, io, sync::Arc, time::Duration};

use sluicegate_ledger::Error;
use tokio::{
    io::AsyncReadExt,
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::timeout,
};

use crate::{
    owner::{Owner, drive},
    socket::{receive_body, send},
    wire::{Answer, Question},
};

/// Most connections at a time.
pub const MAX_CONNECTIONS: usize = 64;

/// How long a connection may be silent between two questions.
const IDLE: Duration = Duration::from_secs(600);
/// How long a message may take.
const MESSAGE: Duration = Duration::from_secs(10);

/// Serves the ledger and produces its blocks until `shutdown`, or until storage fails.
pub async fn serve(
    listener: UnixListener,
    owner: Arc<Owner>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let mut connections = JoinSet::new();
    let driving = drive(Arc::clone(&owner));
    tokio::pin!(driving, shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            driven = &mut driving => match driven {
                Ok(never) => match never {},
                Err(error) => return Err(error),
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    connections.spawn(converse(stream, Arc::clone(&owner)));
                }
                // Too many: the peer sees the end of the connection and comes back later.
                Ok(_) => {}
                // Out of descriptors, for example: a pause gives connections time to end.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
        }
    }
}

/// Answers one peer until it leaves or breaks a rule.
async fn converse(mut stream: UnixStream, owner: Arc<Owner>) {
    while let Ok(bytes) = next(&mut stream).await {
        let question = Question::decode(&bytes);
        let understood = question.is_ok();
        let answer = match question {
            Ok(question) => owner.ask(question).await,
            Err(error) => Answer::Error(error),
        };
        let sent = timeout(MESSAGE, send(&mut stream, &answer.to_bytes())).await;
        if !understood || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

async fn next(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = timeout(IDLE, stream.read_u32()).await??;
    timeout(MESSAGE, receive_body(stream, length)).await?
}
