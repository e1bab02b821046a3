//! An actuator that follows a meter: one command at a time through the commands' outbox, until the device has carried out
//! what is wanted now.
//!
//! Guarantees: commands go out in the order of what was wanted, and each has one effect (I6); what the device did not carry
//! out is told and asked for again. Does not: reach a device that is away; a command to let deliver is then soon void.

use std::time::Duration;

use tokio::sync::watch;

use crate::{config::Actuator, devices::commands::Commands, keeper::Keeper, recorder::Alarm};

/// How long a command to let deliver may wait for the device.
const ON_VALID_MS: u64 = 30_000;

/// How long a command to stop may wait.
const OFF_VALID_MS: u64 = 600_000;

/// Pause before what failed is asked for again.
const PAUSE: Duration = Duration::from_secs(5);

/// What is wanted of an actuator.
pub(super) struct Switch(watch::Sender<Option<bool>>);

impl Switch {
    /// Follows from now on, until it is dropped.
    pub(super) fn start(actuator: Actuator, commands: Commands, keeper: Keeper) -> Self {
        let (wanted, follow) = watch::channel(None);
        tokio::task::spawn_local(Follower { actuator, commands, keeper, wanted: follow }.run());
        Self(wanted)
    }

    /// Lets deliver, or stops it.
    pub(super) fn want(&self, on: bool) {
        self.0.send_replace(Some(on));
    }
}

struct Follower {
    actuator: Actuator,
    commands: Commands,
    keeper: Keeper,
    wanted: watch::Receiver<Option<bool>>,
}

impl Follower {
    async fn run(mut self) {
        let mut done = None;
        loop {
            let wanted = *self.wanted.borrow_and_update();
            if wanted != done
                && let Some(on) = wanted
            {
                done = self.switch(on).await.then_some(on);
                if done.is_none() {
                    tokio::time::sleep(PAUSE).await;
                }
                if self.wanted.has_changed().is_err() {
                    return;
                }
            } else if self.wanted.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether the device carried it out.
    async fn switch(&self, on: bool) -> bool {
        let Actuator { device, resource, on: value_on, off: value_off } = &self.actuator;
        let (value, valid_ms) =
            if on { (value_on, ON_VALID_MS) } else { (value_off, OFF_VALID_MS) };
        let told = match self.commands.act(device, resource, value, valid_ms).await {
            Ok((_, outcome)) => match outcome.await {
                Ok(outcome) if outcome.ok => return true,
                Ok(outcome) => outcome.detail,
                Err(_) => "the store is not open".to_owned(),
            },
            Err(reason) => reason,
        };
        let state = if on { "on" } else { "off" };
        let text = format!("{resource} of {device} was not switched {state}: {told}");
        self.keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
        false
    }
}
