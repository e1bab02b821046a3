//! The verifier: a bundle or tlog-proof and a policy go in, a report in words comes out.
//!
//! Guarantees: trust comes from the policy alone: a perfect file by an unknown signer is invalid. Every changed byte of
//! a bundle makes it invalid. Nothing of an invalid file is reported as a reading.
//! Does not: say that a reading is true; it says that this gateway logged this value, and between which blocks.
//! Does not ask a ledger: a caller that did gives the answer to [`Report::with_answer`].
//!
//! Order of use: [`Policy::parse`], [`verify`], then [`Report::to_text`] or [`Report::to_json`] and the exit code of
//! its verdict. The browser calls [`verify_to_json`], which is the same.
//! Specification: `specs/notary.md` §2 (verification) and §5, design §7.

mod content;
mod gaps;
mod report;
mod text;
mod trust;

use alloc::{
    collections::BTreeMap,
    format,
    string::{String, ToString},
    vec::Vec,
};

pub(crate) use self::content::Content;
pub use self::report::{
    Beacon, Block, Bracket, Check, Day, Erasure, LedgerAnswer, Log, Reading, Report, Status, Step,
    Value, Verdict, Witness, utc,
};
use self::{
    content::Head,
    gaps::Gaps,
    report::{CHECKS, date},
    text::{count, hex, sentence},
};
use crate::{
    Error,
    bundle::{Bundle, MAX_BUNDLE},
    entry::{Body, Pseudonym},
    policy::Policy,
    tlog_proof::{self, MAX_PROOF, TlogProof},
};

/// Longest file that can be valid, in bytes: nobody need read more of one before [`verify`].
pub const MAX_FILE: usize = if MAX_BUNDLE > MAX_PROOF { MAX_BUNDLE } else { MAX_PROOF };

/// Judges the bytes of a bundle (`.sgp`) or of a `.tlog-proof`.
pub fn verify(file: &[u8], policy: &Policy<'_>) -> Report {
    let mut report = Report::new();
    match judge(file, policy, &mut report) {
        Ok(()) => report.settle(),
        Err(failure) => refused(report.steps, failure),
    }
}

/// The report as JSON, or `{"error": …}` when the policy can't be read.
pub fn verify_to_json(file: &[u8], policy: &[u8]) -> String {
    match Policy::parse(policy) {
        Ok(policy) => verify(file, &policy).to_json(),
        Err(error) => serde_json::json!({ "error": error.to_string() }).to_string(),
    }
}

/// The check that did not hold, and why.
struct Failure {
    check: Check,
    error: Error,
}

/// Names the check of an error.
trait At<T> {
    fn at(self, check: Check) -> Result<T, Failure>;
}

impl<T> At<T> for Result<T, Error> {
    fn at(self, check: Check) -> Result<T, Failure> {
        self.map_err(|error| Failure { check, error })
    }
}

/// A report with the steps so far, the failure, and nothing else.
fn refused(steps: Vec<Step>, failure: Failure) -> Report {
    let Failure { check, error } = failure;
    let mut report = Report { steps, ..Report::new() };
    let reason = sentence(&error.to_string());
    report.step(check, Status::Failed, reason.clone());
    for later in CHECKS.into_iter().skip_while(|later| *later != check).skip(1) {
        report.step(later, Status::NotChecked, "An earlier check failed.".into());
    }
    report.summary = format!("Not proven: nothing in this file may be relied on. {reason}");
    report
}

fn judge(file: &[u8], policy: &Policy<'_>, report: &mut Report) -> Result<(), Failure> {
    let (bundle, form) = read(file).at(Check::Format)?;
    let head = Head::read(&bundle).at(Check::Format)?;
    // What a stranger signed is not worth the memory of its entries.
    let signed = trust::signer(&head, policy);
    if let Err(error) = signed {
        report.step(Check::Format, Status::Passed, form);
        return Err(error).at(Check::Signer);
    }
    let content = Content::read(&bundle, head).at(Check::Format)?;
    report.step(Check::Format, Status::Passed, form);
    signer(&content.head, report);
    witnesses(&content.head, policy, report)?;
    inclusion(&content, report)?;
    openings(&content, report)?;
    days(&content, report)?;
    beacons(&content, policy, report)?;
    anchor(&content, policy, report)?;
    show(&content, report);
    Ok(())
}

fn read(file: &[u8]) -> Result<(Bundle, String), Error> {
    if file.starts_with(tlog_proof::HEADER.as_bytes()) {
        let what = "tlog-proof";
        let text = core::str::from_utf8(file).map_err(|_| Error::Encoding { what })?;
        let form = "The file is a C2SP tlog-proof of one entry, in its one valid form.";
        return Ok((TlogProof::parse(text)?.to_bundle()?, form.into()));
    }
    let form = format!(
        "The file is a proof bundle of {} bytes, in its one valid form; its checksum fits.",
        file.len()
    );
    Ok((Bundle::decode(file)?, form))
}

fn signer(head: &Head<'_>, report: &mut Report) {
    let checkpoint = &head.checkpoint;
    let text = format!(
        "The log {} is known to the policy and signed this state of {}.",
        text::clean(checkpoint.origin),
        count(checkpoint.size, "entry", "entries")
    );
    report.step(Check::Signer, Status::Passed, text);
    report.log = Some(Log {
        origin: checkpoint.origin.into(),
        size: checkpoint.size,
        root: checkpoint.root.to_string(),
        digest: checkpoint.digest().to_string(),
    });
}

fn witnesses(head: &Head<'_>, policy: &Policy<'_>, report: &mut Report) -> Result<(), Failure> {
    let (found, met) = trust::witnesses(head, policy).at(Check::Witnesses)?;
    let cosigned = count(found.len() as u64, "witness", "witnesses");
    let (status, text) = match (policy.has_quorum(), met) {
        (false, _) => (Status::NotChecked, "The policy asks for no witness.".into()),
        (true, true) => (
            Status::Passed,
            format!(
                "Cosigned by {cosigned} of the policy, as many as it asks for: others saw the \
                 same log."
            ),
        ),
        (true, false) => (
            Status::Failed,
            format!("Cosigned by {cosigned} of the policy, which asks for more or for others."),
        ),
    };
    report.quorum_missing = !met;
    report.witnesses = found;
    report.step(Check::Witnesses, status, text);
    Ok(())
}

fn inclusion(content: &Content<'_>, report: &mut Report) -> Result<(), Failure> {
    content.check_inclusion().at(Check::Inclusion)?;
    let shown = content.entries.len() as u64;
    let text = format!(
        "The hashes lead from the {} shown here to the signed state: the log holds exactly these \
         bytes at these places.",
        count(shown, "entry", "entries")
    );
    report.step(Check::Inclusion, Status::Passed, text);
    Ok(())
}

fn openings(content: &Content<'_>, report: &mut Report) -> Result<(), Failure> {
    content.check_openings().at(Check::Openings)?;
    let parts = &content.bundle.parts;
    let (shown, names) = (parts.openings.len() as u64, parts.devices.len() as u64);
    let hidden = (content.readings().count() as u64).saturating_sub(shown);
    let status = if shown == 0 { Status::NotChecked } else { Status::Passed };
    let mut text = format!(
        "{} shown, with {}.",
        count(shown, "value is", "values are"),
        count(names, "device name", "device names")
    );
    if shown > 0 {
        text += " All of it is what the log committed to.";
    }
    if hidden > 0 {
        let without = count(hidden, "reading is", "readings are");
        text += &format!(" {without} without a value: left out of the bundle, or erased.");
    }
    report.step(Check::Openings, status, text);
    Ok(())
}

fn days(content: &Content<'_>, report: &mut Report) -> Result<(), Failure> {
    content.check_days().at(Check::Days)?;
    let summaries = content.summaries().count() as u64;
    let (status, text) = if summaries == 0 {
        let text = "No end-of-day summary is shown: the devices may have sent more than this.";
        (Status::NotChecked, text.into())
    } else {
        let mut text = format!(
            "{} the log's own count: all readings of that day in this log are here, as the log \
             stood at the summary.",
            count(summaries, "day matches", "days match")
        );
        if let Some(previous) = content.previous() {
            text += &text::follows(&previous.origin);
        }
        (Status::Passed, text)
    };
    report.step(Check::Days, status, text);
    Ok(())
}

fn beacons(content: &Content<'_>, policy: &Policy<'_>, report: &mut Report) -> Result<(), Failure> {
    content.check_beacons().at(Check::NotBefore)?;
    let mut unknown = None;
    for ((index, beacon), evidence) in content.beacons().zip(&content.bundle.parts.beacons) {
        match trust::block(evidence, policy).at(Check::NotBefore)? {
            Some(block) => report.beacons.push(Beacon { index, block }),
            None => unknown = Some(beacon.ledger.as_str()),
        }
    }
    let first = content.readings().next().map(|(index, ..)| index);
    let older = |beacon: &&Beacon| first.is_some_and(|first| beacon.index < first);
    let not_before = report.beacons.iter().rfind(older).map(|beacon| beacon.block.clone());
    let (status, text) = match (&not_before, unknown) {
        (Some(block), _) => (Status::Passed, text::not_before(block)),
        (None, Some(ledger)) => (Status::NotChecked, text::unknown_ledger(ledger)),
        (None, None) => (Status::NotChecked, text::NO_LOWER_BOUND.into()),
    };
    report.bracket.not_before = not_before;
    report.step(Check::NotBefore, status, text);
    Ok(())
}

fn anchor(content: &Content<'_>, policy: &Policy<'_>, report: &mut Report) -> Result<(), Failure> {
    content.check_anchor().at(Check::Anchor)?;
    let Some(evidence) = content.bundle.parts.anchors.first() else {
        report.step(Check::Anchor, Status::NotChecked, text::NO_ANCHOR.into());
        return Ok(());
    };
    let Some(block) = trust::anchor(evidence, policy).at(Check::Anchor)? else {
        let ledger = evidence.ledger_id().map_err(Error::Ledger).at(Check::Anchor)?;
        report.step(Check::Anchor, Status::NotChecked, text::unknown_ledger(ledger.as_str()));
        return Ok(());
    };
    let late = report.beacons.iter().map(|beacon| &beacon.block);
    let late =
        late.filter(|b| b.ledger == block.ledger && b.number >= block.number).max_by_key(number);
    if let Some(beacon) = late {
        let (beacon, anchor) = (beacon.number, block.number);
        return Err(Error::AnchorBeforeBeacon { beacon, anchor }).at(Check::Anchor);
    }
    report.step(Check::Anchor, Status::Passed, text::anchored(&block));
    report.bracket.not_after = Some(block);
    Ok(())
}

fn number(block: &&Block) -> u64 {
    block.number
}

/// Fills in what a valid bundle shows.
fn show(content: &Content<'_>, report: &mut Report) {
    let mut beacons = report.beacons.iter().map(|beacon| beacon.index).peekable();
    let mut after_beacon = None;
    let mut days: BTreeMap<(Pseudonym, u32), Day> = BTreeMap::new();
    let gaps = Gaps::of(content);
    for (index, summary) in content.summaries() {
        day(&mut days, content, summary.pseudonym, summary.day).complete_at = Some(index);
    }
    for (index, entry, reading) in content.readings() {
        while let Some(beacon) = beacons.next_if(|beacon| *beacon < index) {
            after_beacon = Some(beacon);
        }
        let value = text::value(content.opening(index).map(|opening| opening.payload.as_slice()));
        let day = day(&mut days, content, reading.pseudonym, entry.time.day());
        day.readings += 1;
        day.withheld += u64::from(value == Value::Withheld);
        day.after_summary += u64::from(day.complete_at.is_some_and(|summary| summary < index));
        day.missing = day.missing.saturating_add(gaps.missing(content, reading));
        report.readings.push(Reading {
            index,
            device: content.device(&reading.pseudonym).map(String::from),
            pseudonym: hex(&reading.pseudonym),
            seq: reading.seq,
            gap: reading.gap,
            time_ms: entry.time.ms,
            time: utc(entry.time.ms),
            synchronised: entry.time.synchronised,
            content_format: reading.format,
            value,
            after_beacon,
        });
    }
    report.days = days.into_values().collect();
    report.erasures = erasures(content);
}

fn day<'a>(
    days: &'a mut BTreeMap<(Pseudonym, u32), Day>,
    content: &Content<'_>,
    pseudonym: Pseudonym,
    day: u32,
) -> &'a mut Day {
    days.entry((pseudonym, day)).or_insert_with(|| Day {
        device: content.device(&pseudonym).map(String::from),
        pseudonym: hex(&pseudonym),
        date: date(u64::from(day)),
        complete_at: None,
        readings: 0,
        withheld: 0,
        after_summary: 0,
        missing: 0,
    })
}

fn erasures(content: &Content<'_>) -> Vec<Erasure> {
    let erasures = content.entries.iter().filter_map(|(index, entry)| match &entry.body {
        Body::Erasure(erasure) => Some((*index, erasure)),
        _ => None,
    });
    let shown = erasures.map(|(index, erasure)| Erasure {
        index,
        device: content.device(&erasure.pseudonym).map(String::from),
        pseudonym: hex(&erasure.pseudonym),
        class: erasure.class.clone(),
        date: date(u64::from(erasure.day)),
        count: erasure.count,
    });
    shown.collect()
}
