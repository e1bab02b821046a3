//! Options (RFC 7252 §3.1, §5.4, §5.10; RFC 7641, 7959, 7967, 9175).
//!
//! Guarantees: [`Options`] always holds a valid encoding in ascending order; reading it allocates
//! nothing. [`Options::accept`] keeps what this crate knows, drops unknown elective options and
//! refuses unknown critical ones; an option that is too short, too long or repeated without leave
//! counts as unknown. Does not: interpret values beyond their length and UTF-8.

/// If-Match: opaque, repeatable.
pub const IF_MATCH: u16 = 1;
/// Uri-Host
pub const URI_HOST: u16 = 3;
/// ETag: opaque, repeatable in requests.
pub const ETAG: u16 = 4;
/// If-None-Match: empty.
pub const IF_NONE_MATCH: u16 = 5;
/// Observe (RFC 7641): 24 bits.
pub const OBSERVE: u16 = 6;
/// Uri-Port
pub const URI_PORT: u16 = 7;
/// Location-Path, repeatable.
pub const LOCATION_PATH: u16 = 8;
/// Uri-Path, repeatable.
pub const URI_PATH: u16 = 11;
/// Content-Format
pub const CONTENT_FORMAT: u16 = 12;
/// Max-Age: seconds.
pub const MAX_AGE: u16 = 14;
/// Uri-Query, repeatable.
pub const URI_QUERY: u16 = 15;
/// Hop-Limit (RFC 8768); only proxies use it.
pub const HOP_LIMIT: u16 = 16;
/// Accept
pub const ACCEPT: u16 = 17;
/// Location-Query, repeatable.
pub const LOCATION_QUERY: u16 = 20;
/// Block2 (RFC 7959): blocks of a response.
pub const BLOCK2: u16 = 23;
/// Block1 (RFC 7959): blocks of a request.
pub const BLOCK1: u16 = 27;
/// Size2 (RFC 7959): bytes of the whole response.
pub const SIZE2: u16 = 28;
/// Proxy-Uri
pub const PROXY_URI: u16 = 35;
/// Proxy-Scheme
pub const PROXY_SCHEME: u16 = 39;
/// Size1 (RFC 7959): bytes of the whole request.
pub const SIZE1: u16 = 60;
/// Echo (RFC 9175)
pub const ECHO: u16 = 252;
/// No-Response (RFC 7967)
pub const NO_RESPONSE: u16 = 258;
/// Request-Tag (RFC 9175), repeatable.
pub const REQUEST_TAG: u16 = 292;

/// Most options that a message may have; more are a format error.
pub const MAX_OPTIONS: usize = 64;

/// What is known about an option: least and greatest length in bytes, repeatable, text.
const fn known(number: u16) -> Option<(usize, usize, bool, bool)> {
    Some(match number {
        IF_MATCH => (0, 8, true, false),
        URI_HOST => (1, 255, false, true),
        ETAG => (1, 8, true, false),
        IF_NONE_MATCH => (0, 0, false, false),
        OBSERVE | BLOCK1 | BLOCK2 => (0, 3, false, false),
        URI_PORT | CONTENT_FORMAT | ACCEPT => (0, 2, false, false),
        LOCATION_PATH | LOCATION_QUERY | URI_PATH | URI_QUERY => (0, 255, true, true),
        MAX_AGE | SIZE1 | SIZE2 => (0, 4, false, false),
        HOP_LIMIT => (1, 1, false, false),
        PROXY_URI => (1, 1034, false, true),
        PROXY_SCHEME => (1, 255, false, true),
        ECHO => (1, 40, false, false),
        NO_RESPONSE => (0, 1, false, false),
        REQUEST_TAG => (0, 8, true, false),
        _ => return None,
    })
}

/// Whether a receiver that doesn't know this option must refuse the message.
pub const fn is_critical(number: u16) -> bool {
    number & 1 == 1
}

/// Whether the option is part of what a response answers (RFC 7252 §5.4.2): Unsafe or not NoCacheKey.
const fn is_cache_key(number: u16) -> bool {
    number & 0x1e != 0x1c
        && !matches!(number, OBSERVE | BLOCK1 | BLOCK2 | ECHO | NO_RESPONSE | ETAG | IF_MATCH)
}

/// A critical option that can't be understood, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadOption(pub u16);

/// Reads the header of the option at the start: delta, length, what follows the header.
pub(crate) fn header(bytes: &[u8]) -> Option<(u16, usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (delta, rest) = extended(first >> 4, rest)?;
    let (length, rest) = extended(first & 15, rest)?;
    Some((delta, usize::from(length), rest))
}

fn extended(nibble: u8, bytes: &[u8]) -> Option<(u16, &[u8])> {
    match (nibble, bytes) {
        (0..13, _) => Some((u16::from(nibble), bytes)),
        (13, [a, rest @ ..]) => Some((u16::from(*a) + 13, rest)),
        (14, [a, b, rest @ ..]) => Some((u16::from_be_bytes([*a, *b]).checked_add(269)?, rest)),
        _ => None,
    }
}

/// The options at the start of encoded bytes that were checked before.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> Iter<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, number: 0 }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (delta, length, rest) = header(self.rest)?;
        let (value, rest) = rest.split_at_checked(length)?;
        self.number = self.number.checked_add(delta)?;
        self.rest = rest;
        Some((self.number, value))
    }
}

/// Options in ascending order, encoded as on the wire.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Options(Vec<u8>);

impl Options {
    /// No options.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes over the options of a message that was parsed; without those that are unknown and
    /// elective.
    pub fn accept(encoded: &[u8]) -> Result<Self, BadOption> {
        let mut drops = false;
        let mut last = None;
        for (number, value) in Iter::new(encoded) {
            if !is_understood(number, value, last) {
                if is_critical(number) {
                    return Err(BadOption(number));
                }
                drops = true;
            }
            last = Some(number);
        }
        let mut accepted = Self(encoded.to_vec());
        if drops {
            let mut last = None;
            accepted.retain(|number, value| {
                let understood = is_understood(number, value, last);
                last = Some(number);
                understood
            });
        }
        Ok(accepted)
    }

    /// Number and value of each, in ascending order of numbers.
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(&self.0)
    }

    /// The encoding.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes of memory that they take.
    pub(crate) fn size(&self) -> usize {
        self.0.len()
    }

    /// The value of the first option with this number.
    pub fn first(&self, number: u16) -> Option<&[u8]> {
        let mut options = self.iter().skip_while(|(found, _)| *found < number);
        options.next().filter(|(found, _)| *found == number).map(|(_, value)| value)
    }

    /// The values of all options with this number, in order.
    pub fn all(&self, number: u16) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(found, _)| *found == number).map(|(_, value)| value)
    }

    /// The values of all options with this number that are text.
    pub fn texts(&self, number: u16) -> impl Iterator<Item = &str> {
        self.all(number).filter_map(|value| std::str::from_utf8(value).ok())
    }

    /// The first option with this number, as an unsigned integer (RFC 7252 §3.2).
    pub fn uint(&self, number: u16) -> Option<u32> {
        self.first(number).and_then(uint)
    }

    /// Adds an option behind those with the same or a smaller number. A value longer than 65,804
    /// bytes, which no option can hold, is cut there.
    pub fn insert(&mut self, number: u16, value: &[u8]) {
        let mut behind = Iter::new(&self.0);
        let mut place = behind.clone();
        while let Some((found, _)) = behind.next() {
            if found > number {
                break;
            }
            place = behind.clone();
        }
        let tail = place.rest.to_vec();
        let (kept, before) = (self.0.len() - tail.len(), place.number);
        self.0.truncate(kept);
        encode(&mut self.0, number - before, value);
        let mut previous = number;
        let rest = Iter { rest: &tail, number: before };
        for (next, value) in rest {
            encode(&mut self.0, next - previous, value);
            previous = next;
        }
    }

    /// Adds an option with an unsigned integer, in as few bytes as possible.
    pub fn insert_uint(&mut self, number: u16, value: u32) {
        let bytes = value.to_be_bytes();
        self.insert(number, trimmed(&bytes));
    }

    /// Removes all options with this number.
    pub fn remove(&mut self, number: u16) {
        if self.first(number).is_some() {
            self.retain(|found, _| found != number);
        }
    }

    /// Keeps the options for which `keep` says so, asked in order.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(u16, &[u8]) -> bool) {
        let mut kept = Vec::with_capacity(self.0.len());
        let mut last = 0;
        for (number, value) in self.iter() {
            if keep(number, value) {
                encode(&mut kept, number - last, value);
                last = number;
            }
        }
        self.0 = kept;
    }

    /// Replaces all options with this number by one.
    pub fn set_uint(&mut self, number: u16, value: u32) {
        self.remove(number);
        self.insert_uint(number, value);
    }

    /// Feeds the options that tell one representation from another (the cache key, RFC 7252 §5.6).
    pub(crate) fn cache_key(&self, mut feed: impl FnMut(u16, &[u8])) {
        for (number, value) in self.iter().filter(|(number, _)| is_cache_key(*number)) {
            feed(number, value);
        }
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

fn is_understood(number: u16, value: &[u8], last: Option<u16>) -> bool {
    known(number).is_some_and(|(least, greatest, repeatable, text)| {
        (least..=greatest).contains(&value.len())
            && (repeatable || last != Some(number))
            && (!text || value.is_ascii() || std::str::from_utf8(value).is_ok())
    })
}

/// An unsigned integer of at most four bytes, leading zeros allowed (RFC 7252 §3.2).
pub(crate) fn uint(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// Without leading zero bytes.
pub(crate) fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// Writes one option whose number is greater by `delta` than that of the last.
pub(crate) fn encode(out: &mut Vec<u8>, delta: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let value = &value[..usize::from(length)];
    let ((high, high_bytes), (low, low_bytes)) = (nibble(delta), nibble(length));
    out.push(high << 4 | low);
    out.extend_from_slice(&high_bytes[2 - extension(high)..]);
    out.extend_from_slice(&low_bytes[2 - extension(low)..]);
    out.extend_from_slice(value);
}

/// The nibble of a delta or length, and its extension in the last bytes.
const fn nibble(value: u16) -> (u8, [u8; 2]) {
    match value {
        0..13 => (value.to_be_bytes()[1], [0; 2]),
        13..269 => (13, (value - 13).to_be_bytes()),
        _ => (14, (value - 269).to_be_bytes()),
    }
}

const fn extension(nibble: u8) -> usize {
    match nibble {
        13 => 1,
        14 => 2,
        _ => 0,
    }
}
