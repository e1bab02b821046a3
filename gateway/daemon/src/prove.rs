//! Builds proofs: which entries, openings and evidence a bundle needs, and which checkpoint it hangs on.
//!
//! Guarantees: a proof is checked as a verifier would check its structure before it is handed out; damaged hash tiles are
//! mended on the way. A device's days come with their summaries, as far as they are closed; erased readings are listed
//! without their values. Prefers the smallest anchored checkpoint that covers everything, so that the upper bound in
//! time is as early as it can be. Does not: decide who may ask.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sluicegate_ledger::{AnchorEvidence, BlockEvidence};
use sluicegate_notary::{
    bundle::{Bundle, DeviceOpening, Opening, Parts},
    entry::{Body, DAY_MS, Entry, Genesis, epoch_of},
    log::DayKey,
    tlog_proof::{Extra, TlogProof},
};
use sluicegate_protocol::commitment::salt;

use crate::{
    Error,
    desk::Desk,
    disk::Folder,
    files::LogFiles,
    recorder::{Alarm, Recorder, checkpoint_of},
    store::{OpenLog, Selection, StoredReading},
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
    /// From the log with this number; the newest one that holds something if absent.
    #[serde(default)]
    pub log: Option<u32>,
}

/// Which readings of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// All of them, with their days' summaries.
    All,
    /// Those of a UTC day, with its summary.
    Day(u32),
    /// The one at this index, of the newest log that has one of the device there.
    Index(u64),
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

/// A proof, and what the asker should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The file.
    pub bytes: Vec<u8>,
    /// Earlier logs that hold readings of this question too.
    pub notice: Option<String>,
}

/// Builds a proof from the log that is asked for, or from the newest one that holds what is asked for.
pub fn prove(desk: &mut Desk, question: &Question) -> Result<Proof, Error> {
    // Readings that wait become durable on the way, and are among those that are selected.
    let fresh = desk.fresh_checkpoint()?.map(|(_, note)| note);
    let (mut newest, mut earlier) = (None, Vec::new());
    for log in desk.recorder.store().logs()?.into_iter().rev() {
        let wanted = question.log.is_none_or(|number| number == log.number);
        match select(&desk.recorder, &log, question) {
            Ok(readings) if wanted && !readings.is_empty() => match newest {
                None => newest = Some((log, readings)),
                Some(_) => earlier.push(log.number),
            },
            Ok(_) | Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let Some((log, readings)) = newest else {
        let device = &question.device;
        let what = format!("no log of this gateway holds such a reading of {device}");
        return Err(Error::NotFound(what));
    };
    let numbers: Vec<String> = earlier.iter().rev().map(u32::to_string).collect();
    let notice = (!numbers.is_empty()).then(|| {
        let (origin, numbers) = (&log.origin, numbers.join(", "));
        format!("this is what {origin} holds; more is in earlier logs: --log {numbers}")
    });
    let bytes = prove_in(desk, question, log, fresh, &readings)?;
    Ok(Proof { bytes, notice })
}

fn prove_in(
    desk: &mut Desk,
    question: &Question,
    log: OpenLog,
    fresh: Option<String>,
    readings: &[StoredReading],
) -> Result<Vec<u8>, Error> {
    let kept = log.head.map(|(_, note)| note);
    let (number, origin) = (log.number, log.origin);
    if number != desk.recorder.open_log().number {
        // An earlier log signs nothing any more: its newest checkpoint is the one that was kept.
        let (recorder, files) = (&desk.recorder, desk.recorder.earlier_files(number)?);
        let view = View { recorder, files: &files, log: number, origin: &origin, head: kept };
        return view.build(question, readings);
    }
    let head = fresh.or(kept);
    match open_view(&desk.recorder, head.clone()).build(question, readings) {
        Err(Error::Notary(sluicegate_notary::Error::Protocol(_)) | Error::Damaged(_)) => {
            let mended = desk.recorder.repair()?;
            if mended > 0 {
                let alarm = format!("{mended} damaged tiles of the log were written anew");
                desk.alarm(Alarm(alarm));
            }
            open_view(&desk.recorder, head).build(question, readings)
        }
        other => other,
    }
}

fn open_view(recorder: &Recorder<Folder>, head: Option<String>) -> View<'_> {
    let open = recorder.open_log();
    View { recorder, files: recorder.files(), log: open.number, origin: &open.origin, head }
}

/// One log, with the newest checkpoint that may be shown of it.
struct View<'a> {
    recorder: &'a Recorder<Folder>,
    files: &'a LogFiles<Folder>,
    log: u32,
    origin: &'a str,
    head: Option<String>,
}

impl View<'_> {
    fn build(&self, question: &Question, readings: &[StoredReading]) -> Result<Vec<u8>, Error> {
        if question.form == Form::TlogProof {
            return self.tlog_proof(readings);
        }
        let mut parts = Parts::default();
        for reading in readings {
            self.add_reading(&mut parts, reading)?;
        }
        if !matches!(question.which, Which::Seq(_)) {
            self.add_summaries(&mut parts, question, readings)?;
        }
        let last = parts.entries.iter().map(|(index, _)| *index).max().unwrap_or(0);
        let (note, evidence) = self.checkpoint(last + 1)?;
        parts.checkpoint = note;
        parts.anchors.extend(evidence);
        self.add_beacon(&mut parts, readings[0].index)?;
        Ok(Bundle::assemble(parts, &self.files.nodes())?.to_bytes())
    }

    /// The earliest anchored checkpoint that covers `size` leaves, or else the newest one.
    fn checkpoint(&self, size: u64) -> Result<(String, Option<AnchorEvidence>), Error> {
        if let Some(anchor) = self.recorder.store().covering_anchor(self.log, size)? {
            let evidence = anchor.evidence.as_deref().map(AnchorEvidence::decode).transpose()?;
            return Ok((anchor.note, evidence));
        }
        let head = self
            .head
            .clone()
            .filter(|note| checkpoint_of(note).is_ok_and(|checkpoint| checkpoint.size >= size));
        let why = "the log shows no new checkpoint before it was compared with the ledger, which \
                   takes a running gateway that reached its ledger once since its start";
        Ok((head.ok_or_else(|| Error::NotFound(why.to_owned()))?, None))
    }

    /// Whether the newest checkpoint covers this leaf: a closed log may end with leaves that it never signed.
    fn signs(&self, index: u64) -> bool {
        let head = self.head.as_deref().map(checkpoint_of);
        matches!(head, Some(Ok(head)) if index < head.size)
    }

    fn add_reading(&self, parts: &mut Parts, reading: &StoredReading) -> Result<(), Error> {
        parts.entries.push((reading.index, self.files.entry(reading.index)?));
        parts.openings.extend(self.opening(reading)?);
        let epoch = epoch_of(reading.day.day);
        if parts.devices.iter().all(|known| known.epoch != epoch) {
            parts.devices.push(self.device_opening(reading));
        }
        Ok(())
    }

    fn device_opening(&self, reading: &StoredReading) -> DeviceOpening {
        let DayKey { device, day, .. } = &reading.day;
        let (pseudonym, opening) = self.recorder.plan().identity.pseudonym(device, *day);
        DeviceOpening { pseudonym, name: device.clone(), epoch: epoch_of(*day), opening }
    }

    /// Payload and salt, unless one of them was erased.
    fn opening(&self, reading: &StoredReading) -> Result<Option<Opening>, Error> {
        let Some(payload) = reading.payload.clone() else { return Ok(None) };
        let Some(stored) = self.recorder.stored_key(&reading.day)? else { return Ok(None) };
        let key = self.recorder.plan().identity.day_key(self.origin, &stored);
        let salt = salt(&key, reading.seq, reading.index);
        Ok(Some(Opening { index: reading.index, salt, payload }))
    }

    /// Adds the summaries of days whose readings are all there.
    fn add_summaries(
        &self,
        parts: &mut Parts,
        question: &Question,
        readings: &[StoredReading],
    ) -> Result<(), Error> {
        let days: BTreeSet<u32> = readings.iter().map(|reading| reading.day.day).collect();
        for day in days {
            let whole = match question.which {
                Which::Range(from, to) => {
                    let start = u64::from(day) * DAY_MS;
                    from <= start && start + DAY_MS <= to
                }
                _ => true,
            };
            let summary = self.recorder.store().summary(self.log, &question.device, day)?;
            if let Some(index) = summary.filter(|summary| whole && self.signs(*summary)) {
                parts.entries.push((index, self.files.entry(index)?));
            }
        }
        // What a day is complete in: a log that follows another one says so in its genesis leaf.
        let first = self.files.entry(0)?;
        let follows =
            matches!(Entry::decode(&first)?.body, Body::Genesis(Genesis { previous: Some(_), .. }));
        if follows {
            parts.entries.push((0, first));
        }
        Ok(())
    }

    /// Adds the newest beacon before the first reading.
    fn add_beacon(&self, parts: &mut Parts, first: u64) -> Result<(), Error> {
        let beacon = self.recorder.store().beacon_before(self.log, first)?;
        if let Some((index, evidence)) = beacon {
            parts.entries.push((index, self.files.entry(index)?));
            parts.beacons.push(BlockEvidence::decode(&evidence)?);
        }
        Ok(())
    }

    fn tlog_proof(&self, readings: &[StoredReading]) -> Result<Vec<u8>, Error> {
        let [reading] = readings else {
            let reason = "a tlog-proof holds one reading: select it with --seq";
            return Err(Error::Usage(reason.to_owned()));
        };
        let opening = self.opening(reading)?.map(|opening| (opening.salt, opening.payload));
        let device = Some(self.device_opening(reading));
        let extra = Extra { entry: self.files.entry(reading.index)?, opening, device };
        let (note, _) = self.checkpoint(reading.index + 1)?;
        let proof = TlogProof::assemble(note, reading.index, &extra, &self.files.nodes())?;
        Ok(proof.to_string().into_bytes())
    }
}

/// The selected readings of one log; of a closed one only those that it signed.
fn select(
    recorder: &Recorder<Folder>,
    log: &OpenLog,
    question: &Question,
) -> Result<Vec<StoredReading>, Error> {
    let selection = match question.which {
        Which::All => Selection::All,
        Which::Day(day) => Selection::Days(day, day),
        Which::Range(from, to) => Selection::Days(day_of(from), day_of(to)),
        Which::Index(index) => Selection::Index(index),
        Which::Seq(seq) => Selection::Seq(seq),
    };
    let mut readings = recorder.store().select(log.number, &question.device, selection)?;
    let is_open = log.number == recorder.open_log().number;
    let signed = log.head.as_ref().map_or(0, |(size, _)| *size);
    readings.retain(|reading| is_open || reading.index < signed);
    if let Which::Range(from, to) = question.which {
        let earlier = (!is_open).then(|| recorder.earlier_files(log.number));
        let earlier = earlier.transpose()?;
        let files = earlier.as_ref().unwrap_or(recorder.files());
        let times =
            readings.iter().map(|reading| Ok(Entry::decode(&files.entry(reading.index)?)?.time.ms));
        let mut times = times.collect::<Result<Vec<u64>, Error>>()?.into_iter();
        readings.retain(|_| times.next().is_some_and(|ms| (from..to).contains(&ms)));
    }
    if readings.len() > MAX_READINGS {
        let found = readings.len();
        return Err(Error::Usage(format!(
            "{found} readings are too many for one bundle, at most {MAX_READINGS}: ask for days"
        )));
    }
    Ok(readings)
}

fn day_of(ms: u64) -> u32 {
    u32::try_from(ms / DAY_MS).unwrap_or(u32::MAX)
}
