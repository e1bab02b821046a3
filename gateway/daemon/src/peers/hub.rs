//! Which connection counts: at most one for each peer.
//!
//! Guarantees: when both sides dial at once, both keep the same connection: as in go-perun (`perun-interop` §1.2.6), of
//! two that compete the one dialed by the side with the greater name. go-perun also refuses its peer's new connection
//! while an old one lingers that the peer lost long ago; here a peer that dials again, or dials long after its
//! connection stood, has lost it, since nobody dials who has one: the new one counts (P8). Does not: touch a socket.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use sluicegate_channels::wire::{Envelope, Message};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Limits, PeerEvent,
    book::{Book, Entry, Peer},
    dialer,
    identity::Identity,
    link::{self, Fresh, Ticket},
    tls,
};
use crate::Error;

/// How long a stop waits for connections to end.
const FAREWELL: Duration = Duration::from_millis(500);

/// What all connections share.
pub(super) struct Hub {
    pub(super) identity: Arc<Identity>,
    pub(super) limits: Limits,
    pub(super) events: mpsc::Sender<PeerEvent>,
    pub(super) local: Option<SocketAddr>,
    pub(super) book: RefCell<Book>,
    acceptor: RefCell<TlsAcceptor>,
    links: RefCell<BTreeMap<String, Link>>,
    dialers: RefCell<BTreeMap<String, (Rc<Entry>, AbortHandle)>>,
    tasks: RefCell<Vec<AbortHandle>>,
    /// Changes when a connection ends.
    ended: watch::Sender<()>,
    next: Cell<u64>,
    is_stopping: Cell<bool>,
}

/// The connection that counts.
struct Link {
    id: u64,
    peer: Peer,
    /// By us.
    dialed: bool,
    since: Instant,
    queue: mpsc::Sender<Vec<u8>>,
    /// Taken when it was told to end.
    close: Option<oneshot::Sender<String>>,
    ended: oneshot::Receiver<()>,
}

impl Hub {
    pub(super) fn new(
        identity: Arc<Identity>,
        limits: Limits,
        events: mpsc::Sender<PeerEvent>,
        local: Option<SocketAddr>,
    ) -> Result<Rc<Self>, Error> {
        let acceptor = TlsAcceptor::from(tls::server(&identity, Book::default().fingerprints())?);
        Ok(Rc::new(Self {
            identity,
            limits,
            events,
            local,
            book: RefCell::default(),
            acceptor: RefCell::new(acceptor),
            links: RefCell::default(),
            dialers: RefCell::default(),
            tasks: RefCell::default(),
            ended: watch::channel(()).0,
            next: Cell::new(0),
            is_stopping: Cell::new(false),
        }))
    }

    /// Takes another address book.
    pub(super) fn reload(self: &Rc<Self>, book: Book) -> Result<(), Error> {
        let config = tls::server(&self.identity, book.fingerprints())?;
        *self.acceptor.borrow_mut() = TlsAcceptor::from(config);
        let gone: Vec<_> = self.links.borrow().values().map(|link| link.peer.clone()).collect();
        for peer in gone.iter().filter(|peer| !book.has(&peer.entry)) {
            self.close(&peer.entry.name, "the address book changed");
        }
        self.dial_all(&book);
        *self.book.borrow_mut() = book;
        Ok(())
    }

    /// A task for each peer that can be dialed; those that change begin anew.
    fn dial_all(self: &Rc<Self>, book: &Book) {
        let mut dialers = self.dialers.borrow_mut();
        dialers.retain(|_, (entry, task)| {
            let stays = book.has(entry);
            if !stays {
                task.abort();
            }
            stays
        });
        for entry in book.entries().filter(|entry| entry.endpoint.is_some()) {
            dialers.entry(entry.name.clone()).or_insert_with(|| {
                let run = dialer::run(Rc::clone(self), Rc::clone(entry));
                (Rc::clone(entry), tokio::task::spawn_local(run).abort_handle())
            });
        }
    }

    /// A task that ends with all others.
    pub(super) fn owns(&self, task: AbortHandle) {
        self.tasks.borrow_mut().push(task);
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.borrow().clone()
    }

    /// Takes a connection whose peer is proven; it ends at once if another one counts.
    pub(super) fn take(self: &Rc<Self>, fresh: Fresh) {
        let entry = Rc::clone(&fresh.peer.entry);
        let mut links = self.links.borrow_mut();
        let old = links.remove(&entry.name);
        let is_known = self.book.borrow().has(&entry) && !self.is_stopping.get();
        if !is_known || old.as_ref().is_some_and(|old| self.keeps(old, &fresh)) {
            tracing::debug!(peer = entry.name, "a second connection is closed");
            links.extend(old.map(|old| (entry.name.clone(), old)));
            tokio::task::spawn_local(link::refuse(fresh));
            return;
        }
        let before = old.map(|old| {
            let reason = "the peer connected anew".to_owned();
            old.close.map(|close| close.send(reason));
            old.ended
        });
        let id = self.next.get();
        self.next.set(id + 1);
        let (queue, queued) = mpsc::channel(self.limits.queue.max(1));
        let (close, closing) = oneshot::channel();
        let (over, ended) = oneshot::channel();
        links.insert(
            entry.name.clone(),
            Link {
                id,
                peer: fresh.peer.clone(),
                dialed: fresh.dialed,
                since: Instant::now(),
                queue,
                close: Some(close),
                ended,
            },
        );
        let ticket = Ticket { id, queued, closing, before, over };
        tokio::task::spawn_local(link::run(Rc::clone(self), fresh, ticket));
    }

    /// Whether the old connection counts, and not the new one.
    fn keeps(&self, old: &Link, new: &Fresh) -> bool {
        // How long the other side's dialing may have been under way.
        let competing = 3 * self.limits.handshake;
        let is_over = old.close.is_none() || old.queue.is_closed();
        if is_over || old.dialed == new.dialed || old.since.elapsed() > competing {
            return false;
        }
        new.dialed == (self.identity.name() < new.peer.entry.name.as_str())
    }

    /// Whether there is a connection with the peer, or one that is ending.
    pub(super) fn has_link(&self, name: &str) -> bool {
        self.links.borrow().contains_key(name)
    }

    /// Waits until there is no connection with the peer.
    pub(super) async fn without_link(&self, name: &str) {
        let mut ended = self.ended.subscribe();
        let _ = ended.wait_for(|()| !self.has_link(name)).await;
    }

    /// A connection is over and everybody was told.
    pub(super) fn forget(&self, name: &str, id: u64) {
        let mut links = self.links.borrow_mut();
        if links.get(name).is_some_and(|link| link.id == id) {
            links.remove(name);
        }
        drop(links);
        self.ended.send_replace(());
    }

    pub(super) fn connected(&self) -> Vec<String> {
        let links = self.links.borrow();
        let open = links.iter().filter(|(_, link)| link.close.is_some());
        open.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn send(&self, name: &str, message: Message) -> bool {
        let mut links = self.links.borrow_mut();
        let Some(link) = links.get_mut(name).filter(|link| link.close.is_some()) else {
            return false;
        };
        let envelope = Envelope {
            sender: self.identity.address().clone(),
            recipient: link.peer.address.clone(),
            message,
        };
        let bytes = match link.peer.entry.codec.encode(&envelope) {
            Ok(bytes) => bytes,
            Err(error) => {
                tracing::error!(peer = name, %error, "a message can't be sent");
                return false;
            }
        };
        match link.queue.try_send(bytes) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                link.close("it reads too slowly");
                false
            }
        }
    }

    pub(super) fn close(&self, name: &str, reason: &str) {
        if let Some(link) = self.links.borrow_mut().get_mut(name) {
            link.close(reason);
        }
    }

    pub(super) async fn stop(&self) {
        self.is_stopping.set(true);
        self.tasks.borrow_mut().drain(..).for_each(|task| task.abort());
        let dialers = std::mem::take(&mut *self.dialers.borrow_mut());
        dialers.values().for_each(|(_, task)| task.abort());
        for link in self.links.borrow_mut().values_mut() {
            link.close("this gateway stops");
        }
        let mut ended = self.ended.subscribe();
        let all = ended.wait_for(|()| self.links.borrow().is_empty());
        let _ = timeout(FAREWELL, all).await;
    }
}

impl Link {
    fn close(&mut self, reason: &str) {
        if let Some(close) = self.close.take() {
            let _ = close.send(reason.to_owned());
        }
    }
}
