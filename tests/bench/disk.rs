//! The real file system behind the daemon's own interface, with its syncs counted, or left out.
//!
//! Guarantees: everything but syncs goes to [`Folder`] unchanged. Does not: see SQLite, which syncs
//! its own files; [`Syncing::Never`] is only for building a large log whose syncs nobody measures.

use std::{cell::Cell, io, path::Path};

use sluicegate_daemon::disk::{Disk, Folder};

/// Whether syncs are made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Syncing {
    Always,
    Never,
}

/// A folder that counts.
pub(crate) struct Counted {
    folder: Folder,
    syncing: Syncing,
    syncs: Cell<u64>,
}

impl Counted {
    pub(crate) fn new(root: &Path, syncing: Syncing) -> Self {
        Self { folder: Folder::new(root), syncing, syncs: Cell::new(0) }
    }

    /// Syncs so far, those left out included.
    pub(crate) fn syncs(&self) -> u64 {
        self.syncs.get()
    }

    fn sync_if_wanted(&self, sync: impl FnOnce(&Folder) -> io::Result<()>) -> io::Result<()> {
        self.syncs.set(self.syncs.get() + 1);
        if self.syncing == Syncing::Always { sync(&self.folder) } else { Ok(()) }
    }
}

impl Disk for Counted {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        self.folder.read(path)
    }

    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.folder.read_at(path, offset, length)
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.folder.append(path, bytes)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.folder.write(path, bytes)
    }

    fn truncate(&self, path: &str, length: u64) -> io::Result<()> {
        self.folder.truncate(path, length)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        self.sync_if_wanted(|folder| folder.sync(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.sync_if_wanted(|folder| folder.sync_dir(path))
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        self.folder.make_dir(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.folder.rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.folder.remove(path)
    }

    fn remove_tree(&self, path: &str) -> io::Result<()> {
        self.folder.remove_tree(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.folder.list(path)
    }

    fn free(&self) -> io::Result<u64> {
        self.folder.free()
    }
}
