//! A device's CoAP endpoint: its requests, its resources and their observers.
//!
//! Order of calls: [`Endpoint::handle`] for each datagram, then [`Endpoint::poll`] until it gives
//! nothing; after that nothing is due before [`Endpoint::next_deadline`] or the next call of the
//! others. A datagram that [`Output::Send`] gives is sent before the next call.

use core::time::Duration;

pub use super::server::REMEMBERED;
use super::{
    Application, BlockSize, Body, Code, Event, Failure, Kind, Message, Request, Seed, Writer,
    client::{Client, Reaction},
    ids::Ids,
    server::Server,
};
use crate::{Bytes, Error};

/// What is to be done, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<'a> {
    /// Something has come of a request.
    Event(Event<'a>),
    /// Send this datagram.
    Send(&'a [u8]),
}

/// The side of the device in the exchange with one gateway.
pub struct Endpoint {
    ids: Ids,
    client: Client,
    server: Server,
    /// An empty acknowledgement or reset.
    control: Bytes<4>,
}

/// Whose datagram is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ready {
    Control,
    Failed(Failure),
    Notification,
    Reply(usize),
    Request,
}

impl Endpoint {
    /// An endpoint that has nothing to do yet; `block` is the size of blocks up and down.
    pub const fn new(seed: Seed, block: BlockSize) -> Self {
        Self {
            ids: Ids::new(seed),
            client: Client::new(block),
            server: Server::new(),
            control: Bytes::EMPTY,
        }
    }

    /// Begins a request. Its payload is [`Application::body`].
    ///
    /// Errors: [`Error::Busy`] while another is under way, [`Error::TooLong`].
    pub fn request(&mut self, request: &Request<'_>) -> Result<(), Error> {
        self.client.start(request)
    }

    /// Asks whether the gateway is there (RFC 7252 §4.3).
    pub fn ping(&mut self) -> Result<(), Error> {
        let get = Request::get("");
        self.client.start(&Request { method: Code::EMPTY, ..get })
    }

    /// Whether a request is under way.
    pub const fn is_busy(&self) -> bool {
        self.client.is_busy()
    }

    /// Nothing came to a request and its first repetition, for 6 to 9 s: a peer behind DTLS may have lost the session.
    pub fn is_unanswered(&self) -> bool {
        self.client.is_unanswered()
    }

    /// A resource has changed: its observers are told.
    pub fn changed(&mut self, resource: usize) {
        self.server.observers.changed(resource);
    }

    /// A new connection: what was under way is over, and nobody observes.
    ///
    /// What was executed stays remembered.
    pub fn reconnected(&mut self) -> Option<Event<'static>> {
        self.server.observers.forget_all();
        self.control = Bytes::EMPTY;
        self.client.cancel().then_some(Event::Failed(Failure::Reconnected))
    }

    /// Takes a datagram of the gateway.
    pub fn handle<'d>(
        &mut self,
        now: Duration,
        datagram: &'d [u8],
        application: &mut dyn Application,
    ) -> Option<Event<'d>> {
        let Ok(message) = Message::parse(datagram) else {
            if let Some((Kind::Con, id)) = Message::header(datagram) {
                self.control(Kind::Rst, id);
            }
            return None;
        };
        let is_request = message.code.class() == 0 && message.code != Code::EMPTY;
        match message.kind {
            Kind::Con | Kind::Non if is_request => {
                self.server.handle(now, &mut self.ids, &message, application);
                return None;
            }
            Kind::Ack | Kind::Rst if is_request => return None,
            Kind::Ack | Kind::Rst if self.server.observers.handle(now, &message) => return None,
            _ => {}
        }
        let (reaction, event) = self.client.handle(now, &message);
        match reaction {
            Reaction::Acknowledge => self.control(Kind::Ack, message.id),
            Reaction::Nothing => {}
            Reaction::Reject => self.control(Kind::Rst, message.id),
        }
        event
    }

    /// What is to be done next; call it until it gives nothing.
    pub fn poll(&mut self, now: Duration, application: &mut dyn Application) -> Option<Output<'_>> {
        let ready = self.next(now, application);
        let ready = ready.or_else(|| self.next_request(now, application.body()))?;
        Some(self.output(ready))
    }

    /// When [`Endpoint::poll`] is to be called again; `None` if only a datagram changes anything.
    ///
    /// A time in the past means: now.
    pub fn next_deadline(&self) -> Option<Duration> {
        let now = self.server.is_due() || !self.control.is_empty();
        let now = now.then_some(Duration::ZERO);
        let deadlines = [now, self.client.next_deadline(), self.server.observers.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Everything but the request under way.
    pub(crate) fn next(
        &mut self,
        now: Duration,
        application: &mut dyn Application,
    ) -> Option<Ready> {
        if !self.control.is_empty() {
            return Some(Ready::Control);
        }
        let reply = self.server.poll().map(Ready::Reply);
        reply.or_else(|| {
            let notify = self.server.observers.poll(now, &mut self.ids, application);
            notify.then_some(Ready::Notification)
        })
    }

    pub(crate) fn next_request(&mut self, now: Duration, body: &dyn Body) -> Option<Ready> {
        Some(match self.client.poll(now, &mut self.ids, body)? {
            Ok(()) => Ready::Request,
            Err(failure) => Ready::Failed(failure),
        })
    }

    pub(crate) fn output(&mut self, ready: Ready) -> Output<'_> {
        match ready {
            Ready::Control => Output::Send(self.control.take()),
            Ready::Failed(failure) => Output::Event(Event::Failed(failure)),
            Ready::Notification => Output::Send(self.server.observers.datagram()),
            Ready::Reply(place) => Output::Send(self.server.datagram(place)),
            Ready::Request => Output::Send(self.client.datagram()),
        }
    }

    fn control(&mut self, kind: Kind, id: u16) {
        let empty = super::Token::default();
        let writer = Writer::new(self.control.room(), kind, Code::EMPTY, id, empty);
        let length = writer.finish().unwrap_or_default();
        self.control.set_len(length);
    }
}
