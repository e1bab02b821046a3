//! Messages on byte slices (RFC 7252 §3), read strictly.
//!
//! Guarantees: [`Message::parse`] accepts exactly the well-formed messages: version 1, a token of at
//! most 8 bytes, options inside of the datagram with numbers up to 65,535, a payload marker only
//! before a payload, an Empty message of exactly four bytes, no reserved code class. Does not:
//! judge options or decide what is sent back.

use core::fmt;

use super::{
    Code,
    option::{self, Iter},
};
use crate::Error;

/// What stands between options and payload.
const MARKER: u8 = 0xff;

/// The four types of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

impl Kind {
    #[inline]
    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Con,
            1 => Self::Non,
            2 => Self::Ack,
            _ => Self::Rst,
        }
    }

    /// The first byte of a message of this type, without the length of its token.
    pub const fn first_byte(self) -> u8 {
        match self {
            Self::Con => 0x40,
            Self::Non => 0x50,
            Self::Ack => 0x60,
            Self::Rst => 0x70,
        }
    }
}

/// What ties a response to its request: up to 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Token {
    length: u8,
    bytes: [u8; 8],
}

impl Token {
    /// A token of these bytes; none if there are more than 8.
    #[inline]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut token = Self { length: u8::try_from(bytes.len()).ok()?, bytes: [0; 8] };
        token.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(token)
    }

    /// Its bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", self.as_bytes())
    }
}

/// A checked message, its parts borrowed from the datagram.
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
    options: &'a [u8],
    /// Its payload; empty if there is none.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a datagram.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, Error> {
        Self::parse_bounded(datagram, usize::MAX)
    }

    /// Reads a datagram with at most so many options; more are an error.
    #[inline]
    pub fn parse_bounded(datagram: &'a [u8], max_options: usize) -> Result<Self, Error> {
        let [first, code, high, low, rest @ ..] = datagram else {
            return Err(Error::Coap("it is too short for a header"));
        };
        if first >> 6 != 1 {
            return Err(Error::Coap("it is not of version 1"));
        }
        let code = Code(*code);
        if code == Code::EMPTY && datagram.len() != 4 {
            return Err(Error::Coap("it is empty, but something is behind its header"));
        }
        if code.is_reserved() {
            return Err(Error::Coap("the class of its code is reserved"));
        }
        let token = rest.split_at_checked(usize::from(first & 15));
        let (token, rest) = token.ok_or(Error::Coap("its token is cut"))?;
        let token = Token::new(token).ok_or(Error::Coap("its token has more than 8 bytes"))?;
        let (options, payload) = split_options(rest, max_options)?;
        let (kind, id) = (Kind::from_bits(first >> 4), u16::from_be_bytes([*high, *low]));
        Ok(Self { kind, code, id, token, options, payload })
    }

    /// Type and message ID of what may be a message: enough to reject it (RFC 7252 §4.2).
    pub fn header(datagram: &[u8]) -> Option<(Kind, u16)> {
        let [first, _, high, low] = datagram.first_chunk()?;
        let is_version_1 = first >> 6 == 1;
        is_version_1.then(|| (Kind::from_bits(first >> 4), u16::from_be_bytes([*high, *low])))
    }

    /// The four bytes with which a message begins; its token follows.
    #[inline]
    pub const fn first_bytes(kind: Kind, code: Code, id: u16, token: &Token) -> [u8; 4] {
        let [high, low] = id.to_be_bytes();
        [kind.first_byte() | token.length, code.0, high, low]
    }

    /// The options in their order.
    #[inline]
    pub const fn options(&self) -> Iter<'a> {
        Iter::new(self.options)
    }

    /// The first option with this number.
    pub fn option(&self, number: u16) -> Option<&'a [u8]> {
        self.options().find(|(found, _)| *found == number).map(|(_, value)| value)
    }

    /// An option that is a number; none if it is not there or has more than 4 bytes.
    pub fn uint(&self, number: u16) -> Option<u32> {
        self.option(number).and_then(option::uint)
    }
}

/// Divides what follows the token into options and payload, and checks both.
#[inline]
fn split_options(bytes: &[u8], max_options: usize) -> Result<(&[u8], &[u8]), Error> {
    let (mut rest, mut number, mut count) = (bytes, 0_u16, 0_usize);
    loop {
        match rest {
            [] => return Ok((bytes, &[])),
            [MARKER] => return Err(Error::Coap("its payload marker is without a payload")),
            [MARKER, payload @ ..] => {
                let options = bytes.get(..bytes.len() - rest.len()).unwrap_or_default();
                return Ok((options, payload));
            }
            _ if count == max_options => return Err(Error::Coap("it has too many options")),
            _ => {
                let split = option::split(rest).ok_or(Error::Coap("an option is malformed"))?;
                let sum = number.checked_add(split.0);
                number = sum.ok_or(Error::Coap("an option number is above 65,535"))?;
                (rest, count) = (split.2, count + 1);
            }
        }
    }
}
