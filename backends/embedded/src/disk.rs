//! The one file of a ledger, as few operations as it needs, so that tests can cut and fail each of them.
//!
//! Guarantees: one owner at a time, by a lock that ends with the process; a new file is in its directory for good.
//! [`MemoryDisk`] is for ledgers that end with their process: simulations and tests.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use crate::Error;

/// Append-only storage.
pub trait Disk: Send {
    /// Everything that is there.
    fn read(&mut self) -> io::Result<Vec<u8>>;
    /// Adds bytes at the end; they may be lost until [`Self::sync`].
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when everything is durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Forgets everything behind `length`.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// A file that this process owns.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
}

impl FileDisk {
    /// Opens or creates the file and takes its lock.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Owned(path.into())),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Self { file })
    }
}

impl Disk for FileDisk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }
}

/// Storage that ends with the process; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Vec<u8>>>);

impl MemoryDisk {
    /// With these bytes on it.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(bytes)))
    }

    /// What is on it.
    pub fn bytes(&self) -> Vec<u8> {
        self.with(|bytes| bytes.clone())
    }

    /// The bytes are whole between two operations, so a panic elsewhere does not spoil them.
    fn with<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Disk for MemoryDisk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.bytes())
    }

    fn append(&mut self, added: &[u8]) -> io::Result<()> {
        self.with(|bytes| bytes.extend_from_slice(added));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        self.with(|bytes| bytes.truncate(length));
        Ok(())
    }
}
