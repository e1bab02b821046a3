//! A client of the gateway's local socket that says what it likes.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that took nothing for so long is full.
const FULL: Duration = Duration::from_millis(200);

/// One connection.
pub struct Client {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Client {
    /// Connects.
    pub fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Self { stream, lines }
    }

    /// Sends bytes; the gateway may have hung up.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends the same bytes again and again until nothing more fits between the two processes.
    pub fn send_all_that_fits(&mut self, bytes: &[u8]) {
        self.stream.set_nonblocking(true).unwrap();
        let mut full_since = None;
        loop {
            match self.stream.write(bytes) {
                Ok(written) if written == bytes.len() => full_since = None,
                // Half a line, or none: the gateway may still make room.
                _ => {
                    let since = *full_since.get_or_insert_with(Instant::now);
                    if since.elapsed() > FULL {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }

    /// Sends a request.
    pub fn ask(&mut self, request: &Value) {
        assert!(self.send(format!("{request}\n").as_bytes()), "the gateway hung up");
    }

    /// The next answer; none when the gateway hung up.
    pub fn answer(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
        }
    }

    /// Says no more, so that the gateway sees the end.
    pub fn finish(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// How the gateway is.
    pub fn status(&mut self) -> Value {
        self.ask(&json!("status"));
        self.answer().unwrap()["status"].clone()
    }

    /// Logs a reading, and gives the answer.
    pub fn log(&mut self, device: &str, seq: u64) -> Value {
        self.ask(&reading(device, seq));
        self.answer().unwrap()
    }

    /// Index of a reading that is in the log already.
    pub fn index(&mut self, device: &str, seq: u64) -> u64 {
        let answer = self.log(device, seq);
        assert_eq!(answer["logged"]["repeated"], true, "{answer}");
        answer["logged"]["index"].as_u64().unwrap()
    }

    /// Logs a reading that is new; gives its index.
    pub fn log_new(&mut self, device: &str, seq: u64) -> u64 {
        let answer = self.log(device, seq);
        assert_eq!(answer["logged"]["repeated"], false, "{answer}");
        answer["logged"]["index"].as_u64().unwrap()
    }
}

/// The request that logs a reading, as `sluicegate feed` sends that of [`crate::place::rows`].
pub fn reading(device: &str, seq: u64) -> Value {
    let (second, value) = measured(seq);
    let payload =
        format!(r#"[{{"bn":"{device}:","bt":{second},"n":"power","u":"W","v":{value}}}]"#);
    json!({ "reading": { "device": device, "seq": seq, "format": 110, "payload": payload } })
}

/// Time and value of the reading with this sequence number.
pub fn measured(seq: u64) -> (u64, String) {
    (1_795_168_800 + seq, format!("{}.5", 200 + seq % 50))
}
