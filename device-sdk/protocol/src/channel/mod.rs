//! Perun channels of two participants: their data, what is hashed and signed of them, and how they are stored.
//!
//! Guarantees: memory is bounded by construction, amounts never wrap, and whoever holds the same values computes the
//! same channel id, state hash and signature as go-perun and its contracts. Decoders accept one encoding of a value.
//! Does not: know a limit of policy, decide what to sign, run an app, or speak go-perun's wire formats.
//!
//! - [`Params`] and [`State`] are the data; their `check` says whether they can be settled at all
//! - [`State::successor_of`] says whether a state may follow another
//! - [`Params::id`], [`State::hash`] and [`FundingId`] are what ledgers know them by; [`abi`] encodes
//! - [`SigningKey`] and [`Signature`] sign and recover
//! - [`Params::encode`], [`State::encode`] and their `decode` are for the store and for devices
//! - [`exchange`] is what a device that signs for itself and its gateway say to each other

pub mod abi;
mod address;
mod amount;
pub mod cbor;
mod encoding;
pub mod exchange;
mod hash;
mod params;
mod record;
mod rule;
mod signature;
mod state;
#[cfg(test)]
mod tests;
mod transition;
mod withdrawal;

pub use address::Address;
pub use amount::Amount;
pub use hash::{ChannelId, FundingId, Nonce, StateHash};
pub use params::{CcAddress, ChannelKind, Params, Participant};
pub use rule::Rule;
pub use signature::{Signature, SigningKey, eip191};
pub use state::{Allocation, Asset, State, SubAlloc};
pub use transition::Versions;
pub use withdrawal::WithdrawalAuth;

/// Participants of a channel; go-perun knows exactly two.
pub const PARTICIPANTS: usize = 2;

/// Assets that a channel may hold.
pub const MAX_ASSETS: usize = 4;

/// Channels that may be funded out of one channel at a time.
pub const MAX_LOCKED: usize = 8;

/// Bytes of app data in a state.
pub const MAX_DATA: usize = 256;

/// Bytes of an address or an asset of another backend than Ethereum; Stellar's addresses have 121.
pub const MAX_CC: usize = 128;

/// The backend of Ethereum and of what runs its contracts, in go-perun's numbers.
pub const ETHEREUM: u32 = 1;
