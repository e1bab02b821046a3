//! The disk as the log sees it: a handful of operations on files below one folder.
//!
//! Guarantees: what [`Disk::sync`] and [`Disk::sync_dir`] covered survives a power cut; nothing else is promised. Every
//! change goes through this trait, so that a test can cut or fail each of them (`tests/power_cut`).
//! Does not: lock, cache or retry.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// Files and folders by their path below the root, with `/` between the parts.
pub trait Disk {
    /// The whole file, or `None` when there is none.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;

    /// Exactly `length` bytes from `offset`.
    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Adds bytes at the end; creates the file.
    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Replaces the content; creates the file.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off at `length`.
    fn truncate(&self, path: &str, length: u64) -> io::Result<()>;

    /// Makes the content of a file durable.
    fn sync(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &str) -> io::Result<()>;

    /// Creates one folder; one that is there is no error.
    fn make_dir(&self, path: &str) -> io::Result<()>;

    /// Creates a folder and those above it; their names are durable afterwards, also of those that an earlier process
    /// made and had no time to sync.
    fn create_dir(&self, path: &str) -> io::Result<()> {
        let mut parent = "";
        for (end, _) in path.match_indices('/').chain([(path.len(), "")]) {
            self.make_dir(&path[..end])?;
            self.sync_dir(parent)?;
            parent = &path[..end];
        }
        Ok(())
    }

    /// Gives a file or folder another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; one that is not there is no error.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes a folder with all that is in it; one that is not there is no error.
    fn remove_tree(&self, path: &str) -> io::Result<()>;

    /// The names in a folder, sorted; none when there is no folder.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// Free bytes.
    fn free(&self) -> io::Result<u64>;
}

/// Writes a file so that it is either complete under its name or not there at all.
pub fn write_whole(disk: &impl Disk, path: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = format!("{path}.new");
    disk.write(&temporary, bytes)?;
    disk.sync(&temporary)?;
    disk.rename(&temporary, path)
}

/// The real file system.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Takes files below `root`, which exists.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl Disk for Folder {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        absent_as_none(fs::read(self.path(path)))
    }

    fn read_at(&self, path: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(path))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().append(true).create(true).open(self.path(path))?.write_all(bytes)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.path(path), bytes)
    }

    fn truncate(&self, path: &str, length: u64) -> io::Result<()> {
        OpenOptions::new().write(true).open(self.path(path))?.set_len(length)
    }

    fn sync(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_data()
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        match fs::create_dir(self.path(path)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        absent_as_none(fs::remove_file(self.path(path))).map(|_| ())
    }

    fn remove_tree(&self, path: &str) -> io::Result<()> {
        absent_as_none(fs::remove_dir_all(self.path(path))).map(|_| ())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let Some(entries) = absent_as_none(fs::read_dir(self.path(path)))? else {
            return Ok(Vec::new());
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn free(&self) -> io::Result<u64> {
        let status = rustix::fs::statvfs(&self.root)?;
        Ok(status.f_bavail.saturating_mul(status.f_frsize))
    }
}

fn absent_as_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
