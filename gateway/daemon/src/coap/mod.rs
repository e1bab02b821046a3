//! CoAP towards the devices: sockets, DTLS sessions and the endpoint in one task.
//!
//! Guarantees: the endpoint's and the sessions' effects are performed in order; a request's answer is sent when what it
//! says is durable (I1); one datagram or device that fails costs nobody else (I7). Does not: decide what a request means;
//! `resources` does, or how commands reach a device; `outward` does.

mod observers;
mod outward;
mod places;
mod resources;

use std::{cell::RefCell, collections::BTreeMap, future::pending, rc::Rc, time::Duration};

use sluicegate_coap::{Endpoint, Output, Response, Settings, directory::Limits};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use zeroize::Zeroizing;

use self::{observers::Observers, outward::Outward, places::Places, resources::Resources};
use crate::{
    Error,
    config::Coap,
    credentials,
    devices::commands::{Answer, Order},
    field::Field,
    net::{
        Datagram, Path,
        dtls::{self, SessionId, Sessions},
        udp::{Inbox, Udp},
    },
    recorder::Alarm,
};

/// A peer of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Link {
    /// A DTLS session.
    Dtls(SessionId),
    /// An address, which proves nothing.
    Plain(Path),
}

/// What work outside of the task leads to.
enum Done {
    /// Answer a request.
    Respond(sluicegate_coap::ExchangeId, Response),
    /// Answer a request and any later change of the place to its observer.
    Observe(sluicegate_coap::ExchangeId, sluicegate_coap::ObservationId, Response),
}

/// A command for a device, and where its answer goes.
pub type Inbound = mpsc::Receiver<(Order, tokio::sync::oneshot::Sender<Answer>)>;

/// The CoAP server.
pub struct Server {
    endpoint: Endpoint<Link>,
    sessions: Sessions,
    plain: Option<Udp>,
    secure: Option<Udp>,
    plain_outbox: Vec<Datagram>,
    secure_outbox: Vec<Datagram>,
    field: Field,
    places: Rc<RefCell<Places>>,
    resources: Resources,
    outward: Outward,
    observers: Observers,
    done: mpsc::UnboundedReceiver<Done>,
    start: Instant,
    /// Why ports could not be opened.
    refused: BTreeMap<&'static str, String>,
}

/// Requests to a device that are under way: what is observed there, its links, and commands.
const REQUESTS: usize = outward::MAX_OBSERVED + 8;

/// Bytes that a proof takes besides the payload.
const PROOF_BYTES: usize = 64 << 10;

/// How long a server without a socket waits before it tries to open it again.
const REBIND: Duration = Duration::from_secs(3);

/// How long datagrams may wait for the system to take them; then they are lost, as in a network.
const FLUSH: Duration = Duration::from_millis(100);

/// Names of the two ports in the health.
const PLAIN: &str = "coap";
const SECURE: &str = "coaps";

impl Server {
    /// Opens the sockets; one that can't be opened is told in the health and tried again.
    pub fn open(config: &Coap, field: &Field, max_payload: usize) -> Result<Self, Error> {
        let random = || {
            let what = Error::storage("random bytes from the operating system");
            let random = credentials::random();
            random.map_err(|error| what(std::io::Error::other(error.to_string())))
        };
        let dtls = dtls::Settings {
            half_open: config.max_handshakes,
            established: config.max_sessions,
            ..dtls::Settings::default()
        };
        let secret = Zeroizing::new(random()?);
        let now = Instant::now().into_std();
        let sessions = Sessions::new(dtls, field.registry.psks(), now, &secret)?;
        let (tell, done) = mpsc::unbounded_channel();
        let places = Rc::new(RefCell::new(Places::new(field.registry.clone())));
        // Plain and over DTLS, a message has the same bounds.
        let datagram = sessions.max_plaintext();
        let settings = Settings { datagram, ..settings(config, max_payload) };
        let mut server = Self {
            endpoint: Endpoint::new(settings, random()?),
            sessions,
            plain: None,
            secure: None,
            plain_outbox: Vec::new(),
            secure_outbox: Vec::new(),
            resources: Resources::new(field.clone(), Rc::clone(&places), limits(config), tell),
            outward: Outward::new(field.clone()),
            observers: Observers::new(field.changes.clone()),
            field: field.clone(),
            places,
            done,
            start: Instant::now(),
            refused: BTreeMap::new(),
        };
        server.bind(config);
        Ok(server)
    }

    /// Serves until it is told to stop; then the devices are told that their sessions are over.
    pub async fn run(
        mut self,
        config: Coap,
        mut orders: Inbound,
        mut stopping: watch::Receiver<bool>,
    ) {
        let (mut plain_inbox, mut secure_inbox) = (Inbox::new(), Inbox::new());
        let mut rebind = tokio::time::interval(REBIND);
        let changes = self.field.changes.clone();
        let mut enrolments = self.field.reloaded.subscribe();
        loop {
            let wake = self.next_wake();
            tokio::select! {
                () = receive(self.plain.as_ref(), &mut plain_inbox) => self.take_plain(&plain_inbox),
                () = receive(self.secure.as_ref(), &mut secure_inbox) => {
                    self.take_secure(&secure_inbox);
                }
                Some(done) = self.done.recv() => self.finish(done),
                Some((order, reply)) = orders.recv() => self.send_order(order, reply),
                news = changes.next() => {
                    let now = self.now();
                    self.observers.notify(&mut self.endpoint, now, &news);
                }
                () = wait_until(wake) => self.handle_timeout(),
                Ok(()) = enrolments.changed() => self.enrol(),
                _ = rebind.tick() => self.bind(&config),
                _ = stopping.wait_for(|stopping| *stopping) => return self.part().await,
            }
            self.drain_done();
            self.perform();
            self.flush().await;
        }
    }

    /// Ends all sessions: a device that knows begins anew at once, instead of when nothing answers.
    async fn part(mut self) {
        self.sessions.close_all(Instant::now().into_std());
        self.perform_sessions();
        self.flush().await;
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Opens what is configured and not open; what can't be is told once and tried again.
    fn bind(&mut self, config: &Coap) {
        let sockets = [
            (PLAIN, config.listen.first(), &mut self.plain),
            (SECURE, config.listen_dtls.first(), &mut self.secure),
        ];
        for (name, address, socket) in sockets {
            let (true, Some(address)) = (socket.is_none(), address) else { continue };
            match Udp::bind(*address) {
                Ok(bound) => {
                    tracing::info!(address = %bound.local_address(), "{name} is served");
                    self.refused.remove(name);
                    *socket = Some(bound);
                }
                Err(error) => {
                    let error = error.to_string();
                    if self.refused.get(name) != Some(&error) {
                        alarm(
                            &self.field,
                            format!("{name} is NOT served, until it can be: {error}"),
                        );
                        self.field.health.set(name, format!("NOT served: {error}"));
                        self.refused.insert(name, error);
                    }
                }
            }
        }
        self.tell_health();
    }

    /// Says what is served, and whether anybody may speak there without a key.
    fn tell_health(&self) {
        for (name, socket) in [(PLAIN, &self.plain), (SECURE, &self.secure)] {
            let Some(socket) = socket else { continue };
            let lab = match (name, self.field.registry.without_security()) {
                (PLAIN, 1) => "; 1 device has NO SECURITY".to_owned(),
                (PLAIN, open @ 2..) => format!("; {open} devices have NO SECURITY"),
                _ => String::new(),
            };
            self.field.health.set(name, format!("served at {}{lab}", socket.local_address()));
        }
    }

    fn take_plain(&mut self, inbox: &Inbox) {
        let now = self.now();
        for received in inbox.datagrams().filter(|received| !received.truncated) {
            self.endpoint.receive(now, Link::Plain(received.path), false, received.bytes);
        }
    }

    fn take_secure(&mut self, inbox: &Inbox) {
        let now = Instant::now().into_std();
        for received in inbox.datagrams().filter(|received| !received.truncated) {
            self.sessions.receive(now, received.path, received.bytes);
            self.perform_sessions();
        }
    }

    fn handle_timeout(&mut self) {
        let now = self.now();
        self.outward.withdraw(now, &mut self.endpoint);
        self.endpoint.handle_timeout(now);
        self.sessions.handle_timeout(Instant::now().into_std());
        self.resources.handle_timeout(now);
    }

    fn next_wake(&self) -> Option<Instant> {
        let endpoint = self.endpoint.next_timeout();
        let directory = self.resources.next_timeout();
        let own = endpoint.into_iter().chain(directory).min();
        let own = own.map(|ms| self.start + Duration::from_millis(ms));
        let sessions = self.sessions.next_timeout().map(Instant::from_std);
        own.into_iter().chain(sessions).min()
    }

    /// Takes the keys of a changed registry.
    fn enrol(&mut self) {
        self.sessions.enrol(Instant::now().into_std(), self.field.registry.psks());
        self.places.borrow_mut().retain();
        self.resources.retain();
        let (now, registry) = (self.now(), &self.field.registry);
        let may_read = |reader: &str, name: &str| {
            registry.get(reader).is_some_and(|reader| reader.device.may_read(name))
        };
        self.observers.retain(&mut self.endpoint, now, may_read);
        self.tell_health();
    }

    fn finish(&mut self, done: Done) {
        let now = self.now();
        match done {
            Done::Respond(exchange, response) => self.endpoint.respond(now, exchange, response),
            Done::Observe(exchange, observation, response) => {
                self.observers.confirm(observation, response.code.is_success());
                self.endpoint.accept(now, exchange, response);
            }
        }
    }

    /// Everything that is done already goes out with the same batch.
    fn drain_done(&mut self) {
        while let Ok(done) = self.done.try_recv() {
            self.finish(done);
        }
    }

    /// Performs the effects of endpoint and sessions until there are none.
    fn perform(&mut self) {
        self.perform_sessions();
        let now = self.now();
        while let Some(output) = self.endpoint.poll() {
            match output {
                Output::Send { peer, datagram } => self.send(peer, datagram),
                Output::Request { exchange, peer, request, observe } => {
                    let place = self.resources.take(now, exchange, peer, request, observe);
                    if let (Some(observation), Some((place, reader))) = (observe, place) {
                        self.observers.begin(observation, place, reader);
                    }
                    self.endpoint.awake(now, peer);
                }
                Output::Response { id, result } => {
                    let fetched = self.outward.response(id, result);
                    if let Some((registration, links)) = fetched {
                        self.resources.complete(now, registration, &links);
                    }
                }
                Output::Notification { id, response } => self.outward.notification(id, &response),
                Output::ObservationEnded { observation } => self.observers.end(observation),
            }
            self.follow_up(now);
        }
        self.perform_sessions();
    }

    /// What a registration leads to: links to fetch, resources to observe.
    fn follow_up(&mut self, now: u64) {
        let wishes = self.resources.take_wishes().into_iter();
        for wish in wishes.chain(self.outward.take_wishes()) {
            self.outward.wish(now, &mut self.endpoint, wish);
        }
    }

    fn perform_sessions(&mut self) {
        let now = self.now();
        while let Some(output) = self.sessions.poll_output() {
            match output {
                dtls::Output::Send(datagram) => self.secure_outbox.push(datagram),
                dtls::Output::Opened { session, identity, path } => {
                    self.places.borrow_mut().opened(session, &identity, path);
                    tracing::debug!(device = %identity, "session opened");
                }
                dtls::Output::Data { session, plaintext } => {
                    self.endpoint.receive(now, Link::Dtls(session), true, &plaintext);
                }
                dtls::Output::Closed { session, .. } => {
                    self.places.borrow_mut().closed(session);
                    self.endpoint.forget(Link::Dtls(session));
                }
            }
        }
    }

    fn send(&mut self, peer: Link, datagram: Vec<u8>) {
        match peer {
            Link::Plain(path) => self.plain_outbox.push(Datagram { path, bytes: datagram }),
            Link::Dtls(session) => {
                let now = Instant::now().into_std();
                if let Err(refused) = self.sessions.send(now, session, &datagram) {
                    tracing::debug!(?refused, "a message to a device was not sent");
                }
                self.perform_sessions();
            }
        }
    }

    fn send_order(&mut self, order: Order, reply: tokio::sync::oneshot::Sender<Answer>) {
        let now = self.now();
        let link = self.places.borrow().link_of(&order.device);
        self.outward.order(now, &mut self.endpoint, link, order, reply);
    }

    async fn flush(&mut self) {
        if let Some(socket) = self.plain.as_ref().filter(|_| !self.plain_outbox.is_empty()) {
            let _ = timeout(FLUSH, socket.send(&mut self.plain_outbox)).await;
        }
        if let Some(socket) = self.secure.as_ref().filter(|_| !self.secure_outbox.is_empty()) {
            let _ = timeout(FLUSH, socket.send(&mut self.secure_outbox)).await;
        }
        self.plain_outbox.clear();
        self.secure_outbox.clear();
    }
}

/// Tells the administrator.
fn alarm(field: &Field, text: String) {
    let keeper = field.keeper.clone();
    tokio::task::spawn_local(async move {
        keeper.call(move |desk, _| desk.alarm(Alarm(text))).await;
    });
}

async fn receive(socket: Option<&Udp>, inbox: &mut Inbox) {
    match socket {
        Some(socket) => socket.receive(inbox).await,
        None => pending().await,
    }
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Every device with a session may register.
fn limits(config: &Coap) -> Limits {
    let registrations = config.max_registrations.unwrap_or(config.max_sessions);
    Limits { registrations, ..Limits::default() }
}

fn settings(config: &Coap, max_payload: usize) -> Settings {
    Settings {
        body: max_payload.saturating_add(PROOF_BYTES),
        bytes: config.max_transfer_memory,
        unverified_bytes: config.max_transfer_memory / 4,
        bytes_per_peer: config.max_peer_memory,
        exchanges: config.max_exchanges,
        observations: config.max_observations,
        peers: config.max_peers,
        requests_per_peer: REQUESTS,
        requests: config.max_peers.saturating_mul(REQUESTS),
        rate: config.requests_per_second,
        burst: config.request_burst,
        // A reading changes the log, and its answer is shorter than it: an address that is not the sender's gains nothing.
        echo_for_changes: false,
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_with_a_session_may_register_and_be_commanded() {
        let config = Coap { max_sessions: 9_000, ..Coap::default() };
        assert_eq!(limits(&config).registrations, 9_000);
        let fewer = Coap { max_registrations: Some(7), ..config.clone() };
        assert_eq!(limits(&fewer).registrations, 7);
        let settings = settings(&config, 1_000);
        assert!(settings.requests_per_peer > outward::MAX_OBSERVED);
        assert!(settings.requests >= config.max_peers * settings.requests_per_peer);
        assert!(settings.bytes_per_peer <= settings.bytes);
    }
}
