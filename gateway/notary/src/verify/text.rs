//! The words of a report.
//!
//! Guarantees: says what was shown and by whom, never that a value is true; control characters of foreign text are
//! escaped, so that a bundle can't write to a terminal what the verifier did not say.

use alloc::{format, string::String, vec::Vec};
use core::fmt::{self, Write};

use super::report::{Block, Day, Erasure, Reading, Report, Status, Value, Verdict};

pub(super) const NO_LOWER_BOUND: &str = "No block of a ledger is shown that is older than all readings: nothing says how old they are \
     at most.";

pub(super) const NO_ANCHOR: &str =
    "No anchor is shown: no ledger says since when the log has been like this.";

pub(super) fn unknown_ledger(ledger: &str) -> String {
    format!("The policy has no key for the ledger {}, so its block was not checked.", clean(ledger))
}

pub(super) fn not_before(block: &Block) -> String {
    format!(
        "All readings were logged after {}: the log named this block before it logged them.",
        named(block)
    )
}

pub(super) fn anchored(block: &Block) -> String {
    format!(
        "This state of the log stands in {}: the readings were logged before that block, and are \
         unchanged since. An embedded ledger proves order and integrity to whoever trusts this \
         ledger key, not time.",
        named(block)
    )
}

/// Goes after what is said of complete days.
pub(super) fn follows(origin: &str) -> String {
    format!(" This log follows {}; readings of that day may be there too.", clean(origin))
}

/// A block as a person reads of it.
fn named(block: &Block) -> String {
    let (number, ledger, time) = (block.number, clean(&block.ledger), &block.time);
    format!("block {number} of ledger {ledger} ({time}, that ledger's time)")
}

/// `1 value`, `2 values`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// An error's text as a sentence.
pub(super) fn sentence(text: &str) -> String {
    let text = clean(text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        let first = first.to_ascii_uppercase();
        format!("{first}{}.", letters.as_str())
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing into a string can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A payload as text where it is text.
pub(super) fn value(payload: Option<&[u8]>) -> Value {
    payload.map_or(Value::Withheld, |payload| match core::str::from_utf8(payload) {
        Ok(text) if !text.chars().any(unprintable) => Value::Text(text.into()),
        _ => Value::Hex(hex(payload)),
    })
}

/// Foreign text without control characters and without what turns the direction of writing.
pub(super) fn clean(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, letter| {
        if unprintable(letter) {
            out.extend(letter.escape_unicode())
        } else {
            out.push(letter)
        }
        out
    })
}

fn unprintable(letter: char) -> bool {
    let directed = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    letter.is_control() || directed || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

impl Report {
    /// Derives verdict and summary from what was found; for a bundle of which no check failed.
    pub(super) fn settle(mut self) -> Self {
        self.verdict = if self.quorum_missing {
            Verdict::QuorumMissing
        } else if self.unreachable {
            Verdict::LedgerUnreachable
        } else if self.anchor_doubted || self.bracket.not_after.is_none() {
            Verdict::NotAnchored
        } else {
            Verdict::Valid
        };
        self.exit_code = self.verdict.exit_code();
        self.summary = self.describe();
        self
    }

    fn describe(&self) -> String {
        let log = self.log.as_ref().map_or_else(String::new, |log| clean(&log.origin));
        let since = match &self.bracket.not_after {
            Some(block) if !self.anchor_doubted => {
                format!(", unchanged since block {} of {}", block.number, clean(&block.ledger))
            }
            _ => String::new(),
        };
        let what = match self.readings.len() {
            0 => String::from("the entries shown here"),
            1 => String::from("this value"),
            number => format!("these {number} values"),
        };
        let reserve = match self.verdict {
            Verdict::NotAnchored => " No ledger that was trusted or asked says since when.",
            Verdict::QuorumMissing => " The witnesses that the policy asks for did not cosign.",
            Verdict::LedgerUnreachable => " The ledger could not be asked.",
            Verdict::Valid | Verdict::Invalid => "",
        };
        format!("The gateway of log {log} logged {what}{since}.{reserve}")
    }

    /// The report for a person, ended by a newline.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing into a string can't fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "{}: {}\n", heading(self.verdict), self.summary)?;
        for step in &self.steps {
            writeln!(out, "  {} {}", mark(step.status), step.text)?;
        }
        if self.verdict == Verdict::Invalid {
            return Ok(());
        }
        self.write_trust(out)?;
        section(out, "Days", &self.days, write_day)?;
        section(out, "Erased", &self.erasures, write_erasure)?;
        section(out, "Readings", &self.readings, write_reading)
    }

    fn write_trust(&self, out: &mut String) -> fmt::Result {
        writeln!(out)?;
        if let Some(log) = &self.log {
            writeln!(out, "Signed by   {} at {} entries", clean(&log.origin), log.size)?;
            writeln!(out, "Checkpoint  {}", log.digest)?;
        }
        for witness in &self.witnesses {
            writeln!(out, "Witness     {}, {}", clean(&witness.name), witness.time)?;
        }
        if let Some(block) = &self.bracket.not_before {
            writeln!(out, "Not before  {}", named(block))?;
        }
        if let Some(block) = &self.bracket.not_after {
            writeln!(out, "Not after   {}", named(block))?;
        }
        Ok(())
    }
}

const fn heading(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "INVALID",
        Verdict::NotAnchored => "valid, not anchored",
        Verdict::QuorumMissing => "QUORUM MISSING",
        Verdict::LedgerUnreachable => "ledger unreachable",
    }
}

const fn mark(status: Status) -> &'static str {
    match status {
        Status::Passed => "ok  ",
        Status::Failed => "FAIL",
        Status::NotChecked => "--  ",
    }
}

fn section<T>(
    out: &mut String,
    title: &str,
    items: &[T],
    write: fn(&mut String, &T) -> fmt::Result,
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{title}")?;
    items.iter().try_for_each(|item| write(out, item))
}

fn write_day(out: &mut String, day: &Day) -> fmt::Result {
    let device = device(day.device.as_deref(), &day.pseudonym);
    let readings = count(day.readings, "reading", "readings");
    let complete = day.complete_at.map_or_else(
        || String::from("not shown to be complete"),
        |index| format!("complete in this log as it stood at entry {index}"),
    );
    let notes: Vec<_> = [
        (day.after_summary, "logged after the summary"),
        (day.withheld, "without value"),
        (day.missing, "skipped by the device's own count and not shown here"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!(", {number} {what}"))
    .collect();
    writeln!(out, "  {}  {device}  {readings}, {complete}{}", day.date, notes.concat())
}

fn write_erasure(out: &mut String, erasure: &Erasure) -> fmt::Result {
    let device = device(erasure.device.as_deref(), &erasure.pseudonym);
    let readings = count(erasure.count, "reading", "readings");
    let (date, class, index) = (&erasure.date, clean(&erasure.class), erasure.index);
    writeln!(out, "  {date}  {device}  {readings} of class {class}, as entry {index} says")
}

fn write_reading(out: &mut String, reading: &Reading) -> fmt::Result {
    let device = device(reading.device.as_deref(), &reading.pseudonym);
    let clock = if reading.synchronised { "" } else { " (clock not synchronised)" };
    write!(out, "  {:>8}  {}{clock}  {device}", reading.index, reading.time)?;
    if let Some(seq) = reading.seq {
        write!(out, "  seq {seq}")?;
    }
    if reading.gap > 0 {
        write!(out, " ({} skipped before it)", reading.gap)?;
    }
    match &reading.value {
        Value::Text(text) => writeln!(out, "  {text}"),
        Value::Hex(hex) => writeln!(out, "  0x{hex}"),
        Value::Withheld => writeln!(out, "  (no value shown)"),
    }
}

/// The device's name, or what the log calls it.
fn device(name: Option<&str>, pseudonym: &str) -> String {
    name.map_or_else(|| format!("device {pseudonym}"), clean)
}
