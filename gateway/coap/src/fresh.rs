//! Random numbers from the seed, and Echo values (RFC 9175 §2).
//!
//! Guarantees: numbers are HMAC-SHA-256 of a counter under the seed, so nobody guesses a token; an
//! Echo value is 4 bytes of time and 8 bytes of HMAC over time and peer, so nothing is stored for
//! the peer that has to prove its address. Does not: survive a restart; an older value is then
//! stale, and the peer gets a new one.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of an Echo value.
pub(crate) const ECHO_LENGTH: usize = 12;

/// Keys and the stream of random numbers.
#[derive(Debug)]
pub(crate) struct Fresh {
    key: Hmac<Sha256>,
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Fresh {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        // HMAC takes keys of every length.
        let key = Hmac::new_from_slice(&seed).unwrap_or_else(|_| Hmac::new(&[0; 64].into()));
        Self { key, counter: 0, block: [0; 32], used: 32 }
    }

    /// Eight random bytes.
    pub(crate) fn bytes(&mut self) -> [u8; 8] {
        if self.used == 32 {
            self.block = self.mac(b'r', &self.counter.to_be_bytes());
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let (chunks, _) = self.block.as_chunks::<8>();
        let bytes = chunks[self.used / 8];
        self.used += 8;
        bytes
    }

    /// A random number.
    pub(crate) fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// A random time between `time` and one and a half times as much.
    pub(crate) fn jitter(&mut self, time: u64) -> u64 {
        time.saturating_add(self.number() % (time / 2).saturating_add(1))
    }

    /// An Echo value for this peer at this time.
    pub(crate) fn echo(&self, now: u64, peer: u64) -> [u8; ECHO_LENGTH] {
        let [.., a, b, c, d] = (now / 1000).to_be_bytes();
        let mut value = [0; ECHO_LENGTH];
        value[..4].copy_from_slice(&[a, b, c, d]);
        let mac = self.mac(b'e', &[&value[..4], &peer.to_be_bytes()].concat());
        value[4..].copy_from_slice(&mac[..8]);
        value
    }

    /// Whether this is an Echo value that this peer got at most `lifetime` ms ago.
    pub(crate) fn is_fresh(&self, now: u64, peer: u64, value: &[u8], lifetime: u64) -> bool {
        let Some((&[a, b, c, d], _)) = value.split_first_chunk::<4>() else { return false };
        let second = u64::from(u32::from_be_bytes([a, b, c, d]));
        let age = (now / 1000 % (1 << 32)).checked_sub(second);
        let same = || {
            let own = self.echo(second * 1000, peer);
            own.len() == value.len()
                && own.iter().zip(value).fold(0, |differ, (a, b)| differ | a ^ b) == 0
        };
        age.is_some_and(|age| age <= lifetime / 1000) && same()
    }

    fn mac(&self, what: u8, bytes: &[u8]) -> [u8; 32] {
        let mut mac = self.key.clone();
        mac.update(&[what]);
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_value_is_for_one_peer_and_a_while() {
        let fresh = Fresh::new([1; 32]);
        let value = fresh.echo(5_000, 7);
        assert!(fresh.is_fresh(5_000, 7, &value, 60_000));
        assert!(fresh.is_fresh(65_000, 7, &value, 60_000));
        assert!(!fresh.is_fresh(66_000, 7, &value, 60_000));
        assert!(!fresh.is_fresh(4_000, 7, &value, 60_000));
        assert!(!fresh.is_fresh(5_000, 8, &value, 60_000));
        assert!(!Fresh::new([2; 32]).is_fresh(5_000, 7, &value, 60_000));
        assert!(!fresh.is_fresh(5_000, 7, &value[..11], 60_000));
    }

    #[test]
    fn random_numbers_follow_from_the_seed() {
        let mut fresh = Fresh::new([1; 32]);
        let numbers: Vec<_> = (0..9).map(|_| fresh.number()).collect();
        let mut again = Fresh::new([1; 32]);
        assert!(numbers.iter().all(|number| *number == again.number()));
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), numbers.len());
        assert!((0..99).all(|_| (2_000..=3_000).contains(&fresh.jitter(2_000))));
    }
}
