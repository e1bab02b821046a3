//! A real mosquitto, configured as the daemon's README for MQTT says.
//!
//! Guarantees: each device can use its own topics only, by its user name.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    failure::{Doing, Failure, Result},
    process::Process,
    site::run,
};

const FOLDER: &str = "broker";

/// The gateway reads and writes all topics, a device those with its name.
const ACL: &str = "user sluicegate\ntopic readwrite sluicegate/#\n\n\
                   pattern readwrite sluicegate/%u/#\n";

/// How long it may take until it accepts connections.
const READY: Duration = Duration::from_secs(15);

/// Starts a broker for these users, each with a password.
pub(crate) fn start(port: u16, users: &[(&str, &str)]) -> Result<Process> {
    let (broker, passwd) = (find("mosquitto")?, find("mosquitto_passwd")?);
    let here = env::current_dir().doing("the current folder")?.join(FOLDER);
    fs::create_dir_all(FOLDER).doing(FOLDER)?;
    let file = |name: &str| here.join(name).display().to_string();
    for (number, (user, password)) in users.iter().enumerate() {
        let mut add = Command::new(&passwd);
        add.args((number == 0).then_some("-c")).args(["-b", &file("passwords"), user, password]);
        run(&mut add)?;
    }
    write("acl", ACL)?;
    write("mosquitto.conf", &configuration(port, &file("passwords"), &file("acl"), &file("")))?;
    let mut command = Command::new(broker);
    let mut broker = Process::start("broker", command.args(["-c", &file("mosquitto.conf")]))?;
    broker.wait_port(port, READY)?;
    Ok(broker)
}

/// Started by root, a broker would become a user that can't read these files.
fn configuration(port: u16, passwords: &str, acl: &str, folder: &str) -> String {
    format!(
        "listener {port} 127.0.0.1\nuser root\nallow_anonymous false\npassword_file {passwords}\n\
         acl_file {acl}\nmessage_size_limit 262144\nmax_inflight_messages 256\n\
         max_queued_messages 100000\npersistence true\npersistence_location {folder}\n"
    )
}

fn write(name: &str, text: &str) -> Result<()> {
    let path = Path::new(FOLDER).join(name);
    fs::write(&path, text).doing(path.display())
}

/// On the path, or where only root has it on the path.
fn find(program: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.map(|folder| folder.join(program)).find(|path| path.is_file());
    let text = format!("{program} is missing: run tests/setup/install.sh demo");
    found.ok_or_else(|| Failure::new(text))
}
