//! The effects log: what became durable and what left the process, in order, one hash a line.
//!
//! Guarantees: a line `sent X H` stands behind a line `durable X H` exactly when the gateway kept I1; the demo and the
//! crash tests check that by machine. Does not: cost anything unless it is switched on, or hold a payload.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use sluicegate_protocol::{Digest, sha256};

use crate::{Error, store::channels::Signature};

/// Where effects are noted, if anywhere.
#[derive(Debug, Default)]
pub struct Effects(Option<File>);

impl Effects {
    /// Notes nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Notes at the end of this file.
    pub fn append_to(path: &Path) -> Result<Self, Error> {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let what = format!("opening the effects log {}", path.display());
        file.map(|file| Self(Some(file))).map_err(Error::storage(what))
    }

    /// A second handle on the same file, for another thread.
    pub fn share(&self) -> Result<Self, Error> {
        let shared = self.0.as_ref().map(File::try_clone).transpose();
        shared.map(Self).map_err(Error::storage("sharing the effects log"))
    }

    /// Whether anything is noted.
    pub const fn wanted(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn durable_leaves(&mut self, leaves: &[Digest]) {
        leaves.iter().for_each(|leaf| self.note("durable acknowledgement", leaf));
    }

    pub(crate) fn sent_acknowledgement(&mut self, leaf: &Digest) {
        self.note("sent acknowledgement", leaf);
    }

    pub(crate) fn durable_checkpoint(&mut self, note: &str) {
        self.note("durable checkpoint", &sha256(&[note.as_bytes()]));
    }

    pub(crate) fn sent_checkpoint(&mut self, note: &str) {
        self.note("sent checkpoint", &sha256(&[note.as_bytes()]));
    }

    pub(crate) fn durable_submission(&mut self, transaction: &Digest) {
        self.note("durable submission", transaction);
    }

    pub(crate) fn sent_submission(&mut self, transaction: &Digest) {
        self.note("sent submission", transaction);
    }

    pub(crate) fn durable_signatures<'a>(&mut self, of: impl Iterator<Item = &'a Signature>) {
        of.for_each(|signature| self.signature("durable signature", signature));
    }

    pub(crate) fn sent_signature(&mut self, signature: &Signature) {
        self.signature("sent signature", signature);
    }

    /// What only the books of a key know is noted with the record that holds it.
    fn signature(&mut self, what: &str, of: &Signature) {
        if let Some(signature) = &of.signature {
            let version = of.version.to_be_bytes();
            self.note(what, &sha256(&[&of.channel, &version, signature]));
        }
    }

    fn note(&mut self, what: &str, hash: &Digest) {
        if let Some(file) = &mut self.0 {
            // One write a line, so that lines of two threads never mix. A full disk must not stop the gateway.
            let _ = file.write_all(format!("{what} {hash}\n").as_bytes());
        }
    }
}
