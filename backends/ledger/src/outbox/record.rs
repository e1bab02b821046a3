//! What the outbox keeps durable of one intent: the request, its budget, and every transaction signed for it.
//!
//! Guarantees: one encoding, strictly read; all attempts of a record carry the same nonce. Does not: keep anything
//! that the ledger can be asked for (submitted, seen): after a restart it is asked.

use alloc::vec::Vec;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};
use sluicegate_protocol::Digest;

use crate::{Error, Request, Signed, TransactionId, cbor, fees::Class};

/// Most transactions that are signed for one nonce: the first and its fee bumps.
pub const MAX_ATTEMPTS: usize = 8;

/// Longest signed transaction: a tree of channels in Ethereum's ABI.
pub const MAX_TRANSACTION: usize = 64 * 1024;

/// One intent as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What is wanted.
    pub request: Request,
    /// Which budget pays.
    pub class: Class,
    /// What was signed for it, all with the same nonce, oldest first.
    pub attempts: Vec<Signed>,
}

impl Record {
    /// Reads the one encoding of a record.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let record: Self = cbor::decode("outbox record", bytes)?;
        let mut nonces = record.attempts.iter().map(|attempt| attempt.nonce);
        let first = nonces.next();
        if nonces.any(|nonce| Some(nonce) != first) {
            return Err(Error::Malformed("outbox record"));
        }
        Ok(record)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// The nonce of all attempts.
    pub fn nonce(&self) -> Option<u64> {
        self.attempts.first().map(|attempt| attempt.nonce)
    }

    /// What the attempts count against the budget: one of them at most is paid.
    pub fn charged(&self) -> u128 {
        self.attempts.iter().map(|attempt| attempt.fee).max().unwrap_or(0)
    }
}

impl<C> Encode<C> for Record {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(4)?.u8(1)?;
        self.request.encode(e, ctx)?;
        self.class.encode(e, ctx)?;
        e.array(self.attempts.len() as u64)?;
        self.attempts.iter().try_for_each(|attempt| attempt.encode(e, ctx))
    }
}

impl<'b, C> Decode<'b, C> for Record {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 4)?;
        cbor::tag(d, 1)?;
        let (request, class) = (d.decode_with(ctx)?, Class::decode(d, ctx)?);
        let count = cbor::open_array(d)?;
        if count > MAX_ATTEMPTS as u64 {
            return Err(decode::Error::message("too many attempts"));
        }
        let attempts = (0..count).map(|_| Signed::decode(d, ctx)).collect::<Result<_, _>>()?;
        Ok(Self { request, class, attempts })
    }
}

impl<C> Encode<C> for Signed {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(4)?.bytes(self.id.0.as_bytes())?.u64(self.nonce)?;
        cbor::put_amount(e, self.fee)?;
        e.bytes(&self.bytes)?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Signed {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 4)?;
        let id = TransactionId(Digest::new(cbor::fixed(d)?));
        let (nonce, fee) = (d.u64()?, cbor::amount(d)?);
        Ok(Self { id, nonce, fee, bytes: cbor::bytes(d, MAX_TRANSACTION)? })
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn signed(nonce: u64, fee: u128) -> Signed {
        Signed { id: TransactionId(Digest::new([9; 32])), nonce, fee, bytes: vec![1, 2, 3] }
    }

    #[test]
    fn record_round_trips_and_mixed_nonces_are_refused() {
        let class = Class::Dispute { stake: u128::MAX };
        let request = Request::Anchor(Digest::new([1; 32]));
        let mut record = Record { request, class, attempts: vec![signed(4, 10), signed(4, 12)] };
        assert_eq!(Record::decode(&record.to_bytes()), Ok(record.clone()));
        assert_eq!((record.nonce(), record.charged()), (Some(4), 12));
        record.attempts.push(signed(5, 10));
        assert!(Record::decode(&record.to_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(record) = Record::decode(&bytes) {
                let again: Vec<u8> = record.to_bytes();
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
