//! The feeder: readings from a CSV file or a pipe to the gateway, as a device would send them.
//!
//! Guarantees: a row counts only when the gateway acknowledged it; what was not is sent again after the gateway came
//! back, under the same sequence number, so that it is logged once (I6). Values are taken over digit by digit.
//! Does not: keep anything between two runs; feeding a file twice is safe, the gateway knows the sequence numbers.
//!
//! Columns: `time` (RFC 3339 in UTC, or seconds since the Unix epoch), `device`, `seq`, `name`, `unit`, `value`.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Read,
    path::Path,
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Error, senml,
    wire::{Reading, Request, Response},
};

/// Readings under way at a time.
const WINDOW: usize = 128;

/// Pause before the gateway is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// How a feed went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows that are in the log.
    pub acknowledged: u64,
    /// Of these: rows that were there before.
    pub repeated: u64,
    /// Rows that the gateway will never take.
    pub refused: u64,
}

/// One line of the file.
#[derive(Debug, Clone, Deserialize)]
struct Row {
    time: String,
    device: String,
    seq: u64,
    name: String,
    unit: String,
    value: String,
}

/// How to feed.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Readings per second; none for as fast as they are acknowledged.
    pub rate: Option<u32>,
    /// How long the gateway may be away.
    pub patience: Duration,
}

/// Rows as they come in; what follows a malformed one is not read.
pub type Rows = mpsc::Receiver<Result<Reading, Error>>;

/// Reads rows on a thread of its own, so that a pipe is fed as it fills; a malformed row names its line.
pub fn read(input: impl Read + Send + 'static) -> Rows {
    let (rows, readings) = mpsc::channel(WINDOW);
    std::thread::spawn(move || {
        for reading in parse(input) {
            let last = reading.is_err();
            if rows.blocking_send(reading).is_err() || last {
                return;
            }
        }
    });
    readings
}

/// The readings of a CSV file, row by row; a malformed row names its line.
pub fn parse(input: impl Read) -> impl Iterator<Item = Result<Reading, Error>> {
    csv::Reader::from_reader(input).into_deserialize::<Row>().enumerate().map(|(position, row)| {
        let reading = row.map_err(|error| error.to_string()).and_then(|row| to_reading(&row));
        // What the gateway would refuse is refused here, with its line.
        let reading = reading.and_then(|reading| {
            let checked = senml::check(reading.format, reading.payload.as_bytes());
            checked.map(|()| reading).map_err(|rejection| rejection.reason)
        });
        let line = position + 2;
        reading.map_err(|reason| Error::Usage(format!("line {line}: {reason}")))
    })
}

/// Sends readings until all are answered.
pub async fn feed(socket: &Path, rows: Rows, pace: Pace) -> Result<Outcome, Error> {
    let mut feeder = Feeder {
        rows,
        ended: false,
        wrong: None,
        waiting: VecDeque::new(),
        under_way: BTreeMap::new(),
        outcome: Outcome::default(),
        pace,
        next_send: Instant::now(),
        answered: Instant::now(),
    };
    let mut away = None;
    while !feeder.is_done() {
        let broken = match UnixStream::connect(socket).await {
            Ok(stream) => {
                let before = feeder.outcome;
                let broken = feeder.converse(stream).await.err();
                if feeder.outcome != before || feeder.under_way.is_empty() {
                    away = None;
                }
                broken
            }
            Err(error) => Some(error.to_string()),
        };
        let Some(reason) = broken else { continue };
        if away.get_or_insert_with(Instant::now).elapsed() > pace.patience {
            return Err(Error::Gateway { socket: socket.to_owned(), reason });
        }
        feeder.take_back();
        sleep(RETRY).await;
    }
    feeder.wrong.map_or(Ok(feeder.outcome), Err)
}

struct Feeder {
    rows: Rows,
    /// No more rows come.
    ended: bool,
    /// The malformed row at which reading stopped.
    wrong: Option<Error>,
    /// To be sent again, before new rows.
    waiting: VecDeque<Reading>,
    under_way: BTreeMap<(String, Option<u64>), Reading>,
    outcome: Outcome,
    pace: Pace,
    next_send: Instant,
    /// When the gateway last answered, or had nothing to answer.
    answered: Instant,
}

impl Feeder {
    fn is_done(&self) -> bool {
        self.ended && self.waiting.is_empty() && self.under_way.is_empty()
    }

    /// Sends and receives on one connection until everything is answered.
    async fn converse(&mut self, stream: UnixStream) -> Result<(), String> {
        let (reading, mut writing) = stream.into_split();
        let mut lines = BufReader::new(reading).lines();
        while !self.is_done() {
            let room = self.under_way.len() < WINDOW;
            let late = self.answered + self.pace.patience;
            tokio::select! {
                line = lines.next_line() => match line.map_err(|error| error.to_string())? {
                    Some(line) => self.take(&line)?,
                    None => return Err("it closed the connection".to_owned()),
                },
                () = sleep_until(self.next_send), if room && !self.waiting.is_empty() => {
                    let batch = self.next_lines();
                    writing.write_all(&batch).await.map_err(|error| error.to_string())?;
                }
                row = self.rows.recv(), if room && !self.ended && self.waiting.is_empty() => {
                    self.take_row(row);
                }
                () = sleep_until(late), if !self.under_way.is_empty() => {
                    return Err("it does not answer".to_owned());
                }
            }
        }
        Ok(())
    }

    fn take_row(&mut self, row: Option<Result<Reading, Error>>) {
        match row {
            Some(Ok(reading)) => self.waiting.push_back(reading),
            Some(Err(error)) => {
                self.wrong = Some(error);
                self.ended = true;
            }
            None => self.ended = true,
        }
        // Rows that are there already go out together.
        while self.waiting.len() + self.under_way.len() < WINDOW && self.pace.rate.is_none() {
            match self.rows.try_recv() {
                Ok(Ok(reading)) => self.waiting.push_back(reading),
                Ok(Err(error)) => {
                    self.wrong = Some(error);
                    self.ended = true;
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// As many lines as pace and window allow.
    fn next_lines(&mut self) -> Vec<u8> {
        let mut lines = Vec::new();
        let room = WINDOW - self.under_way.len();
        let count = self.pace.rate.map_or(room, |_| 1).min(self.waiting.len());
        if self.under_way.is_empty() {
            self.answered = Instant::now();
        }
        for reading in self.waiting.drain(..count) {
            let request = Request::Reading(reading.clone());
            lines.extend(serde_json::to_vec(&request).unwrap_or_default());
            lines.push(b'\n');
            self.under_way.insert((reading.device.clone(), reading.seq), reading);
        }
        if let Some(pause) =
            self.pace.rate.and_then(|rate| Duration::from_secs(1).checked_div(rate))
        {
            self.next_send = (self.next_send + pause).max(Instant::now());
        }
        lines
    }

    fn take(&mut self, line: &str) -> Result<(), String> {
        self.answered = Instant::now();
        match serde_json::from_str(line).map_err(|error| error.to_string())? {
            Response::Logged(logged) => {
                if self.under_way.remove(&(logged.device, logged.seq)).is_some() {
                    self.outcome.acknowledged += 1;
                    self.outcome.repeated += u64::from(logged.repeated);
                }
                Ok(())
            }
            Response::Refused(refused) => {
                let key = (refused.device, refused.seq);
                let Some(reading) = self.under_way.remove(&key) else { return Ok(()) };
                if refused.retry {
                    self.waiting.push_front(reading);
                    self.next_send = Instant::now() + RETRY;
                } else {
                    tracing::warn!(device = key.0, seq = key.1, reason = refused.reason, "refused");
                    self.outcome.refused += 1;
                }
                Ok(())
            }
            Response::Error(reason) => Err(reason),
            _ => Err("an answer to nothing".to_owned()),
        }
    }

    /// What was sent and not answered is sent again, in order.
    fn take_back(&mut self) {
        let back = std::mem::take(&mut self.under_way);
        back.into_values().rev().for_each(|reading| self.waiting.push_front(reading));
    }
}

fn to_reading(row: &Row) -> Result<Reading, String> {
    let number = serde_json::from_str::<serde_json::Number>(&row.value);
    number.map_err(|_| format!("value {:?} is not a number", row.value))?;
    let seconds = match row.time.parse::<u64>() {
        Ok(seconds) => seconds.to_string(),
        Err(_) => seconds(crate::time::parse(&row.time)?),
    };
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    // The value goes in as it stands in the file: a detour through binary fractions could change it.
    let payload = format!(
        "[{{\"bn\":{},\"bt\":{seconds},\"n\":{},\"u\":{},\"v\":{}}}]",
        quote(&format!("{}:", row.device)),
        quote(&row.name),
        quote(&row.unit),
        row.value
    );
    Ok(Reading { device: row.device.clone(), seq: Some(row.seq), format: 110, payload })
}

/// Milliseconds as seconds, with a fraction where there is one.
fn seconds(ms: u64) -> String {
    match ms % 1_000 {
        0 => (ms / 1_000).to_string(),
        fraction => format!("{}.{fraction:03}", ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_senml_with_their_digits_kept() {
        let file =
            "time,device,seq,name,unit,value\n2026-11-20T10:00:00Z,meter-1,7,power,W,230.10\n";
        let readings = [read(file.as_bytes()).blocking_recv().unwrap().unwrap()];
        let payload = r#"[{"bn":"meter-1:","bt":1795168800,"n":"power","u":"W","v":230.10}]"#;
        assert_eq!((readings[0].payload.as_str(), readings[0].seq), (payload, Some(7)));
    }

    #[test]
    fn a_malformed_row_names_its_line() {
        let head = "time,device,seq,name,unit,value\n";
        for row in ["0,m,1,n,W,12x\n", "yesterday,m,1,n,W,1\n", "0,m,-1,n,W,1\n", "0,m\n"] {
            let file = std::io::Cursor::new(format!("{head}{row}"));
            let error = read(file).blocking_recv().unwrap().unwrap_err().to_string();
            assert!(error.starts_with("line 2"), "{error}");
        }
    }
}
