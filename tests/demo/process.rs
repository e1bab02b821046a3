//! The processes of the demo: started, waited for with a limit, and never left behind.
//!
//! Guarantees: a [`Process`] that goes out of scope is dead; every wait ends after its limit or
//! when the demo is interrupted; a failure shows the last lines of the process's log. Does not:
//! survive a SIGKILL of the demo itself.
//! Order of calls: [`watch_signals`] once; [`Process::start`]; [`Process::wait_socket`];
//! [`Process::kill`] or [`Process::stop`].

use std::{
    fs::{self, File},
    io,
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Doing, Failure, Result, expect};

/// How often a wait looks again.
const PAUSE: Duration = Duration::from_millis(10);

/// How many lines of a log a failure shows.
const LAST_LINES: usize = 15;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// One child process whose output goes to a log file.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: String,
}

impl Process {
    /// Starts `command`; its output is appended to `<name>.log`.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let log = format!("{name}.log");
        let file = File::options().create(true).append(true).open(&log).doing(&log)?;
        let output = file.try_clone().doing(&log)?;
        command.stdin(Stdio::null()).stdout(output).stderr(file);
        let child = command.spawn().doing(format_args!("starting {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// The same for a device: what it says goes to `<name>.said`, and it listens to what is
    /// written.
    pub(crate) fn start_device(name: &str, command: &mut Command) -> Result<(Self, ChildStdin)> {
        let log = format!("{name}.log");
        let said = File::create(format!("{name}.said")).doing(name)?;
        let file = File::options().create(true).append(true).open(&log).doing(&log)?;
        command.stdin(Stdio::piped()).stdout(said).stderr(file);
        let mut child = command.spawn().doing(format_args!("starting {name}"))?;
        let stdin = child.stdin.take();
        let process = Self { name: name.to_owned(), child, log };
        let stdin = stdin.ok_or_else(|| process.failure(format_args!("does not listen")))?;
        Ok((process, stdin))
    }

    /// Waits until the process accepts connections on this local socket.
    pub(crate) fn wait_socket(&mut self, socket: &str, limit: Duration) -> Result<()> {
        self.wait_ready(limit, || UnixStream::connect(socket).is_ok())
    }

    /// Waits until the process accepts connections on this port.
    pub(crate) fn wait_port(&mut self, port: u16, limit: Duration) -> Result<()> {
        self.wait_ready(limit, || TcpStream::connect(("127.0.0.1", port)).is_ok())
    }

    fn wait_ready(&mut self, limit: Duration, accepts: impl Fn() -> bool) -> Result<()> {
        let ready = wait_for(limit, || {
            self.check_runs()?;
            Ok(accepts().then_some(()))
        })?;
        ready.ok_or_else(|| self.failure(format_args!("is not ready after {limit:?}")))
    }

    /// Fails if the process has ended.
    pub(crate) fn check_runs(&mut self) -> Result<()> {
        let ended = self.poll()?;
        ended.map_or(Ok(()), |status| Err(self.failure(format_args!("ended ({status})"))))
    }

    /// Waits until the process ends well, by itself.
    pub(crate) fn wait_end(&mut self, limit: Duration) -> Result<()> {
        let status = wait_for(limit, || self.poll())?;
        let status = status.ok_or_else(|| self.failure(format_args!("runs after {limit:?}")))?;
        expect(status.success(), || self.failure(format_args!("failed ({status})")).to_string())
    }

    /// Whether the process has ended.
    fn poll(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().doing(&self.name)
    }

    /// Ends the process as a power cut would: SIGKILL, no warning.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill().and_then(|()| self.child.wait()).doing(&self.name).map(drop)
    }

    /// Asks the process to end, SIGTERM, and gives the time it took.
    pub(crate) fn stop(mut self, limit: Duration) -> Result<Duration> {
        let asked = Instant::now();
        let sent = kill_process(Pid::from_child(&self.child), Signal::TERM);
        sent.map_err(io::Error::from).doing(&self.name)?;
        self.wait_end(limit)?;
        Ok(asked.elapsed())
    }

    /// Says what went wrong, and shows the end of the log.
    fn failure(&self, what: std::fmt::Arguments<'_>) -> Failure {
        let (name, log) = (&self.name, self.last_lines(LAST_LINES));
        Failure::new(format!("{name} {what}\nlast lines of target/demo/{}:\n{log}", self.log))
    }

    fn last_lines(&self, count: usize) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the process has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks `probe` until it has an answer; none when `limit` has passed.
pub(crate) fn wait_for<T>(
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let end = Instant::now() + limit;
    loop {
        expect(!INTERRUPTED.load(Ordering::Relaxed), || "interrupted".to_owned())?;
        let answer = probe()?;
        if answer.is_some() || Instant::now() >= end {
            return Ok(answer);
        }
        thread::sleep(PAUSE);
    }
}

/// Lets time pass; fails when the demo is interrupted.
pub(crate) fn pause(time: Duration) -> Result<()> {
    wait_for(time, || Ok(None::<()>)).map(drop)
}

/// From now on SIGINT and SIGTERM end the next wait with a failure, so that all processes are
/// stopped.
pub(crate) fn watch_signals() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.doing("watching signals")?;
    let context = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).doing("watching signals")?;
    let mut terminate = signal(SignalKind::terminate()).doing("watching signals")?;
    drop(context);
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        });
        INTERRUPTED.store(true, Ordering::Relaxed);
    });
    Ok(())
}
