//! What a step wants done, in order, once its record is durable.
//!
//! Guarantees: what an effect gives away is in the record that comes with it (I1). Does not: perform anything.

use sluicegate_protocol::channel::{Amount, Signature, State};

use crate::{
    input::PeerUpdate,
    record::{Change, SignedState},
};

/// What a step wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Keep an update in memory until the channel is open.
    Hold(PeerUpdate),
    /// Give an intent to the outbox, in the transaction that makes the record durable.
    Ledger(Intent),
    /// The command is answered with this error.
    Refuse(Refusal),
    /// Give a message to the peer's connection; without one, nothing: it goes out again when there is one.
    Send(Outgoing),
    /// Ask the key for its signature.
    Sign(SignRequest),
    /// Tell the owner, and who drives the payments.
    Tell(Notice),
}

/// What is to happen on the ledger; the record has the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// Deposit nothing of which nothing is signed yet.
    CancelDeposit,
    /// Conclude what is registered.
    Conclude,
    /// Conclude the current state, which is final.
    ConcludeFinal,
    /// Deposit our part of version 0.
    Deposit,
    /// Register the current state.
    Register,
    /// Withdraw what is ours.
    Withdraw,
}

/// A message to the peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// We sign the peer's update too.
    Acceptance {
        /// Its version.
        version: u64,
        /// Our signature.
        signature: Signature,
    },
    /// We accept the proposal; the nonce share is in the opening.
    Accepted,
    /// We refuse the proposal.
    Rejected(String),
    /// We refuse an update.
    Rejection {
        /// Its version.
        version: u64,
        /// Why.
        reason: String,
    },
    /// Our phase and the newest state that both have signed.
    Sync {
        /// The state; none before version 0 is signed.
        current: Option<Box<SignedState>>,
        /// Whether it answers the peer's.
        is_answer: bool,
    },
    /// Our update.
    Update {
        /// The next state.
        state: Box<State>,
        /// Our signature.
        signature: Signature,
    },
    /// Our signature of version 0.
    VersionZero(Signature),
}

/// What the key is asked to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignRequest {
    /// The next state.
    pub state: Box<State>,
    /// Why.
    pub change: Change,
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Something is under way; try again when it is over.
    #[error("an update is under way; try again when it is done")]
    Busy,
    /// The peer pays in this channel, and its implementation takes updates from one side only.
    #[error(
        "only the peer proposes updates in this channel, and its software takes them from one side only"
    )]
    NotOurTurn,
    /// There is not enough.
    #[error("the balance in the channel is {left}")]
    Balance {
        /// What is left of the asset.
        left: Amount,
    },
    /// The channel signs nothing any more.
    #[error("the channel signs nothing any more: it ends, or comes from a backup")]
    Ending,
    /// The phase knows no such command.
    #[error("the channel is {0}")]
    Phase(crate::Phase),
    /// The asset does not exist in the channel.
    #[error("the channel has no such asset")]
    Asset,
}

/// News for the owner, and for who drives the payments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The opening came to nothing, and nothing is at stake.
    Abandoned(String),
    /// A final state is signed by both.
    Closing,
    /// The outcome is fixed on the ledger.
    Concluded,
    /// The channel is settled on the ledger without the peer's consent; why.
    Dispute(String),
    /// Something newer than what the ledger shows could be lost soon; why (I3).
    Endangered(String),
    /// The peer sent something that nobody signed.
    Forged(String),
    /// A peer proposes a channel; it is answered with an agreement or a refusal.
    Offered,
    /// Deposits are complete; the channel can be used.
    Open,
    /// Our payment is signed by both.
    Paid(Change),
    /// The peer's update is signed by both.
    Received,
    /// The peer had a newer state that both signed, and gave it back.
    Recovered,
    /// What was asked for is refused, by the peer, the key or the owner.
    Refused(String),
    /// The record comes from a backup; it will be settled.
    Restored,
    /// All that was ours is withdrawn.
    Settled,
}
