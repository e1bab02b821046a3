//! What an account signs: a request with its nonce and fee, for one ledger.
//!
//! Guarantees: exactly one encoding; the signature covers the ledger's name, so that it means nothing elsewhere; the
//! identifier is the hash that is signed. Does not: know balances; the chain does.

use ed25519_dalek::{Signature, Signer};
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};
use sluicegate_ledger::{
    Error, Request, TransactionId, cbor,
    evidence::{Operation, Receipt},
};
use sluicegate_protocol::{Digest, SigningKey, VerifyingKey, sha256};

/// Longest encoding of a transaction: a request, and what is around it.
pub const MAX_TRANSACTION: usize = Request::MAX_ENCODED + 256;

const TAG: &[u8] = b"sluicegate/embedded-transaction/v1\0";

/// A transaction before its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The Ed25519 key of the account.
    pub account: [u8; 32],
    /// Its place among the transactions of this account.
    pub nonce: u64,
    /// What it pays, in base units.
    pub fee: u64,
    /// What it does.
    pub request: Request,
}

impl Body {
    /// The transaction of a request.
    pub fn new(account: [u8; 32], nonce: u64, fee: u64, request: &Request) -> Self {
        Self { account, nonce, fee, request: request.clone() }
    }

    /// The most that it takes from the account: the fee, and what it deposits.
    pub fn cost(&self) -> u128 {
        let deposited = match &self.request {
            Request::Deposit(deposit) => u128::try_from(deposit.amount).unwrap_or(u128::MAX),
            _ => 0,
        };
        deposited.saturating_add(self.fee.into())
    }

    /// Reads the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("transaction body", bytes)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// The hash that is signed, and the identifier, on the ledger of this name.
    pub fn id(&self, ledger: &str) -> TransactionId {
        let length = (ledger.len() as u64).to_be_bytes();
        TransactionId(sha256(&[TAG, &length, ledger.as_bytes(), &self.to_bytes()]))
    }

    /// Signs it with the account's key.
    pub fn sign(self, ledger: &str, key: &SigningKey) -> Transaction {
        let signature = key.sign(self.id(ledger).0.as_bytes()).to_bytes();
        Transaction { body: self, signature }
    }
}

/// A signed transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// What is signed.
    pub body: Body,
    /// The account's signature.
    pub signature: [u8; 64],
}

impl Transaction {
    /// Reads the one encoding. The signature is not checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("transaction", bytes)
    }

    /// The encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Checks the signature and gives the identifier.
    pub fn verify(&self, ledger: &str) -> Result<TransactionId, Error> {
        let id = self.body.id(ledger);
        let key = VerifyingKey::from_bytes(&self.body.account);
        let key = key.map_err(|_| Error::Rejected("the account is no Ed25519 key".into()))?;
        let signature = Signature::from_bytes(&self.signature);
        let verdict = key.verify_strict(id.0.as_bytes(), &signature);
        verdict.map_err(|_| Error::Rejected("the signature does not verify".into()))?;
        Ok(id)
    }

    /// What the ledger says about it once it is in a block.
    pub fn receipt(&self, id: Digest) -> Receipt {
        let Body { account, nonce, fee, request } = &self.body;
        let operation = match request {
            Request::Anchor(digest) => Operation::Anchor(*digest),
            request => Operation::Channel { kind: request.kind(), key: request.key() },
        };
        Receipt { transaction: id, account: *account, nonce: *nonce, fee: *fee, operation }
    }
}

impl Body {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Result<(), encode::Error<W::Error>> {
        e.u8(1)?.bytes(&self.account)?.u64(self.nonce)?.u64(self.fee)?;
        self.request.encode(e, &mut ())
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, decode::Error> {
        cbor::tag(d, 1)?;
        let account = cbor::fixed(d)?;
        let (nonce, fee) = (d.u64()?, d.u64()?);
        Ok(Self { account, nonce, fee, request: d.decode()? })
    }
}

impl<C> Encode<C> for Body {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        self.put(e.array(5)?)
    }
}

impl<'b, C> Decode<'b, C> for Body {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 5)?;
        Self::take(d)
    }
}

impl<C> Encode<C> for Transaction {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        self.body.put(e.array(6)?)?;
        e.bytes(&self.signature)?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for Transaction {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 6)?;
        Ok(Self { body: Body::take(d)?, signature: cbor::fixed(d)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Transaction {
        let key = SigningKey::from_bytes(&[3; 32]);
        let account = key.verifying_key().to_bytes();
        Body::new(account, 4, 10, &Request::Anchor(sha256(&[b"a"]))).sign("ledger", &key)
    }

    #[test]
    fn every_changed_bit_is_refused() {
        let bytes = signed().to_bytes();
        assert!(bytes.len() <= MAX_TRANSACTION);
        assert_eq!(Transaction::decode(&bytes), Ok(signed()));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let verdict = Transaction::decode(&changed).and_then(|t| t.verify("ledger"));
            assert!(verdict.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_transaction_means_nothing_on_another_ledger() {
        assert_eq!(signed().verify("ledger"), Ok(signed().body.id("ledger")));
        assert!(signed().verify("ledger2").is_err());
    }
}
