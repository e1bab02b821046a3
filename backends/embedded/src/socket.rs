//! Messages over a local socket, and the client's side of a connection.
//!
//! Guarantees: a message is bounded before it is read; a question has a time limit; a lost connection is made anew with
//! the next question. A submission whose answer is missing is [`Error::ResultUnknown`], and is never repeated here.

use std::{io, path::PathBuf, time::Duration};

use sluicegate_ledger::{Error, Reply};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::Mutex,
    time::timeout,
};

use crate::{
    client::Transport,
    wire::{Answer, MAX_MESSAGE, Question},
};

/// Reads one message.
pub(crate) async fn receive(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u32().await?;
    receive_body(stream, length).await
}

/// Reads what follows the length of a message.
pub(crate) async fn receive_body(stream: &mut UnixStream, length: u32) -> io::Result<Vec<u8>> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Writes one message.
pub(crate) async fn send(stream: &mut UnixStream, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes(), message].concat();
    stream.write_all(&framed).await
}

/// A ledger that another process serves.
#[derive(Debug)]
pub struct Remote {
    path: PathBuf,
    name: String,
    limit: Duration,
    connection: Mutex<Option<UnixStream>>,
}

impl Remote {
    /// The ledger of this name at this socket; connects with the first question.
    pub(crate) fn new(path: PathBuf, name: String, limit: Duration) -> Self {
        Self { path, name, limit, connection: Mutex::default() }
    }

    async fn exchange(&self, question: &Question) -> Result<Answer, Error> {
        let mut slot = self.connection.lock().await;
        // Taken out, so that a question that is given up half-way closes the connection.
        if let Some(mut stream) = slot.take() {
            match self.converse(&mut stream, question).await {
                Ok(answer) => {
                    *slot = Some(stream);
                    return Ok(answer);
                }
                Err(error @ Error::ResultUnknown(_)) => return Err(error),
                // The ledger may have been restarted since: once more on a new connection.
                Err(_) => {}
            }
        }
        let mut stream = self.connect().await?;
        let answer = self.converse(&mut stream, question).await?;
        *slot = Some(stream);
        Ok(answer)
    }

    async fn connect(&self) -> Result<UnixStream, Error> {
        let connected = timeout(self.limit, UnixStream::connect(&self.path)).await;
        let connected = connected.map_err(|_| Error::Unreachable("timed out".into()))?;
        let mut stream = connected.map_err(|error| Error::Unreachable(error.to_string()))?;
        match self.converse(&mut stream, &Question::Describe).await? {
            Answer::Name(name) if name == self.name => Ok(stream),
            Answer::Error(error) => Err(error),
            _ => Err(Error::Contradiction("another ledger answers at this socket")),
        }
    }

    async fn converse(
        &self,
        stream: &mut UnixStream,
        question: &Question,
    ) -> Result<Answer, Error> {
        let question_and_answer = async {
            send(stream, &question.to_bytes()).await?;
            receive(stream).await
        };
        let failed = |reason: String| match question {
            Question::Submit(_) => Error::ResultUnknown(reason),
            _ => Error::Unreachable(reason),
        };
        match timeout(self.limit, question_and_answer).await {
            Ok(Ok(bytes)) => {
                Answer::decode(&bytes).map_err(|_| failed("its answer can't be read".into()))
            }
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("timed out".into())),
        }
    }
}

impl Transport for Remote {
    fn ask(&self, question: Question) -> Reply<'_, Answer> {
        Box::pin(async move { self.exchange(&question).await })
    }
}
