//! How the channels begin: connections with peers, where `[channels]` has them, and the task, where `[payments]` has it.
//!
//! Guarantees: what can't begin costs payments and not the gateway, and an alarm says why. Does not: begin again by
//! itself; that takes a restart.

use std::{future::Future, pin::Pin, sync::Arc};

use sluicegate_channels::wire::{AddressMap, WireAddress};
use sluicegate_ledger::Channels as Ledger;
use tokio::sync::mpsc;

use super::{Channels, Handle, Links, Plan, Unconnected};
use crate::{
    Error,
    clock::Clock,
    config::{self, Config, Signs},
    effects::Effects,
    field::Field,
    peers::{PeerEvent, Peers, PeersHandle, Settings},
    recorder::Alarm,
};

/// What has begun.
pub(crate) struct Begun {
    /// The way to the channels' task; none without payments.
    pub(crate) handle: Option<Handle>,
    /// The connections; none without peers.
    pub(crate) peers: Option<PeersHandle>,
    /// Runs until the keeper stops; for ever without payments.
    pub(crate) task: Pin<Box<dyn Future<Output = ()>>>,
}

type Connections = (PeersHandle, mpsc::Receiver<PeerEvent>);

/// Begins what the configuration wants.
pub(crate) async fn begin(
    config: &Config,
    field: &Field,
    ledger: Option<Arc<dyn Ledger>>,
    clock: Clock,
    effects: Effects,
) -> Begun {
    let nothing = || Begun { handle: None, peers: None, task: Box::pin(std::future::pending()) };
    let (Some(settings), Some(ledger)) = (&config.payments, ledger) else { return nothing() };
    match try_begin(config, settings, field, ledger, clock, effects).await {
        Ok(begun) => begun,
        Err(error) => {
            let text = format!("payments are off until a restart: {error}");
            field.keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
            nothing()
        }
    }
}

async fn try_begin(
    config: &Config,
    settings: &config::Payments,
    field: &Field,
    ledger: Arc<dyn Ledger>,
    clock: Clock,
    effects: Effects,
) -> Result<Begun, Error> {
    let connections = connect(config, field).await;
    let address = match &connections {
        Some((peers, _)) => peers.address().clone(),
        None => wire_address(config)?,
    };
    let devices = represented(field);
    let plan = match Plan::of(config, settings, ledger.terms(), address, &devices) {
        Ok(plan) => plan,
        Err(error) => {
            if let Some((peers, _)) = connections {
                peers.stop().await;
            }
            return Err(error);
        }
    };
    let peers = connections.as_ref().map(|(peers, _)| peers.clone());
    let links: Box<dyn Links> = match &peers {
        Some(peers) => Box::new(peers.clone()),
        None => Box::new(Unconnected),
    };
    let (task, handle) = Channels::new(field.keeper.clone(), ledger, links, clock, plan);
    let task = task.noting(effects).telling(field.changes.clone());
    let _ = field.channels.set(handle.clone());
    let hearing = hear(connections.map(|(_, events)| events), handle.clone());
    let task = Box::pin(async move {
        tokio::join!(task.run(), hearing);
        std::future::pending().await
    });
    Ok(Begun { handle: Some(handle), peers, task })
}

/// Devices for which the gateway signs.
fn represented(field: &Field) -> Vec<String> {
    let mut names = field.registry.names();
    let signs = |name: &String| Some(field.registry.get(name)?.device.signs);
    names.retain(|name| signs(name) == Some(Signs::Gateway));
    names
}

/// Before the gateway is ready: the key is made the first time, and that takes a second. Without connections the
/// channels are watched and settled all the same (I3).
async fn connect(config: &Config, field: &Field) -> Option<Connections> {
    let channels = config.channels.as_ref()?;
    let connected = match Settings::load(config, channels) {
        Ok(settings) => Peers::start(settings).await,
        Err(error) => Err(error),
    };
    match connected {
        Ok(connections) => Some(connections),
        Err(error) => {
            let text = format!(
                "no connections with peers until a restart, channels are only watched and settled: {error}"
            );
            field.keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
            None
        }
    }
}

async fn hear(events: Option<mpsc::Receiver<PeerEvent>>, handle: Handle) {
    let Some(mut events) = events else { return };
    while let Some(event) = events.recv().await {
        handle.peer(event).await;
    }
}

/// Our address on the wire for a gateway without connections.
fn wire_address(config: &Config) -> Result<AddressMap, Error> {
    let address = WireAddress::new(&config.log.origin, None);
    let map = address.and_then(|address| AddressMap::single(1, address));
    map.map_err(|error| Error::Usage(format!("log.origin as a wire address: {error}")))
}
