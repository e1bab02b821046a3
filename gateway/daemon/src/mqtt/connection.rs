//! One connection to the broker, from its making to its end; its client is never used for a second one.
//!
//! Guarantees: an incoming message is acknowledged after all that follows from it is durable, in the order in which
//! messages came (MQTT 5 §4.6); publications go out in order, a window at a time, and are matched to rows of the
//! outbox by packet id; a broker that is silent, or acknowledges nothing, ends the connection. With a client of its
//! own for each connection, no queue of `rumqttc` outlives one (its issues 1053 and 1056), and its own limit on
//! what is under way is never reached, so that acknowledgements never wait behind publications. Does not: connect
//! again; [`super::run`] does.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    time::Duration,
};

use rumqttc::{
    NetworkOptions, Outgoing,
    v5::{
        AsyncClient, Event, EventLoop, MqttOptions,
        mqttbytes::{
            QoS,
            v5::{
                ConnAck, ConnectProperties, Filter, Packet, PubAck, PubAckReason, Publish,
                PublishProperties, RetainForwardRule, SubAck, SubscribeReasonCode,
            },
        },
    },
};

use super::{
    Bridge, arrivals,
    outbox::Next,
    room::{Held, MAX_BYTES, MAX_MESSAGES},
    topic,
};

/// Fewest and most incoming messages under way that the broker is asked for (receive maximum, MQTT 5 §3.1.2.11.3).
const RECEIVE: (usize, usize) = (8, 128);

/// Most publications under way.
const WINDOW: u16 = 64;

/// What a broker allows that says nothing (MQTT 5 §3.2.2.3.3).
const DEFAULT_RECEIVE_MAX: u16 = u16::MAX;

/// How long the broker keeps our session while we are away.
const SESSION_S: u32 = 7 * 86_400;

/// How often the connection is looked at.
const TICK: Duration = Duration::from_secs(1);

/// Longest and shortest pause between two pings.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// Bytes of a message besides twice the longest payload: a reading that is somewhat too long gets its answer, a longer
/// one is dropped by the broker, which was told so (MQTT 5 §3.1.2.11.4).
const PACKET_ROOM: usize = 64 << 10;

/// A connection under way.
pub(super) struct Connection {
    bridge: Rc<Bridge>,
    client: AsyncClient,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    connected: bool,
    window: usize,
    /// Rows that the client has and that have no packet id yet, in order.
    handed: VecDeque<u64>,
    /// Rows by their packet id.
    flying: BTreeMap<u16, u64>,
    /// Incoming messages that are not acknowledged, in order.
    slots: VecDeque<Slot>,
    /// Number of the first slot.
    first: u64,
    /// When the client last said anything, and when the broker last acknowledged or had nothing to.
    heard_ms: u64,
    progress_ms: u64,
    /// Pause between two pings.
    keep_alive: Duration,
    /// Why the connection has to end.
    fault: Option<String>,
}

/// An incoming message.
struct Slot {
    packet_id: u16,
    done: bool,
}

impl Connection {
    /// Talks to the broker until the connection ends; tells why, and whether it ever stood.
    pub(super) async fn run(bridge: Rc<Bridge>) -> (String, bool) {
        let capacity = 2 * MAX_MESSAGES + usize::from(WINDOW) + 8;
        let (client, events) = AsyncClient::new(options(&bridge), capacity);
        bridge.outbox.restart();
        let heard_ms = bridge.now_ms();
        let keep_alive = keep_alive(Duration::from_millis(bridge.config.patience.0));
        let state = State { heard_ms, progress_ms: heard_ms, keep_alive, ..State::default() };
        let connection = Rc::new(Self { bridge, client, state: RefCell::new(state) });
        let reason = tokio::select! {
            reason = connection.clone().listen(events) => reason,
            reason = connection.watch() => reason,
            () = connection.feed() => String::new(),
        };
        let connected = connection.state.borrow().connected;
        (reason, connected)
    }

    /// Its future is not dropped before the connection ends: the client would lose what it was writing.
    async fn listen(self: Rc<Self>, mut events: EventLoop) -> String {
        loop {
            match events.poll().await {
                Ok(event) => self.handle(event),
                Err(error) => return error.to_string(),
            }
        }
    }

    async fn watch(&self) -> String {
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            if let Some(reason) = self.stuck() {
                return reason;
            }
            if self.state.borrow().connected {
                self.bridge.tell_connected();
            }
        }
    }

    async fn feed(&self) {
        loop {
            self.bridge.outbox.grown().await;
            self.pump();
        }
    }

    fn stuck(&self) -> Option<String> {
        let state = self.state.borrow();
        let now_ms = self.bridge.now_ms();
        let since = |ms: u64| Duration::from_millis(now_ms.saturating_sub(ms));
        let patience = Duration::from_millis(self.bridge.config.patience.0);
        if !state.handed.is_empty() || !state.flying.is_empty() {
            let silence = since(state.progress_ms);
            if silence > patience {
                return Some(format!("the broker acknowledged nothing for {silence:.0?}"));
            }
        }
        // There is a ping in each pause, and its answer.
        if since(state.heard_ms) > 3 * state.keep_alive {
            return Some("the broker takes nothing".to_owned());
        }
        state.fault.clone()
    }

    fn handle(self: &Rc<Self>, event: Event) {
        self.state.borrow_mut().heard_ms = self.bridge.now_ms();
        match event {
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                let mut state = self.state.borrow_mut();
                if let Some(id) = state.handed.pop_front() {
                    state.flying.insert(packet_id, id);
                }
            }
            Event::Incoming(Packet::ConnAck(connack)) => self.connected(&connack),
            Event::Incoming(Packet::PubAck(puback)) => self.published(&puback),
            Event::Incoming(Packet::SubAck(suback)) => self.subscribed(&suback),
            Event::Incoming(Packet::Publish(publish)) => self.arrived(publish),
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }

    fn connected(&self, connack: &ConnAck) {
        let properties = connack.properties.as_ref();
        let allowed = properties.and_then(|properties| properties.receive_max);
        let allowed = allowed.unwrap_or(DEFAULT_RECEIVE_MAX);
        {
            let mut state = self.state.borrow_mut();
            state.connected = true;
            // One below the client's own limit, at which it would stop to acknowledge.
            state.window = usize::from(allowed.min(WINDOW).saturating_sub(1).max(1));
            state.progress_ms = self.bridge.now_ms();
            // The broker may want fewer pings.
            let told = properties.and_then(|properties| properties.server_keep_alive);
            let told = Duration::from_secs(told.map_or(0, u64::from));
            state.keep_alive = state.keep_alive.max(told);
        }
        // The broker may have forgotten us, whatever it says.
        let filters = topic::FILTERS.map(|path| Filter {
            // What we publish ourselves does not come back.
            nolocal: true,
            // A retained message is no sign of life; but a state is told once.
            retain_forward_rule: match path.ends_with("/state/#") {
                true => RetainForwardRule::OnNewSubscribe,
                false => RetainForwardRule::Never,
            },
            ..Filter::new(path, QoS::AtLeastOnce)
        });
        if self.client.try_subscribe_many(filters).is_err() {
            self.fail("the client takes no subscription");
        }
        self.bridge.refused_by_broker(None);
        self.bridge.connected(connack.session_present);
        self.pump();
    }

    fn subscribed(&self, suback: &SubAck) {
        let refused = suback.return_codes.iter().find(|code| {
            !matches!(code, SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce))
        });
        if let Some(code) = refused {
            self.bridge.refused_by_broker(Some(format!("a subscription: {code:?}")));
        }
    }

    /// Hands as much to the client as the window has room for.
    fn pump(&self) {
        loop {
            {
                let state = self.state.borrow();
                let under_way = state.handed.len() + state.flying.len();
                if !state.connected || under_way >= state.window {
                    return;
                }
            }
            let Some(next) = self.bridge.outbox.next() else { return };
            self.publish(next);
        }
    }

    fn publish(&self, next: Next) {
        let Next { id, publication, expiry_s } = next;
        let properties =
            PublishProperties { message_expiry_interval: expiry_s, ..PublishProperties::default() };
        let sent = self.client.try_publish_with_properties(
            publication.topic,
            QoS::AtLeastOnce,
            false,
            publication.payload,
            properties,
        );
        if sent.is_err() {
            return self.fail("the client takes no publication");
        }
        let mut state = self.state.borrow_mut();
        if state.handed.is_empty() && state.flying.is_empty() {
            state.progress_ms = self.bridge.now_ms();
        }
        state.handed.push_back(id);
    }

    /// A broker that refuses a publication would refuse it again; commands repeat themselves.
    fn published(&self, puback: &PubAck) {
        let row = {
            let mut state = self.state.borrow_mut();
            state.progress_ms = self.bridge.now_ms();
            state.flying.remove(&puback.pkid)
        };
        if !matches!(puback.reason, PubAckReason::Success | PubAckReason::NoMatchingSubscribers) {
            let reason = format!("a publication: {:?}", puback.reason);
            self.bridge.refused_by_broker(Some(reason));
        }
        if let Some(id) = row {
            self.bridge.outbox.acknowledged(id);
        }
        self.pump();
    }

    fn arrived(self: &Rc<Self>, publish: Publish) {
        let Some((slot, held)) = self.take_slot(&publish) else { return };
        let connection = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if arrivals::take(&connection.bridge, publish).await {
                connection.done(slot);
            }
            drop(held);
        });
    }

    /// Room for a message, and its number; none of its own if nobody waits for it.
    fn take_slot(&self, publish: &Publish) -> Option<(Option<u64>, Held)> {
        let mut state = self.state.borrow_mut();
        let waited = publish.qos != QoS::AtMostOnce;
        let Some(held) = self.bridge.room.take(waited, publish.payload.len()) else {
            if waited {
                // It comes again with the next connection.
                state.fault = Some("more messages come than can be logged".to_owned());
            } else {
                self.bridge.count(|counts| counts.dropped += 1);
            }
            return None;
        };
        if !waited {
            return Some((None, held));
        }
        state.slots.push_back(Slot { packet_id: publish.pkid, done: false });
        Some((Some(state.first + state.slots.len() as u64 - 1), held))
    }

    /// All that follows from a message is durable; acknowledges what is done, in order.
    fn done(&self, slot: Option<u64>) {
        let Some(number) = slot else { return };
        let mut state = self.state.borrow_mut();
        let position = number.checked_sub(state.first).and_then(|at| usize::try_from(at).ok());
        if let Some(slot) = position.and_then(|at| state.slots.get_mut(at)) {
            slot.done = true;
        }
        let mut failed = false;
        while state.slots.front().is_some_and(|slot| slot.done) {
            let Some(slot) = state.slots.pop_front() else { break };
            state.first += 1;
            let (qos, pkid) = (QoS::AtLeastOnce, slot.packet_id);
            failed |= self.client.try_ack(&Publish { qos, pkid, ..Publish::default() }).is_err();
        }
        drop(state);
        if failed {
            self.fail("the client takes no acknowledgement");
        }
    }

    fn fail(&self, reason: &str) {
        self.state.borrow_mut().fault = Some(reason.to_owned());
    }
}

fn options(bridge: &Bridge) -> MqttOptions {
    let config = &bridge.config;
    let bare = config.host.contains(':') && !config.host.starts_with('[');
    let host = if bare { format!("[{}]", config.host) } else { config.host.clone() };
    let mut options = MqttOptions::new(&bridge.client_id, host, config.port);
    let packet = bridge.field.intake.max_payload().saturating_mul(2).saturating_add(PACKET_ROOM);
    let mut properties = ConnectProperties::new();
    properties.session_expiry_interval = Some(SESSION_S);
    let receive = (MAX_BYTES / 2 / packet.max(1)).clamp(RECEIVE.0, RECEIVE.1);
    properties.receive_maximum = u16::try_from(receive).ok();
    properties.max_packet_size = u32::try_from(packet).ok();
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_clean_start(false)
        .set_manual_acks(true)
        .set_keep_alive(keep_alive(Duration::from_millis(config.patience.0)))
        .set_connect_properties(properties)
        .set_outgoing_inflight_upper_limit(WINDOW)
        .set_network_options(network);
    if let Some(user) = &config.user {
        let password = bridge.password.as_ref().map_or("", |password| password.as_str());
        options.set_credentials(user, password);
    }
    options
}

fn keep_alive(patience: Duration) -> Duration {
    patience.clamp(KEEP_ALIVE.0, KEEP_ALIVE.1)
}
