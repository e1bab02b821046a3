//! What happens to a channel: one variant for each row of the table in `README.md`.
//!
//! Guarantees: an input is checked: signatures verify, rules are kept, versions are compared;
//! [`crate::classify`] does that. Does not: say what follows; [`crate::step`] does.

use sluicegate_protocol::channel::{Amount, Signature, State};

use crate::{
    effect::Refusal,
    record::{OwnSignature, Record, SignedState, View},
};

/// An update of the peer with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerUpdate {
    /// The next state.
    pub state: Box<State>,
    /// The peer's signature.
    pub signature: Signature,
}

/// A checked input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The peer accepts our proposal: the record that follows.
    Accepted(Box<Record>),
    /// The owner accepts the offer: the record that follows.
    Agree(Box<Record>),
    /// Our authorisations to withdraw by the current state, which came without them.
    Authorised(OwnSignature),
    /// The ledger's events are read from their beginning again.
    Anew(View),
    /// The owner ends the channel.
    Close,
    /// The outcome is fixed.
    Concluded(View),
    /// The outcome is fixed, and nothing is ours.
    ConcludedNothingOurs(View),
    /// A connection with the peer, a Sluicegate.
    Connected,
    /// A connection with another implementation.
    ConnectedPlain,
    /// The peer signed our update.
    Countersigned(Signature),
    /// The peer signed our final update.
    CountersignedFinal(Signature),
    /// Another state for the version of our update, and nobody yields.
    Crossing {
        /// The version.
        version: u64,
    },
    /// The same between Sluicegates, and we are participant 0.
    CrossingOursFirst {
        /// The version.
        version: u64,
    },
    /// The same between Sluicegates, and the peer is participant 0.
    CrossingTheirsFirst {
        /// The version.
        version: u64,
    },
    /// Ledger time has come.
    Deadline,
    /// The owner refuses the offer, and why.
    Decline(String),
    /// A final deposit.
    Deposit(View),
    /// A final deposit that leaves something of ours on the ledger although the outcome is fixed.
    DepositLate(View),
    /// A final deposit of ours in a channel that was abandoned.
    DepositStranded(View),
    /// The owner wants the channel settled on the ledger.
    Dispute,
    /// The peer rejects our final update.
    FinalRejected(String),
    /// What nobody signed.
    Forged(String),
    /// All deposits are final.
    Funded(View),
    /// The key refused.
    NoSignature(String),
    /// Nobody answered in time.
    Overdue,
    /// Nothing helped for as long as the policy allows.
    PatienceOver,
    /// The same, and the record comes from a backup.
    PatienceOverRestored,
    /// The same, and it is the device that has not signed.
    PatienceOverUnsigned,
    /// A command that can't be followed.
    Impossible(Refusal),
    /// The owner pays.
    Pay {
        /// The asset's place.
        asset: usize,
        /// How much.
        amount: Amount,
    },
    /// An update with a valid signature that is not to be signed.
    RefusedUpdate {
        /// Its version.
        version: u64,
        /// Why not.
        reason: String,
    },
    /// The same of another implementation, whose versions leave no gaps.
    RefusedUpdatePlain {
        /// Its version.
        version: u64,
        /// Why not.
        reason: String,
    },
    /// A newer state than ours is registered; the state as well, if the ledger or the record has it.
    RegisteredNewer(View, Option<Box<SignedState>>),
    /// An older state than ours is registered.
    RegisteredOlder(View),
    /// Our state is registered.
    RegisteredSame(View),
    /// The peer rejects our proposal.
    Rejected(String),
    /// The record comes from a backup.
    Restored,
    /// Nothing is under way, and there is a wish.
    Resume,
    /// A reorg took an event back.
    Retracted(View),
    /// A reorg took the conclusion of a final state back.
    RetractedFinal(View),
    /// The peer's update is ours already, or waits for our signature.
    SameUpdate,
    /// The own signature.
    Signature(OwnSignature),
    /// The own signature of version 0, after the peer's.
    SignatureComplete(OwnSignature),
    /// The own signature of a final state.
    SignatureOfFinal(OwnSignature),
    /// An answer to nothing that is under way.
    Stray,
    /// A newer state that both have signed.
    SyncAhead(Box<SignedState>),
    /// The same, and it is a payment of ours that was refused or crossed.
    SyncAheadBurned(Box<SignedState>),
    /// A newer state that both have signed, and final.
    SyncAheadFinal(Box<SignedState>),
    /// An older state.
    SyncBehind,
    /// Our current state.
    SyncEqual,
    /// A signature that was asked for is missing.
    Unsigned,
    /// An update that may be signed.
    Update(PeerUpdate),
    /// The same while an update of ours is under way, and above it.
    UpdatePastOurs(PeerUpdate),
    /// The peer, a Sluicegate, rejects our update.
    UpdateRejected(String),
    /// Another implementation rejects our update.
    UpdateRejectedPlain(String),
    /// The peer's signature of version 0 before ours.
    VersionZero(Signature),
    /// The peer's signature of version 0, and ours is there.
    VersionZeroComplete(Signature),
    /// Our last withdrawal is final.
    Withdrawn(View),
    /// A withdrawal of ours is final, not the last.
    WithdrawnInPart(View),
}
