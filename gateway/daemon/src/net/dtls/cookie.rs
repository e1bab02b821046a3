//! Cookies: proof that a client reads what is sent to its address, without anything remembered (RFC 6347 §4.2.1).
//!
//! Guarantees: a cookie holds for one path and one handshake of the client, and for one to two [`PERIOD`]s; nobody
//! makes one without the secret, which is new in each life of the process. Does not: say who the client is.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::record::{COOKIE_BYTES, Hello};
use crate::net::Path;

/// For how long one key of the cookies is in use.
const PERIOD: Duration = Duration::from_secs(120);

/// Makes and checks cookies.
pub(super) struct Cookies {
    /// The secret, filled up to a block of SHA-256.
    key: Zeroizing<[u8; 64]>,
    begin: Instant,
}

impl Cookies {
    pub(super) fn new(now: Instant, secret: &[u8; 32]) -> Self {
        let mut key = Zeroizing::new([0; 64]);
        key[..32].copy_from_slice(secret);
        Self { key, begin: now }
    }

    /// The cookie for a client at `path`.
    pub(super) fn make(&self, now: Instant, path: Path, hello: &Hello<'_>) -> [u8; COOKIE_BYTES] {
        self.mac(self.period(now), path, hello).finalize().into_bytes().into()
    }

    /// Whether the client returned the cookie that it was sent.
    pub(super) fn check(&self, now: Instant, path: Path, hello: &Hello<'_>) -> bool {
        let period = self.period(now);
        let good = |period| self.mac(period, path, hello).verify_slice(hello.cookie).is_ok();
        hello.cookie.len() == COOKIE_BYTES
            && (good(period) || period.checked_sub(1).is_some_and(good))
    }

    fn period(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.begin).as_secs() / PERIOD.as_secs()
    }

    fn mac(&self, period: u64, path: Path, hello: &Hello<'_>) -> Hmac<Sha256> {
        let mut mac = <Hmac<Sha256> as Mac>::new((&*self.key).into());
        let address = match path.peer.ip() {
            IpAddr::V4(four) => four.to_ipv6_mapped(),
            IpAddr::V6(six) => six,
        };
        mac.update(&period.to_be_bytes());
        mac.update(&address.octets());
        mac.update(&path.peer.port().to_be_bytes());
        mac.update(&hello.random);
        mac
    }
}
