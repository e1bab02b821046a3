//! One process of a scenario: started, waited for with a limit, dead at the end of its test.
//!
//! Guarantees: a [`Process`] that goes out of scope is dead, and so is one whose test thread or
//! test program is gone (the kernel sends SIGKILL); a test that fails shows the end of what its
//! processes said.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(30);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Asks `probe` until it has an answer.
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(Instant::now() < end, "after {LIMIT:?} still waiting for: {what}");
        thread::sleep(PAUSE);
    }
}

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// A running process.
pub struct Process {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

impl Process {
    /// Starts the binary with these arguments; what it says goes to `<said>.out` and `<said>.err`.
    pub fn start(arguments: &[&str], folder: &Path, said: &str) -> Self {
        Self::start_program("sluicegate", arguments, folder, said)
    }

    /// The same for another program of this workspace.
    pub fn start_program(program: &str, arguments: &[&str], folder: &Path, said: &str) -> Self {
        let (out, err) = (folder.join(format!("{said}.out")), folder.join(format!("{said}.err")));
        let mut command = Command::new(binary(program));
        command.args(arguments).current_dir(folder).env_clear().stdin(Stdio::piped());
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        die_with_parent(&mut command);
        Self { child: command.spawn().unwrap(), out, err }
    }

    /// Writes to its standard input and closes it.
    pub fn pipe(&mut self, text: &str) {
        let mut input = self.child.stdin.take().unwrap();
        // A process that refuses its arguments reads nothing.
        let _ = input.write_all(text.as_bytes());
    }

    /// Writes a line to its standard input.
    #[allow(dead_code, reason = "not every test program has a conversation")]
    pub fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// What it has said so far.
    #[allow(dead_code, reason = "not every test program has a conversation")]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap()).into_owned()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it ends by itself.
    pub fn end(mut self) -> Ended {
        drop(self.child.stdin.take());
        let child = &mut self.child;
        let status = until("the end of a process", || child.try_wait().unwrap());
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ended { code: status.code(), out: read(&self.out), err: read(&self.err) }
    }

    /// Ends it as a power cut would: SIGKILL, no warning.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its process id.
    #[allow(dead_code, reason = "not every test program looks at it")]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to read its configuration again, SIGHUP.
    #[allow(dead_code, reason = "not every test program reloads")]
    pub fn hangup(&self) {
        kill_process(Pid::from_child(&self.child), Signal::HUP).unwrap();
    }

    /// Asks it to end, SIGTERM, expects that it does so well, and gives the time that it took.
    pub fn stop(self) -> Duration {
        let asked = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let ended = self.end();
        assert_eq!(ended.code, Some(0), "{}", ended.err);
        asked.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let said = fs::read(&self.err).unwrap_or_default();
            let said = String::from_utf8_lossy(&said);
            let lines: Vec<_> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(25)..].join("\n");
            eprintln!("{} ended with:\n{last}", self.err.display());
        }
    }
}

/// A binary beside this test program.
fn binary(program: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.parent().and_then(Path::parent).unwrap().join(program);
    let built = "build it first: cargo build --package sluicegate-daemon --package sluicegate-tests --bins, or run \
                 `make test`";
    assert!(binary.exists(), "{} is missing; {built}", binary.display());
    binary
}

/// Lets the kernel end a process with the test that starts it.
#[allow(unsafe_code)]
pub fn die_with_parent(command: &mut Command) {
    let ask = || Ok(set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec this makes one system call and touches no memory of the parent.
    unsafe { command.pre_exec(ask) };
}
