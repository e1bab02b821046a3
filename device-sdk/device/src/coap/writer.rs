//! Writing a message into a buffer (RFC 7252 §3).
//!
//! Guarantees: nothing is written behind the end; what is not a message as a whole is not given out.
//! Does not: know what an option means.

use sluicegate_protocol::coap::{
    Code, Kind, Message, Token,
    option::{Header, trimmed},
};

use crate::Error;

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
        writer.put(&Message::first_bytes(kind, code, id, &token));
        writer.put(token.as_bytes());
        writer
    }

    /// Appends an option; numbers ascend.
    pub fn option(&mut self, number: u16, value: &[u8]) -> &mut Self {
        let (delta, length) = (number.checked_sub(self.number), u16::try_from(value.len()));
        let (Some(delta), Ok(length)) = (delta, length) else {
            self.fits = false;
            return self;
        };
        self.number = number;
        self.put(Header::new(delta, length).as_bytes());
        self.put(value);
        self
    }

    /// Appends an option that is a number, in its shortest form (RFC 7252 §3.2).
    pub fn uint(&mut self, number: u16, value: u32) -> &mut Self {
        self.option(number, trimmed(&value.to_be_bytes()))
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
