//! From whatever a power cut, a failing disk or a restored backup left to a log that may go on.
//!
//! Guarantees: a torn tail is cut off; damaged tiles are written anew from the entries; anything worse is set aside
//! under a name that says so, and a log with a new origin begins. Idempotent: a crash in here is one more crash.
//! Does not: compare with the ledger; [`crate::anchorer`] does when the ledger can be reached.

use std::{fmt, path::Path, rc::Rc};

use sluicegate_notary::entry::{Body, Entry, Predecessor};

use super::{Plan, checkpoint_of};
use crate::{
    Error,
    disk::Disk,
    files::LogFiles,
    store::{OpenLog, PREDECESSOR, Store},
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
    pub(super) alarms: Vec<Alarm>,
}

/// Where the logs of a gateway lie.
pub(crate) const LOGS: &str = "log";

/// `meta` name under which a declared restore waits for the next start.
pub(crate) const RESTORED: &str = "restored";

pub(super) fn recover<D: Disk>(disk: &Rc<D>, plan: &Plan) -> Result<Recovered<D>, Error> {
    let mut alarms = Vec::new();
    let mut store = open_store(disk, plan, &mut alarms)?;
    disk.create_dir(LOGS).map_err(Error::storage("creating the folder of logs"))?;
    let open = match store.current_log()? {
        Some(open) if store.meta(RESTORED)?.is_some() => follow(&mut store, plan, &open)?,
        Some(open) => open,
        None => adopt(disk, &mut store, plan)?,
    };
    store.forget_meta(RESTORED)?;
    match open_files(disk, &open, &mut alarms) {
        Ok(files) => settle(store, files, open, alarms, plan),
        Err(Error::Damaged(what)) => abandon(disk, store, open, plan, alarms, &what),
        Err(other) => Err(other),
    }
}

fn settle<D: Disk>(
    mut store: Store,
    mut files: LogFiles<D>,
    open: OpenLog,
    alarms: Vec<Alarm>,
    plan: &Plan,
) -> Result<Recovered<D>, Error> {
    files.settle()?;
    if store.meta(REBUILD)?.is_some() {
        store.rebuild(&files, |entry| device_of(entry, plan))?;
        store.forget_meta(REBUILD)?;
    }
    store.recover(files.size())?;
    Ok(Recovered { store, files, open, alarms })
}

/// `meta` name that says: the rows of the open log have to be built from its entries.
const REBUILD: &str = "rebuild";

fn open_store<D: Disk>(disk: &Rc<D>, plan: &Plan, alarms: &mut Vec<Alarm>) -> Result<Store, Error> {
    let vfs = plan.vfs.as_deref();
    let opened = Store::open(&plan.database, vfs).and_then(|mut store| {
        store.current_log()?;
        Ok(store)
    });
    match opened {
        Err(error) if error.is_damaged_database() => {
            let aside = set_aside_database(disk, &plan.database)?;
            alarms.push(Alarm(format!(
                "the database was damaged ({error}) and set aside as {aside}: payloads and keys \
                 logged so far can't be opened any more, the log itself goes on"
            )));
            Store::open(&plan.database, vfs)
        }
        other => other,
    }
}

fn set_aside_database<D: Disk>(disk: &Rc<D>, database: &Path) -> Result<String, Error> {
    let name = database.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    let aside = unused(disk, &format!("{name}.damaged"))?;
    disk.rename(&name, &aside)
        .and_then(|()| disk.remove(&format!("{name}-wal")))
        .and_then(|()| disk.remove(&format!("{name}-shm")))
        .map_err(Error::storage("setting the database aside"))?;
    Ok(aside)
}

/// The database knows no log: goes on with the newest one on the disk, or begins the first.
fn adopt<D: Disk>(disk: &Rc<D>, store: &mut Store, plan: &Plan) -> Result<OpenLog, Error> {
    let names = disk.list(LOGS).map_err(Error::storage("listing the logs"))?;
    let newest = names.iter().filter_map(|name| name.parse::<u32>().ok()).max();
    let number = newest.unwrap_or(1);
    let origin = origin(plan, number);
    if newest.is_some() {
        store.set_meta(REBUILD, b"1")?;
    }
    store.begin_log(number, &origin)?;
    Ok(OpenLog { number, origin, durable: 0, head: None })
}

/// Opens the files and compares them with the newest checkpoint that may have been shown.
fn open_files<D: Disk>(
    disk: &Rc<D>,
    open: &OpenLog,
    alarms: &mut Vec<Alarm>,
) -> Result<LogFiles<D>, Error> {
    let mut files = LogFiles::open(disk.clone(), &folder(open.number))?;
    if files.size() < open.durable {
        let what = format!("{} leaves are left of {}", files.size(), open.durable);
        return Err(Error::Damaged(what));
    }
    let published = match &open.head {
        Some((_, note)) => Some(note.clone()),
        None => files.published()?.filter(|note| checkpoint_of(note).is_ok()),
    };
    let Some(note) = published else { return Ok(files) };
    let checkpoint = checkpoint_of(&note)?;
    let root = |files: &LogFiles<D>| files.frontier_at(checkpoint.size).map(|edge| edge.root());
    if files.size() < checkpoint.size {
        let what = format!("{} leaves are left of {}", files.size(), checkpoint.size);
        return Err(Error::Damaged(what));
    }
    if root(&files).is_ok_and(|root| root == checkpoint.root) {
        return Ok(files);
    }
    let mended = files.repair()?;
    if root(&files)? != checkpoint.root {
        return Err(Error::Damaged("its entries do not give the root that was signed".to_owned()));
    }
    alarms.push(Alarm(format!("{mended} damaged tiles of the log were written anew")));
    Ok(files)
}

/// Sets a damaged log aside and begins the next one.
fn abandon<D: Disk>(
    disk: &Rc<D>,
    mut store: Store,
    damaged: OpenLog,
    plan: &Plan,
    mut alarms: Vec<Alarm>,
    what: &str,
) -> Result<Recovered<D>, Error> {
    let aside = unused(disk, &format!("{}.damaged", folder(damaged.number)))?;
    let open = follow(&mut store, plan, &damaged)?;
    let from = folder(damaged.number);
    disk.rename(&from, &aside)
        .and_then(|()| disk.sync_dir(LOGS))
        .map_err(Error::storage("setting the log aside"))?;
    alarms.push(Alarm(format!(
        "the log {} is damaged ({what}) and was set aside as {aside}; the log goes on as {}",
        damaged.origin, open.origin
    )));
    let files = LogFiles::open(disk.clone(), &folder(open.number))?;
    settle(store, files, open, alarms, plan)
}

/// Begins the log after `before`, which stays as it is.
fn follow(store: &mut Store, plan: &Plan, before: &OpenLog) -> Result<OpenLog, Error> {
    store.forget_meta(PREDECESSOR)?;
    if let Some((_, note)) = &before.head {
        let checkpoint = checkpoint_of(note)?;
        let origin = checkpoint.origin.to_owned();
        let (size, root) = (checkpoint.size, checkpoint.root);
        store.set_predecessor(&Predecessor { origin, size, root })?;
    }
    let number = before.number.saturating_add(1);
    let origin = origin(plan, number);
    store.begin_log(number, &origin)?;
    Ok(OpenLog { number, origin, durable: 0, head: None })
}

fn device_of(entry: &Entry, plan: &Plan) -> Option<String> {
    let (pseudonym, day) = match &entry.body {
        Body::Reading(reading) => (reading.pseudonym, entry.time.day()),
        Body::Summary(summary) => (summary.pseudonym, summary.day),
        _ => return None,
    };
    plan.devices.iter().find(|name| plan.identity.pseudonym(name, day).0 == pseudonym).cloned()
}

fn origin(plan: &Plan, number: u32) -> String {
    origin_of(&plan.origin, number)
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
    let free = candidates.into_iter().find(|candidate| !taken.contains(candidate));
    let free = free.unwrap_or_else(|| file.to_owned());
    Ok(if parent.is_empty() { free } else { format!("{parent}/{free}") })
}
