//! The authorisation to pay a participant's part out to an address.
//!
//! Guarantees: it can pay only that receiver. Does not: expire, or name a ledger or a state; it holds wherever
//! the participant has that much in the channel.

use super::{Address, Amount, ChannelId, Participant};

/// What a participant signs so that anyone can carry its withdrawal to the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WithdrawalAuth {
    /// The channel that was concluded.
    pub channel: ChannelId,
    /// Whose money it is.
    pub participant: Participant,
    /// Who is paid.
    pub receiver: Address,
    /// How much.
    pub amount: Amount,
}
