//! The message format (RFC 7252 §3), read strictly and without allocation.
//!
//! Guarantees: [`Message::parse`] accepts exactly the well-formed messages: version 1, a token of at
//! most 8 bytes, options inside of the datagram with numbers up to 65,535, a payload marker only
//! before a payload, an Empty message of exactly four bytes, no reserved code class. Does not:
//! judge options ([`option::Options::accept`] does) or decide what is sent back.

use crate::{Code, option};

/// The four types of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Confirmable.
    Con,
    /// Non-confirmable.
    Non,
    /// Acknowledgement.
    Ack,
    /// Reset.
    Rst,
}

impl Kind {
    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Con,
            1 => Self::Non,
            2 => Self::Ack,
            _ => Self::Rst,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Con => 0,
            Self::Non => 1,
            Self::Ack => 2,
            Self::Rst => 3,
        }
    }
}

/// A token of 0 to 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Token {
    length: u8,
    bytes: [u8; 8],
}

impl Token {
    /// A token of these bytes; none if there are more than 8.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut token = Self { length: u8::try_from(bytes.len()).ok()?, bytes: [0; 8] };
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(token)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02x?}", self.as_bytes())
    }
}

/// Why a datagram is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Too short for a header, or of another version: silently ignored (RFC 7252 §3).
    Foreign,
    /// A format error: rejected (RFC 7252 §4.2, §4.3).
    Format {
        /// The type that the sender gave.
        kind: Kind,
        /// The message ID that the sender gave.
        id: u16,
    },
}

/// A message, its parts borrowed from the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its type.
    pub kind: Kind,
    /// Its code.
    pub code: Code,
    /// Its message ID.
    pub id: u16,
    /// Its token.
    pub token: Token,
    /// Its options, as on the wire.
    pub options: &'a [u8],
    /// Its payload.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let [first, code, high, low, rest @ ..] = datagram else {
            return Err(Malformed::Foreign);
        };
        if first >> 6 != 1 {
            return Err(Malformed::Foreign);
        }
        let (kind, id) = (Kind::from_bits(first >> 4), u16::from_be_bytes([*high, *low]));
        let message = Self::body(kind, Code(*code), id, usize::from(first & 15), rest);
        message.ok_or(Malformed::Format { kind, id })
    }

    fn body(kind: Kind, code: Code, id: u16, token: usize, rest: &'a [u8]) -> Option<Self> {
        let (token, rest) = rest.split_at_checked(token)?;
        let token = Token::new(token)?;
        let (options, payload) = split_options(rest)?;
        let empty = token.length == 0 && rest.is_empty();
        let fits = if code == Code::EMPTY { empty } else { !code.is_reserved() };
        fits.then_some(Self { kind, code, id, token, options, payload })
    }

    /// The options.
    pub fn options(&self) -> option::Iter<'a> {
        option::Iter::new(self.options)
    }
}

/// Divides what follows the token into options and payload, and checks both.
fn split_options(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut rest, mut number) = (bytes, 0u16);
    for _ in 0..=option::MAX_OPTIONS {
        match rest {
            [] => return Some((bytes, &[])),
            [0xff] => return None,
            [0xff, payload @ ..] => return Some((&bytes[..bytes.len() - rest.len()], payload)),
            _ => {
                let (delta, length, after) = option::header(rest)?;
                number = number.checked_add(delta)?;
                rest = after.get(length..)?;
            }
        }
    }
    None
}

/// An Empty message: acknowledgement, reset or ping.
pub fn empty(kind: Kind, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40 | kind.bits() << 4, 0, high, low]
}

/// Writes messages: header and token first, then options in ascending order, then the payload.
#[derive(Debug)]
pub struct Writer {
    out: Vec<u8>,
    number: u16,
}

impl Writer {
    /// Begins a message; `capacity` is a guess of the bytes that options and payload take.
    pub fn new(kind: Kind, code: Code, id: u16, token: Token, capacity: usize) -> Self {
        let mut out = Vec::with_capacity(capacity + 16);
        let [high, low] = id.to_be_bytes();
        out.extend_from_slice(&[0x40 | kind.bits() << 4 | token.length, code.0, high, low]);
        out.extend_from_slice(token.as_bytes());
        Self { out, number: 0 }
    }

    /// Adds an option; its number is not smaller than that of the last one.
    pub fn option(&mut self, number: u16, value: &[u8]) {
        option::encode(&mut self.out, number.saturating_sub(self.number), value);
        self.number = self.number.max(number);
    }

    /// Adds the options of both, which are each in ascending order, in ascending order.
    pub fn merge<'b>(
        &mut self,
        options: impl Iterator<Item = (u16, &'b [u8])>,
        extra: &[(u16, u32)],
    ) {
        let mut extra = extra.iter().peekable();
        for (number, value) in options {
            while let Some((before, integer)) = extra.next_if(|(before, _)| *before < number) {
                self.option(*before, option::trimmed(&integer.to_be_bytes()));
            }
            self.option(number, value);
        }
        for (number, integer) in extra {
            self.option(*number, option::trimmed(&integer.to_be_bytes()));
        }
    }

    /// Adds the payload, if it isn't empty, and ends the message.
    pub fn payload(mut self, payload: &[u8]) -> Vec<u8> {
        if !payload.is_empty() {
            self.out.reserve(payload.len() + 1);
            self.out.push(0xff);
            self.out.extend_from_slice(payload);
        }
        self.out
    }
}

/// Turns a written message into another type with another message ID.
pub(crate) fn readdress(datagram: &mut [u8], kind: Kind, id: u16) {
    if let [first, _, high, low, ..] = datagram {
        *first = *first & 0xcf | kind.bits() << 4;
        [*high, *low] = id.to_be_bytes();
    }
}
