//! The 32-byte values that ledgers know channels by.
//!
//! Guarantees: none is taken for another; each prints as 64 lower-case hexadecimal digits.
//! Does not: hash; see [`super::Params::id`], [`super::State::hash`] and [`super::abi`].

use sha3::{Digest as _, Sha3_256};

use super::{Address, abi};
use crate::digest::hash;

hash! {
    /// A channel's identity: the hash of its parameters.
    ChannelId
}

hash! {
    /// What is signed of a state.
    StateHash
}

hash! {
    /// What a participant's deposit in a channel is known by on a ledger.
    FundingId
}

hash! {
    /// What makes a channel unique; both participants had a share in it.
    Nonce
}

impl FundingId {
    /// The deposit of this participant: `keccak256(abi.encode(channel, address))`.
    pub fn of(channel: &ChannelId, address: &Address) -> Self {
        Self(abi::keccak(|sink| {
            abi::Value::write(channel, sink);
            abi::Value::write(address, sink);
        }))
    }
}

impl Nonce {
    /// The nonce of these shares, the proposer's first: their SHA3-256 hash (FIPS 202, not Keccak).
    pub fn from_shares(proposer: &[u8; 32], responder: &[u8; 32]) -> Self {
        Self(Sha3_256::new().chain_update(proposer).chain_update(responder).finalize().into())
    }
}
