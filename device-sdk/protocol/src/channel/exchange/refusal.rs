//! Why a device does not sign.
//!
//! The blame lies with the gateway, or the peer behind it, except for the limits and [`Refusal::Unwilling`], which are
//! the device's own will.

use super::{Reader, Writer, read_place, write_place};
use crate::Error;

/// The rule that a request breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The device, or its application, does not want to.
    #[error("the device does not want to")]
    Unwilling,
    /// A final state was signed; nothing follows it.
    #[error("a final state was signed before")]
    AfterFinal,
    /// Another state with this version was signed.
    #[error("another state with this version was signed before")]
    Equivocation,
    /// A state with a greater version was signed.
    #[error("a greater version was signed before")]
    Older,
    /// The first request of a channel came without parameters.
    #[error("the channel is not known, and no parameters came with it")]
    UnknownChannel,
    /// The state is not one of the channel that the parameters make, or one that can't be settled.
    #[error("the state is not one of this channel")]
    OtherChannel,
    /// The device's key is not among the participants.
    #[error("the device takes no part in this channel")]
    NotParticipant,
    /// A channel with an app, or one that is not funded on a ledger.
    #[error("a channel of this kind is not supported")]
    Kind,
    /// The first state has another version than 0, is final or locks funds.
    #[error("this is not the first state of a channel")]
    NotFirst,
    /// A channel that the device did not ask for, or with other terms.
    #[error("the channel is not the one that was asked for")]
    Terms,
    /// The own deposit is above its limit.
    #[error("the deposit is above the limit")]
    DepositLimit,
    /// There is no room for the books of another channel.
    #[error("there is no room for another channel")]
    NoRoom,
    /// The withdrawals go to somebody else.
    #[error("the receiver of withdrawals is another")]
    Receiver,
    /// The assets changed.
    #[error("the assets changed")]
    AssetsChanged,
    /// The sum of an asset changed.
    #[error("the sum of an asset changed")]
    SumChanged,
    /// The locked funds changed, and locking was not the reason.
    #[error("the locked funds changed")]
    LockedChanged,
    /// A final state takes something from the device.
    #[error("the final state does not match the last balances")]
    FinalBalances,
    /// The step is not what its reason says.
    #[error("the step is not what its reason says")]
    OtherStep,
    /// More leaves the device than it has agreed to.
    #[error("more leaves than was agreed")]
    NotAgreed,
    /// More leaves the device than its limit allows.
    #[error("the spending limit is used up")]
    SpendingLimit,
}

impl Refusal {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Unwilling,
        Self::AfterFinal,
        Self::Equivocation,
        Self::Older,
        Self::UnknownChannel,
        Self::OtherChannel,
        Self::NotParticipant,
        Self::Kind,
        Self::NotFirst,
        Self::Terms,
        Self::DepositLimit,
        Self::NoRoom,
        Self::Receiver,
        Self::AssetsChanged,
        Self::SumChanged,
        Self::LockedChanged,
        Self::FinalBalances,
        Self::OtherStep,
        Self::NotAgreed,
        Self::SpendingLimit,
    ];

    pub(super) fn write(self, writer: &mut Writer<'_>) {
        write_place(&Self::ALL, &self, writer);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        read_place(&Self::ALL, reader)
    }
}
