//! Watches the gateway from outside while the demo runs: `sluicegate status`, several times a
//! second.
//!
//! The samples become the plot of the log's growth. While the gateway is down there are none.

use std::{
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use serde::Deserialize;

use crate::failure::{Doing, Failure, Result};

const PERIOD: Duration = Duration::from_millis(250);

/// What `sluicegate status --json` says.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Status {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) anchored_size: u64,
    /// Newest first, also those that are not final yet.
    anchors: Vec<Anchor>,
    pub(crate) alarms: Vec<String>,
}

impl Status {
    /// The final anchors, oldest first.
    pub(crate) fn anchors(&self) -> Vec<Final<'_>> {
        let anchors = self.anchors.iter().rev();
        anchors.filter_map(Anchor::finished).collect()
    }
}

/// One anchor.
#[derive(Debug, Clone, Deserialize)]
struct Anchor {
    size: u64,
    digest: String,
    block: Option<u64>,
    final_ms: Option<u64>,
}

impl Anchor {
    fn finished(&self) -> Option<Final<'_>> {
        let Self { size, digest, block, final_ms } = self;
        Some(Final { size: *size, digest, block: (*block)?, ms: (*final_ms)? })
    }
}

/// One final anchor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Final<'a> {
    pub(crate) size: u64,
    pub(crate) digest: &'a str,
    pub(crate) block: u64,
    /// When it became final.
    pub(crate) ms: u64,
}

/// The log at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) ms: u64,
    pub(crate) size: u64,
}

/// A thread that asks for the status until it is dropped.
pub(crate) struct Watch {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    samples: Vec<Sample>,
    stop: bool,
}

impl Watch {
    /// Asks with the command that `status` builds.
    pub(crate) fn start(status: impl Fn() -> Command + Send + 'static) -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let seen = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            while !lock(&seen).stop {
                if let Ok(status) = ask(&mut status()) {
                    lock(&seen).samples.push(Sample { ms: now_ms(), size: status.size });
                }
                thread::sleep(PERIOD);
            }
        });
        Self { shared, thread: Some(thread) }
    }

    /// Size of the log when it was last seen.
    pub(crate) fn size(&self) -> u64 {
        lock(&self.shared).samples.last().map_or(0, |sample| sample.size)
    }

    /// Everything seen; the watch ends.
    pub(crate) fn finish(self) -> Vec<Sample> {
        std::mem::take(&mut lock(&self.shared).samples)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.shared).stop = true;
        // A panic of the thread was printed already; the samples so far are good.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Asks once.
pub(crate) fn ask(status: &mut Command) -> Result<Status> {
    let output = status.output().doing("asking for the status")?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("asking for the status: {}", reason.trim())));
    }
    serde_json::from_slice(&output.stdout).doing("reading the status")
}

/// Wall time, as the plots use it.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Samples are whole at every moment, so a panic elsewhere does not spoil them.
fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
