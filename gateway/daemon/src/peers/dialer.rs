//! A peer with an endpoint: dialed whenever there is no connection with it.
//!
//! Guarantees: at most one attempt at a time, and none while a connection stands or is ending, so that the end of the
//! old one was said before (P8); pauses grow while attempts fail or connections are short. Does not: count a
//! connection; [`super::hub`] does.

use std::{io, rc::Rc, time::Duration};

use nix::sys::socket::{setsockopt, sockopt};
use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsConnector, TlsStream};

use super::{
    auth,
    book::{Entry, Peer},
    fault::Fault,
    hub::Hub,
    inbox::Inbox,
    link::Fresh,
    tls,
};

/// A connection that lasted so long was a good one.
const LASTED: Duration = Duration::from_secs(10);

/// A connection that is silent for so many seconds is probed, so often and so many times.
const PROBES: (u32, u32, u32) = (30, 10, 3);

/// Dials until it is dropped.
pub(super) async fn run(hub: Rc<Hub>, entry: Rc<Entry>) {
    let Some(endpoint) = entry.endpoint.as_deref() else { return };
    let (shortest, longest) = hub.limits.pause;
    let mut pause = shortest;
    let mut told = None;
    loop {
        hub.without_link(&entry.name).await;
        let begun = Instant::now();
        match dial(&hub, &entry, endpoint).await {
            Ok(fresh) => {
                told = None;
                hub.take(fresh);
                hub.without_link(&entry.name).await;
                if begun.elapsed() >= LASTED {
                    pause = shortest;
                }
            }
            Err(fault) => {
                let text = fault.to_string();
                // Attempts that fail like the one before are not news.
                if told.as_ref() != Some(&text) {
                    let peer = &entry.name;
                    tracing::warn!(peer, endpoint, reason = text, "no connection");
                    told = Some(text);
                }
            }
        }
        sleep(pause).await;
        pause = (2 * pause).min(longest);
    }
}

async fn dial(hub: &Hub, entry: &Rc<Entry>, endpoint: &str) -> Result<Fresh, Fault> {
    let connected = timeout(hub.limits.handshake, TcpStream::connect(endpoint));
    let stream = connected.await.map_err(|_| Fault::Late("connection"))??;
    let shaken = timeout(hub.limits.handshake, shake_hands(hub, entry, endpoint, stream));
    shaken.await.map_err(|_| Fault::Late("handshake"))?
}

async fn shake_hands(
    hub: &Hub,
    entry: &Rc<Entry>,
    endpoint: &str,
    stream: TcpStream,
) -> Result<Fresh, Fault> {
    keep_alive(&stream)?;
    let connector = TlsConnector::from(tls::client(&hub.identity, entry.fingerprint)?);
    let stream = connector.connect(server_name(endpoint, &stream)?, stream).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = Peer::new(entry, shown.ok_or(Fault::Unknown)?)?;
    let mut stream = TlsStream::Client(stream);
    let mut inbox = Inbox::new(entry.codec, &hub.limits);
    auth::prove(&hub.identity, &peer, &mut stream).await?;
    auth::expect(&hub.identity, &peer, &mut inbox, &mut stream).await?;
    Ok(Fresh { peer, stream, inbox, dialed: true })
}

/// What the peer may choose a certificate by; ours is pinned whatever it is.
fn server_name(endpoint: &str, stream: &TcpStream) -> io::Result<ServerName<'static>> {
    let host = endpoint.rsplit_once(':').map_or(endpoint, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match ServerName::try_from(host.to_owned()) {
        Ok(name) => Ok(name),
        Err(_) => Ok(ServerName::from(stream.peer_addr()?.ip())),
    }
}

/// Finds out when the other side is gone without a word: go-perun answers no pings (§1.2).
pub(super) fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let (idle, interval, count) = PROBES;
    let patience = (idle + interval * count) * 1_000;
    stream.set_nodelay(true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &idle)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &interval)?;
    setsockopt(stream, sockopt::TcpKeepCount, &count)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &patience)?;
    Ok(())
}
