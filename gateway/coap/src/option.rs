//! Options (RFC 7252 §3.1, §5.4, §5.10; RFC 7641, 7959, 7967, 9175).
//!
//! Guarantees: [`Options`] always holds a valid encoding in ascending order; reading it allocates
//! nothing. [`Options::accept`] keeps what this crate knows, drops unknown elective options and
//! refuses unknown critical ones; an option that is too short, too long or repeated without leave
//! counts as unknown. Does not: interpret values beyond their length and UTF-8.

pub use sluicegate_protocol::coap::option::*;

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

/// Whether the option is part of what a response answers (RFC 7252 §5.4.2): Unsafe or not NoCacheKey.
const fn is_cache_key(number: u16) -> bool {
    number & 0x1e != 0x1c
        && !matches!(number, OBSERVE | BLOCK1 | BLOCK2 | ECHO | NO_RESPONSE | ETAG | IF_MATCH)
}

/// A critical option that can't be understood, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadOption(pub u16);

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

    /// Adds an option behind those with the same or a smaller number. A value longer than 65,535
    /// bytes is cut there.
    pub fn insert(&mut self, number: u16, value: &[u8]) {
        let (mut before, mut place) = (0, self.iter());
        let mut behind = place.clone();
        while let Some((found, _)) = behind.next().filter(|(found, _)| *found <= number) {
            (before, place) = (found, behind.clone());
        }
        let kept = self.0.len() - place.as_bytes().len();
        let mut tail = Vec::new();
        if let Some((next, value)) = place.next() {
            encode(&mut tail, next - number, value);
            tail.extend_from_slice(place.as_bytes());
        }
        self.0.truncate(kept);
        encode(&mut self.0, number - before, value);
        self.0.append(&mut tail);
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

/// Writes one option whose number is greater by `delta` than that of the last.
pub(crate) fn encode(out: &mut Vec<u8>, delta: u16, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    let value = &value[..usize::from(length)];
    out.extend_from_slice(Header::new(delta, length).as_bytes());
    out.extend_from_slice(value);
}
