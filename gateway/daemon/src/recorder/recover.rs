//! From whatever a power cut, a failing disk or a restored backup left to a log that may go on.
//!
//! Guarantees: a torn tail is cut off; damaged tiles are written anew from the entries; anything worse is set aside
//! under a name that says so, and a log with a new origin begins. Idempotent: a crash in here is one more crash.
//! Does not: compare with the ledger; [`crate::anchorer`] does when the ledger can be reached.

use std::{fmt, path::Path, rc::Rc};

use sluicegate_notary::entry::{Body, Entry, Predecessor};
use sluicegate_protocol::{
    Checkpoint,
    merkle::empty_root,
    note::{KeyKind, Note, VerifierKey},
};

use super::Plan;
pub(crate) use crate::store::RESTORED;
use crate::{
    Error,
    disk::Disk,
    files::LogFiles,
    store::{OpenLog, Store},
};

/// Something that an administrator must know about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm(pub String);

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) struct Recovered<D> {
    pub(super) store: Store,
    pub(super) files: LogFiles<D>,
    pub(super) open: OpenLog,
    pub(super) open_days: Vec<(String, u32)>,
    pub(super) predecessor: Option<Predecessor>,
    pub(super) alarms: Vec<Alarm>,
}

/// Where the logs of a gateway lie.
pub(crate) const LOGS: &str = "log";

/// Says that the database has to be read as a whole before it is trusted again.
pub(super) const SUSPECT: &str = "database-suspect";

pub(super) fn recover<D: Disk>(disk: &Rc<D>, plan: &Plan) -> Result<Recovered<D>, Error> {
    let mut alarms = Vec::new();
    let recovered = match attempt(disk, plan, &mut alarms) {
        Err(error) if is_damaged(&error, disk, plan) => {
            let aside = set_aside_database(disk, &plan.database)?;
            alarms.push(Alarm(format!(
                "the database was damaged ({error}) and set aside as {aside}: payloads and keys \
                 logged so far can't be opened any more, the log itself goes on"
            )));
            attempt(disk, plan, &mut alarms)
        }
        other => other,
    }?;
    disk.remove(SUSPECT).map_err(Error::storage("removing the mark of a suspect database"))?;
    Ok(Recovered { alarms, ..recovered })
}

fn attempt<D: Disk>(
    disk: &Rc<D>,
    plan: &Plan,
    alarms: &mut Vec<Alarm>,
) -> Result<Recovered<D>, Error> {
    let mut store = Store::open(&plan.database, plan.vfs.as_deref())?;
    if disk.read(SUSPECT).map_err(Error::storage(format!("reading {SUSPECT}")))?.is_some() {
        store.check_integrity()?;
    }
    disk.create_dir(LOGS).map_err(Error::storage("creating the folder of logs"))?;
    match store.current_log()? {
        None => {
            let open = adopt(disk, &mut store, plan)?;
            go_on(disk, store, open, plan, alarms)
        }
        Some(open) => match store.meta(RESTORED)? {
            Some(random) => restored(disk, store, open, plan, alarms, distance(&random)),
            None => go_on(disk, store, open, plan, alarms),
        },
    }
}

/// Goes on with the log that is open, or with the next one if its files are damaged.
fn go_on<D: Disk>(
    disk: &Rc<D>,
    store: Store,
    open: OpenLog,
    plan: &Plan,
    alarms: &mut Vec<Alarm>,
) -> Result<Recovered<D>, Error> {
    match open_files(disk, &open, plan, alarms) {
        Ok(files) => settle(store, files, open, plan, alarms),
        Err(Error::Damaged(what)) => abandon(disk, store, open, plan, alarms, (1, &what)),
        Err(other) => Err(other),
    }
}

/// Leaves the log that was restored in good order, so that there is a leaf to each of its rows, and begins another one.
fn restored<D: Disk>(
    disk: &Rc<D>,
    store: Store,
    before: OpenLog,
    plan: &Plan,
    alarms: &mut Vec<Alarm>,
    distance: u32,
) -> Result<Recovered<D>, Error> {
    match open_files(disk, &before, plan, alarms) {
        Ok(files) => {
            let mut store = settle(store, files, before.clone(), plan, alarms)?.store;
            let open = follow(&mut store, plan, &before, distance, None)?;
            go_on(disk, store, open, plan, alarms)
        }
        Err(Error::Damaged(what)) => abandon(disk, store, before, plan, alarms, (distance, &what)),
        Err(other) => Err(other),
    }
}

fn settle<D: Disk>(
    mut store: Store,
    mut files: LogFiles<D>,
    open: OpenLog,
    plan: &Plan,
    alarms: &mut Vec<Alarm>,
) -> Result<Recovered<D>, Error> {
    files.settle()?;
    let lacking = files.size().saturating_sub(open.stored);
    if lacking > 0 {
        let unreadable = store.rebuild(&files, open.stored, |entry| device_of(entry, plan))?;
        if let Some(first) = unreadable.first() {
            alarms.push(Alarm(format!(
                "{} entries of the log {} are damaged, the first is {first}: they can't be proved \
                 any more, and their readings may be logged again",
                unreadable.len(),
                open.origin
            )));
        }
        alarms.push(Alarm(format!(
            "the database knew nothing of the newest {lacking} entries of the log {}: their rows \
             were built anew, their payloads and keys can't be opened any more",
            open.origin
        )));
    }
    store.recover(files.size())?;
    let (open_days, predecessor) = (store.open_days()?, store.predecessor()?);
    Ok(Recovered { store, files, open, open_days, predecessor, alarms: Vec::new() })
}

/// Whether the error comes from a damaged database. SQLite writes to no file whose header names a format version that it
/// does not know; a file that is merely write-protected is left alone.
fn is_damaged<D: Disk>(error: &Error, disk: &Rc<D>, plan: &Plan) -> bool {
    use rusqlite::ErrorCode::ReadOnly;
    const VERSIONS: (u64, usize) = (18, 2);
    let read_only = matches!(error, Error::Database(error)
        if error.sqlite_error_code() == Some(ReadOnly));
    let versions = || disk.read_at(&name_of(&plan.database), VERSIONS.0, VERSIONS.1);
    error.is_damaged_database()
        || read_only && versions().is_ok_and(|found| found.iter().any(|v| !(1..=2).contains(v)))
}

fn name_of(database: &Path) -> String {
    database.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn set_aside_database<D: Disk>(disk: &Rc<D>, database: &Path) -> Result<String, Error> {
    let name = name_of(database);
    let what = || Error::storage("setting the database aside");
    let aside = unused(disk, &format!("{name}.damaged"))?;
    let there = disk.list("").map_err(what())?;
    // The file itself goes last: what belongs to it must not be taken for part of a new one.
    for part in ["-journal", "-wal", "-shm", ""] {
        let from = format!("{name}{part}");
        if there.contains(&from) {
            disk.rename(&from, &format!("{aside}{part}")).map_err(what())?;
        }
    }
    disk.sync_dir("").map_err(what())?;
    Ok(aside)
}

/// The database knows no log: goes on with the newest one on the disk, behind the newest one that was set aside, or
/// begins the first. Where there are logs there was a database, which knew what was spent today.
fn adopt<D: Disk>(disk: &Rc<D>, store: &mut Store, plan: &Plan) -> Result<OpenLog, Error> {
    let names = disk.list(LOGS).map_err(Error::storage("listing the logs"))?;
    let numbers = names.iter().filter_map(|name| name.split('.').next()?.parse::<u32>().ok());
    let number = match numbers.max() {
        Some(newest) if names.contains(&newest.to_string()) => newest,
        Some(aside) => aside.saturating_add(1),
        None => 1,
    };
    if !names.is_empty() {
        store.exhaust_budgets()?;
    }
    store.begin_log(number, origin_of(&plan.origin, number), None, None)
}

/// Opens the files and compares them with the newest checkpoint that may have been shown.
fn open_files<D: Disk>(
    disk: &Rc<D>,
    open: &OpenLog,
    plan: &Plan,
    alarms: &mut Vec<Alarm>,
) -> Result<LogFiles<D>, Error> {
    let mut files = LogFiles::open(disk.clone(), &folder(open.number))?;
    let head = match kept_head(open, plan)? {
        None => files.published()?.and_then(|note| head(&note, &open.origin, plan).ok()),
        kept => kept,
    };
    let (size, root) = head.map_or((0, empty_root()), |head| (head.size, head.root));
    let needed = size.max(open.durable);
    if files.size() < needed {
        return Err(Error::Damaged(format!("{} leaves are left of {needed}", files.size())));
    }
    if files.check(size, &root)? {
        return Ok(files);
    }
    let mended = files.repair(size, &root)?;
    alarms.push(Alarm(format!("{mended} damaged tiles of the log were written anew")));
    Ok(files)
}

/// The checkpoint in the database; one that is not ours is damage of the database.
fn kept_head(open: &OpenLog, plan: &Plan) -> Result<Option<Predecessor>, Error> {
    let Some((_, note)) = &open.head else { return Ok(None) };
    head(note, &open.origin, plan).map(Some).map_err(|error| {
        let column = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(3, column, Box::new(error)).into()
    })
}

/// What a checkpoint of ours says.
fn head(note: &str, origin: &str, plan: &Plan) -> Result<Predecessor, sluicegate_notary::Error> {
    let parsed = Note::parse(note)?;
    let key = plan.identity.signing_key(origin).verifying_key();
    parsed.verify(&VerifierKey::new(origin, KeyKind::Note, key)?)?;
    let Checkpoint { origin, size, root } = Checkpoint::parse(parsed.text())?;
    Ok(Predecessor { origin: origin.to_owned(), size, root })
}

/// Sets a damaged log aside and begins the next one.
fn abandon<D: Disk>(
    disk: &Rc<D>,
    mut store: Store,
    damaged: OpenLog,
    plan: &Plan,
    alarms: &mut Vec<Alarm>,
    (distance, what): (u32, &str),
) -> Result<Recovered<D>, Error> {
    let aside = unused(disk, &format!("{}.damaged", folder(damaged.number)))?;
    // The next origin first: whatever happens then, nothing is signed under this one again.
    let open = follow(&mut store, plan, &damaged, distance, Some(damaged.number))?;
    let from = folder(damaged.number);
    disk.rename(&from, &aside)
        .and_then(|()| disk.sync_dir(LOGS))
        .map_err(Error::storage("setting the log aside"))?;
    alarms.push(Alarm(format!(
        "the log {} is damaged ({what}) and was set aside as {aside}; the log goes on as {}",
        damaged.origin, open.origin
    )));
    go_on(disk, store, open, plan, alarms)
}

/// Begins the log after `before`, which stays as it is. One that signed nothing passes on what it followed.
fn follow(
    store: &mut Store,
    plan: &Plan,
    before: &OpenLog,
    distance: u32,
    lost: Option<u32>,
) -> Result<OpenLog, Error> {
    let predecessor = match kept_head(before, plan)? {
        None => store.predecessor()?,
        head => head,
    };
    let number = before.number.saturating_add(distance);
    store.begin_log(number, origin_of(&plan.origin, number), predecessor.as_ref(), lost)
}

/// How far the number of a log jumps after a restore: the numbers behind the backup may have been used since, also by
/// an earlier restore of the same backup, and nothing that is left knows.
fn distance(random: &[u8]) -> u32 {
    let random = random.first_chunk::<32>().and_then(|bytes| bytes.first_chunk::<4>());
    1 + random.map_or(0, |bytes| u32::from_be_bytes(*bytes) % 1_000_000)
}

fn device_of(entry: &Entry, plan: &Plan) -> Option<String> {
    let (pseudonym, day) = match &entry.body {
        Body::Reading(reading) => (reading.pseudonym, entry.time.day()),
        Body::Summary(summary) => (summary.pseudonym, summary.day),
        Body::Erasure(erasure) => (erasure.pseudonym, erasure.day),
        Body::Beacon(_) | Body::Genesis(_) => return None,
    };
    plan.devices.iter().find(|name| plan.identity.pseudonym(name, day).0 == pseudonym).cloned()
}

/// Origin of the log with this number: the configured one, with the number behind it from the second on.
pub(crate) fn origin_of(first: &str, number: u32) -> String {
    if number == 1 { first.to_owned() } else { format!("{first}/{number}") }
}

/// Where the files of a log lie.
pub(super) fn folder(number: u32) -> String {
    format!("{LOGS}/{number}")
}

/// `name`, or `name-2`, `name-3` … if it is taken.
fn unused<D: Disk>(disk: &Rc<D>, name: &str) -> Result<String, Error> {
    let (parent, file) = name.rsplit_once('/').unwrap_or(("", name));
    let taken = disk.list(parent).map_err(Error::storage("listing a folder"))?;
    let candidates =
        std::iter::once(file.to_owned()).chain((2..1000).map(|count| format!("{file}-{count}")));
    let is_free = |new: &String| !taken.iter().any(|name| name.starts_with(new.as_str()));
    let free = candidates.into_iter().find(is_free);
    let free = free.unwrap_or_else(|| file.to_owned());
    Ok(if parent.is_empty() { free } else { format!("{parent}/{free}") })
}
