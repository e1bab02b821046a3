//! A device with CoAP: its endpoint, its readings and its registration, put together.
//!
//! Guarantees: one request at a time in this order: the registration when it is due, the oldest
//! reading, what the application asks for in between. Does not: anything that its parts do not.
//!
//! Order of calls: [`Device::handle`] for each datagram; [`Device::poll`] after that, after any
//! other call and at [`Device::next_deadline`], until it gives nothing. `tests/` plays exchanges.

use core::time::Duration;

use crate::{
    Error, Report,
    coap::{self, Application, BlockSize, Endpoint, Registration, Request, Seed, endpoint::Ready},
    reporter::Reporter,
    senml::Format,
};

/// What a device is given at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Random numbers.
    pub seed: Seed,
    /// The size of blocks, up and down.
    pub block: BlockSize,
    /// The sequence number of the next reading: one that was never used.
    pub next_seq: u64,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'d> {
    /// What came of the application's own request.
    Application(coap::Event<'d>),
    /// The gateway knows the device, or does not any more.
    Registered(bool),
    /// What became of a reading.
    Report(Report<'d>),
}

/// What is to be done, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<'a> {
    /// Something has happened.
    Event(Event<'a>),
    /// Send this datagram.
    Send(&'a [u8]),
}

/// A device with a queue of up to `SLOTS` readings of up to `SIZE` bytes.
pub struct Device<const SLOTS: usize, const SIZE: usize> {
    endpoint: Endpoint,
    reporter: Reporter<SLOTS, SIZE>,
    registration: Option<Registration>,
    owner: Owner,
}

/// Whose request is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Application,
    Registration,
    Reporter,
}

impl<const SLOTS: usize, const SIZE: usize> Device<SLOTS, SIZE> {
    /// A device that has nothing to do yet.
    pub const fn new(config: Config) -> Self {
        Self {
            endpoint: Endpoint::new(config.seed, config.block),
            reporter: Reporter::new(config.next_seq),
            registration: None,
            owner: Owner::Application,
        }
    }

    /// Registers at the gateway's resource directory, now and again; `lifetime` in seconds.
    pub fn register(&mut self, endpoint_name: &str, lifetime: u32) -> Result<(), Error> {
        self.registration = Some(Registration::new(endpoint_name, lifetime)?);
        Ok(())
    }

    /// Queues a reading and gives its sequence number: persist the next one before this returns to
    /// whatever measures, so that a restart uses no number twice.
    pub fn report(&mut self, format: Format, pack: &[u8]) -> Result<u64, Error> {
        self.reporter.push(format, pack)
    }

    /// The readings that wait.
    pub const fn readings(&self) -> &Reporter<SLOTS, SIZE> {
        &self.reporter
    }

    /// The readings that wait, to restore those of the time before a restart.
    pub const fn readings_mut(&mut self) -> &mut Reporter<SLOTS, SIZE> {
        &mut self.reporter
    }

    /// Begins a request of the application; its payload is [`Application::body`].
    ///
    /// Errors: [`Error::Busy`] while any other is under way: try again after the next event.
    pub fn request(&mut self, request: &Request<'_>) -> Result<(), Error> {
        self.endpoint.request(request)?;
        self.owner = Owner::Application;
        Ok(())
    }

    /// Asks whether the gateway is there.
    pub fn ping(&mut self) -> Result<(), Error> {
        self.endpoint.ping()?;
        self.owner = Owner::Application;
        Ok(())
    }

    /// Nothing came to a request and its first repetition, for 6 to 9 s. Over DTLS the gateway has lost the session, as
    /// after a power cut: begin a new one and call [`Device::reconnected`].
    pub fn is_unanswered(&self) -> bool {
        self.endpoint.is_unanswered()
    }

    /// A resource has changed: its observers are told.
    pub fn changed(&mut self, resource: usize) {
        self.endpoint.changed(resource);
    }

    /// A new connection, or DTLS session: the request under way is over, the reading goes out again
    /// with its number, and the device registers again.
    pub fn reconnected(&mut self, now: Duration) -> Option<Event<'static>> {
        if let Some(registration) = &mut self.registration {
            registration.renew(now);
        }
        let event = self.endpoint.reconnected();
        let event = event.filter(|_| self.owner == Owner::Application);
        self.reporter.reconnected();
        event.map(Event::Application)
    }

    /// Takes a datagram of the gateway.
    pub fn handle<'d>(
        &mut self,
        now: Duration,
        datagram: &'d [u8],
        application: &mut dyn Application,
    ) -> Option<Event<'d>> {
        let event = self.endpoint.handle(now, datagram, application)?;
        self.route(now, event)
    }

    /// What is to be done next; call it until it gives nothing.
    pub fn poll(&mut self, now: Duration, application: &mut dyn Application) -> Option<Output<'_>> {
        let ready = match self.endpoint.next(now, application) {
            Some(ready) => ready,
            None => self.next_request(now, application)?,
        };
        if let Ready::Failed(failure) = ready {
            let event = self.route(now, coap::Event::Failed(failure))?;
            return Some(Output::Event(event));
        }
        match self.endpoint.output(ready) {
            coap::Output::Send(datagram) => Some(Output::Send(datagram)),
            coap::Output::Event(event) => Some(Output::Event(Event::Application(event))),
        }
    }

    /// When [`Device::poll`] is to be called again; `None` if only a datagram changes anything.
    ///
    /// A time in the past means: now.
    pub fn next_deadline(&self) -> Option<Duration> {
        let next = self.endpoint.next_deadline();
        if self.endpoint.is_busy() {
            return next;
        }
        let registration = self.registration.as_ref().map(Registration::due);
        [next, registration, self.reporter.next_deadline()].into_iter().flatten().min()
    }

    fn next_request(&mut self, now: Duration, application: &dyn Application) -> Option<Ready> {
        if !self.endpoint.is_busy() {
            self.begin(now, application);
        }
        match self.owner {
            Owner::Application => self.endpoint.next_request(now, application.body()),
            Owner::Registration => {
                self.endpoint.next_request(now, &coap::LinkFormat(application.links()))
            }
            Owner::Reporter => {
                let first = self.reporter.first().map_or(&[][..], |reading| reading.pack);
                self.endpoint.next_request(now, &first)
            }
        }
    }

    /// Begins the next request of our own, if one is due.
    fn begin(&mut self, now: Duration, application: &dyn Application) {
        let registration = self.registration.as_ref().filter(|own| now >= own.due());
        let begun = if let Some(registration) = registration {
            self.owner = Owner::Registration;
            self.endpoint.request(&registration.request(application.links()))
        } else if self.reporter.due(now).is_some() {
            self.owner = Owner::Reporter;
            let request = self.reporter.request();
            request.map_or(Ok(()), |request| self.endpoint.request(&request))
        } else {
            Ok(())
        };
        // Both requests are short, and nothing else is under way.
        debug_assert!(begun.is_ok());
    }

    /// Gives what came of a request to who asked.
    fn route<'d>(&mut self, now: Duration, event: coap::Event<'d>) -> Option<Event<'d>> {
        // Only the application asks for responses in pieces; of others the last one counts.
        let piece = matches!(event, coap::Event::Response(response) if response.more);
        match (self.owner, &mut self.registration) {
            (Owner::Application, _) => Some(Event::Application(event)),
            _ if piece => None,
            (Owner::Registration, Some(registration)) => {
                let was = registration.is_registered();
                let is = registration.handle(now, &event);
                (was != is || !is).then_some(Event::Registered(is))
            }
            (Owner::Registration, None) => None,
            (Owner::Reporter, _) => self.reporter.handle(now, &event).map(Event::Report),
        }
    }
}
