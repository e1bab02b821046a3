//! A program that asks a gateway over its local socket.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use serde_json::{Value, json};

use crate::Result;

/// A connection.
pub(super) struct Client(BufReader<UnixStream>);

impl Client {
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        Ok(Self(BufReader::new(UnixStream::connect(socket)?)))
    }

    /// Asks, and gives the answer; an error of the gateway is one.
    pub(super) fn ask(&mut self, request: &Value) -> Result<Value> {
        self.0.get_mut().write_all(format!("{request}\n").as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)?;
        match answer.get("error") {
            Some(error) => Err(error.to_string().into()),
            None => Ok(answer),
        }
    }

    /// Pays 1 in a channel, and waits until both have signed it.
    pub(super) fn pay(&mut self, channel: &str) -> Result<()> {
        self.ask(&json!({ "channel": { "pay": { "channel": channel, "amount": "1" } } })).map(drop)
    }
}
