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
const PAUSE: Duration = Duration::from_secs(2);

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

#[cfg(test)]
mod tests {
    use tokio::sync::{mpsc, oneshot};

    use super::*;
    use crate::{
        devices::{
            commands::{Answer, Deliverers, Order},
            contacts::Transport,
        },
        testing::{Parts, Place, run},
    };

    type Delivery = (Order, oneshot::Sender<Answer>);

    async fn open(place: &Place) -> (Parts, Switch, mpsc::Receiver<Delivery>) {
        let parts = place.open();
        parts.intake.note_contact("charger-1", Transport::Coap);
        let commands = parts.commands().await;
        let (coap, orders) = mpsc::channel(8);
        let deliverers = Deliverers { coap: Some(coap), mqtt: None };
        tokio::task::spawn_local(commands.clone().run(deliverers));
        let text = |text: &str| text.to_owned();
        let (device, resource) = (text("charger-1"), text("relay"));
        let actuator = Actuator { device, resource, on: text("1"), off: text("0") };
        let switch = Switch::start(actuator, commands, parts.keeper.clone());
        (parts, switch, orders)
    }

    async fn answer(orders: &mut mpsc::Receiver<Delivery>, ok: bool) -> String {
        let (order, reply) = orders.recv().await.unwrap();
        reply.send(Answer::Done { ok, detail: "as it is".to_owned() }).unwrap();
        order.command.value
    }

    #[test]
    fn it_ends_as_it_is_wanted_and_one_command_goes_out_at_a_time() {
        let place = Place::new("[[device]]\nname = \"charger-1\"\n");
        run(async {
            let (parts, switch, mut orders) = open(&place).await;
            switch.want(true);
            let (first, reply) = orders.recv().await.unwrap();
            assert_eq!(first.command.value, "1");
            for on in [false, true, false] {
                switch.want(on);
            }
            tokio::task::yield_now().await;
            assert!(orders.try_recv().is_err(), "the first is under way");
            reply.send(Answer::Done { ok: true, detail: String::new() }).unwrap();
            assert_eq!(answer(&mut orders, true).await, "0");
            switch.want(false);
            switch.want(true);
            assert_eq!(answer(&mut orders, true).await, "1");
            parts.close();
        });
    }

    #[test]
    fn what_the_device_refuses_is_told_and_asked_for_again() {
        let place = Place::new("[[device]]\nname = \"charger-1\"\n");
        run(async {
            let (parts, switch, mut orders) = open(&place).await;
            switch.want(false);
            assert_eq!(answer(&mut orders, false).await, "0");
            assert_eq!(answer(&mut orders, true).await, "0");
            let alarms = parts.keeper.call(|desk, _| desk.alarms().to_vec()).await.unwrap();
            let told = "relay of charger-1 was not switched off: as it is";
            assert!(alarms.iter().any(|alarm| alarm.0 == told), "{alarms:?}");
            parts.close();
        });
    }
}
