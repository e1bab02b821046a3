//! The car's memory: its key in one file, and in another what its flash holds.
//!
//! Guarantees: a slot is on the disk when [`Flash::write`] returns, and a write touches no other slot. Does not: judge
//! what a slot holds; the participant knows torn ones.
//!
//! The file has [`SLOTS`] slots, each with the length of a record in two bytes and room for [`MAX_RECORD`]; then the energy
//! counter and the number of the next reading.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use sluicegate_device::{channel::SigningKey, participant::MAX_RECORD};

/// Channels that the car has at once.
pub(crate) const CHANNELS: usize = 2;

/// Two for each channel, in turns.
pub(crate) const SLOTS: usize = 2 * CHANNELS;

const SLOT: usize = 2 + MAX_RECORD;
const COUNTERS: u64 = (SLOTS * SLOT) as u64;

/// An open file.
pub(crate) struct Flash(File);

impl Flash {
    /// Opens the file, or makes an empty one.
    pub(crate) fn open(file: &str) -> Result<Self, String> {
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).create(true).truncate(false).open(file);
        opened.map(Self).map_err(|error| format!("{file}: {error}"))
    }

    /// What a slot holds; nothing if it was never written.
    pub(crate) fn read(&self, slot: usize) -> Vec<u8> {
        let mut whole = vec![0; SLOT];
        if self.0.read_exact_at(&mut whole, (slot * SLOT) as u64).is_err() {
            return Vec::new();
        }
        let length = usize::from(u16::from_be_bytes([whole[0], whole[1]]));
        whole.get(2..2 + length).unwrap_or_default().to_vec()
    }

    /// Replaces what a slot holds.
    pub(crate) fn write(&self, slot: usize, record: &[u8]) -> std::io::Result<()> {
        let length = u16::try_from(record.len()).unwrap_or(u16::MAX);
        let mut whole = [&length.to_be_bytes()[..], record].concat();
        whole.resize(SLOT, 0);
        self.0.write_all_at(&whole, (slot * SLOT) as u64)?;
        self.0.sync_data()
    }

    /// The energy counter and the number of the next reading.
    pub(crate) fn counters(&self) -> (u64, u64) {
        let counter = |place: u64| {
            let mut bytes = [0; 8];
            let read = self.0.read_exact_at(&mut bytes, COUNTERS + 8 * place);
            read.ok().map(|()| u64::from_be_bytes(bytes))
        };
        (counter(0).unwrap_or(0), counter(1).unwrap_or(1))
    }

    /// Keeps the counters.
    pub(crate) fn keep(&self, energy: u64, next_seq: u64) -> std::io::Result<()> {
        let both = [energy.to_be_bytes(), next_seq.to_be_bytes()].concat();
        self.0.write_all_at(&both, COUNTERS)?;
        self.0.sync_data()
    }
}

/// The key of this file in hexadecimal; a new one if there is no file.
pub(crate) fn key(file: &str) -> Result<SigningKey, String> {
    let wrong = |what: &str| format!("{file}: {what}");
    if !Path::new(file).exists() {
        let secret = random().map_err(|error| wrong(&error.to_string()))?;
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(file);
        let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let written = opened.and_then(|opened| {
            opened.write_all_at(text.as_bytes(), 0)?;
            opened.sync_all()
        });
        written.map_err(|error| wrong(&error.to_string()))?;
    }
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let text = text.trim();
    let byte = |at: usize| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..text.len().div_ceil(2)).map(byte).collect();
    let secret: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
    let secret = secret.ok_or_else(|| wrong("it has no 32 bytes in hexadecimal"))?;
    SigningKey::from_bytes(&secret).map_err(|error| wrong(&error.to_string()))
}

/// 32 random bytes.
pub(crate) fn random() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_counters_and_key_are_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
        let flash = Flash::open(&path("flash")).unwrap();
        assert_eq!((flash.read(0), flash.counters()), (Vec::new(), (0, 1)));
        flash.keep(7, 9).unwrap();
        flash.write(3, &[5; 10]).unwrap();
        let flash = Flash::open(&path("flash")).unwrap();
        assert_eq!((flash.read(3), flash.read(1)), (vec![5; 10], vec![]));
        assert_eq!(flash.counters(), (7, 9));
        let made = key(&path("key")).unwrap();
        assert_eq!(key(&path("key")).unwrap().address(), made.address());
    }
}
