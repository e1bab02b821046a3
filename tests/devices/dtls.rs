//! The DTLS side of a simulated device: a PSK client without a socket and without a clock.
//!
//! Guarantees: knows no address, so a device may move; begins the handshake at the first call of
//! [`DtlsClient::handle_timeout`]. Does not: begin anew after [`Event::Closed`]; a device does that
//! with a new client.
//!
//! After each call take everything from [`DtlsClient::poll`], then wait until
//! [`DtlsClient::next_timeout`].

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use dimpl::{
    Config, Dtls, Output, PskResolver,
    crypto::{CryptoProvider, rust_crypto},
};

/// A device gives up after this, and begins anew.
const HANDSHAKE: Duration = Duration::from_secs(8);

/// The cryptography of the one cipher suite; `dimpl` tests all that it is given for each client.
static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(|| {
    let all = rust_crypto::default_provider();
    let psk = all.cipher_suites.iter().copied().filter(|suite| suite.suite().is_psk());
    let cipher_suites = Vec::leak(psk.collect());
    CryptoProvider { cipher_suites, kx_groups: &[], ..all }
});

/// What the client wants done, or tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Send this datagram to the gateway.
    Send(Vec<u8>),
    /// The gateway has proved that it holds the key; messages can be sent.
    Connected,
    /// The gateway said this.
    Data(Vec<u8>),
    /// It is over: refused, timed out, or the gateway said good-bye.
    Closed,
}

/// One session of a device.
pub struct DtlsClient {
    dtls: Dtls,
    events: VecDeque<Event>,
    timer: Option<Instant>,
    connected: bool,
    buffer: Vec<u8>,
}

struct Key([u8; 16]);

impl PskResolver for Key {
    fn resolve(&self, _identity: &[u8]) -> Option<Vec<u8>> {
        Some(self.0.to_vec())
    }
}

impl DtlsClient {
    /// A client that names itself `identity`.
    #[allow(clippy::expect_used, reason = "the settings are constants")]
    pub fn new(identity: &str, key: &[u8; 16], now: Instant) -> Self {
        let config = Config::builder()
            .with_crypto_provider(PROVIDER.clone())
            .with_psk_client(identity.as_bytes().to_vec(), Arc::new(Key(*key)))
            .dtls13_cipher_suites(&[])
            .handshake_timeout(HANDSHAKE)
            .build()
            .expect("the settings agree with each other");
        let mut dtls = Dtls::new_12_psk(Arc::new(config), now);
        dtls.set_active(true);
        let (events, timer) = (VecDeque::new(), Some(now));
        Self { dtls, events, timer, connected: false, buffer: vec![0; 2048] }
    }

    /// Takes a datagram from the gateway.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) {
        if self.timer.is_some() {
            let taken =
                self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(datagram));
            self.drain(taken.is_ok());
        }
    }

    /// Sends a message; before the handshake is complete it waits for that.
    pub fn send(&mut self, now: Instant, plaintext: &[u8]) {
        if self.timer.is_some() {
            let sent = self.dtls.handle_timeout(now);
            let sent = sent.and_then(|()| self.dtls.send_application_data(plaintext));
            self.drain(sent.is_ok());
        }
    }

    /// Says good-bye.
    pub fn close(&mut self) {
        if self.timer.is_some() {
            let closed = self.dtls.close();
            self.drain(closed.is_ok());
            self.end();
        }
    }

    /// Does what is due; the first call begins the handshake.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_some() {
            let done = self.dtls.handle_timeout(now);
            self.drain(done.is_ok());
        }
    }

    /// When to call [`DtlsClient::handle_timeout`]; never again after [`Event::Closed`].
    pub const fn next_timeout(&self) -> Option<Instant> {
        self.timer
    }

    /// Whether the handshake is complete and the session not over.
    pub const fn is_connected(&self) -> bool {
        self.connected
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn drain(&mut self, good: bool) {
        if !good {
            return self.end();
        }
        loop {
            match self.dtls.poll_output(&mut self.buffer) {
                Output::Packet(bytes) => self.events.push_back(Event::Send(bytes.to_vec())),
                Output::BufferTooSmall { needed } => self.buffer.resize(needed, 0),
                Output::Timeout(at) => return self.timer = Some(at),
                Output::Connected => {
                    self.connected = true;
                    self.events.push_back(Event::Connected);
                }
                Output::ApplicationData(data) => self.events.push_back(Event::Data(data.to_vec())),
                Output::CloseNotify => return self.end(),
                _ => {}
            }
        }
    }

    fn end(&mut self) {
        (self.timer, self.connected) = (None, false);
        self.events.push_back(Event::Closed);
    }
}
