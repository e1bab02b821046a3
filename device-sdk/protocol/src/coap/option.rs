//! Options (RFC 7252 §3.1, §5.10; RFC 7641, 7959, 7967, 8768, 9175): their numbers and encoding.
//!
//! Guarantees: nothing is read beyond the end, no number is above 65,535; an encoding is the
//! shortest there is. Does not: interpret values, or know which options a receiver understands.

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

/// Whether a receiver that doesn't know this option must refuse the message.
pub const fn is_critical(number: u16) -> bool {
    number & 1 == 1
}

/// An unsigned integer of at most four bytes, leading zeros allowed (RFC 7252 §3.2).
#[inline]
pub fn uint(value: &[u8]) -> Option<u32> {
    (value.len() <= 4).then(|| value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
}

/// Without leading zero bytes, as an unsigned integer is written (RFC 7252 §3.2).
#[inline]
pub fn trimmed(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(zeros..).unwrap_or_default()
}

/// Options as on the wire, one after the other: number and value. It ends where they do, and where
/// they aren't well-formed.
#[derive(Debug, Clone)]
pub struct Iter<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> Iter<'a> {
    /// The options that these bytes encode.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, number: 0 }
    }

    /// The encoding of those that are left.
    #[inline]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (delta, value, rest) = split(self.rest)?;
        self.number = self.number.checked_add(delta)?;
        self.rest = rest;
        Some((self.number, value))
    }
}

/// The option at the start: delta of its number, value, what follows.
#[inline]
pub(super) fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (delta, rest) = extended(first >> 4, rest)?;
    let (length, rest) = extended(first & 15, rest)?;
    let (value, rest) = rest.split_at_checked(usize::from(length))?;
    Some((delta, value, rest))
}

#[inline]
fn extended(nibble: u8, bytes: &[u8]) -> Option<(u16, &[u8])> {
    match (nibble, bytes) {
        (0..13, _) => Some((u16::from(nibble), bytes)),
        (13, [a, rest @ ..]) => Some((u16::from(*a) + 13, rest)),
        (14, [a, b, rest @ ..]) => Some((u16::from_be_bytes([*a, *b]).checked_add(269)?, rest)),
        _ => None,
    }
}

/// What stands before the value of an option: delta of its number and length, in up to five bytes.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    bytes: [u8; 5],
    length: usize,
}

impl Header {
    /// The header of an option whose number is greater by `delta` than that of the last, and whose
    /// value has `length` bytes.
    #[inline]
    pub const fn new(delta: u16, length: u16) -> Self {
        let ((high, [a, b], deltas), (low, [c, d], lengths)) = (nibble(delta), nibble(length));
        let first = high << 4 | low;
        let bytes = match deltas {
            0 => [first, c, d, 0, 0],
            1 => [first, a, c, d, 0],
            _ => [first, a, b, c, d],
        };
        Self { bytes, length: 1 + deltas + lengths }
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The nibble of a delta or length, and its extension with the number of bytes of it.
const fn nibble(value: u16) -> (u8, [u8; 2], usize) {
    match value {
        0..13 => (value.to_be_bytes()[1], [0; 2], 0),
        13..269 => (13, [(value - 13).to_be_bytes()[1], 0], 1),
        _ => (14, (value - 269).to_be_bytes(), 2),
    }
}
