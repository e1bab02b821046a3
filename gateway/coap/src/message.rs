//! Messages (RFC 7252 §3): what is refused, and how; and writing them.
//!
//! Guarantees: [`parse`] accepts the well-formed messages with at most [`MAX_OPTIONS`] options and
//! allocates nothing; what it refuses is told apart by what RFC 7252 wants done with it. Does not:
//! judge options ([`Options::accept`](crate::Options::accept) does) or decide what is sent back.

pub use sluicegate_protocol::coap::{Kind, Message, Token};

use crate::{
    Code,
    option::{self, MAX_OPTIONS},
};

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

/// Reads a datagram.
pub fn parse(datagram: &[u8]) -> Result<Message<'_>, Malformed> {
    Message::parse_bounded(datagram, MAX_OPTIONS).map_err(|_| match Message::header(datagram) {
        Some((kind, id)) => Malformed::Format { kind, id },
        None => Malformed::Foreign,
    })
}

/// An Empty message: acknowledgement, reset or ping.
pub fn empty(kind: Kind, id: u16) -> [u8; 4] {
    Message::first_bytes(kind, Code::EMPTY, id, &Token::default())
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
        out.extend_from_slice(&Message::first_bytes(kind, code, id, &token));
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
        *first = *first & 0x0f | kind.first_byte();
        [*high, *low] = id.to_be_bytes();
    }
}
