//! A keyed hash for tables whose keys strangers choose: SipHash-1-3.
//!
//! Guarantees: without the key nobody finds keys that collide. Does not: draw a key; it comes from
//! the seed of the endpoint.

use std::hash::{BuildHasher, Hasher};

/// Makes hashers with one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keyed([u64; 2]);

impl Keyed {
    pub(crate) const fn new(key: [u64; 2]) -> Self {
        Self(key)
    }
}

impl BuildHasher for Keyed {
    type Hasher = Sip;

    fn build_hasher(&self) -> Sip {
        let [a, b] = self.0;
        let state = [
            a ^ 0x736f_6d65_7073_6575,
            b ^ 0x646f_7261_6e64_6f6d,
            a ^ 0x6c79_6765_6e65_7261,
            b ^ 0x7465_6462_7974_6573,
        ];
        Sip { state, tail: 0, held: 0, length: 0 }
    }
}

/// The state of one hash.
#[derive(Debug, Clone)]
pub(crate) struct Sip {
    state: [u64; 4],
    /// Bytes that don't fill a word yet, the first lowest.
    tail: u64,
    /// Their number, 0 to 7.
    held: u32,
    length: u8,
}

impl Sip {
    #[inline]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.state = [a, b, c, d];
    }

    #[inline]
    fn word(&mut self, word: u64) {
        self.state[3] ^= word;
        self.round();
        self.state[0] ^= word;
    }

    /// Takes in `count` bytes, 1 to 8, the first lowest.
    #[inline]
    fn few(&mut self, bytes: u64, count: u32) {
        self.length = self.length.wrapping_add(count.to_le_bytes()[0]);
        self.tail |= bytes << (8 * self.held);
        if self.held + count < 8 {
            self.held += count;
            return;
        }
        let word = self.tail;
        self.word(word);
        let used = 8 - self.held;
        self.held = count - used;
        self.tail = if used == 8 { 0 } else { bytes >> (8 * used) };
    }
}

impl Hasher for Sip {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.few(u64::from_le_bytes(*word), 8);
        }
        let tail = rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        if !rest.is_empty() {
            self.few(tail, u32::try_from(rest.len()).unwrap_or(0));
        }
    }

    #[inline]
    fn write_u8(&mut self, byte: u8) {
        self.few(byte.into(), 1);
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.few(number.into(), 2);
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.few(number.into(), 4);
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.few(number, 8);
    }

    #[inline]
    fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.word(last.tail | u64::from(last.length) << 56);
        last.state[2] ^= 0xff;
        for _ in 0..3 {
            last.round();
        }
        last.state.iter().fold(0, |sum, word| sum ^ word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_key_and_bytes_not_on_how_they_are_cut() {
        let bytes: Vec<u8> = (0..29).collect();
        let whole = |key| {
            let mut hasher = Keyed::new(key).build_hasher();
            hasher.write(&bytes);
            hasher.finish()
        };
        let mut cut = Keyed::new([1, 2]).build_hasher();
        for part in [&bytes[..3], &bytes[3..4], &bytes[4..20], &bytes[20..]] {
            cut.write(part);
        }
        assert_eq!(whole([1, 2]), cut.finish());
        assert_ne!(whole([1, 2]), whole([1, 3]));
    }

    #[test]
    fn it_agrees_with_the_published_construction() {
        // SipHash-1-3 of nothing and of 0x00 0x01 0x02 under the key 00 01 … 0f.
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let mut hasher = Keyed::new(key).build_hasher();
        assert_eq!(hasher.finish(), 0xabac_0158_050f_c4dc);
        hasher.write(&[0]);
        assert_eq!(hasher.finish(), 0xc9f4_9bf3_7d57_ca93);
    }
}
