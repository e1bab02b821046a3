//! One session of `dimpl`, begun at the second ClientHello.
//!
//! `dimpl` makes and checks a cookie of its own, with a secret that belongs to the session; that would take a session per
//! spoofed ClientHello. Here the first ClientHello is answered without a session ([`super::cookie`]), and the session
//! begins with the second: it is fed the first one again, whose answer is thrown away, and then the second one, whose
//! cookie it recognises because the HMAC that it asks for is answered with that cookie. Only that one HMAC is: over the
//! client's random number, which no key derivation asks for.
//!
//! Guarantees: `dimpl` sees no datagram that [`super::record::kind`] refuses; sequence numbers go on where the client's
//! are (RFC 6347 §4.2.1). Does not: wipe what `dimpl` copies of a key.

use std::{
    cell::Cell,
    fmt,
    sync::{Arc, LazyLock, Mutex, PoisonError, RwLock},
    time::Instant,
};

use dimpl::{
    Config, CryptoError, Dtls, HashAlgorithm, PskResolver,
    crypto::{
        CryptoProvider, Dtls12CipherSuite, HmacProvider, SupportedDtls12CipherSuite, rust_crypto,
    },
};

use super::{
    Settings,
    record::{self, COOKIE_BYTES, Hello, RANDOM_BYTES},
};
use crate::net::psk::{Enrolled, Identity};

/// Most datagrams of a handshake that wait for an earlier one.
const MAX_WAITING: usize = 8;

/// The one cipher suite that is spoken; `dimpl` tests all that it is given when it starts.
static SUITES: LazyLock<Vec<&'static dyn SupportedDtls12CipherSuite>> = LazyLock::new(|| {
    let all = rust_crypto::default_provider().cipher_suites.iter().copied();
    all.filter(|suite| suite.suite() == Dtls12CipherSuite::PSK_AES128_CCM_8).collect()
});

static PROVIDER: LazyLock<CryptoProvider> = LazyLock::new(|| CryptoProvider {
    cipher_suites: &SUITES,
    kx_groups: &[],
    hmac_provider: &CookieHmac,
    ..rust_crypto::default_provider()
});

/// What every session shares: the settings, and who is enrolled.
pub(super) struct Common {
    config: Arc<Config>,
    keys: Arc<Keys>,
}

impl Common {
    pub(super) fn new(settings: &Settings, enrolled: Enrolled) -> Result<Self, dimpl::Error> {
        let keys = Arc::new(Keys { enrolled: RwLock::new(enrolled), asked: Mutex::new(None) });
        let config = Config::builder()
            .with_crypto_provider(PROVIDER.clone())
            .with_psk_server(None, Arc::clone(&keys) as Arc<dyn PskResolver>)
            .dtls13_cipher_suites(&[])
            .mtu(settings.mtu)
            .max_queue_rx(MAX_WAITING)
            .flight_start_rto(settings.retransmit)
            .handshake_timeout(settings.handshake)
            .build()?;
        Ok(Self { config: Arc::new(config), keys })
    }

    /// The enrolled device that was named since the last call.
    pub(super) fn asked(&self) -> Option<Identity> {
        self.keys.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Changes who is enrolled and returns who was.
    pub(super) fn enrol(&self, enrolled: Enrolled) -> Enrolled {
        let mut now = self.keys.enrolled.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut now, enrolled)
    }
}

/// Who is enrolled, and whom the handshake asked for.
struct Keys {
    enrolled: RwLock<Enrolled>,
    asked: Mutex<Option<Identity>>,
}

impl PskResolver for Keys {
    fn resolve(&self, identity: &[u8]) -> Option<Vec<u8>> {
        let enrolled = self.enrolled.read().unwrap_or_else(PoisonError::into_inner);
        let (identity, key) = enrolled.find(identity)?;
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity.clone());
        Some(key.expose().to_vec())
    }
}

thread_local! {
    /// The client's random number and the cookie that stands for it, while a session is begun.
    static ACCEPTED: Cell<Option<([u8; RANDOM_BYTES], [u8; COOKIE_BYTES])>> = const { Cell::new(None) };
}

/// HMAC, which also says what the cookie of a client is that returned the right one.
struct CookieHmac;

impl HmacProvider for CookieHmac {
    fn hmac(
        &self,
        hash: HashAlgorithm,
        key: &[u8],
        data: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CryptoError> {
        match (ACCEPTED.get(), out.first_chunk_mut()) {
            (Some((random, cookie)), Some(out)) if data == random => {
                *out = cookie;
                Ok(COOKIE_BYTES)
            }
            _ => rust_crypto::default_provider().hmac_provider.hmac(hash, key, data, out),
        }
    }
}

impl fmt::Debug for CookieHmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieHmac")
    }
}

/// What a session wants done.
pub(super) enum Step {
    /// Send this.
    Send(Vec<u8>),
    /// The handshake is complete.
    Connected,
    /// Hand this up.
    Data(Vec<u8>),
    /// The peer said good-bye.
    CloseNotify,
    /// Nothing before this time.
    Wait(Instant),
}

/// One side of a session.
pub(super) struct Link {
    dtls: Dtls,
    /// What is added to the numbers of plaintext records.
    shift: u64,
    /// Number of the next plaintext record.
    next: u64,
}

impl Link {
    /// Begins with a ClientHello whose cookie was checked. An error means that the client wants what there is not.
    pub(super) fn accept(
        common: &Common,
        now: Instant,
        hello: &Hello<'_>,
        buffer: &mut Vec<u8>,
    ) -> (Self, Result<(), dimpl::Error>) {
        let dtls = Dtls::new_12_psk(Arc::clone(&common.config), now);
        let shift = hello.sequence.wrapping_sub(u64::from(hello.message));
        let mut link = Self { dtls, shift, next: hello.sequence };
        let cookie = hello.cookie.try_into().unwrap_or_default();
        ACCEPTED.set(Some((hello.random, cookie)));
        let begun = link.begin(now, hello, buffer);
        ACCEPTED.set(None);
        (link, begun)
    }

    fn begin(
        &mut self,
        now: Instant,
        hello: &Hello<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<(), dimpl::Error> {
        self.dtls.handle_timeout(now)?;
        for message in 0..hello.message {
            self.dtls.handle_packet(&hello.without_cookie(message))?;
            while !matches!(self.poll(buffer), Step::Wait(_)) {}
        }
        self.dtls.handle_packet(hello.record)
    }

    pub(super) fn receive(&mut self, now: Instant, datagram: &[u8]) -> Result<(), dimpl::Error> {
        self.dtls.handle_timeout(now)?;
        self.dtls.handle_packet(datagram)
    }

    pub(super) fn send(&mut self, plaintext: &[u8]) -> Result<(), dimpl::Error> {
        self.dtls.send_application_data(plaintext).map(|_| ())
    }

    pub(super) fn close(&mut self) -> Result<(), dimpl::Error> {
        self.dtls.close()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), dimpl::Error> {
        self.dtls.handle_timeout(now)
    }

    /// Tells the client that the handshake failed, unprotected.
    pub(super) fn failure(&self) -> Vec<u8> {
        record::handshake_failure(self.next)
    }

    /// The next thing to do; the buffer is only for the time of the call.
    pub(super) fn poll(&mut self, buffer: &mut Vec<u8>) -> Step {
        loop {
            match self.dtls.poll_output(buffer) {
                dimpl::Output::Packet(bytes) => {
                    let mut bytes = bytes.to_vec();
                    if let Some(last) = record::renumber(&mut bytes, self.shift) {
                        self.next = last.wrapping_add(1);
                    }
                    return Step::Send(bytes);
                }
                dimpl::Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                dimpl::Output::Timeout(at) => return Step::Wait(at),
                dimpl::Output::Connected => return Step::Connected,
                dimpl::Output::ApplicationData(data) => return Step::Data(data.to_vec()),
                dimpl::Output::CloseNotify => return Step::CloseNotify,
                _ => {}
            }
        }
    }
}
