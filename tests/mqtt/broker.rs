//! A mosquitto of our own, and its command-line clients as devices.
//!
//! Guarantees: what goes out of scope is dead, also when the test is. Does not: keep anything on
//! the disk unless the test says so; a broker that was killed has forgotten every session.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

use crate::process::{die_with_parent, until};

/// A running broker.
pub struct Broker {
    child: Child,
    folder: PathBuf,
    port: u16,
}

/// Who a client is to the broker.
#[derive(Clone, Copy, Default)]
pub struct Login<'a> {
    /// User name and password.
    pub user: Option<(&'a str, &'a str)>,
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Broker {
    /// Starts one in this folder that lets everybody in.
    pub fn start(folder: &Path) -> Self {
        Self::start_at(folder, free_port(), "allow_anonymous true")
    }

    /// Starts one at this port with these lines in its configuration.
    pub fn start_at(folder: &Path, port: u16, lines: &str) -> Self {
        let file = folder.join("mosquitto.conf");
        // As root it would become a user that can't read this folder.
        let common = "user root\nmax_inflight_messages 256\nmax_queued_messages 0";
        fs::write(&file, format!("listener {port} 127.0.0.1\n{common}\n{lines}\n")).unwrap();
        let mut command = Command::new(program("mosquitto", "/usr/sbin"));
        let log = File::options().append(true).create(true).open(folder.join("mosquitto.log"));
        command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log.unwrap());
        die_with_parent(&mut command);
        let child = command.spawn().unwrap();
        let mut broker = Self { child, folder: folder.to_owned(), port };
        until("the broker", || {
            let ended = broker.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "{}",
                fs::read_to_string(folder.join("mosquitto.log")).unwrap()
            );
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        broker
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends it as a power cut would; it has forgotten everything.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Publishes as a device that waits for the broker's acknowledgement; fails if there is none.
    pub fn publish(&self, topic: &str, payload: &str) {
        let output = self.publish_as(Login::default(), &["-t", topic, "-m", payload]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Publishes with these arguments of `mosquitto_pub`.
    pub fn publish_as(&self, login: Login<'_>, arguments: &[&str]) -> Output {
        let mut command = self.client("mosquitto_pub", login);
        command.args(arguments).stdin(Stdio::null()).output().unwrap()
    }

    /// Publishes each line of a file, as fast as the broker takes them.
    pub fn publish_lines(&self, topic: &str, file: &Path) {
        let mut command = self.client("mosquitto_pub", Login::default());
        let lines = Stdio::from(File::open(file).unwrap());
        let status = command.args(["-t", topic, "-l"]).stdin(lines).status().unwrap();
        assert!(status.success(), "{status}");
    }

    /// Listens to a topic from now on.
    pub fn subscribe(&self, topic: &str) -> Subscriber {
        self.subscribe_as(Login::default(), topic, "ready")
    }

    /// Listens to a topic; `ready` is one on which the same login may publish and read.
    pub fn subscribe_as(&self, login: Login<'_>, topic: &str, ready: &str) -> Subscriber {
        let number = fs::read_dir(&self.folder).unwrap().count();
        let file = self.folder.join(format!("subscriber-{number}"));
        let mut command = self.client("mosquitto_sub", login);
        command.args(["-F", "%t %p", "-t", topic, "-t", ready]);
        command.stdin(Stdio::null()).stdout(File::create(&file).unwrap());
        die_with_parent(&mut command);
        let subscriber = Subscriber { child: command.spawn().unwrap(), file };
        until("the subscription", || {
            assert!(self.publish_as(login, &["-t", ready, "-m", "?"]).status.success());
            subscriber.lines().contains(&format!("{ready} ?")).then_some(())
        });
        subscriber
    }

    fn client(&self, name: &str, login: Login<'_>) -> Command {
        let mut command = Command::new(program(name, "/usr/bin"));
        command.args(["-h", "127.0.0.1", "-q", "1", "-p", &self.port.to_string()]);
        if let Some((user, password)) = login.user {
            command.args(["-u", user, "-P", password]);
        }
        command
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.end();
    }
}

/// A running `mosquitto_sub`.
pub struct Subscriber {
    child: Child,
    file: PathBuf,
}

impl Subscriber {
    /// What came so far, as topic and payload.
    pub fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.file).unwrap().lines().map(str::to_owned).collect()
    }

    /// The JSON messages on this topic so far.
    pub fn messages(&self, topic: &str) -> Vec<Value> {
        let lines = self.lines();
        let texts = lines.iter().filter_map(|line| line.strip_prefix(topic)?.strip_prefix(' '));
        texts.map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    /// Waits for a message on this topic that `holds`.
    pub fn wait(&self, topic: &str, holds: impl Fn(&Value) -> bool) -> Value {
        until(topic, || self.messages(topic).into_iter().find(&holds))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}: {:#?}", self.file.display(), self.lines());
        }
    }
}

/// A program of Debian's packages mosquitto and mosquitto-clients.
pub fn program(name: &str, folder: &str) -> PathBuf {
    let program = Path::new(folder).join(name);
    assert!(program.exists(), "{} is missing; tests/setup/install.sh build", program.display());
    program
}
