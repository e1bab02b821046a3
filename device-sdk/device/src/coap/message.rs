//! CoAP messages on byte slices (RFC 7252 §3).
//!
//! Guarantees: a message is checked as a whole before any part of it is given out. Does not: know
//! what an option means.

use core::fmt;

use crate::Error;

/// Option numbers that are used here.
pub mod number {
    /// Uri-Host.
    pub const URI_HOST: u16 = 3;
    /// ETag.
    pub const ETAG: u16 = 4;
    /// Observe (RFC 7641).
    pub const OBSERVE: u16 = 6;
    /// Uri-Port.
    pub const URI_PORT: u16 = 7;
    /// Location-Path.
    pub const LOCATION_PATH: u16 = 8;
    /// Uri-Path.
    pub const URI_PATH: u16 = 11;
    /// Content-Format.
    pub const CONTENT_FORMAT: u16 = 12;
    /// Max-Age, in seconds.
    pub const MAX_AGE: u16 = 14;
    /// Uri-Query.
    pub const URI_QUERY: u16 = 15;
    /// Accept.
    pub const ACCEPT: u16 = 17;
    /// Block2 (RFC 7959).
    pub const BLOCK2: u16 = 23;
    /// Block1 (RFC 7959).
    pub const BLOCK1: u16 = 27;
    /// Size2 (RFC 7959).
    pub const SIZE2: u16 = 28;
    /// Size1 (RFC 7959).
    pub const SIZE1: u16 = 60;
    /// Echo (RFC 9175).
    pub const ECHO: u16 = 252;
}

/// The type of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Acknowledgement.
    Ack,
    /// Confirmable.
    Con,
    /// Non-confirmable.
    Non,
    /// Reset.
    Rst,
}

/// A method or a response code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code(pub u8);

impl Code {
    /// No request, no response.
    pub const EMPTY: Self = Self(0);
    /// 0.01
    pub const GET: Self = Self(1);
    /// 0.02
    pub const POST: Self = Self(2);
    /// 0.03
    pub const PUT: Self = Self(3);
    /// 0.04
    pub const DELETE: Self = Self(4);
    /// 2.01
    pub const CREATED: Self = Self::new(2, 1);
    /// 2.04
    pub const CHANGED: Self = Self::new(2, 4);
    /// 2.05
    pub const CONTENT: Self = Self::new(2, 5);
    /// 2.31
    pub const CONTINUE: Self = Self::new(2, 31);
    /// 4.00
    pub const BAD_REQUEST: Self = Self::new(4, 0);
    /// 4.01
    pub const UNAUTHORIZED: Self = Self::new(4, 1);
    /// 4.02
    pub const BAD_OPTION: Self = Self::new(4, 2);
    /// 4.03
    pub const FORBIDDEN: Self = Self::new(4, 3);
    /// 4.04
    pub const NOT_FOUND: Self = Self::new(4, 4);
    /// 4.05
    pub const METHOD_NOT_ALLOWED: Self = Self::new(4, 5);
    /// 4.06
    pub const NOT_ACCEPTABLE: Self = Self::new(4, 6);
    /// 4.08
    pub const INCOMPLETE: Self = Self::new(4, 8);
    /// 4.12
    pub const PRECONDITION_FAILED: Self = Self::new(4, 12);
    /// 4.13
    pub const TOO_LARGE: Self = Self::new(4, 13);
    /// 4.29 (RFC 8516)
    pub const TOO_MANY_REQUESTS: Self = Self::new(4, 29);
    /// 5.03
    pub const UNAVAILABLE: Self = Self::new(5, 3);

    const fn new(class: u8, detail: u8) -> Self {
        Self(class << 5 | detail)
    }

    /// 0 for requests; 2, 4 and 5 for responses.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// Whether it is a response.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }
}

/// As in the RFCs: `4.04`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.0 & 31)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What ties a response to its request: up to 8 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Token {
    bytes: [u8; 8],
    len: u8,
}

impl Token {
    /// `None` for more than 8 bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut token = Self { bytes: [0; 8], len: u8::try_from(bytes.len()).ok()? };
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(token)
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

/// A checked message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The type.
    pub kind: Kind,
    /// Method or response code.
    pub code: Code,
    /// The message id.
    pub id: u16,
    /// The token.
    pub token: Token,
    options: &'a [u8],
    /// The payload; empty if there is none.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (kind, id) = Self::header(bytes).ok_or(Error::Coap("no header of version 1"))?;
        let (header, rest) = bytes.split_at_checked(4).ok_or(Error::Coap("no header"))?;
        let code = Code(header[1]);
        let (token, rest) = rest
            .split_at_checked(usize::from(header[0] & 15))
            .ok_or(Error::Coap("the token is cut"))?;
        let token = Token::new(token).ok_or(Error::Coap("a token of more than 8 bytes"))?;
        if code == Code::EMPTY && bytes.len() != 4 {
            return Err(Error::Coap("an empty message with something behind its header"));
        }
        if matches!(code.class(), 1 | 3 | 6 | 7) {
            return Err(Error::Coap("a reserved class of codes"));
        }
        let payload = split_options(rest)?;
        let options = rest.get(..rest.len() - payload.map_or(0, |payload| payload.len() + 1));
        let options = options.unwrap_or_default();
        Ok(Self { kind, code, id, token, options, payload: payload.unwrap_or_default() })
    }

    /// Type and message id of what may be a message: enough to reject it (RFC 7252 §4.2).
    pub fn header(bytes: &[u8]) -> Option<(Kind, u16)> {
        let header = bytes.first_chunk::<4>()?;
        let kind = match header[0] >> 4 {
            4 => Kind::Con,
            5 => Kind::Non,
            6 => Kind::Ack,
            7 => Kind::Rst,
            _ => return None,
        };
        Some((kind, u16::from_be_bytes([header[2], header[3]])))
    }

    /// The options in their order.
    pub const fn options(&self) -> Options<'a> {
        Options { rest: self.options, number: 0 }
    }

    /// The first option with this number.
    pub fn option(&self, number: u16) -> Option<&'a [u8]> {
        self.options().find(|(found, _)| *found == number).map(|(_, value)| value)
    }

    /// An option that is a number; `None` if it is not there or has more than 4 bytes.
    pub fn uint(&self, number: u16) -> Option<u32> {
        let value = self.option(number).filter(|value| value.len() <= 4)?;
        Some(value.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }
}

/// The options of a message: number and value.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
    number: u16,
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let (delta, value, rest) = split_option(self.rest).ok().flatten()?;
        self.number = self.number.checked_add(delta)?;
        self.rest = rest;
        Some((self.number, value))
    }
}

/// Checks the options; gives what stands behind the payload marker.
fn split_options(mut rest: &[u8]) -> Result<Option<&[u8]>, Error> {
    let mut number = 0_u16;
    while let Some((delta, _, behind)) = split_option(rest)? {
        number = number.checked_add(delta).ok_or(Error::Coap("an option number above 65535"))?;
        rest = behind;
    }
    match rest.split_first() {
        None => Ok(None),
        Some((_, [])) => Err(Error::Coap("a payload marker without payload")),
        Some((_, payload)) => Ok(Some(payload)),
    }
}

type Split<'a> = Option<(u16, &'a [u8], &'a [u8])>;

/// Number delta, value and what follows; `None` at the end or at the payload marker.
fn split_option(bytes: &[u8]) -> Result<Split<'_>, Error> {
    let Some((&first, rest)) = bytes.split_first().filter(|(first, _)| **first != 0xff) else {
        return Ok(None);
    };
    let (delta, rest) = extended(first >> 4, rest)?;
    let (length, rest) = extended(first & 15, rest)?;
    let parts = rest.split_at_checked(length.into());
    let (value, rest) = parts.ok_or(Error::Coap("an option is cut"))?;
    Ok(Some((delta, value, rest)))
}

fn extended(nibble: u8, rest: &[u8]) -> Result<(u16, &[u8]), Error> {
    let cut = Error::Coap("an option is cut");
    match nibble {
        0..13 => Ok((nibble.into(), rest)),
        13 => {
            let (byte, rest) = rest.split_first().ok_or(cut)?;
            Ok((u16::from(*byte) + 13, rest))
        }
        14 => {
            let (bytes, rest) = rest.split_first_chunk().ok_or(cut)?;
            let number = u16::from_be_bytes(*bytes).checked_add(269);
            Ok((number.ok_or(Error::Coap("an option number above 65535"))?, rest))
        }
        _ => Err(Error::Coap("an option with a reserved length or delta")),
    }
}

/// Writes a message into a buffer.
///
/// Once something does not fit, or an option comes out of order, [`Writer::finish`] says so.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    at: usize,
    number: u16,
    fits: bool,
}

impl<'b> Writer<'b> {
    /// Begins with header and token.
    pub fn new(buffer: &'b mut [u8], kind: Kind, code: Code, id: u16, token: Token) -> Self {
        let mut writer = Self { buffer, at: 0, number: 0, fits: true };
        let kind = match kind {
            Kind::Con => 0x40,
            Kind::Non => 0x50,
            Kind::Ack => 0x60,
            Kind::Rst => 0x70,
        };
        let [high, low] = id.to_be_bytes();
        writer.put(&[kind | token.len, code.0, high, low]);
        writer.put(token.as_slice());
        writer
    }

    /// Appends an option; numbers ascend.
    pub fn option(&mut self, number: u16, value: &[u8]) -> &mut Self {
        let Some(delta) = number.checked_sub(self.number) else {
            self.fits = false;
            return self;
        };
        self.number = number;
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let ((high, delta, deltas), (low, length, lengths)) = (nibble(delta), nibble(length));
        self.put(&[high << 4 | low]);
        self.put(delta.get(..deltas).unwrap_or_default());
        self.put(length.get(..lengths).unwrap_or_default());
        self.put(value);
        self
    }

    /// Appends an option that is a number, in its shortest form (RFC 7252 §3.2).
    pub fn uint(&mut self, number: u16, value: u32) -> &mut Self {
        let bytes = value.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        self.option(number, bytes.get(zeros..).unwrap_or_default())
    }

    /// Appends the payload: `fill` gets at most `limit` bytes of room and says how many it used.
    pub fn payload_with(&mut self, limit: usize, fill: impl FnOnce(&mut [u8]) -> usize) {
        let start = self.at.saturating_add(1);
        let Some(room) = self.buffer.get_mut(start..start.saturating_add(limit)) else {
            self.fits = false;
            return;
        };
        let length = fill(room).min(room.len());
        if length > 0 {
            self.put(&[0xff]);
            self.at = self.at.saturating_add(length);
        }
    }

    /// Appends the payload.
    pub fn payload(&mut self, payload: &[u8]) -> &mut Self {
        if !payload.is_empty() {
            self.put(&[0xff]);
            self.put(payload);
        }
        self
    }

    /// How many bytes the message has.
    pub const fn finish(&self) -> Result<usize, Error> {
        if self.fits { Ok(self.at) } else { Err(Error::BufferFull) }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        match self.buffer.get_mut(self.at..end) {
            Some(place) if self.fits => {
                place.copy_from_slice(bytes);
                self.at = end;
            }
            _ => self.fits = false,
        }
    }
}

/// The nibble of a delta or length, and its extension with the number of bytes of it.
fn nibble(value: u16) -> (u8, [u8; 2], usize) {
    match value {
        0..13 => (u8::try_from(value).unwrap_or_default(), [0; 2], 0),
        13..269 => (13, [u8::try_from(value - 13).unwrap_or_default(), 0], 1),
        _ => (14, (value - 269).to_be_bytes(), 2),
    }
}
