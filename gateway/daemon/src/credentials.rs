//! Secrets by name: 32 bytes as 64 hexadecimal digits, in a file that nobody else can read.
//!
//! Guarantees: a file that group or others may read is refused; a secret is wiped from memory when it is dropped and
//! appears in no error. Does not: know where the files come from; systemd's `LoadCredential` provides them on a device,
//! `sluicegate credential` makes them for the demo.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sluicegate_protocol::Digest;
use zeroize::Zeroizing;

use crate::{
    Error,
    config::Config,
    net::psk::{KEY_BYTES, Psk},
};

/// Bytes of a secret.
pub type Secret = Zeroizing<[u8; 32]>;

/// Reads the credential `name`.
pub fn load(config: &Config, name: &str) -> Result<Secret, Error> {
    let (file, text) = read(config, name)?;
    let secret = Digest::from_hex(text.trim_ascii()).map(|bytes| *bytes.as_bytes());
    let reason = format!("{} is not 64 hexadecimal digits", file.display());
    secret.map(Zeroizing::new).ok_or(Error::Credential { name: name.to_owned(), reason })
}

/// Reads the credential `name` as it is written, for a password: 64 hexadecimal digits.
pub fn load_text(config: &Config, name: &str) -> Result<Zeroizing<String>, Error> {
    load(config, name)?;
    let (_, text) = read(config, name)?;
    Ok(Zeroizing::new(text.trim_ascii().to_owned()))
}

/// Reads the credential `name` of a device: 32 hexadecimal digits.
pub fn load_psk(config: &Config, name: &str) -> Result<Psk, Error> {
    let (file, text) = read(config, name)?;
    let digits = text.trim_ascii();
    let whole = digits.len() == 2 * KEY_BYTES && digits.bytes().all(|c| c.is_ascii_hexdigit());
    let psk = u128::from_str_radix(digits, 16).ok().filter(|_| whole);
    let reason = format!("{} is not 32 hexadecimal digits", file.display());
    let wrong = || Error::Credential { name: name.to_owned(), reason };
    psk.map(|psk| Psk::new(psk.to_be_bytes())).ok_or_else(wrong)
}

fn read(config: &Config, name: &str) -> Result<(PathBuf, Zeroizing<String>), Error> {
    let wrong = |reason: String| Error::Credential { name: name.to_owned(), reason };
    let folder = config.credentials.as_deref().ok_or_else(|| {
        wrong(
            "no folder: set credentials in the configuration, or LoadCredential= in the unit"
                .into(),
        )
    })?;
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(wrong("a credential's name is a plain file name".to_owned()));
    }
    let file = folder.join(name);
    let unreadable = |error| wrong(format!("{}: {error}", file.display()));
    let mode = fs::metadata(&file).map_err(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        let reason = format!("others may read {}: chmod 600 it", file.display());
        return Err(wrong(reason));
    }
    let text = Zeroizing::new(fs::read_to_string(&file).map_err(unreadable)?);
    Ok((file, text))
}

/// Writes a new random credential, in a folder that only its owner can read; refuses to overwrite one.
pub fn create(file: &Path) -> Result<(), Error> {
    let name = file.display().to_string();
    let wrong = |reason: String| Error::Credential { name: name.clone(), reason };
    let secret = Zeroizing::new(random().map_err(|error| wrong(error.to_string()))?);
    let text = Zeroizing::new(format!("{}\n", Digest::new(*secret)));
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| wrong(format!("creating {}: {error}", folder.display())))?;
    }
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(file);
    let mut opened = opened.map_err(|error| wrong(error.to_string()))?;
    let written = opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all());
    written.map_err(|error| wrong(error.to_string()))
}

/// 32 bytes from the operating system.
pub fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_created_credential_loads_and_an_open_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("log-key");
        create(&file).unwrap();
        assert!(create(&file).is_err(), "overwritten");
        let config = Config::for_tests(folder.path());
        assert_ne!(*load(&config, "log-key").unwrap(), [0; 32]);
        assert!(load(&config, "../log-key").is_err());
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let error = load(&config, "log-key").unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, "not hex").unwrap();
        assert!(load(&config, "log-key").unwrap_err().to_string().contains("hexadecimal"));
    }
}
