//! The primitives of perunio, read from bytes that may still be arriving.
//!
//! Guarantees: reads nothing beyond the bytes; asks for more instead of failing where they end. Nothing is reserved
//! for a count before its items are there. Does not: know messages.

use sluicegate_protocol::channel::{Amount, Signature};

use crate::{
    Error,
    wire::wide::{Notes, text},
};

/// What go-perun allows of assets, participants and locked funds.
const MAX_COUNT: usize = 1024;

/// Why reading ends before the message does.
#[derive(Debug)]
pub(super) enum Stop {
    /// The bytes end.
    More,
    /// The bytes are wrong.
    Wrong(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Wrong(error)
    }
}

/// What is left to read, and what was noted so far.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) rest: &'a [u8],
    pub(super) notes: Notes,
    /// Participants of the allocation that was read last; signatures come in as many places.
    pub(super) participants: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, notes: Notes::default(), participants: 0 }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let (bytes, rest) = self.rest.split_at_checked(count).ok_or(Stop::More)?;
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Stop::More)?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Stop> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Stop> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Stop> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Stop> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64, Stop> {
        self.array().map(i64::from_le_bytes)
    }

    pub(super) fn bool(&mut self) -> Result<bool, Stop> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Malformed("a truth value is neither 0 nor 1").into()),
        }
    }

    /// A count of 16 bits, within go-perun's bound.
    pub(super) fn count(&mut self) -> Result<usize, Stop> {
        let count = self.u16()?;
        bounded(usize::from(count))
    }

    /// A count of 32 bits and a sign, within the same bound.
    pub(super) fn wide_count(&mut self) -> Result<usize, Stop> {
        let count = self.u32()?;
        bounded(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// So many of something.
    pub(super) fn list<T>(
        &mut self,
        count: usize,
        mut item: impl FnMut(&mut Self) -> Result<T, Stop>,
    ) -> Result<Vec<T>, Stop> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// Bytes behind their number.
    pub(super) fn bin(&mut self) -> Result<&'a [u8], Stop> {
        let count = self.u16()?;
        self.bytes(usize::from(count))
    }

    pub(super) fn text(&mut self) -> Result<String, Stop> {
        Ok(text(self.bin()?)?)
    }

    /// The bytes of a number.
    pub(super) fn number(&mut self) -> Result<&'a [u8], Stop> {
        let count = self.u8()?;
        self.bytes(usize::from(count))
    }

    pub(super) fn amount(&mut self) -> Result<Amount, Stop> {
        let bytes = self.number()?;
        Ok(self.notes.amount(bytes)?)
    }

    pub(super) fn signature(&mut self) -> Result<Signature, Stop> {
        let bytes = self.array()?;
        Ok(self.notes.signature(&bytes)?)
    }
}

fn bounded(count: usize) -> Result<usize, Stop> {
    if count > MAX_COUNT {
        return Err(Error::Malformed("a count is above go-perun's bound").into());
    }
    Ok(count)
}
