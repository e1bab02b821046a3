//! Two gateways and whoever else connects, over real sockets and real TLS on this machine.

use std::{future::Future, sync::OnceLock};

use sluicegate_channels::wire::{Codec, Envelope, Message};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc::Receiver,
    task::LocalSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsConnector, TlsStream};
use zeroize::Zeroizing;

use super::{
    book::{Entry, Peer},
    fault::Fault,
    inbox::{Arrived, Inbox},
    *,
};
use crate::config::{self, PeerCodec};

/// How long what has to happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway, its events, and what its peers know of it.
struct Site {
    identity: Arc<Identity>,
    handle: PeersHandle,
    events: Receiver<PeerEvent>,
}

/// Whoever speaks TLS and go-perun's proof by hand.
struct Raw {
    stream: TlsStream<TcpStream>,
    inbox: Inbox,
    own: Arc<Identity>,
    peer: Peer,
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { timeout(3 * PATIENCE, test).await.unwrap() });
}

/// One of four keys that are made once.
fn identity(name: &str) -> Arc<Identity> {
    static KEYS: OnceLock<Vec<Zeroizing<Vec<u8>>>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| {
        let makers: Vec<_> = (0..4).map(|_| std::thread::spawn(identity::generate)).collect();
        makers.into_iter().map(|maker| maker.join().unwrap().unwrap()).collect()
    });
    let place = usize::from(name.as_bytes()[0] - b'a');
    Identity::new(name, 1, keys[place].clone()).unwrap()
}

fn limits() -> Limits {
    let pause = (Duration::from_millis(20), Duration::from_millis(200));
    Limits { pause, ..Limits::default() }
}

fn entry(of: &Identity, endpoint: Option<SocketAddr>, codec: PeerCodec) -> config::Peer {
    config::Peer {
        name: of.name().to_owned(),
        endpoint: endpoint.map(|endpoint| endpoint.to_string()),
        fingerprint: of.fingerprint().to_string(),
        wire_key: None,
        codec,
        backend: 1,
    }
}

fn book(peers: &[config::Peer]) -> Book {
    Book::new(peers).unwrap()
}

impl Site {
    async fn start(name: &str, peers: &[config::Peer]) -> Self {
        Self::start_at(name, "127.0.0.1:0".parse().unwrap(), peers, limits()).await
    }

    async fn start_at(
        name: &str,
        listen: SocketAddr,
        peers: &[config::Peer],
        limits: Limits,
    ) -> Self {
        let identity = identity(name);
        let listen = Some(listen);
        let settings =
            Settings { identity: Arc::clone(&identity), listen, book: book(peers), limits };
        let (handle, events) = Peers::start(settings).await.unwrap();
        Self { identity, handle, events }
    }

    fn place(&self) -> SocketAddr {
        self.handle.listens().unwrap()
    }

    async fn next(&mut self) -> PeerEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event").expect("a running task")
    }

    /// Waits for a connection, through those that come before it.
    async fn connected(&mut self) {
        while !matches!(self.next().await, PeerEvent::Connected(..)) {}
    }

    async fn message(&mut self) -> Message {
        match self.next().await {
            PeerEvent::Message(_, envelope) => envelope.message,
            other => panic!("{other:?} instead of a message"),
        }
    }

    async fn lost(&mut self, name: &str) {
        assert_eq!(self.next().await, PeerEvent::Lost(name.to_owned()));
    }
}

impl Raw {
    async fn tls(own: &Arc<Identity>, site: &Site) -> Result<Self, Fault> {
        let entry = entry(&site.identity, None, PeerCodec::Perunio);
        Self::tls_to(own, site, &entry).await
    }

    async fn tls_to(own: &Arc<Identity>, site: &Site, entry: &config::Peer) -> Result<Self, Fault> {
        let stream = TcpStream::connect(site.place()).await?;
        let entry: Rc<Entry> =
            Rc::clone(book(std::slice::from_ref(entry)).entries().next().unwrap());
        let connector = TlsConnector::from(tls::client(own, entry.fingerprint)?);
        let name = rustls::pki_types::ServerName::from(site.place().ip());
        let stream = connector.connect(name, stream).await?;
        let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        let peer = Peer::new(&entry, &certificate)?;
        let inbox = Inbox::new(entry.codec, &limits());
        Ok(Self { stream: TlsStream::Client(stream), inbox, own: Arc::clone(own), peer })
    }

    /// Up to where a connection counts.
    async fn dial(own: &Arc<Identity>, site: &Site) -> Result<Self, Fault> {
        let mut raw = Self::tls(own, site).await?;
        auth::prove(own, &raw.peer, &mut raw.stream).await?;
        auth::expect(own, &raw.peer, &mut raw.inbox, &mut raw.stream).await?;
        Ok(raw)
    }

    fn envelope(&self, message: Message) -> Envelope {
        let (sender, recipient) = (self.own.address().clone(), self.peer.address.clone());
        Envelope { sender, recipient, message }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn next(&mut self) -> Result<Message, Fault> {
        let arrived = timeout(PATIENCE, self.inbox.next(&mut self.stream)).await.unwrap()?;
        match arrived {
            Arrived::Envelope(envelope) => Ok(envelope.message),
            Arrived::Unsupported(wide) => panic!("{wide}"),
        }
    }

    /// Until the other side closes.
    async fn closed(mut self) {
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await.expect("an end");
    }
}

/// The bytes of a message that go-perun wrote, from the one raw peer to the site.
fn go_perun(name: &str, raw: &Raw) -> Vec<u8> {
    const HEADER: usize = 32;
    const PING: usize = 9;
    let vectors = include_str!("../../../channels/tests/vectors/go-perun.txt");
    let line = vectors.lines().find_map(|line| line.strip_prefix(&format!("{name} perunio ")));
    let bytes = unhex(line.unwrap());
    let ours = Codec::Perunio.encode(&raw.envelope(Message::Ping { created: 0 })).unwrap();
    [&ours[..ours.len() - PING], &bytes[HEADER..]].concat()
}

fn unhex(text: &str) -> Vec<u8> {
    let pair = |place: usize| u8::from_str_radix(&text[place..place + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

fn ping(created: i64) -> Message {
    Message::Ping { created }
}

/// Two sites that know each other; only `alice` dials.
async fn pair(codec: PeerCodec) -> (Site, Site) {
    let (a, b) = (identity("alice"), identity("bob"));
    let mut bob = Site::start("bob", &[entry(&a, None, codec)]).await;
    let mut alice = Site::start("alice", &[entry(&b, Some(bob.place()), codec)]).await;
    let (address, name) = (b.address().clone(), "bob".to_owned());
    assert_eq!(alice.next().await, PeerEvent::Connected(name, address));
    bob.connected().await;
    (alice, bob)
}

#[test]
fn two_gateways_meet_and_talk_in_both_encodings() {
    run(async {
        for codec in [PeerCodec::Perunio, PeerCodec::Protobuf] {
            let (mut alice, mut bob) = pair(codec).await;
            let reason = "x".repeat(15_000);
            for n in 0..20 {
                assert!(alice.handle.send("bob", ping(n)));
                assert!(bob.handle.send("alice", Message::Shutdown { reason: reason.clone() }));
                assert_eq!(bob.message().await, ping(n));
                assert_eq!(alice.message().await, Message::Shutdown { reason: reason.clone() });
            }
            assert!(!alice.handle.send("carol", ping(0)), "nobody of that name");
            alice.handle.stop().await;
            bob.lost("alice").await;
            bob.handle.stop().await;
        }
    });
}

#[test]
fn another_certificate_than_the_pinned_one_is_refused() {
    run(async {
        let (a, c) = (identity("alice"), identity("carol"));
        let bob = Site::start("bob", &[entry(&a, None, PeerCodec::Perunio)]).await;
        let wrong = config::Peer { name: "bob".to_owned(), ..entry(&c, None, PeerCodec::Perunio) };
        let error = Raw::tls_to(&a, &bob, &wrong).await.err().unwrap().to_string();
        assert!(error.contains(&bob.identity.fingerprint().to_string()), "{error}");
    });
}

#[test]
fn a_stranger_is_refused() {
    run(async {
        let a = identity("alice");
        let mut bob = Site::start("bob", &[entry(&a, None, PeerCodec::Perunio)]).await;
        // In TLS 1.3 the client hears of it after its own part is done.
        assert!(Raw::dial(&identity("carol"), &bob).await.is_err());
        let honest = Raw::dial(&a, &bob).await.unwrap();
        bob.connected().await;
        drop(honest);
        bob.lost("alice").await;
    });
}

#[test]
fn a_proof_of_somebody_else_is_refused() {
    run(async {
        let (a, c) = (identity("alice"), identity("carol"));
        let known = [&a, &c].map(|peer| entry(peer, None, PeerCodec::Perunio));
        let mut bob = Site::start("bob", &known).await;
        // What alice would send, whole and valid, over carol's connection.
        let mut carol = Raw::tls(&c, &bob).await.unwrap();
        auth::prove(&a, &carol.peer, &mut carol.stream).await.unwrap();
        carol.closed().await;
        // Carol's address with alice's signature.
        let mut carol = Raw::tls(&c, &bob).await.unwrap();
        let signature = a.sign(&auth::signed_bytes(a.address())).unwrap();
        let envelope = carol.envelope(Message::AuthResponse { signature });
        carol.write(&Codec::Perunio.encode(&envelope).unwrap()).await;
        carol.closed().await;
        let _honest = Raw::dial(&c, &bob).await.unwrap();
        assert!(matches!(bob.next().await, PeerEvent::Connected(name, _) if name == "carol"));
    });
}

#[test]
fn when_both_dial_at_once_one_connection_stays() {
    run(async {
        let (a, b) = (identity("alice"), identity("bob"));
        for _ in 0..8 {
            let (mut alice, mut bob) =
                (Site::start("alice", &[]).await, Site::start("bob", &[]).await);
            let (to_bob, to_alice) = (Some(bob.place()), Some(alice.place()));
            bob.handle.reload(book(&[entry(&a, to_alice, PeerCodec::Perunio)])).unwrap();
            alice.handle.reload(book(&[entry(&b, to_bob, PeerCodec::Perunio)])).unwrap();
            alice.connected().await;
            bob.connected().await;
            // Whatever competed is over long before.
            sleep(Duration::from_millis(300)).await;
            let stands = |site: &mut Site| {
                let mut stands = 1;
                while let Ok(event) = site.events.try_recv() {
                    stands += if matches!(event, PeerEvent::Lost(_)) { -1 } else { 1 };
                }
                stands
            };
            assert_eq!((stands(&mut alice), stands(&mut bob)), (1, 1));
            assert!(alice.handle.send("bob", ping(1)) && bob.handle.send("alice", ping(2)));
            assert_eq!((alice.message().await, bob.message().await), (ping(2), ping(1)));
            alice.handle.stop().await;
            bob.handle.stop().await;
        }
    });
}

#[test]
fn a_peer_that_restarts_is_connected_again() {
    run(async {
        let (mut alice, bob) = pair(PeerCodec::Perunio).await;
        let place = bob.place();
        bob.handle.stop().await;
        drop(bob);
        alice.lost("bob").await;
        let a = identity("alice");
        let known = [entry(&a, None, PeerCodec::Perunio)];
        let mut bob = Site::start_at("bob", place, &known, limits()).await;
        bob.connected().await;
        alice.connected().await;
        assert!(bob.handle.send("alice", ping(7)));
        assert_eq!(alice.message().await, ping(7));
    });
}

#[test]
fn a_peer_that_vanished_and_comes_back_takes_the_place_of_its_old_connection() {
    run(async {
        // One name below ours and one above it.
        for name in ["alice", "carol"] {
            let peer = identity(name);
            let mut bob = Site::start("bob", &[entry(&peer, None, PeerCodec::Perunio)]).await;
            let silent = Raw::dial(&peer, &bob).await.unwrap();
            bob.connected().await;
            let mut again = Raw::dial(&peer, &bob).await.unwrap();
            bob.lost(name).await;
            bob.connected().await;
            silent.closed().await;
            assert!(bob.handle.send(name, ping(3)));
            assert_eq!(again.next().await.unwrap(), ping(3));
        }
    });
}

#[test]
fn garbage_costs_only_its_connection() {
    run(async {
        let (a, c) = (identity("alice"), identity("carol"));
        let known = [&a, &c].map(|peer| entry(peer, None, PeerCodec::Perunio));
        let mut bob = Site::start("bob", &known).await;
        let mut carol = Raw::dial(&c, &bob).await.unwrap();
        bob.connected().await;
        let honest = Codec::Perunio.encode(&carol.envelope(ping(1))).unwrap();
        let endless = [&honest[..honest.len() - 9], &[2, 0xff, 0xff], &[b'x'; 70_000]].concat();
        for bytes in [vec![0xff; 100_000], vec![0; 100_000], endless] {
            let mut alice = Raw::dial(&a, &bob).await.unwrap();
            bob.connected().await;
            let _ = alice.stream.write_all(&bytes).await;
            let _ = alice.stream.flush().await;
            bob.lost("alice").await;
            carol.write(&honest).await;
            assert_eq!(bob.message().await, ping(1));
        }
    });
}

#[test]
fn a_message_in_another_name_costs_the_connection() {
    run(async {
        let (a, c) = (identity("alice"), identity("carol"));
        let mut bob = Site::start("bob", &[entry(&c, None, PeerCodec::Perunio)]).await;
        for forged in [true, false] {
            let mut carol = Raw::dial(&c, &bob).await.unwrap();
            bob.connected().await;
            let mut envelope = carol.envelope(ping(1));
            let other = if forged { &mut envelope.sender } else { &mut envelope.recipient };
            *other = a.address().clone();
            carol.write(&Codec::Perunio.encode(&envelope).unwrap()).await;
            bob.lost("carol").await;
        }
    });
}

#[test]
fn what_is_too_wide_is_refused_over_the_same_connection() {
    run(async {
        let a = identity("alice");
        let mut bob = Site::start("bob", &[entry(&a, None, PeerCodec::Perunio)]).await;
        let mut alice = Raw::dial(&a, &bob).await.unwrap();
        bob.connected().await;
        let wide = go_perun("wide_assets", &alice);
        let whole = go_perun("ledger_proposal", &alice);
        alice.write(&[wide, whole].concat()).await;
        assert!(matches!(bob.message().await, Message::LedgerChannelProposal(_)));
        assert!(matches!(alice.next().await.unwrap(), Message::ChannelProposalRej { .. }));
    });
}

#[test]
fn whoever_takes_its_time_over_a_handshake_is_dropped() {
    run(async {
        let a = identity("alice");
        let limits = Limits { handshake: Duration::from_millis(400), ..limits() };
        let known = [entry(&a, None, PeerCodec::Perunio)];
        let any = "127.0.0.1:0".parse().unwrap();
        let bob = Site::start_at("bob", any, &known, limits).await;
        let mut silent = TcpStream::connect(bob.place()).await.unwrap();
        let read = timeout(PATIENCE, silent.read(&mut [0; 64])).await.expect("an end");
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        // TLS is done, but go-perun's proof never comes.
        Raw::tls(&a, &bob).await.unwrap().closed().await;
        assert_eq!(bob.handle.connected(), Vec::<String>::new());
    });
}

#[test]
fn a_flood_of_connections_is_bounded() {
    run(async {
        let a = identity("alice");
        let limits = Limits {
            half_open: 3,
            half_open_each: 3,
            handshake: Duration::from_secs(2),
            ..limits()
        };
        let known = [entry(&a, None, PeerCodec::Perunio)];
        let any = "127.0.0.1:0".parse().unwrap();
        let mut bob = Site::start_at("bob", any, &known, limits).await;
        let mut flood = Vec::new();
        for _ in 0..12 {
            flood.push(TcpStream::connect(bob.place()).await.unwrap());
        }
        // All but three are closed before the others' time is over.
        let begun = tokio::time::Instant::now();
        for stream in &mut flood[3..] {
            let read = timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("an end");
            assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(2));
        for stream in &mut flood[..3] {
            let _ = timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("an end");
        }
        let _honest = Raw::dial(&a, &bob).await.unwrap();
        bob.connected().await;
    });
}

#[test]
fn a_peer_that_does_not_read_loses_its_connection() {
    run(async {
        let a = identity("alice");
        let limits = Limits { queue: 4, ..limits() };
        let known = [entry(&a, None, PeerCodec::Perunio)];
        let any = "127.0.0.1:0".parse().unwrap();
        let mut bob = Site::start_at("bob", any, &known, limits).await;
        let _silent = Raw::dial(&a, &bob).await.unwrap();
        bob.connected().await;
        let reason = "x".repeat(60_000);
        while bob.handle.send("alice", Message::Shutdown { reason: reason.clone() }) {
            tokio::task::yield_now().await;
        }
        bob.lost("alice").await;
    });
}

#[test]
fn who_leaves_the_address_book_loses_the_connection() {
    run(async {
        let (mut alice, mut bob) = pair(PeerCodec::Perunio).await;
        let place = Some(bob.place());
        bob.handle.reload(Book::default()).unwrap();
        bob.lost("alice").await;
        alice.lost("bob").await;
        bob.handle.reload(book(&[entry(&alice.identity, None, PeerCodec::Perunio)])).unwrap();
        bob.connected().await;
        alice.connected().await;
        // The same entry changes nothing, another encoding does.
        let to_bob = |codec| book(&[entry(&bob.identity, place, codec)]);
        alice.handle.reload(to_bob(PeerCodec::Perunio)).unwrap();
        assert!(alice.handle.send("bob", ping(1)));
        alice.handle.reload(to_bob(PeerCodec::Protobuf)).unwrap();
        alice.lost("bob").await;
    });
}

#[test]
fn a_wire_key_takes_the_place_of_the_certificate_s() {
    run(async {
        // A certificate of carol, a wire address with alice's key: as go-perun nodes may have it.
        let (a, c) = (identity("alice"), identity("carol"));
        let modulus = a.address().iter().next().unwrap().1.key().unwrap().modulus().to_vec();
        let hex: String = modulus.iter().map(|byte| format!("{byte:02x}")).collect();
        let known = config::Peer {
            name: "alice".to_owned(),
            wire_key: Some(hex),
            ..entry(&c, None, PeerCodec::Perunio)
        };
        let mut bob = Site::start("bob", &[known]).await;
        let mut raw = Raw::tls(&c, &bob).await.unwrap();
        auth::prove(&a, &raw.peer, &mut raw.stream).await.unwrap();
        auth::expect(&a, &raw.peer, &mut raw.inbox, &mut raw.stream).await.unwrap();
        let address = a.address().clone();
        assert_eq!(bob.next().await, PeerEvent::Connected("alice".to_owned(), address));
    });
}

#[test]
fn the_key_is_made_once_and_opens_with_its_credential_only() {
    use std::{fs, os::unix::fs::PermissionsExt};
    let folder = tempfile::tempdir().unwrap();
    crate::credentials::create(&folder.path().join("log-key")).unwrap();
    let config = Config::for_tests(folder.path());
    let channels = Channels { name: "gate".to_owned(), listen: None, backend: 1 };
    let first = Identity::load(&config, &channels).unwrap();
    let second = Identity::load(&config, &channels).unwrap();
    assert_eq!(first.certificate(), second.certificate());
    let key = certificate::rsa_key(first.certificate());
    assert_eq!(key.as_ref(), first.address().iter().next().unwrap().1.key());
    let file = config.state().join("peer-key");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(Identity::load(&config, &channels).unwrap_err().to_string().contains("chmod 600"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(folder.path().join("log-key")).unwrap();
    crate::credentials::create(&folder.path().join("log-key")).unwrap();
    let error = Identity::load(&config, &channels).unwrap_err().to_string();
    assert!(error.contains("log.key_credential"), "{error}");
}
