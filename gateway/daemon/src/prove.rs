//! Builds proofs: which entries, openings and evidence a bundle needs, and which checkpoint it hangs on.
//!
//! Guarantees: a proof is checked as a verifier would check its structure before it is handed out; damaged hash tiles are
//! mended on the way. A device's days come with their summaries, as far as they are closed; erased readings are listed
//! without their values. Prefers the smallest anchored checkpoint that covers everything, so that the upper bound in
//! time is as early as it can be. Does not: decide who may ask.

use serde::{Deserialize, Serialize};
use sluicegate_ledger::{AnchorEvidence, BlockEvidence};
use sluicegate_notary::{
    bundle::{Bundle, DeviceOpening, Opening, Parts},
    entry::{DAY_MS, Entry, epoch_of},
    tlog_proof::{Extra, TlogProof},
};
use sluicegate_protocol::commitment::salt;

use crate::{
    Error,
    desk::Desk,
    disk::Folder,
    recorder::{Alarm, Recorder},
    store::{Selection, StoredReading},
};

/// Most readings in one bundle.
const MAX_READINGS: usize = 200_000;

/// What is to be proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The device.
    pub device: String,
    /// Which of its readings.
    pub which: Which,
    /// In which form.
    pub form: Form,
}

/// Which readings of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// All of them, with their days' summaries.
    All,
    /// Those of a UTC day, with its summary.
    Day(u32),
    /// Those logged from the first time to before the second, in wall-clock milliseconds.
    Range(u64, u64),
    /// The one with this sequence number.
    Seq(u64),
}

/// The form of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A bundle, with anchors.
    Sgp,
    /// C2SP tlog-proof text of one reading, without anchors.
    TlogProof,
}

/// Builds the bytes of a proof.
pub fn prove(desk: &mut Desk, question: &Question) -> Result<Vec<u8>, Error> {
    let fresh = desk.fresh_checkpoint()?;
    match build(&desk.recorder, question, &fresh) {
        Err(Error::Notary(_) | Error::Damaged(_)) => {
            let mended = desk.recorder.files_mut().repair()?;
            if mended > 0 {
                desk.alarm(Alarm(format!("{mended} damaged tiles of the log were written anew")));
            }
            build(&desk.recorder, question, &fresh)
        }
        other => other,
    }
}

fn build(
    recorder: &Recorder<Folder>,
    question: &Question,
    fresh: &(u64, String),
) -> Result<Vec<u8>, Error> {
    let readings = select(recorder, question)?;
    if question.form == Form::TlogProof {
        return tlog_proof(recorder, &readings, fresh);
    }
    let mut parts = Parts::default();
    for reading in &readings {
        add_reading(recorder, &mut parts, reading)?;
    }
    if !matches!(question.which, Which::Seq(_)) {
        add_summaries(recorder, &mut parts, question, &readings)?;
    }
    let last = parts.entries.iter().map(|(index, _)| *index).max().unwrap_or(0);
    match recorder.store().covering_anchor(last + 1)? {
        Some(anchor) => {
            parts.checkpoint = anchor.note;
            let evidence = anchor.evidence.as_deref().map(AnchorEvidence::decode).transpose()?;
            parts.anchors.extend(evidence);
        }
        None => parts.checkpoint.clone_from(&fresh.1),
    }
    add_beacon(recorder, &mut parts, readings[0].index)?;
    Ok(Bundle::assemble(parts, &recorder.files().nodes())?.to_bytes())
}

/// The selected readings, at least one.
fn select(recorder: &Recorder<Folder>, question: &Question) -> Result<Vec<StoredReading>, Error> {
    let selection = match question.which {
        Which::All => Selection::All,
        Which::Day(day) => Selection::Days(day, day),
        Which::Range(from, to) => Selection::Days(day_of(from), day_of(to)),
        Which::Seq(seq) => Selection::Seq(seq),
    };
    let mut readings = recorder.store().select(&question.device, selection)?;
    if let Which::Range(from, to) = question.which {
        let times = readings.iter().map(|reading| Ok(entry(recorder, reading.index)?.time.ms));
        let times = times.collect::<Result<Vec<_>, Error>>()?;
        let mut times = times.into_iter();
        readings.retain(|_| times.next().is_some_and(|ms| (from..to).contains(&ms)));
    }
    match readings.len() {
        0 => Err(Error::NotFound(format!(
            "the log {} holds no such reading of {}",
            recorder.open_log().origin,
            question.device
        ))),
        found if found > MAX_READINGS => Err(Error::Usage(format!(
            "{found} readings are too many for one bundle, at most {MAX_READINGS}: ask for days"
        ))),
        _ => Ok(readings),
    }
}

fn add_reading(
    recorder: &Recorder<Folder>,
    parts: &mut Parts,
    reading: &StoredReading,
) -> Result<(), Error> {
    parts.entries.push((reading.index, recorder.files().entry(reading.index)?));
    parts.openings.extend(opening(recorder, reading)?);
    add_device(recorder, parts, &reading.day.device, reading.day.day);
    Ok(())
}

fn add_device(recorder: &Recorder<Folder>, parts: &mut Parts, device: &str, day: u32) {
    let epoch = epoch_of(day);
    if parts.devices.iter().all(|known| known.epoch != epoch) {
        parts.devices.push(device_opening(recorder, device, day));
    }
}

fn device_opening(recorder: &Recorder<Folder>, device: &str, day: u32) -> DeviceOpening {
    let (pseudonym, opening) = recorder.plan().identity.pseudonym(device, day);
    DeviceOpening { pseudonym, name: device.to_owned(), epoch: epoch_of(day), opening }
}

/// Payload and salt, unless one of them was erased.
fn opening(recorder: &Recorder<Folder>, reading: &StoredReading) -> Result<Option<Opening>, Error> {
    let Some(payload) = reading.payload.clone() else { return Ok(None) };
    let Some(stored) = recorder.stored_key(&reading.day)? else { return Ok(None) };
    let key = recorder.plan().identity.day_key(&stored);
    let salt = salt(&key, reading.seq, reading.index);
    Ok(Some(Opening { index: reading.index, salt, payload }))
}

/// Adds the summaries of days whose readings are all there.
fn add_summaries(
    recorder: &Recorder<Folder>,
    parts: &mut Parts,
    question: &Question,
    readings: &[StoredReading],
) -> Result<(), Error> {
    let mut days: Vec<u32> = readings.iter().map(|reading| reading.day.day).collect();
    days.dedup();
    days.sort_unstable();
    days.dedup();
    for day in days {
        let whole = match question.which {
            Which::Range(from, to) => {
                let start = u64::from(day) * DAY_MS;
                from <= start && start + DAY_MS <= to
            }
            _ => true,
        };
        let summary = recorder.store().summary(&question.device, day)?.filter(|_| whole);
        if let Some(index) = summary {
            parts.entries.push((index, recorder.files().entry(index)?));
        }
    }
    Ok(())
}

/// Adds the newest beacon before the first reading.
fn add_beacon(recorder: &Recorder<Folder>, parts: &mut Parts, first: u64) -> Result<(), Error> {
    if let Some((index, evidence)) = recorder.store().beacon_before(first)? {
        parts.entries.push((index, recorder.files().entry(index)?));
        parts.beacons.push(BlockEvidence::decode(&evidence)?);
    }
    Ok(())
}

fn tlog_proof(
    recorder: &Recorder<Folder>,
    readings: &[StoredReading],
    fresh: &(u64, String),
) -> Result<Vec<u8>, Error> {
    let [reading] = readings else {
        let reason = "a tlog-proof holds one reading: select it with --seq";
        return Err(Error::Usage(reason.to_owned()));
    };
    let opening = opening(recorder, reading)?.map(|opening| (opening.salt, opening.payload));
    let device = Some(device_opening(recorder, &reading.day.device, reading.day.day));
    let extra = Extra { entry: recorder.files().entry(reading.index)?, opening, device };
    let anchor = recorder.store().covering_anchor(reading.index + 1)?;
    let note = anchor.map_or_else(|| fresh.1.clone(), |anchor| anchor.note);
    let proof = TlogProof::assemble(note, reading.index, &extra, &recorder.files().nodes())?;
    Ok(proof.to_string().into_bytes())
}

fn entry(recorder: &Recorder<Folder>, index: u64) -> Result<Entry, Error> {
    Ok(Entry::decode(&recorder.files().entry(index)?)?)
}

fn day_of(ms: u64) -> u32 {
    u32::try_from(ms / DAY_MS).unwrap_or(u32::MAX)
}
