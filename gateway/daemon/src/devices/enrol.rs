//! Enrolments: one small file a device in the state folder, written by `sluicegate device add`.
//!
//! Guarantees: a file holds no key, only the nonce from which and from the log's credential the key is derived, so a copied
//! state folder opens no session (I8); an enrolment is there as a whole or not at all; a file that can't be read costs
//! only its device. Does not: tell a running gateway; it reads the folder at its start and when it reloads.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sluicegate_protocol::Digest;

use super::Enrolled;
use crate::{
    Error,
    config::{Config, Device},
    credentials,
    identity::Identity,
    net::psk::Psk,
    recorder::Alarm,
    setup,
};

/// The folder, below the state folder.
const FOLDER: &str = "devices";

/// A file that is being written; no name of a device begins with a dot.
const TEMPORARY: &str = ".new";

/// The file's contents.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    device: Device,
    /// Random, 32 bytes in hexadecimal.
    nonce: String,
}

/// Writes an enrolment and gives the new key.
pub(super) fn add(config: &Config, device: &Device, identity: &Identity) -> Result<Psk, Error> {
    let file = folder(config).join(&device.name);
    let what = || Error::storage(format!("writing {}", file.display()));
    if file.exists() {
        return Err(Error::Usage(format!(
            "device {:?} is enrolled already; sluicegate device remove {:?} first, for a new key",
            device.name, device.name
        )));
    }
    let random = credentials::random();
    let random = random.map_err(|error| what()(std::io::Error::other(error.to_string())))?;
    let nonce = Digest::new(random);
    let contents = File { device: device.clone(), nonce: nonce.to_string() };
    write(&file, &serde_json::to_vec(&contents).unwrap_or_default()).map_err(what())?;
    Ok(identity.psk(&device.name, nonce.as_bytes()))
}

/// Removes an enrolment.
pub fn remove(config: &Config, name: &str) -> Result<(), Error> {
    let what = || Error::storage(format!("reading {}", folder(config).display()));
    let known = read_names(config).map_err(what())?.iter().any(|known| known == name);
    if !known {
        return Err(Error::NotFound(format!("no device {name:?} was enrolled with device add")));
    }
    let file = folder(config).join(name);
    let removed = fs::remove_file(&file).and_then(|()| sync(&folder(config)));
    removed.map_err(Error::storage(format!("removing {}", file.display())))
}

/// All enrolments, and what is wrong with the others.
pub(super) fn read_all(config: &Config) -> (Vec<Enrolled>, Vec<Alarm>) {
    let names = match read_names(config) {
        Ok(names) if names.is_empty() => return (Vec::new(), Vec::new()),
        Ok(names) => names,
        Err(error) => {
            let reason = format!("{} can't be read: {error}", folder(config).display());
            return (Vec::new(), vec![Alarm(format!("no device of device add gets in: {reason}"))]);
        }
    };
    let identity = match setup::identity(config) {
        Ok(identity) => identity,
        Err(error) => {
            return (Vec::new(), vec![Alarm(format!("no device of device add gets in: {error}"))]);
        }
    };
    let (mut enrolled, mut alarms) = (Vec::new(), Vec::new());
    for name in names {
        match read(&folder(config).join(&name), &name, &identity) {
            Ok(device) => enrolled.push(device),
            Err(reason) => alarms.push(Alarm(format!("device {name}: its enrolment {reason}"))),
        }
    }
    (enrolled, alarms)
}

fn read(file: &Path, name: &str, identity: &Identity) -> Result<Enrolled, String> {
    let bytes = fs::read(file).map_err(|error| format!("can't be read: {error}"))?;
    let contents = serde_json::from_slice::<File>(&bytes);
    let File { device, nonce } = contents.map_err(|error| format!("is damaged: {error}"))?;
    let nonce = Digest::from_hex(&nonce).ok_or("is damaged: no nonce")?;
    device.check().map_err(|reason| format!("is damaged: {reason}"))?;
    if device.name != name {
        return Err("is damaged: it names another device".to_owned());
    }
    let psk = Some(identity.psk(name, nonce.as_bytes()));
    Ok(Enrolled { device, psk })
}

fn read_names(config: &Config) -> std::io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder(config)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn folder(config: &Config) -> PathBuf {
    config.state().join(FOLDER)
}

fn write(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new(""));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let temporary = folder.join(TEMPORARY);
    let mut options = OpenOptions::new();
    let mut opened =
        options.write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    opened.write_all(bytes)?;
    opened.sync_all()?;
    fs::rename(&temporary, file)?;
    sync(folder)
}

fn sync(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
