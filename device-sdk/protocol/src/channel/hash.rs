//! The 32-byte values that ledgers know channels by.
//!
//! Guarantees: none is taken for another; each prints as 64 lower-case hexadecimal digits.
//! Does not: hash; see [`super::Params::id`], [`super::State::hash`] and [`super::abi`].

use core::fmt;

use sha3::{Digest as _, Sha3_256};

use super::{Address, abi};
use crate::digest::from_hex;

macro_rules! hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 bytes as they are.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Takes a slice of exactly 32 bytes.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// Reads 64 hexadecimal digits of either case.
            pub fn from_hex(text: &str) -> Option<Self> {
                from_hex(text).map(Self)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

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
