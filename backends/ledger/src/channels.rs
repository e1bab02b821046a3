//! Perun channels on a ledger: what the port offers for them, and the values of its requests, reads and events.
//!
//! Guarantees: the same words and rules on every ledger (Perun's contracts, the spec's §5.3); times are ledger seconds
//! since the Unix epoch. Does not: decide what to sign or when to act; the channel machine does. Which states and
//! parameters exist at all is said by [`sluicegate_protocol::channel`].
//!
//! Order of a channel's life: [`Deposit`] for each participant, then either one [`Claim`] of a final state
//! ([`crate::Request::ConcludeFinal`]), or [`Registration`], perhaps again with a newer state, and [`Conclusion`] when
//! [`Dispute::ends_at`] has come; then one [`Withdrawal`] for each participant and asset.
//! Rules that every backend keeps: [`crate::conformance::channels`].

use alloc::{sync::Arc, vec::Vec};

use sluicegate_protocol::channel::{
    Address, Amount, Asset, CcAddress, ChannelId, FundingId, MAX_LOCKED, PARTICIPANTS, Params,
    Signature, State, StateHash, WithdrawalAuth,
};

use crate::{Error, Ledger, Reply};

/// Most channels below the root of a tree.
pub const MAX_SUBS: usize = MAX_LOCKED;

/// Payment channels on the ledger. What changes something is a [`crate::Request`]; this is what can be read, as of the
/// newest block: [`crate::Event`]s say what is final.
pub trait Channels: Ledger {
    /// What channels may hold here, and where the own account is paid.
    fn terms(&self) -> &Terms;

    /// What was registered last for a channel; it stays when the channel is concluded.
    fn dispute<'a>(&'a self, channel: &'a ChannelId) -> Reply<'a, Option<Dispute>>;

    /// What lies there for one participant of one channel: its deposits, or its part once the channel is settled.
    fn holdings<'a>(&'a self, funding: &'a FundingId, asset: &'a Asset) -> Reply<'a, Amount>;

    /// Whether the outcome of a channel is fixed for an asset, so that it can be withdrawn.
    fn is_settled<'a>(&'a self, channel: &'a ChannelId, asset: &'a Asset) -> Reply<'a, bool>;
}

/// What a ledger takes in channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Whether channels may have an app; without, [`crate::Request::Progress`] is refused.
    pub apps: bool,
    /// What channels may hold.
    pub assets: Vec<ChannelAsset>,
    /// Where withdrawals to the own account go.
    pub payout: Payout,
}

/// An asset that channels may hold. A channel signs no state that breaks one of its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelAsset {
    /// As states name it.
    pub asset: Asset,
    /// As people write it.
    pub name: crate::Asset,
    /// Every balance is a multiple of this, in base units.
    pub granularity: Amount,
    /// The most that a channel may hold of it, in base units.
    pub max: Amount,
    /// The least that a withdrawal may pay, in base units.
    pub min_payout: Amount,
}

/// A payout address: what goes into a withdrawal, and into the parameters where the ledger binds it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    /// The receiver of a [`WithdrawalAuth`].
    pub receiver: Address,
    /// The other address of the participant in the parameters, on ledgers that pay only that one.
    pub cc: Option<CcAddress>,
}

/// A state with the signatures of both participants, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedState {
    /// What they signed.
    pub state: State,
    /// Their signatures.
    pub signatures: [Signature; PARTICIPANTS],
}

/// A signed state with the parameters of its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The channel.
    pub params: Params,
    /// Its state.
    pub signed: SignedState,
}

/// Money into a channel. The ledger adds the amount to what lies there for the participant, who is the only one to
/// withdraw it, whoever pays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// The channel.
    pub channel: ChannelId,
    /// For whom.
    pub participant: Address,
    /// Of what.
    pub asset: Asset,
    /// How much, in base units.
    pub amount: Amount,
}

impl Deposit {
    /// What the deposit is known by on the ledger.
    pub fn funding(&self) -> FundingId {
        FundingId::of(&self.channel, &self.participant)
    }
}

/// A dispute, or the answer to one: the state of a ledger channel, and of every channel below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The ledger channel.
    pub root: Claim,
    /// The channels that its locked funds name, each followed by those that its own name: depth first.
    pub subs: Vec<Claim>,
}

/// A step of an app that one participant enforces alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progression {
    /// The channel.
    pub params: Params,
    /// What is registered.
    pub old: State,
    /// What follows.
    pub new: State,
    /// Whose step it is: a place among the participants.
    pub actor: u16,
    /// The actor's signature of the new state.
    pub signature: Signature,
}

/// The end of a dispute whose time is over: the registered states become the outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// The ledger channel.
    pub params: Params,
    /// Its registered state.
    pub state: State,
    /// The registered states below it, depth first.
    pub subs: Vec<State>,
}

/// A participant's part out of a settled channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// Who, from where, how much, to whom.
    pub authorisation: WithdrawalAuth,
    /// Of what.
    pub asset: Asset,
    /// The participant's signature of the authorisation.
    pub signature: Signature,
}

/// How far a channel is on the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A state is registered; a newer one may still replace it.
    Dispute,
    /// An app is carried on, on the ledger.
    ForceExecution,
    /// The outcome is fixed.
    Concluded,
}

/// What a ledger knows of a channel that was registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// Version of the registered state.
    pub version: u64,
    /// Its hash.
    pub state: StateHash,
    /// When the phase ends, in ledger seconds; a refutation does not move it, a final state sets it to its own time.
    pub timeout: u64,
    /// How long a phase lasts, in seconds.
    pub challenge_duration: u64,
    /// Whether the channel has an app.
    pub has_app: bool,
    /// How far it is.
    pub phase: Phase,
    /// The state itself, where the ledger can give it.
    pub signed: Option<Arc<SignedState>>,
}

impl Dispute {
    /// From when on it can be concluded, in ledger seconds: a channel with an app leaves time to carry that on first.
    pub const fn ends_at(&self) -> u64 {
        match self.phase {
            Phase::Dispute if self.has_app => self.timeout.saturating_add(self.challenge_duration),
            _ => self.timeout,
        }
    }
}

/// Money of a participant that moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Whose part of which channel.
    pub funding: FundingId,
    /// Of what.
    pub asset: Asset,
    /// How much, in base units.
    pub amount: Amount,
}

impl SignedState {
    /// Whether both participants signed it, and it is one that ledgers settle.
    pub fn check(&self, params: &Params) -> Result<(), Error> {
        params.check()?;
        self.state.check(params)?;
        let hash = self.state.hash();
        let signers = params.participants.iter().zip(&self.signatures);
        for (participant, signature) in signers {
            signature.verify(hash.as_bytes(), &participant.address)?;
        }
        Ok(())
    }
}
