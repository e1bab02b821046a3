//! Bundles: proved, verified, tampered with, forged.

use std::{fs, process::Output};

use serde::Deserialize;
use serde_json::Value;
use sluicegate_protocol::sha256;

use crate::{
    failure::{Doing, Failure, Result, expect},
    site::Site,
};

/// The policy that all verifications use.
pub(crate) const POLICY: &str = "policy";

/// A bundle and what verification has to say about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    /// Short name, also of the link `report.html#verify=…`.
    pub(crate) key: &'static str,
    pub(crate) file: &'static str,
    /// What it is, in a few words.
    pub(crate) what: &'static str,
    /// The check that does not hold; none if the bundle is valid.
    pub(crate) fails_at: Option<&'static str>,
}

/// A bundle and what `sluicegate verify` said about it.
pub(crate) struct Judged {
    pub(crate) case: Case,
    pub(crate) bytes: Vec<u8>,
    /// For a person.
    pub(crate) text: String,
    pub(crate) report: Report,
}

/// What `sluicegate verify --json` prints for a file.
#[derive(Debug, Deserialize)]
struct Line {
    report: Report,
}

/// The parts of a report that the demo looks at.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) exit_code: i32,
    steps: Vec<Step>,
    pub(crate) readings: Vec<Reading>,
}

#[derive(Debug, Deserialize)]
struct Step {
    check: String,
    status: String,
}

/// A reading that a bundle discloses.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Reading {
    /// Its place in the log.
    pub(crate) index: u64,
    pub(crate) device: String,
    pub(crate) seq: Option<u64>,
    pub(crate) content_format: u16,
    /// When the gateway logged it.
    pub(crate) time_ms: u64,
    value: Value,
}

impl Reading {
    /// The bytes that the device sent, as text.
    pub(crate) fn payload(&self) -> &str {
        self.value.get("text").and_then(Value::as_str).unwrap_or("nothing that is text")
    }

    /// What the gateway itself logged of the device: a command, its result, an observed state.
    pub(crate) fn record(&self) -> Option<Value> {
        self.seq.is_none().then(|| serde_json::from_str(self.payload()).ok()).flatten()
    }
}

impl Report {
    /// The check that did not hold.
    fn failed(&self) -> Option<&str> {
        self.steps.iter().find(|step| step.status == "failed").map(|step| step.check.as_str())
    }
}

/// Runs `sluicegate verify` on a file and insists that it ends as expected.
pub(crate) fn verify(site: &Site, case: &Case) -> Result<Judged> {
    let Case { file, fails_at, .. } = *case;
    let run = |json: &[&str]| {
        let mut command = site.command("verify");
        command.args([file, "--policy", POLICY]).args(json).output().doing("starting verify")
    };
    let (output, json) = (run(&[])?, run(&["--json"])?);
    let (code, text) = (output.status.code(), text_of(&output));
    let wanted = i32::from(fails_at.is_some());
    expect(code == Some(wanted), || {
        format!("verify {file}: exit code {wanted} was expected, it is {code:?}\n{text}")
    })?;
    let Line { report } = serde_json::from_slice(&json.stdout).doing("reading verify --json")?;
    let failed = report.failed();
    expect(failed == fails_at && report.exit_code == wanted, || {
        format!("verify {file}: to fail was {fails_at:?}, it is {failed:?}\n{text}")
    })?;
    let bytes = fs::read(file).doing(file)?;
    Ok(Judged { case: *case, bytes, text, report })
}

fn text_of(output: &Output) -> String {
    let parts = [&output.stdout, &output.stderr].map(|part| String::from_utf8_lossy(part));
    parts.concat().trim().to_owned()
}

/// The outcome, what was checked, and the reading; without what repeats these.
pub(crate) fn brief(text: &str) -> String {
    let is_check = |line: &str| ["  ok ", "  FAIL ", "  -- "].iter().any(|m| line.starts_with(m));
    let lines = text.lines().enumerate().filter(|(number, line)| {
        let skipped = line.ends_with("An earlier check failed.");
        *number == 0 || (is_check(line) && !skipped) || line.contains(" seq ")
    });
    lines.map(|(_, line)| line).collect::<Vec<_>>().join("\n")
}

/// A copy in which the reading's value has another first digit. The checksum is made to fit, as a
/// careful cheat would, so that only the commitment in the log can tell.
pub(crate) fn change_value(bundle: &[u8]) -> Result<Vec<u8>> {
    const VALUE: &[u8] = b"\"v\":";
    let place = bundle.windows(VALUE.len()).position(|window| window == VALUE);
    let place = place.ok_or_else(|| Failure::new("the bundle shows no value"))? + VALUE.len();
    let mut copy = bundle.to_vec();
    copy[place] = if copy[place] == b'9' { b'1' } else { copy[place] + 1 };
    Ok(with_checksum(copy))
}

/// A bundle is an array of nine items; the last is SHA-256 over the others as an array of eight.
fn with_checksum(mut bundle: Vec<u8>) -> Vec<u8> {
    const ARRAY_8: u8 = 0x88;
    const HASH: usize = 32;
    const HASH_HEADER: usize = 2;
    let end = bundle.len() - HASH;
    let checksum = sha256(&[&[ARRAY_8], &bundle[1..end - HASH_HEADER]]);
    bundle[end..].copy_from_slice(checksum.as_bytes());
    bundle
}

/// A copy with one flipped bit in the middle.
pub(crate) fn flip_bit(bundle: &[u8]) -> Vec<u8> {
    let mut copy = bundle.to_vec();
    copy[bundle.len() / 2] ^= 0x10;
    copy
}
