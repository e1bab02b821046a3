//! What follows from a message that came in: a leaf and an answer, a command's end, an observed state.
//!
//! Guarantees: when [`take`] gives `true`, all that follows is durable and the broker may forget the message; what is
//! refused reached neither log nor store, and its sender is told why as often as its allowance of refusals lasts.
//! While the store is busy or fails, the message is held and tried again: the broker would not send it again before the
//! next connection. Does not: acknowledge; [`super::connection`] does, or wait long for a device that tells states far
//! beyond its allowance ([`crate::devices::states`]).

use std::{rc::Rc, time::Duration};

use rumqttc::v5::mqttbytes::v5::Publish;
use sluicegate_protocol::coap::Code;

use super::{
    Bridge, message,
    topic::{self, Kind, Topic},
};
use crate::{
    devices::contacts::Transport,
    intake::{Arrival, Rejection, never},
    store::publications::Publication,
};

/// First and longest pause before a reading is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Takes a message to its end; `false` when the gateway is ending first.
pub(super) async fn take(bridge: &Rc<Bridge>, publish: Publish) -> bool {
    let Some(Topic { device, kind }) = topic::parse(&publish.topic) else {
        bridge.count(|counts| counts.malformed += 1);
        return true;
    };
    if bridge.field.registry.get(device).is_none() {
        return stranger(bridge, device, kind).await;
    }
    match kind {
        Kind::Reading(seq) => reading(bridge, device, seq, &publish).await,
        Kind::Result(_) => result(bridge, device, &publish).await,
        Kind::State(resource) => state(bridge, device, resource, &publish).await,
    }
    .is_some()
}

/// Told that it is unknown, but all strangers together only so often.
async fn stranger(bridge: &Bridge, device: &str, kind: Kind<'_>) -> bool {
    bridge.count(|counts| counts.unknown += 1);
    let Kind::Reading(seq) = kind else { return true };
    if !bridge.may_refuse_stranger() {
        return true;
    }
    let reason = format!("no device {device:?} is enrolled");
    let rejection = never(Code::UNAUTHORIZED, reason);
    answer(bridge, device, message::refused(seq, &rejection)).await.is_some()
}

async fn reading(bridge: &Bridge, device: &str, seq: Option<u64>, publish: &Publish) -> Option<()> {
    let logged = match message::format_of(publish) {
        Ok(format) => log(bridge, device, seq, format, publish).await,
        Err(rejection) => {
            bridge.field.intake.note_contact(device, Transport::Mqtt);
            Err(rejection)
        }
    };
    match logged {
        Ok(index) => answer(bridge, device, message::acknowledged(seq, index)).await,
        Err(rejection) => {
            bridge.count(|counts| counts.refused += 1);
            if bridge.may_refuse(device) {
                answer(bridge, device, message::refused(seq, &rejection)).await
            } else {
                Some(())
            }
        }
    }
}

/// Logs a reading, however long the store takes to be there.
async fn log(
    bridge: &Bridge,
    device: &str,
    seq: Option<u64>,
    format: u16,
    publish: &Publish,
) -> Result<u64, Rejection> {
    let mut pause = RETRY.0;
    // A second attempt is no new message of the device.
    let mut transport = Some(Transport::Mqtt);
    loop {
        let payload = publish.payload.to_vec();
        let arrival = Arrival { device: device.to_owned(), seq, format, payload };
        match bridge.field.intake.take(arrival, transport.take()).await {
            Ok(logged) => return Ok(logged.index),
            Err(rejection) if rejection.code == Code::SERVICE_UNAVAILABLE => {}
            Err(rejection) => return Err(rejection),
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(RETRY.1);
    }
}

async fn answer(bridge: &Bridge, device: &str, payload: Vec<u8>) -> Option<()> {
    let publication = Publication { topic: topic::ack(device), payload, until_ms: None };
    bridge.outbox.put(publication).await.then_some(())
}

async fn result(bridge: &Bridge, device: &str, publish: &Publish) -> Option<()> {
    match message::result(&publish.payload) {
        Some(told) => bridge.field.commands.result(device, told.id, told.ok, &told.detail).await,
        None => bridge.count(|counts| counts.malformed += 1),
    }
    // Afterwards: a sign of life before its result would have the same command sent once more.
    bridge.field.intake.note_contact(device, Transport::Mqtt);
    Some(())
}

async fn state(bridge: &Rc<Bridge>, device: &str, resource: &str, publish: &Publish) -> Option<()> {
    if !publish.retain {
        bridge.field.intake.note_contact(device, Transport::Mqtt);
    }
    match message::state(&publish.payload) {
        Some(value) => bridge.field.states.observe(device, resource, value).await,
        None => bridge.count(|counts| counts.malformed += 1),
    }
    Some(())
}
