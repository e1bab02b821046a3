//! SQLite's file layer (VFS) over [`Memory`], so that the real SQLite is cut and failed at every write and sync.
//!
//! Guarantees: one VFS for the process, one disk for each world: a path `/<world>/<name>` leads to the disk that this
//! thread gave to [`World::new`]. It does what SQLite's own layer for Unix does: a sync of a new journal or WAL also
//! syncs the folder, a deletion syncs it when asked, writes do not harm the bytes beside them
//! (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`). No shared memory: the store locks its file exclusively.
//! Specification: <https://sqlite.org/c3ref/vfs.html>, <https://sqlite.org/c3ref/io_methods.html>.
#![allow(unsafe_code)]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ffi::{CStr, c_char, c_int, c_void},
    io::{self, ErrorKind},
    path::PathBuf,
    ptr,
    rc::Rc,
    slice,
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::ffi;
use sluicegate_daemon::disk::Disk;

use crate::memory::{Id, Memory};

/// The name under which SQLite knows the VFS.
pub(crate) const NAME: &CStr = c"sluicegate-memory";

thread_local! {
    static WORLDS: RefCell<BTreeMap<u64, Rc<Memory>>> = const { RefCell::new(BTreeMap::new()) };
}

/// A disk that SQLite can open files on, in this thread, until it is dropped.
pub(crate) struct World {
    number: u64,
    pub(crate) memory: Rc<Memory>,
}

impl World {
    pub(crate) fn new(memory: Memory) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        register();
        let (number, memory) = (NEXT.fetch_add(1, Ordering::Relaxed), Rc::new(memory));
        WORLDS.with_borrow_mut(|worlds| worlds.insert(number, memory.clone()));
        Self { number, memory }
    }

    /// The path of a file on this disk, for SQLite.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/{}/{name}", self.number))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        WORLDS.with_borrow_mut(|worlds| worlds.remove(&self.number));
    }
}

/// An open file. SQLite allocates it and knows only its first field.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    open: *mut Open,
}

enum Open {
    File {
        memory: Rc<Memory>,
        id: Id,
        sync_folder: bool,
    },
    /// Without a name: sorting and statement journals, never durable.
    Scratch(Vec<u8>),
}

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = Box::leak(Box::new(vfs()));
        // SAFETY: the structure is complete and lives as long as the process.
        let code = unsafe { ffi::sqlite3_vfs_register(vfs, 0) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite takes the VFS");
    });
}

fn vfs() -> ffi::sqlite3_vfs {
    ffi::sqlite3_vfs {
        iVersion: 1,
        szOsFile: c_int::try_from(size_of::<Handle>()).expect("a small structure"),
        mxPathname: 255,
        pNext: ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_path),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: None,
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};

/// The disk and the name on it that a path of [`World::path`] means.
fn locate(path: &CStr) -> Option<(Rc<Memory>, String)> {
    let (world, name) = path.to_str().ok()?.strip_prefix('/')?.split_once('/')?;
    let world: u64 = world.parse().ok()?;
    let memory = WORLDS.with_borrow(|worlds| worlds.get(&world).cloned())?;
    Some((memory, name.to_owned()))
}

fn code(result: io::Result<()>, otherwise: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) if error.kind() == ErrorKind::StorageFull => ffi::SQLITE_FULL,
        Err(_) => otherwise,
    }
}

fn open_file(path: &CStr, flags: c_int) -> io::Result<Open> {
    let (memory, name) = locate(path).ok_or(ErrorKind::NotFound)?;
    let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let journal = flags & (ffi::SQLITE_OPEN_MAIN_JOURNAL | ffi::SQLITE_OPEN_WAL) != 0;
    let id = memory.open(&name, create)?;
    Ok(Open::File { memory, id, sync_folder: create && journal })
}

fn sync_file(open: &mut Open) -> io::Result<()> {
    let Open::File { memory, id, sync_folder } = open else { return Ok(()) };
    memory.sync_id(*id)?;
    if std::mem::take(sync_folder) { memory.sync_dir("") } else { Ok(()) }
}

fn read_from(open: &Open, offset: usize, out: &mut [u8]) -> usize {
    match open {
        Open::File { memory, id, .. } => memory.read_into(*id, offset, out),
        Open::Scratch(bytes) => {
            let rest = bytes.get(offset..).unwrap_or_default();
            let count = rest.len().min(out.len());
            out[..count].copy_from_slice(&rest[..count]);
            count
        }
    }
}

fn write_to(open: &mut Open, offset: usize, bytes: &[u8]) -> io::Result<()> {
    match open {
        Open::File { memory, id, .. } => memory.write_at(*id, offset, bytes),
        Open::Scratch(content) => {
            let end = offset + bytes.len();
            content.resize(content.len().max(end), 0);
            content[offset..end].copy_from_slice(bytes);
            Ok(())
        }
    }
}

/// The file behind a pointer that SQLite got from [`open`].
///
/// # Safety
/// `file` comes from SQLite, was opened here and is not closed yet; SQLite calls with it from one thread at a time.
unsafe fn opened<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Open {
    // SAFETY: SQLite's file is the first field of the handle (`repr(C)`), and `open` is set while it is open.
    unsafe { &mut *(*file.cast::<Handle>()).open }
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let opened = if name.is_null() {
        Ok(Open::Scratch(Vec::new()))
    } else {
        // SAFETY: a name that is not null ends with a zero.
        open_file(unsafe { CStr::from_ptr(name) }, flags)
    };
    let handle = file.cast::<Handle>();
    // SAFETY: SQLite gives `szOsFile` bytes for the handle; no methods mean that there is nothing to close.
    unsafe {
        (*handle).base.pMethods = ptr::null();
        match opened {
            Ok(opened) => {
                (*handle).open = Box::into_raw(Box::new(opened));
                (*handle).base.pMethods = &raw const METHODS;
            }
            Err(_) => return ffi::SQLITE_CANTOPEN,
        }
        if !out_flags.is_null() {
            *out_flags = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: `open` made the box, and SQLite closes a file once.
    drop(unsafe { Box::from_raw((*file.cast::<Handle>()).open) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    out: *mut c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(amount), Ok(offset)) = (usize::try_from(amount), usize::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: the buffer has `amount` bytes; see `opened` for the file.
    let (open, out) = unsafe { (opened(file), slice::from_raw_parts_mut(out.cast(), amount)) };
    let count = read_from(open, offset, out);
    out[count..].fill(0);
    if count == amount { ffi::SQLITE_OK } else { ffi::SQLITE_IOERR_SHORT_READ }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(amount), Ok(offset)) = (usize::try_from(amount), usize::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: the buffer has `amount` bytes; see `opened` for the file.
    let (open, bytes) = unsafe { (opened(file), slice::from_raw_parts(bytes.cast(), amount)) };
    code(write_to(open, offset, bytes), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: ffi::sqlite3_int64) -> c_int {
    let Ok(length) = usize::try_from(length) else { return ffi::SQLITE_IOERR_TRUNCATE };
    // SAFETY: see `opened`.
    let result = match unsafe { opened(file) } {
        Open::File { memory, id, .. } => memory.set_length(*id, length),
        Open::Scratch(bytes) => {
            bytes.truncate(length);
            Ok(())
        }
    };
    code(result, ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: see `opened`.
    code(sync_file(unsafe { opened(file) }), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: see `opened`; `out` is writable.
    unsafe {
        let length = match opened(file) {
            Open::File { memory, id, .. } => memory.length(*id),
            Open::Scratch(bytes) => bytes.len(),
        };
        *out = ffi::sqlite3_int64::try_from(length).unwrap_or(ffi::sqlite3_int64::MAX);
    }
    ffi::SQLITE_OK
}

/// One connection for each disk: there is nobody to keep out.
unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: `out` is writable.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

unsafe extern "C" fn characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn delete(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    sync_folder: c_int,
) -> c_int {
    // SAFETY: names end with a zero.
    let Some((memory, name)) = locate(unsafe { CStr::from_ptr(name) }) else {
        return ffi::SQLITE_IOERR_DELETE;
    };
    if !memory.exists(&name) {
        return ffi::SQLITE_IOERR_DELETE_NOENT;
    }
    let removed = memory.remove(&name);
    let synced = removed.and_then(|()| if sync_folder == 0 { Ok(()) } else { memory.sync_dir("") });
    code(synced, ffi::SQLITE_IOERR_DELETE)
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: names end with a zero, `out` is writable.
    unsafe {
        let found = locate(CStr::from_ptr(name)).is_some_and(|(memory, name)| memory.exists(&name));
        *out = c_int::from(found);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_path(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: names end with a zero, `out` has room for `room` bytes.
    unsafe {
        let name = CStr::from_ptr(name).to_bytes_with_nul();
        if usize::try_from(room).is_ok_and(|room| name.len() <= room) {
            ptr::copy_nonoverlapping(name.as_ptr().cast(), out, name.len());
            ffi::SQLITE_OK
        } else {
            ffi::SQLITE_CANTOPEN
        }
    }
}

/// The same bytes each time, so that runs repeat.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, count: c_int, out: *mut c_char) -> c_int {
    let Ok(length) = usize::try_from(count) else { return 0 };
    // SAFETY: `out` has room for `count` bytes.
    unsafe { ptr::write_bytes(out, 0x5a, length) };
    count
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
    microseconds
}

/// The Unix epoch as a Julian day; nothing in the schema asks for the time.
unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: `out` is writable.
    unsafe { *out = 2_440_587.5 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}
