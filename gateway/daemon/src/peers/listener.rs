//! Whoever connects: TLS and go-perun's proof, a bounded number at a time.
//!
//! Guarantees: strangers cost a bounded number of handshakes, in all, from one address and a second, and each a bounded
//! time; beyond that a connection is closed unread. Does not: count a connection; [`super::hub`] does.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use sluicegate_coap::Allowance;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsStream;

use super::{auth, dialer, fault::Fault, hub::Hub, inbox::Inbox, link::Fresh};

/// Pause after the system could not accept, as when it is out of descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Refused connections that are told of, a second on average and at once.
const TOLD: (u32, u32) = (1, 10);

/// Handshakes under way, by network.
#[derive(Default)]
struct Places(RefCell<BTreeMap<IpAddr, usize>>);

/// One of them.
struct Place(Rc<Places>, IpAddr);

/// Accepts until it is dropped.
pub(super) async fn run(hub: Rc<Hub>, socket: TcpListener) {
    let begun = Instant::now();
    let now_ms = move || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (each_second, at_once) = hub.limits.handshakes;
    let mut handshakes = Allowance::new(each_second, at_once, 0);
    let told = Rc::new(RefCell::new(Allowance::new(TOLD.0, TOLD.1, 0)));
    let places = Rc::new(Places::default());
    loop {
        let (stream, from) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let place = Places::take(&places, from.ip(), &hub);
        let Some(place) = place.filter(|_| handshakes.take(now_ms()).is_ok()) else {
            if told.borrow_mut().take(now_ms()).is_ok() {
                tracing::warn!(%from, "too many handshakes at once: a connection was closed unread");
            }
            continue;
        };
        let (hub, told) = (Rc::clone(&hub), Rc::clone(&told));
        tokio::task::spawn_local(async move {
            let welcomed = welcome(&hub, stream).await;
            drop(place);
            match welcomed {
                Ok(fresh) => hub.take(fresh),
                Err(fault) if told.borrow_mut().take(now_ms()).is_ok() => refused(from, &fault),
                Err(_) => {}
            }
        });
    }
}

fn refused(from: SocketAddr, fault: &Fault) {
    tracing::warn!(%from, reason = %fault, "a connection was refused");
}

async fn welcome(hub: &Hub, stream: TcpStream) -> Result<Fresh, Fault> {
    let shaken = timeout(hub.limits.handshake, shake_hands(hub, stream));
    shaken.await.map_err(|_| Fault::Late("handshake"))?
}

async fn shake_hands(hub: &Hub, stream: TcpStream) -> Result<Fresh, Fault> {
    dialer::keep_alive(&stream)?;
    let stream = hub.acceptor().accept(stream).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = hub.book.borrow().find(shown.ok_or(Fault::Unknown)?)?;
    let mut stream = TlsStream::Server(stream);
    let mut inbox = Inbox::new(peer.entry.codec, &hub.limits);
    auth::expect(&hub.identity, &peer, &mut inbox, &mut stream).await?;
    auth::prove(&hub.identity, &peer, &mut stream).await?;
    Ok(Fresh { peer, stream, inbox, dialed: false })
}

impl Places {
    fn take(this: &Rc<Self>, from: IpAddr, hub: &Hub) -> Option<Place> {
        let mut places = this.0.borrow_mut();
        let from = network(from);
        let all: usize = places.values().sum();
        let own = places.get(&from).copied().unwrap_or(0);
        if all >= hub.limits.half_open || own >= hub.limits.half_open_each {
            return None;
        }
        places.insert(from, own + 1);
        Some(Place(Rc::clone(this), from))
    }
}

/// What one sender can have as many addresses as it likes of: with IPv6, the first half.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::from((address.to_bits() >> 64 << 64).to_be_bytes()),
        address @ IpAddr::V4(_) => address,
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.0.0.borrow_mut();
        let left = places.get(&self.1).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => drop(places.remove(&self.1)),
            left => drop(places.insert(self.1, left)),
        }
    }
}
