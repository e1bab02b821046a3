//! The gateway's side towards the field: the parts that CoAP, MQTT and the local socket share, and their health.
//!
//! Guarantees: one registry, one intake, one list of commands for all transports. Does not: own a socket.

use std::{
    cell::{OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::Arc,
};

use tokio::sync::{Semaphore, watch};

use crate::{
    Error,
    channels::Handle,
    clock::Clock,
    config::Config,
    devices::{Registry, changes::Changes, commands::Commands, contacts::Contacts, states::States},
    intake::Intake,
    keeper::Keeper,
};

/// What all transports share.
#[derive(Clone)]
pub struct Field {
    /// Who is enrolled.
    pub registry: Registry,
    /// Who spoke when.
    pub contacts: Contacts,
    /// The way into the log.
    pub intake: Intake,
    /// What devices are told to do.
    pub commands: Commands,
    /// Who observes what.
    pub changes: Changes,
    /// What devices tell of their resources.
    pub states: States,
    /// Counts reloads of the registry.
    pub reloaded: Rc<watch::Sender<u64>>,
    /// Which transports work.
    pub health: FieldHealth,
    /// One proof at a time is built and handed over.
    pub proofs: Arc<Semaphore>,
    /// The way to the payment channels, once they have begun.
    pub channels: Rc<OnceCell<Handle>>,
    /// The store.
    pub keeper: Keeper,
    /// The clocks.
    pub clock: Clock,
}

/// One line for each transport, by its name; clones share it.
#[derive(Clone, Default)]
pub struct FieldHealth(Rc<RefCell<BTreeMap<&'static str, String>>>);

impl FieldHealth {
    /// How a transport is.
    pub fn set(&self, transport: &'static str, text: String) {
        self.0.borrow_mut().insert(transport, text);
    }

    /// Lines such as `mqtt: connected to 127.0.0.1:1883`.
    pub fn told(&self) -> Vec<String> {
        self.0.borrow().iter().map(|(name, text)| format!("{name}: {text}")).collect()
    }
}

impl Field {
    /// Goes on with what the store holds.
    pub async fn open(config: &Config, keeper: &Keeper, clock: Clock) -> Result<Self, Error> {
        let (registry, alarms) = Registry::load(config);
        for alarm in alarms {
            keeper.call(move |desk, _| desk.alarm(alarm)).await;
        }
        let contacts = Contacts::default();
        let (max_payload, keeper) = (config.log.max_payload, keeper.clone());
        let parts = (keeper.clone(), registry.clone(), contacts.clone());
        let changes = Changes::default();
        let intake = Intake::new(parts.0, parts.1, parts.2, changes.clone(), clock, max_payload);
        let parts = (keeper.clone(), registry.clone(), contacts.clone());
        let commands = Commands::load(parts.0, parts.1, parts.2, clock).await?;
        Ok(Self {
            contacts,
            intake,
            commands,
            states: States::new(keeper.clone(), registry.clone(), changes.clone(), clock),
            registry,
            changes,
            reloaded: Rc::new(watch::channel(0).0),
            health: FieldHealth::default(),
            proofs: Arc::new(Semaphore::new(1)),
            channels: Rc::default(),
            keeper,
            clock,
        })
    }

    /// Takes the devices of a changed configuration.
    pub async fn reload(&self, config: &Config) {
        for alarm in self.registry.reload(config) {
            self.keeper.call(move |desk, _| desk.alarm(alarm)).await;
        }
        let registry = self.registry.clone();
        self.contacts.retain(|device| registry.get(device).is_some());
        self.intake.retain();
        self.reloaded.send_modify(|count| *count = count.wrapping_add(1));
    }
}
