//! What a payment costs: updates that both gateways have signed and made durable, one after the other in one channel and
//! over a thousand channels, beside raw signatures and raw syncs in the same run.
//!
//! Guarantees: both gateways and the ledger are processes of their own, with TLS between the gateways; a payment counts
//! when the paying gateway answers that both have signed it. Does not: say how fast two machines are; both gateways and
//! the client share the processors.

mod client;
mod pair;

use std::{
    fs::OpenOptions,
    hint::black_box,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use sluicegate_protocol::channel::SigningKey;

use self::{client::Client, pair::Pair};
use crate::{
    Result,
    stats::{rate, time, whole},
    table::Table,
};

/// How long each load runs.
const RUN: Duration = Duration::from_secs(5);

/// Channels of the second load.
const CHANNELS: usize = 1_000;

/// Who pays at the same time, each in channels of its own.
const PAYERS: usize = 60;

/// What was measured.
pub(crate) struct Payments {
    /// Updates over many channels per second of the paying gateway's processor time.
    pub(crate) per_processor_second: f64,
    /// One update in one channel, and one raw sync.
    pub(crate) serial: Duration,
    pub(crate) sync: Duration,
    pub(crate) table: Table,
}

/// A load and what it came to.
struct Run {
    updates: u64,
    took: Duration,
    /// Processor time of the paying gateway and of the other one.
    used: [Duration; 2],
}

/// Measures everything.
pub(crate) fn measure(folder: &Path) -> Result<Payments> {
    eprintln!("measuring payments");
    let folder = folder.join("payments");
    let pair = Pair::start(&folder)?;
    let first = pair.open(1)?;
    let serial = load(&pair, &first, 1)?;
    let all = pair.open(CHANNELS)?;
    let many = load(&pair, &all, PAYERS)?;
    let (pairs, sync) = (sign_and_verify(), raw_sync(&folder)?);
    let mut table = Table::new(
        "Payments",
        &[
            "what",
            "per second",
            "paying gateway's processor time each",
            "other gateway's",
            "raw sign + verify in that",
        ],
    );
    for (what, run) in [("one channel, one after the other", &serial), ("1 000 channels", &many)] {
        let [own, other] =
            run.used.map(|used| used / u32::try_from(run.updates).unwrap_or(u32::MAX));
        let times = own.as_secs_f64() * pairs;
        let cells = [
            what.to_owned(),
            whole(rate(run.updates, run.took)),
            time(own),
            time(other),
            format!("{times:.1}"),
        ];
        table.row(cells);
    }
    table.note(&format!(
        "A payment is signed and verified by each side, with an authorisation to withdraw, and durable at both before it is\n\
         answered. Raw: {} times sign and verify a second on one core; one write of 4 KiB with fdatasync takes {}.\n\
         {PAYERS} payers at once over 1 000 channels.",
        whole(pairs),
        time(sync),
    ));
    let per_processor_second = many.updates as f64 / many.used[0].as_secs_f64();
    let each = serial.took / u32::try_from(serial.updates)?;
    Ok(Payments { per_processor_second, serial: each, sync, table })
}

/// Pays in these channels for some time.
fn load(pair: &Pair, channels: &[String], payers: usize) -> Result<Run> {
    pay(pair, channels, payers, RUN / 5)?;
    let (start, before) = (Instant::now(), pair.used()?);
    let updates = pay(pair, channels, payers, RUN)?;
    let (took, after) = (start.elapsed(), pair.used()?);
    Ok(Run { updates, took, used: [after[0] - before[0], after[1] - before[1]] })
}

/// Each payer pays 1 in one of its channels after the other.
fn pay(pair: &Pair, channels: &[String], payers: usize, time: Duration) -> Result<u64> {
    let end = Instant::now() + time;
    let work = |own: Vec<String>| -> Result<u64, String> {
        let mut client = Client::connect(&pair.socket).map_err(|error| error.to_string())?;
        let mut paid = 0;
        for channel in own.iter().cycle().take_while(|_| Instant::now() < end) {
            client.pay(channel).map_err(|error| error.to_string())?;
            paid += 1;
        }
        Ok(paid)
    };
    std::thread::scope(|scope| {
        let start = |payer: usize| {
            let own = channels.iter().skip(payer).step_by(payers).cloned().collect();
            scope.spawn(move || work(own))
        };
        let threads: Vec<_> = (0..payers).map(start).collect();
        let ended = threads.into_iter().map(|thread| match thread.join() {
            Ok(paid) => paid,
            Err(_) => Err("a payer stopped".to_owned()),
        });
        Ok(ended.sum::<Result<u64, String>>()?)
    })
}

/// How often a state can be signed, and the signature verified, in a second.
fn sign_and_verify() -> f64 {
    let Ok(key) = SigningKey::from_bytes(&[7; 32]) else { return 0.0 };
    let (hash, start, mut count) = ([0x5a; 32], Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(1) {
        let signature = key.sign_hash(black_box(&hash));
        black_box(signature.is_ok_and(|signature| signature.verify(&hash, &key.address()).is_ok()));
        count += 1;
    }
    rate(count, start.elapsed())
}

/// The median of small durable writes.
fn raw_sync(folder: &Path) -> Result<Duration> {
    let mut file = OpenOptions::new().append(true).create(true).open(folder.join("raw"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        file.write_all(&[0x5a; 4_096])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() / 2])
}
