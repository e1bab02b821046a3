//! Whoever connects: TLS and go-perun's proof, a bounded number at a time.
//!
//! Guarantees: strangers cost a bounded number of handshakes and each a bounded time; beyond that a connection is closed
//! unread. Does not: say how many, [`super::doors`] does; or count a connection, [`super::hub`] does.

use std::{cell::RefCell, net::SocketAddr, rc::Rc, time::Duration};

use sluicegate_coap::Allowance;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsStream;

use super::{auth, dialer, doors::Doors, fault::Fault, hub::Hub, inbox::Inbox, link::Fresh};

/// Pause after the system could not accept, as when it is out of descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Refused connections that are told of, a second on average and at once.
const TOLD: (u32, u32) = (1, 10);

/// Accepts until it is dropped.
pub(super) async fn run(hub: Rc<Hub>, socket: TcpListener) {
    let begun = Instant::now();
    let now_ms = move || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let told = Rc::new(RefCell::new(Allowance::new(TOLD.0, TOLD.1, 0)));
    let doors = Doors::new(hub.limits.clone());
    loop {
        let (stream, from) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                sleep(PAUSE).await;
                continue;
            }
        };
        let named = hub.book.borrow().addresses();
        let Some(place) = doors.enter(from.ip(), &named, now_ms()) else {
            if told.borrow_mut().take(now_ms()).is_ok() {
                tracing::warn!(%from, "too many handshakes at once: a connection was closed unread");
            }
            continue;
        };
        let (hub, told, doors) = (Rc::clone(&hub), Rc::clone(&told), Rc::clone(&doors));
        tokio::task::spawn_local(async move {
            let welcomed = welcome(&hub, stream).await;
            drop(place);
            match welcomed {
                Ok(fresh) => {
                    doors.know(from.ip(), now_ms());
                    hub.take(fresh);
                }
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
