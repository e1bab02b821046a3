//! What never changes in a channel: who, how long a challenge lasts, the app, the kind.
//!
//! Guarantees: [`Params::id`] commits to every field but the backend of a participant's other address.
//! Does not: bind a channel to a ledger or a contract; a fresh nonce for each channel does that.

use heapless::Vec;

use super::{Address, ChannelId, MAX_CC, Nonce, PARTICIPANTS, Rule, abi};
use crate::Error;

/// Where a channel's money comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// From deposits on a ledger.
    Ledger,
    /// From a channel of the same participants.
    Sub,
    /// From channels that both participants have with an intermediary.
    Virtual,
}

impl ChannelKind {
    /// The flag `ledgerChannel` of the contracts.
    pub fn is_ledger(self) -> bool {
        self == Self::Ledger
    }

    /// The flag `virtualChannel` of the contracts.
    pub fn is_virtual(self) -> bool {
        self == Self::Virtual
    }

    /// The kind with these flags, `None` for both at once.
    pub fn from_flags(ledger: bool, is_virtual: bool) -> Option<Self> {
        match (ledger, is_virtual) {
            (true, false) => Some(Self::Ledger),
            (false, false) => Some(Self::Sub),
            (false, true) => Some(Self::Virtual),
            (true, true) => None,
        }
    }
}

/// A participant's address on another backend than Ethereum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CcAddress {
    /// The backend, in go-perun's numbers.
    pub backend: u32,
    /// The address as that backend marshals it.
    pub bytes: Vec<u8, MAX_CC>,
}

/// One side of a channel: the address that signs, and where else it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Participant {
    /// The address of the key that signs.
    pub address: Address,
    /// Its address on another backend, if the channel has assets there.
    pub cc: Option<CcAddress>,
}

impl Participant {
    /// A participant with an Ethereum address only.
    pub const fn new(address: Address) -> Self {
        Self { address, cc: None }
    }

    /// A participant with an address on another backend too.
    pub fn with_cc(address: Address, backend: u32, bytes: &[u8]) -> Result<Self, Error> {
        let bytes = Vec::from_slice(bytes)
            .map_err(|_| Rule::Capacity { what: "bytes of an address", limit: MAX_CC })?;
        Ok(Self { address, cc: Some(CcAddress { backend, bytes }) })
    }
}

/// The parameters of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Params {
    /// How long a dispute can be answered, in seconds.
    pub challenge_duration: u64,
    /// What makes the channel unique: [`Nonce::from_shares`].
    pub nonce: Nonce,
    /// Who takes part: the proposer first.
    pub participants: [Participant; PARTICIPANTS],
    /// The contract of the app; [`Address::ZERO`] for none.
    pub app: Address,
    /// Where the money comes from.
    pub kind: ChannelKind,
}

impl Params {
    /// The channel's identity: the Keccak-256 hash of the parameters in Ethereum's ABI.
    pub fn id(&self) -> ChannelId {
        ChannelId::new(abi::hash(self))
    }

    /// Whether the channel has an app.
    pub fn has_app(&self) -> bool {
        !self.app.is_zero()
    }

    /// Whether a channel with these parameters can be funded, disputed and settled.
    pub fn check(&self) -> Result<(), Error> {
        if self.challenge_duration == 0 {
            return Err(Rule::NoChallengeDuration.into());
        }
        let [first, second] = &self.participants;
        if first.address.is_zero() || second.address.is_zero() {
            return Err(Rule::NoParticipant.into());
        }
        if first.address == second.address {
            return Err(Rule::SameParticipants.into());
        }
        if self.kind.is_virtual() && self.has_app() {
            return Err(Rule::VirtualApp.into());
        }
        Ok(())
    }

    /// The place of an address among the participants.
    pub fn index_of(&self, address: &Address) -> Option<usize> {
        self.participants.iter().position(|participant| participant.address == *address)
    }
}
