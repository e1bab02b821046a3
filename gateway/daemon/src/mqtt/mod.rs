//! MQTT: readings, results and states from devices behind a broker; answers and commands to them.
//!
//! Guarantees: a message is acknowledged to the broker when all that follows from it is durable, so that the broker
//! sends it again after a crash; what the gateway publishes is durable first (I1) and repeated until the broker has
//! it; a broker that is away, or forgets everything, costs nothing but time. Does not: trust a payload to say who
//! sent it: the device is the topic's `<ep>`, to which the broker's access list holds it (`README.md` beside this
//! file). TLS to the broker is not offered; a broker on the same machine needs none.
//!
//! - [`topic`] and [`message`]: what topics and payloads mean
//! - `connection`: one connection; `arrivals`, `states`: what follows from a message; `outbox`: what is published;
//!   `room`: how much may be under way
//!
//! Order of calls: [`run`], once. Shown by `tests/mqtt`.

mod arrivals;
mod connection;
pub mod message;
mod outbox;
mod room;
pub mod topic;

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};

use sluicegate_coap::Allowance;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use self::{connection::Connection, outbox::Outbox, room::Room};
use crate::{
    Error, config, credentials,
    desk::Desk,
    devices::commands::{Answer, Order},
    field::Field,
    store::publications::Publication,
};

/// Orders for devices behind the broker.
pub type Inbox = mpsc::Receiver<(Order, oneshot::Sender<Answer>)>;

/// First and longest pause before the broker is tried again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// A connection that lasted so long was a good one.
const LASTED: Duration = Duration::from_secs(10);

/// Refusals that a device is told a second on average, and at once.
const REFUSALS: (u32, u32) = (10, 50);

/// Refusals that all strangers together are told.
const STRANGERS: (u32, u32) = (1, 10);

/// Name under which the store keeps the gateway's name at the broker.
const CLIENT_ID: &str = "mqtt-client-id";

/// Name in the health of the field.
const NAME: &str = "mqtt";

/// Serves devices behind the broker until it is dropped.
pub async fn run(
    config: config::Mqtt,
    password: Option<Zeroizing<String>>,
    field: Field,
    inbox: Inbox,
) {
    let outbox = Outbox::load(field.keeper.clone(), field.clock, config.max_outbox).await;
    // Without the store the gateway is ending.
    let Ok(outbox) = outbox else { return std::future::pending().await };
    let client_id = match &config.client_id {
        Some(configured) => configured.clone(),
        None => match field.keeper.insist(|desk, _| own_client_id(desk)).await {
            Ok(own) => own,
            Err(_) => return std::future::pending().await,
        },
    };
    let bridge = Rc::new(Bridge::new(config, client_id, password, field, outbox));
    tokio::select! {
        () = bridge.outbox.write() => {}
        () = deliver(&bridge, inbox) => {}
        () = keep_connected(&bridge) => {}
    }
}

/// A name that no device can guess, the same through restarts: the broker keeps the session under it.
fn own_client_id(desk: &Desk) -> Result<String, Error> {
    let store = desk.recorder.store();
    let known = store.meta(CLIENT_ID)?.and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(known) = known {
        return Ok(known);
    }
    let what = Error::storage("random bytes from the operating system");
    let random = credentials::random();
    let random = random.map_err(|error| what(std::io::Error::other(error.to_string())))?;
    // 22 letters and digits, which every broker takes (MQTT 5 §3.1.3.1).
    let hex: String = random.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let own = format!("sluicegate{hex}");
    store.set_meta(CLIENT_ID, own.as_bytes())?;
    Ok(own)
}

/// What all tasks share.
struct Bridge {
    config: config::Mqtt,
    client_id: String,
    password: Option<Zeroizing<String>>,
    field: Field,
    outbox: Outbox,
    /// Of incoming messages, over all connections.
    room: Rc<Room>,
    /// How many messages came to nothing.
    counts: RefCell<Counts>,
    strangers: RefCell<Allowance>,
    refusals: RefCell<BTreeMap<String, Allowance>>,
    is_connected: Cell<bool>,
    /// That there is no connection was told.
    is_told: Cell<bool>,
    /// What the broker refused on this connection.
    refused: RefCell<Option<String>>,
}

/// Messages that came to nothing, since the start.
#[derive(Default, Clone, Copy)]
struct Counts {
    /// Not a topic of ours, or not a payload that belongs there.
    malformed: u64,
    /// Of devices that are not enrolled.
    unknown: u64,
    /// Readings that broke a rule.
    refused: u64,
    /// More at once than fits, which nobody waits for (QoS 0).
    dropped: u64,
}

async fn keep_connected(bridge: &Rc<Bridge>) {
    let mut pause = PAUSE.0;
    loop {
        let begun = tokio::time::Instant::now();
        let (reason, connected) = Connection::run(Rc::clone(bridge)).await;
        bridge.disconnected(&reason);
        if connected && begun.elapsed() >= LASTED {
            pause = PAUSE.0;
        }
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(PAUSE.1);
    }
}

/// Publishes commands. While the broker is away they are refused: the table of commands repeats them.
async fn deliver(bridge: &Rc<Bridge>, mut inbox: Inbox) {
    while let Some((order, reply)) = inbox.recv().await {
        if !bridge.is_connected.get() {
            let _ = reply.send(Answer::Unreachable);
            continue;
        }
        let bridge = Rc::clone(bridge);
        tokio::task::spawn_local(async move {
            let Order { device, command } = order;
            let publication = Publication {
                topic: topic::act(&device, &command.resource),
                payload: message::command(&command),
                until_ms: Some(command.until_ms),
            };
            let durable = bridge.outbox.put(publication).await;
            let _ = reply.send(if durable { Answer::Sent } else { Answer::Unreachable });
        });
    }
    std::future::pending().await
}

impl Bridge {
    fn new(
        config: config::Mqtt,
        client_id: String,
        password: Option<Zeroizing<String>>,
        field: Field,
        outbox: Outbox,
    ) -> Self {
        let now_ms = field.clock.now().monotonic_ms;
        let bridge = Self {
            config,
            client_id,
            password,
            field,
            outbox,
            room: Rc::default(),
            counts: RefCell::default(),
            strangers: RefCell::new(Allowance::new(STRANGERS.0, STRANGERS.1, now_ms)),
            refusals: RefCell::default(),
            is_connected: Cell::new(false),
            is_told: Cell::new(false),
            refused: RefCell::default(),
        };
        bridge.tell("not connected yet".to_owned());
        bridge
    }

    fn now_ms(&self) -> u64 {
        self.field.clock.now().monotonic_ms
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.borrow_mut());
    }

    /// Whether an enrolled device may be told of one more refusal.
    fn may_refuse(&self, device: &str) -> bool {
        let now_ms = self.now_ms();
        let mut refusals = self.refusals.borrow_mut();
        if !refusals.contains_key(device) {
            refusals.retain(|device, _| self.field.registry.get(device).is_some());
        }
        let full = || Allowance::new(REFUSALS.0, REFUSALS.1, now_ms);
        refusals.entry(device.to_owned()).or_insert_with(full).take(now_ms).is_ok()
    }

    /// Whether a stranger may be told that it is one.
    fn may_refuse_stranger(&self) -> bool {
        let now_ms = self.now_ms();
        self.strangers.borrow_mut().take(now_ms).is_ok()
    }

    fn connected(&self, session_present: bool) {
        if !self.is_connected.replace(true) {
            let broker = self.broker();
            tracing::info!(broker, session_present, "connected to the broker");
        }
        self.tell_connected();
    }

    fn disconnected(&self, reason: &str) {
        let was_connected = self.is_connected.replace(false);
        let text = format!("not connected to {}: {reason}", self.broker());
        // Attempts that fail like the one before are not news.
        if !self.is_told.replace(true) || was_connected {
            tracing::warn!("mqtt: {text}");
        }
        self.tell(text);
    }

    /// The broker refused something that it would refuse again.
    fn refused_by_broker(&self, what: Option<String>) {
        let new = what.is_some() && *self.refused.borrow() != what;
        if let Some(what) = what.as_ref().filter(|_| new) {
            tracing::error!("mqtt: the broker refuses {what}; look at its access list");
        }
        *self.refused.borrow_mut() = what;
    }

    fn tell_connected(&self) {
        let mut text = format!("connected to {}", self.broker());
        if let Some(refused) = &*self.refused.borrow() {
            text.push_str(&format!("; the broker refuses {refused}"));
        }
        let Counts { malformed, unknown, refused, dropped } = *self.counts.borrow();
        let (waiting, given_way) = self.outbox.told();
        for (count, what) in [
            (waiting as u64, "publications wait"),
            (given_way, "answers gave way"),
            (malformed, "malformed messages"),
            (unknown, "messages of unknown devices"),
            (refused, "readings refused"),
            (dropped, "messages dropped"),
        ] {
            if count > 0 {
                text.push_str(&format!("; {count} {what}"));
            }
        }
        self.tell(text);
    }

    fn tell(&self, text: String) {
        self.field.health.set(NAME, text);
    }

    fn broker(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }
}
