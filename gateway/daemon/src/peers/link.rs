//! One connection, from its peer's proof to its end.
//!
//! Guarantees: events of the connection before it come first; a message counts only with the connection's sender and
//! recipient; one write for each message, which in protobuf go-perun reads in one piece (§1.3, P2); a message that this
//! gateway can't hold is refused over the same connection; the end is said with `close_notify`. Does not: dial again.

use std::{rc::Rc, time::Duration};

use sluicegate_channels::wire::{AddressMap, Unsupported};
use tokio::{
    io::{AsyncWriteExt, ReadHalf, WriteHalf, split},
    net::TcpStream,
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_rustls::TlsStream;

use super::{
    PeerEvent,
    book::Peer,
    fault::Fault,
    hub::Hub,
    inbox::{Arrived, Inbox},
};

/// How long the end of a connection may take to be said.
const FAREWELL: Duration = Duration::from_millis(300);

/// A connection whose peer is proven.
pub(super) struct Fresh {
    pub(super) peer: Peer,
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) inbox: Inbox,
    /// By us.
    pub(super) dialed: bool,
}

/// What a connection gets when it counts.
pub(super) struct Ticket {
    pub(super) id: u64,
    /// Messages to write.
    pub(super) queued: mpsc::Receiver<Vec<u8>>,
    /// Says why to end.
    pub(super) closing: oneshot::Receiver<String>,
    /// Resolves when the connection before this one is over.
    pub(super) before: Option<oneshot::Receiver<()>>,
    /// Dropped when this one is.
    pub(super) over: oneshot::Sender<()>,
}

/// Serves a connection until it ends.
pub(super) async fn run(hub: Rc<Hub>, fresh: Fresh, ticket: Ticket) {
    let Ticket { id, queued, mut closing, before, over } = ticket;
    if let Some(before) = before {
        // It is over when the sender is dropped.
        let _ = before.await;
    }
    let (peer, name) = (fresh.peer.clone(), fresh.peer.entry.name.clone());
    if closing.try_recv().is_err() {
        let _ = hub.events.send(PeerEvent::Connected(name.clone(), peer.address.clone())).await;
        tracing::info!(peer = name, dialed = fresh.dialed, "connected");
        let fault = serve(&hub, fresh, queued, closing).await;
        tracing::info!(peer = name, reason = %fault, "connection ended");
        let _ = hub.events.send(PeerEvent::Lost(name.clone())).await;
    } else {
        drop(queued);
        refuse(fresh).await;
    }
    drop(over);
    hub.forget(&name, id);
}

/// Ends a connection that does not count.
pub(super) async fn refuse(mut fresh: Fresh) {
    let _ = timeout(FAREWELL, fresh.stream.shutdown()).await;
}

async fn serve(
    hub: &Hub,
    fresh: Fresh,
    mut queued: mpsc::Receiver<Vec<u8>>,
    closing: oneshot::Receiver<String>,
) -> Fault {
    let Fresh { peer, stream, mut inbox, .. } = fresh;
    let (mut reading, mut writing) = split(stream);
    let fault = tokio::select! {
        biased;
        reason = closing => Fault::Closing(reason.unwrap_or_default()),
        fault = write(&mut queued, &mut writing, hub.limits.whole) => fault,
        fault = read(hub, &peer, &mut inbox, &mut reading) => fault,
    };
    // Nobody can hand over a message any more.
    drop(queued);
    let mut stream = reading.unsplit(writing);
    let _ = timeout(FAREWELL, stream.shutdown()).await;
    fault
}

async fn write(
    queued: &mut mpsc::Receiver<Vec<u8>>,
    to: &mut WriteHalf<TlsStream<TcpStream>>,
    patience: Duration,
) -> Fault {
    while let Some(bytes) = queued.recv().await {
        let written = async {
            to.write_all(&bytes).await?;
            to.flush().await
        };
        match timeout(patience, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error.into(),
            Err(_) => return Fault::Late("room for a message"),
        }
    }
    Fault::Closing("this gateway stops".to_owned())
}

async fn read(
    hub: &Hub,
    peer: &Peer,
    inbox: &mut Inbox,
    from: &mut ReadHalf<TlsStream<TcpStream>>,
) -> Fault {
    loop {
        let arrived = match inbox.next(from).await {
            Ok(arrived) => arrived,
            Err(fault) => return fault,
        };
        let (sender, recipient) = match &arrived {
            Arrived::Envelope(envelope) => (&envelope.sender, &envelope.recipient),
            Arrived::Unsupported(wide) => (&wide.sender, &wide.recipient),
        };
        if !is_between(hub, peer, sender, recipient) {
            return Fault::Routing;
        }
        match arrived {
            Arrived::Envelope(envelope) => {
                let event = PeerEvent::Message(peer.entry.name.clone(), envelope);
                if hub.events.send(event).await.is_err() {
                    return Fault::Closing("this gateway stops".to_owned());
                }
            }
            Arrived::Unsupported(wide) => reject(hub, peer, &wide),
        }
    }
}

fn is_between(hub: &Hub, peer: &Peer, sender: &AddressMap, recipient: &AddressMap) -> bool {
    *sender == peer.address && recipient == hub.identity.address()
}

fn reject(hub: &Hub, peer: &Peer, wide: &Unsupported) {
    let name = &peer.entry.name;
    tracing::debug!(peer = name, refusal = %wide.refusal, "a message is refused");
    if let Some(subject) = wide.subject {
        hub.send(name, subject.reject(wide.refusal.to_string()));
    }
}
