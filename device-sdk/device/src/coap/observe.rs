//! Who observes the device's resources, and their notifications (RFC 7641).
//!
//! Guarantees: an observation is a token and a resource; it ends with a deregistration, a reset, an
//! error, or a confirmable notification that is not acknowledged; sequence numbers ascend; one
//! confirmable notification is under way at a time, and a repetition carries the newest state.
//! Does not: survive a restart or a new connection; the gateway registers again.

use core::time::Duration;

use super::{
    Code, Kind, MAX_RETRANSMIT, Message, Token,
    ids::Ids,
    option,
    server::{Answer, Application, Head, Incoming, Link, Observable, REPLY, Resource},
};
use crate::Bytes;

/// How many observations there may be.
const MAX_OBSERVERS: usize = 4;

/// A confirmable notification at least this often (RFC 7641 §4.5).
const CONFIRM_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// Sequence numbers have 24 bits.
const SEQUENCE_MASK: u32 = 0xff_ffff;

pub(super) struct Observers {
    observers: [Option<Observer>; MAX_OBSERVERS],
    /// The confirmable notification under way.
    waiting: Option<Waiting>,
    sequence: u32,
    datagram: Bytes<REPLY>,
}

#[derive(Clone, Copy)]
struct Observer {
    token: Token,
    resource: usize,
    /// The resource has changed since the last notification.
    changed: bool,
    /// The message id of the last notification.
    id: Option<u16>,
    /// When it was last known to be there.
    confirmed: Duration,
}

#[derive(Clone, Copy)]
struct Waiting {
    place: usize,
    repeated: u8,
    timeout: Duration,
    deadline: Duration,
}

impl Observers {
    pub(super) const fn new() -> Self {
        let (observers, datagram) = ([None; MAX_OBSERVERS], Bytes::EMPTY);
        Self { observers, waiting: None, sequence: 1, datagram }
    }

    /// The notification to be sent.
    pub(super) fn datagram(&self) -> &[u8] {
        self.datagram.as_slice()
    }

    /// Registers or deregisters by a request that was answered with `code`; the sequence number of
    /// the response if it is a registration that was taken.
    pub(super) fn registered(
        &mut self,
        now: Duration,
        message: &Message<'_>,
        resource: Resource,
        code: Code,
        links: &[Link<'_>],
    ) -> Option<u32> {
        let (resource, observe) = (resource?, message.uint(option::OBSERVE)?);
        if message.code != Code::GET {
            return None;
        }
        let known = |observer: &Option<Observer>| {
            observer.is_some_and(|o| o.token == message.token && o.resource == resource)
        };
        let place = self.observers.iter().position(known);
        let observable = links.get(resource)?.observable != Observable::No;
        if observe != 0 || !observable || code != Code::CONTENT {
            place.into_iter().for_each(|place| self.forget(place));
            return None;
        }
        let place = place.or_else(|| self.observers.iter().position(Option::is_none))?;
        let (token, id) = (message.token, None);
        let observer = Observer { token, resource, changed: false, id, confirmed: now };
        *self.observers.get_mut(place)? = Some(observer);
        Some(self.next_sequence())
    }

    /// The resource has changed.
    pub(super) fn changed(&mut self, resource: usize) {
        let observers = self.observers.iter_mut().flatten();
        observers.filter(|o| o.resource == resource).for_each(|observer| observer.changed = true);
    }

    pub(super) fn forget_all(&mut self) {
        (self.observers, self.waiting) = ([None; MAX_OBSERVERS], None);
    }

    /// Takes an acknowledgement or a reset of a notification; whether it was one.
    pub(super) fn handle(&mut self, now: Duration, message: &Message<'_>) -> bool {
        let is_it = |observer: &Option<Observer>| {
            observer.is_some_and(|observer| observer.id == Some(message.id))
        };
        let Some(place) = self.observers.iter().position(is_it) else { return false };
        match message.kind {
            Kind::Ack => {
                if let Some(Some(observer)) = self.observers.get_mut(place) {
                    observer.confirmed = now;
                }
                self.waiting = self.waiting.filter(|waiting| waiting.place != place);
            }
            Kind::Rst => self.forget(place),
            Kind::Con | Kind::Non => return false,
        }
        true
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        match self.waiting {
            Some(waiting) => Some(waiting.deadline),
            None => self.changed_place().map(|_| Duration::ZERO),
        }
    }

    /// Whether [`Observers::datagram`] is to be sent now.
    pub(super) fn poll(
        &mut self,
        now: Duration,
        ids: &mut Ids,
        application: &mut dyn Application,
    ) -> bool {
        if let Some(waiting) = self.waiting {
            if now < waiting.deadline {
                return false;
            }
            if self.repeat(now, ids, waiting, application) {
                return true;
            }
        }
        let Some(place) = self.changed_place() else { return false };
        let Some(observer) = self.observers.get(place).copied().flatten() else { return false };
        let link = application.links().get(observer.resource).map(|link| link.observable);
        let old = now.saturating_sub(observer.confirmed) >= CONFIRM_EVERY;
        let confirmable = old || link == Some(Observable::Confirmable);
        let kind = if confirmable { Kind::Con } else { Kind::Non };
        let goes_on = self.write(place, kind, ids, application);
        if confirmable && goes_on {
            let timeout = ids.timeout();
            let deadline = now.saturating_add(timeout);
            self.waiting = Some(Waiting { place, repeated: 0, timeout, deadline });
        }
        true
    }

    /// Writes the notification under way again; `false` if its observer is given up.
    fn repeat(
        &mut self,
        now: Duration,
        ids: &mut Ids,
        waiting: Waiting,
        application: &mut dyn Application,
    ) -> bool {
        let Waiting { place, repeated, timeout, .. } = waiting;
        let observer = self.observers.get(place).copied().flatten();
        let Some(observer) = observer.filter(|_| repeated < MAX_RETRANSMIT) else {
            self.forget(place);
            return false;
        };
        // RFC 7641 §4.5.2: the newest state, in a message of its own, at the old pace.
        if observer.changed && !self.write(place, Kind::Con, ids, application) {
            return true;
        }
        let timeout = timeout.saturating_mul(2);
        let deadline = now.saturating_add(timeout);
        self.waiting = Some(Waiting { place, repeated: repeated + 1, timeout, deadline });
        true
    }

    /// Writes a notification; `false` if it is the last, because the resource gives an error.
    fn write(
        &mut self,
        place: usize,
        kind: Kind,
        ids: &mut Ids,
        application: &mut dyn Application,
    ) -> bool {
        let sequence = self.next_sequence();
        let Some(Some(observer)) = self.observers.get_mut(place) else { return false };
        let id = ids.message_id();
        (observer.changed, observer.id) = (false, Some(id));
        let head = Head { kind, id, token: observer.token };
        let (mut room, resource) = ([0; 256], Some(observer.resource));
        let mut answer = Answer::new(&mut room, None);
        let code = answer.run(application, resource, &Incoming::NOTIFICATION);
        let goes_on = code == Code::CONTENT;
        answer.write(&mut self.datagram, head, code, goes_on.then_some(sequence));
        if !goes_on {
            self.forget(place);
        }
        goes_on
    }

    fn changed_place(&self) -> Option<usize> {
        self.observers.iter().position(|observer| observer.is_some_and(|o| o.changed))
    }

    fn forget(&mut self, place: usize) {
        if let Some(observer) = self.observers.get_mut(place) {
            *observer = None;
        }
        self.waiting = self.waiting.filter(|waiting| waiting.place != place);
    }

    const fn next_sequence(&mut self) -> u32 {
        self.sequence = (self.sequence + 1) & SEQUENCE_MASK;
        self.sequence
    }
}
