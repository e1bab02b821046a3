//! The story as it is told: each step with the time since the start, on the terminal and later on
//! the page.

use std::{
    fmt::Display,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Tells the steps and remembers them.
pub(crate) struct Told {
    started: Instant,
    steps: Mutex<Vec<Step>>,
}

/// One step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) ms: u128,
    pub(crate) text: String,
}

impl Step {
    /// Seconds since the start, with one decimal.
    pub(crate) fn seconds(&self) -> String {
        format!("{}.{}", self.ms / 1000, self.ms / 100 % 10)
    }
}

impl Told {
    /// The clock starts.
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), steps: Mutex::default() }
    }

    /// The next step.
    pub(crate) fn say(&self, text: impl Display) {
        let step = Step { ms: self.started.elapsed().as_millis(), text: text.to_string() };
        println!("[{:>5} s] {}", step.seconds(), step.text);
        self.lock().push(step);
    }

    /// Lines that belong to the last step; the page shows them in another way.
    pub(crate) fn detail(&self, text: &str) {
        for line in text.lines() {
            println!("            {line}");
        }
    }

    /// All steps so far.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.lock().clone()
    }

    /// Steps are whole at every moment, so a panic elsewhere does not spoil them.
    fn lock(&self) -> MutexGuard<'_, Vec<Step>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
