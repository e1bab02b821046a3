//! The table of sessions: which datagram belongs to which, which may be begun, and which is the valid one of a device.
//!
//! Guarantees: an open session ends by its own authenticated records, by a newer session that proved the same key or sits
//! at the same address, by being the quietest of too many, or by this side; never by plaintext. Handshakes under way that
//! are too many make room by network: the network with the most of them loses its oldest. Does not: know what the
//! plaintext means.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

use zeroize::Zeroizing;

use super::{
    Closed, Output, Refused, SessionId, Settings,
    cookie::Cookies,
    link::{Common, Link, Step},
    record::{self, Hello, Kind, RANDOM_BYTES},
};
use crate::{
    Error,
    net::{
        Datagram, Path,
        psk::{Enrolled, Identity},
    },
};

/// Longest datagram that is looked at, in bytes.
const MAX_DATAGRAM: usize = 2048;

/// Header, explicit nonce and tag of a record.
const RECORD_OVERHEAD: usize = 13 + 8 + 8;

/// A handshake that is older makes room for a newer one of the same network.
const PATIENCE: Duration = Duration::from_secs(2);

/// Shortest pause between two looks at a handshake's timer.
const TICK: Duration = Duration::from_millis(1);

/// The sessions with all devices.
pub struct Sessions {
    settings: Settings,
    common: Common,
    cookies: Cookies,
    sessions: HashMap<SessionId, Box<Session>>,
    paths: HashMap<Path, Place>,
    /// The open session of each device.
    devices: HashMap<Identity, SessionId>,
    /// Of handshakes under way; open sessions have none.
    timers: BTreeSet<(Instant, SessionId)>,
    outputs: VecDeque<Output>,
    buffer: Vec<u8>,
    last: u64,
}

struct Session {
    link: Link,
    path: Path,
    random: [u8; RANDOM_BYTES],
    /// Who it is, as soon as the handshake names a device that is enrolled.
    identity: Option<Identity>,
    open: bool,
    /// When it began or last carried data.
    touched: Instant,
    timer: Option<Instant>,
}

/// What sits at a path.
#[derive(Default)]
struct Place {
    open: Option<SessionId>,
    pending: Option<SessionId>,
}

impl Sessions {
    /// An empty table. The secret is for cookies, random, and new in each life of the process.
    pub fn new(
        settings: Settings,
        enrolled: Enrolled,
        now: Instant,
        secret: &Zeroizing<[u8; 32]>,
    ) -> Result<Self, Error> {
        let common = Common::new(&settings, enrolled);
        Ok(Self {
            common: common.map_err(|error| Error::Dtls(error.to_string()))?,
            cookies: Cookies::new(now, secret),
            settings,
            sessions: HashMap::new(),
            paths: HashMap::new(),
            devices: HashMap::new(),
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            buffer: Vec::new(),
            last: 0,
        })
    }

    /// Takes a datagram from the network.
    pub fn receive(&mut self, now: Instant, path: Path, datagram: &[u8]) {
        if datagram.len() > MAX_DATAGRAM {
            return;
        }
        let place = self.paths.get(&path);
        let (open, pending) = place.map_or((None, None), |place| (place.open, place.pending));
        match record::kind(datagram) {
            Some(Kind::Hello) => {
                if let Some(hello) = Hello::parse(datagram) {
                    self.greet(now, path, &hello, open, pending);
                }
            }
            Some(Kind::Handshake) => {
                self.deliver(now, pending.or(open), datagram);
            }
            // The record does not say which of the two it is for; the open session ignores what it can't read.
            Some(Kind::Protected) => {
                let _ = self.deliver(now, open, datagram) || self.deliver(now, pending, datagram);
            }
            None => {}
        }
    }

    /// Sends a message of at most [`Sessions::max_plaintext`] bytes.
    pub fn send(
        &mut self,
        now: Instant,
        session: SessionId,
        plaintext: &[u8],
    ) -> Result<(), Refused> {
        if plaintext.len() > self.max_plaintext() {
            return Err(Refused::TooLong);
        }
        let open = self.sessions.get_mut(&session).filter(|session| session.open);
        open.ok_or(Refused::Closed)?.touched = now;
        self.drive(now, session, |link| link.send(plaintext));
        Ok(())
    }

    /// Ends a session, and says so to the device.
    pub fn close(&mut self, now: Instant, session: SessionId) {
        self.end(now, session, Closed::ByUs);
    }

    /// Ends all sessions, and says so to the devices, which then know that they have to begin anew.
    pub fn close_all(&mut self, now: Instant) {
        let mut all: Vec<_> = self.sessions.keys().copied().collect();
        all.sort_unstable();
        for session in all {
            self.close(now, session);
        }
    }

    /// Changes who is enrolled, and ends the sessions whose key is gone or another.
    pub fn enrol(&mut self, now: Instant, enrolled: Enrolled) {
        let new = enrolled.clone();
        let old = self.common.enrol(enrolled);
        let gone = |session: &Session| {
            session.identity.as_ref().is_some_and(|identity| !new.same_key(&old, identity))
        };
        let gone = self.sessions.iter().filter(|(_, session)| gone(session));
        let mut gone: Vec<_> = gone.map(|(id, _)| *id).collect();
        gone.sort_unstable();
        for session in gone {
            self.end(now, session, Closed::NotEnrolled);
        }
    }

    /// Does what is due: sends flights again and forgets handshakes.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, session)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            self.drive(now, session, |link| link.handle_timeout(now));
        }
    }

    /// When to call [`Sessions::handle_timeout`].
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Longest message of one record, in bytes.
    pub const fn max_plaintext(&self) -> usize {
        self.settings.mtu.saturating_sub(RECORD_OVERHEAD)
    }

    /// How many sessions are open.
    pub fn open(&self) -> usize {
        self.devices.len()
    }

    /// How many handshakes are under way.
    pub fn half_open(&self) -> usize {
        self.sessions.len() - self.devices.len()
    }
}

/// Handshakes.
impl Sessions {
    /// A ClientHello: without a good cookie it is asked for one, and nothing else happens.
    fn greet(
        &mut self,
        now: Instant,
        path: Path,
        hello: &Hello<'_>,
        open: Option<SessionId>,
        pending: Option<SessionId>,
    ) {
        if !self.cookies.check(now, path, hello) {
            let cookie = self.cookies.make(now, path, hello);
            return self.push(path, hello.verify_request(&cookie));
        }
        let same = |session: Option<SessionId>| {
            let session = session.filter(|id| {
                self.sessions.get(id).is_some_and(|session| session.random == hello.random)
            });
            session.is_some()
        };
        if same(open) {
            // A late copy of the hello that the session began with.
        } else if same(pending) {
            self.deliver(now, pending, hello.record);
        } else {
            if let Some(pending) = pending {
                self.remove(pending);
            }
            if self.make_room(now, path) {
                self.begin(now, path, hello);
            }
        }
    }

    fn begin(&mut self, now: Instant, path: Path, hello: &Hello<'_>) {
        self.last += 1;
        let id = SessionId(self.last);
        let (link, begun) = Link::accept(&self.common, now, hello, &mut self.buffer);
        let session = Session {
            link,
            path,
            random: hello.random,
            identity: None,
            open: false,
            touched: now,
            timer: None,
        };
        self.sessions.insert(id, Box::new(session));
        self.paths.entry(path).or_default().pending = Some(id);
        let before = self.outputs.len();
        self.drive(now, id, |_| begun);
        // What `dimpl` can't read it passes over in silence, such as a hello with unknown cipher suites only.
        if self.outputs.len() == before
            && let Some(session) = self.remove(id)
        {
            self.push(path, session.link.failure());
        }
    }

    /// Whether one more handshake may begin; makes it so where another one has to go.
    fn make_room(&mut self, now: Instant, path: Path) -> bool {
        if self.half_open() < self.settings.half_open {
            return true;
        }
        let mut networks = HashMap::<IpAddr, Vec<(Instant, SessionId)>>::new();
        for (id, session) in self.sessions.iter().filter(|(_, session)| !session.open) {
            networks.entry(network(session.path)).or_default().push((session.touched, *id));
        }
        let own = networks.get(&network(path)).map_or(0, Vec::len);
        let largest = networks.iter().max_by_key(|(network, all)| (all.len(), **network));
        let Some((_, all)) = largest else { return false };
        let Some(&(since, oldest)) = all.iter().min() else { return false };
        // An equal or larger network than the largest one may only replace what stands still.
        let makes_room = all.len() > own + 1 || now.saturating_duration_since(since) >= PATIENCE;
        if makes_room {
            self.remove(oldest);
        }
        makes_room
    }

    /// The handshake of `id` is complete: its device has this session and no other, and so has its path.
    fn open_session(&mut self, now: Instant, id: SessionId, session: &mut Session) -> bool {
        let Some(identity) = session.identity.clone() else { return false };
        let place = self.paths.entry(session.path).or_default();
        place.pending = None;
        let before = place.open;
        for old in [before, self.devices.get(&identity).copied()].into_iter().flatten() {
            self.forget(old, Closed::Replaced);
        }
        if self.devices.len() >= self.settings.established {
            let open = self.sessions.iter().filter(|(_, session)| session.open);
            if let Some((_, quietest)) = open.map(|(id, session)| (session.touched, *id)).min() {
                self.end(now, quietest, Closed::Evicted);
            }
        }
        (session.open, session.touched) = (true, now);
        self.paths.entry(session.path).or_default().open = Some(id);
        self.devices.insert(identity.clone(), id);
        self.outputs.push_back(Output::Opened { session: id, identity, path: session.path });
        true
    }
}

/// Single sessions.
impl Sessions {
    /// Gives a datagram to a session; whether that had an effect that can be seen.
    fn deliver(&mut self, now: Instant, session: Option<SessionId>, datagram: &[u8]) -> bool {
        let before = self.outputs.len();
        if let Some(session) = session {
            self.drive(now, session, |link| link.receive(now, datagram));
        }
        self.outputs.len() > before
    }

    /// Lets a session work, and does what it wants done.
    fn drive(
        &mut self,
        now: Instant,
        id: SessionId,
        work: impl FnOnce(&mut Link) -> Result<(), dimpl::Error>,
    ) {
        let Some(mut session) = self.sessions.remove(&id) else { return };
        if let Some(timer) = session.timer.take() {
            self.timers.remove(&(timer, id));
        }
        let worked = work(&mut session.link);
        if let Some(identity) = self.common.asked() {
            session.identity = Some(identity);
        }
        let end = match worked {
            Ok(()) => self.drain(now, id, &mut session),
            Err(dimpl::Error::Timeout(_)) => Some(Closed::Failed),
            Err(_) => {
                if !session.open {
                    self.push(session.path, session.link.failure());
                }
                Some(Closed::Failed)
            }
        };
        self.sessions.insert(id, session);
        if let Some(reason) = end {
            self.forget(id, reason);
        }
    }

    /// Takes everything out of a session; why it is over, if it is.
    fn drain(&mut self, now: Instant, id: SessionId, session: &mut Session) -> Option<Closed> {
        let mut end = None;
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            match session.link.poll(&mut buffer) {
                Step::Send(bytes) => self.push(session.path, bytes),
                Step::Connected => {
                    if !self.open_session(now, id, session) {
                        end = Some(Closed::Failed);
                    }
                }
                Step::Data(plaintext) if session.open => {
                    session.touched = now;
                    self.outputs.push_back(Output::Data { session: id, plaintext });
                }
                Step::Data(_) => {}
                Step::CloseNotify => end = Some(Closed::ByPeer),
                Step::Wait(at) => {
                    if !session.open {
                        let at = at.max(now + TICK);
                        session.timer = Some(at);
                        self.timers.insert((at, id));
                    }
                    break;
                }
            }
        }
        self.buffer = buffer;
        end
    }

    /// Ends a session from this side.
    fn end(&mut self, now: Instant, session: SessionId, reason: Closed) {
        self.drive(now, session, Link::close);
        self.forget(session, reason);
    }

    /// Removes a session and says that it is over, if it ever was open.
    fn forget(&mut self, session: SessionId, reason: Closed) {
        if self.remove(session).is_some_and(|session| session.open) {
            self.outputs.push_back(Output::Closed { session, reason });
        }
    }

    fn remove(&mut self, id: SessionId) -> Option<Box<Session>> {
        let session = self.sessions.remove(&id)?;
        if let Some(timer) = session.timer {
            self.timers.remove(&(timer, id));
        }
        if let Some(identity) = session.identity.as_ref().filter(|_| session.open) {
            self.devices.remove(identity);
        }
        if let Some(place) = self.paths.get_mut(&session.path) {
            place.open.take_if(|open| *open == id);
            place.pending.take_if(|pending| *pending == id);
            if place.open.is_none() && place.pending.is_none() {
                self.paths.remove(&session.path);
            }
        }
        Some(session)
    }

    fn push(&mut self, path: Path, bytes: Vec<u8>) {
        self.outputs.push_back(Output::Send(Datagram { path, bytes }));
    }
}

/// Whoever holds one address of it usually holds all: an IPv4 address, or the first half of an IPv6 address.
fn network(path: Path) -> IpAddr {
    match path.peer.ip() {
        IpAddr::V4(four) => IpAddr::V4(four),
        IpAddr::V6(six) => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() >> 64 << 64)),
    }
}
