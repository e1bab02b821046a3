//! `sluicegate verify`: files, a policy, and a ledger to ask where the caller wants that.
//!
//! Guarantees: offline unless `--rpc` is given; trust comes from the policy or the named ledger, never from a file.
//! Does not: judge; `sluicegate-notary` does, here and in the browser alike.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

use sluicegate_embedded::client::{Client, Remotely};
use sluicegate_ledger::{Anchors, Error as LedgerError, Ledger};
use sluicegate_notary::{
    policy::Policy,
    verify::{Block, LedgerAnswer, MAX_FILE, Report, verify},
};
use sluicegate_protocol::Digest;

use crate::{Error, credentials, gateway::with_limit, report};

/// How long the ledger may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What to verify, and by whose word.
pub struct Question<'a> {
    /// Bundles and tlog-proofs.
    pub files: &'a [PathBuf],
    /// The verifier's own policy.
    pub policy: &'a Path,
    /// A ledger to ask: `unix:SOCKET`, or `unix:SOCKET#NAME` where the policy does not name it.
    pub rpc: Option<&'a str>,
}

/// A file and what was found in it.
pub struct Judged {
    /// The file.
    pub file: PathBuf,
    /// Its report, or why it could not be read.
    pub found: Result<Report, Error>,
}

impl Judged {
    /// The exit code of this file alone.
    pub fn exit_code(&self) -> u8 {
        match &self.found {
            Ok(report) => report.verdict.exit_code(),
            Err(error) => report::exit_code(error),
        }
    }
}

/// Judges every file by itself; a policy that makes no sense is an error.
pub fn judge(question: &Question<'_>) -> Result<Vec<Judged>, Error> {
    let text = fs::read(question.policy).map_err(unreadable(question.policy))?;
    let policy = Policy::parse(&text).map_err(|error| {
        Error::Usage(format!("the policy {}: {error}", question.policy.display()))
    })?;
    let source = question.rpc.map(|rpc| Source::parse(rpc, &policy)).transpose()?;
    let judge = |file: &PathBuf| {
        let bytes = read(file, MAX_FILE)?;
        let mut report = verify(&bytes, &policy);
        let digest = report.log.as_ref().and_then(|log| Digest::from_hex(&log.digest));
        if let Some((source, digest)) = source.as_ref().zip(digest) {
            report = report.with_answer(source.ask(digest));
        }
        Ok(report)
    };
    let judged = |file: &PathBuf| Judged { file: file.clone(), found: judge(file) };
    Ok(question.files.iter().map(judged).collect())
}

/// A file of at most `limit` bytes.
fn read(file: &Path, limit: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(unreadable(file))?;
    opened.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable(file))?;
    if bytes.len() > limit {
        return Err(Error::Usage(format!("{} is longer than any proof", file.display())));
    }
    Ok(bytes)
}

fn unreadable(file: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let file = file.display().to_string();
    move |error| Error::Usage(format!("{file}: {error}"))
}

/// A ledger process that is asked.
struct Source {
    socket: PathBuf,
    name: String,
    verifier: Option<String>,
}

impl Source {
    fn parse(rpc: &str, policy: &Policy<'_>) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::Usage(format!("--rpc {rpc}: {reason}"));
        let path = rpc.strip_prefix("unix:").ok_or_else(|| wrong("write unix:SOCKET"))?;
        if let Some((socket, name)) = path.split_once('#') {
            let verifier = policy.ledgers(name).next().map(ToString::to_string);
            return Ok(Self { socket: socket.into(), name: name.to_owned(), verifier });
        }
        match policy.all_ledgers() {
            [ledger] => Ok(Self {
                socket: path.into(),
                name: ledger.name().to_owned(),
                verifier: Some(ledger.to_string()),
            }),
            _ => Err(wrong("the policy does not name exactly one ledger: write unix:SOCKET#NAME")),
        }
    }

    fn ask(&self, digest: Digest) -> LedgerAnswer {
        match with_limit(PATIENCE, self.look_up(digest)) {
            Ok(Some(block)) => LedgerAnswer::Confirmed(block),
            Ok(None) => LedgerAnswer::NotFound { ledger: format!("embedded:{}", self.name) },
            Err(error) => LedgerAnswer::Unreachable { reason: error.to_string() },
        }
    }

    /// The final block that holds the digest.
    async fn look_up(&self, digest: Digest) -> Result<Option<Block>, Error> {
        let Self { socket, name, verifier } = self;
        let remotely = Remotely {
            socket: socket.clone(),
            name: name.clone(),
            verifier: verifier.clone(),
            limit: PATIENCE,
        };
        // Questions are not signed; any account will do.
        let account = credentials::random().map_err(|error| Error::Usage(error.to_string()))?;
        let client = Client::new(remotely, &account)?;
        let Some(found) = client.find(&digest).await?.filter(|found| found.is_final) else {
            return Ok(None);
        };
        let evidence = client.anchor_evidence(&digest).await?;
        let header = sluicegate_ledger::evidence::BlockHeader::decode(&evidence.block.header)?;
        if header.hash() != found.block.hash {
            return Err(LedgerError::Mismatch("the evidence is of another block").into());
        }
        let ledger = client.description().ledger.to_string();
        Ok(Some(Block::new(ledger, header.number, header.hash(), header.time_ms)))
    }
}
