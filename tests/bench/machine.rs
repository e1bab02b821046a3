//! What the numbers depend on, in words that name no machine, and what the kernel counted.

use std::{fs, io, path::Path, thread};

/// Processor, kernel and file system below `folder`.
pub(crate) fn describe(folder: &Path) -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let hashing =
        match field("/proc/cpuinfo", "flags").or_else(|| field("/proc/cpuinfo", "Features")) {
            Some(flags) if flags.split(' ').any(|flag| matches!(flag, "sha_ni" | "sha2")) => "with",
            _ => "without",
        };
    format!(
        "{cores} cores ({}, {hashing} SHA-256 instructions), {} GiB of memory, Linux {}, {}",
        std::env::consts::ARCH,
        memory_gib(),
        kernel(),
        file_system(folder)
    )
}

/// Bytes that this process made the kernel write to a disk so far.
pub(crate) fn written() -> io::Result<u64> {
    let bytes = field("/proc/self/io", "write_bytes").and_then(|bytes| bytes.parse().ok());
    bytes.ok_or_else(|| io::Error::other("/proc/self/io has no write_bytes"))
}

/// Bytes of all files below a folder.
pub(crate) fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        bytes += if kind.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// Drops a file's pages from the page cache, if they are on disk.
pub(crate) fn forget(file: &Path) -> io::Result<()> {
    let file = fs::File::open(file)?;
    Ok(rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?)
}

/// Writes all that waits in memory for the disk below `folder`.
pub(crate) fn sync_all(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(fs::File::open(folder)?)?)
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_once(':').map(|(_, value)| value.trim().to_owned())
}

fn memory_gib() -> u64 {
    let kilobytes = field("/proc/meminfo", "MemTotal");
    let kilobytes = kilobytes.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes.div_ceil(1 << 20))
}

/// Version and patch level, without what a distribution appends.
fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn file_system(folder: &Path) -> &'static str {
    match rustix::fs::statfs(folder).map(|status| status.f_type) {
        Ok(0xef53) => "ext4",
        Ok(0x0102_1994) => "a file system in memory (its syncs cost nothing)",
        Ok(0x5846_5342) => "XFS",
        Ok(0x9123_683e) => "Btrfs",
        Ok(0x794c_7630) => "overlayfs",
        Ok(0xf2f5_2010) => "F2FS",
        _ => "another file system",
    }
}
