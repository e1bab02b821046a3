//! The two clocks of a process: one that never steps, and the wall clock with whether it is synchronised.
//!
//! Guarantees: both are read here and nowhere else; everything below gets `now` as an argument.
//! A Pi has no clock of its own: until the kernel says that a time source set it, entries say so (design §3).

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use sluicegate_notary::{entry::Timestamp, log::Now};

/// Reads the clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Monotonic time counts from now.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Both clocks.
    pub fn now(&self) -> Now {
        let monotonic_ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis());
        let ms = u64::try_from(ms).unwrap_or(u64::MAX);
        Now { monotonic_ms, wall: Timestamp { ms, synchronised: synchronised() } }
    }
}

/// Whether the kernel's clock is disciplined by a time source (`adjtimex`, as `timedatectl` reports it).
#[allow(unsafe_code)]
fn synchronised() -> bool {
    // SAFETY: all zeros is a valid `timex` with `modes == 0`, which only reads; the kernel writes within the struct.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&mut timex)
    };
    state >= 0 && state != libc::TIME_ERROR
}
