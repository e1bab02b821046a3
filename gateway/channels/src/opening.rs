//! A channel before its id is known: a proposal and what will answer it.
//!
//! Guarantees: nothing of it was signed, so it lives in memory only. Does not: check a proposal against the policy;
//! [`crate::policy`] does.

use sluicegate_protocol::channel::{
    Address, Allocation, ChannelKind, Nonce, PARTICIPANTS, Params, Participant, State,
};

use crate::{
    Error, Phase,
    record::{Change, Pending, Record, View},
};

/// A proposal of ours or of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// Whether it is ours: then we are participant 0.
    pub is_ours: bool,
    /// What the proposer calls it.
    pub proposal: [u8; 32],
    /// The peer's name in the address book.
    pub peer: String,
    /// The device whose channel it is.
    pub device: String,
    /// Whether the peer is a Sluicegate.
    pub sluicegate: bool,
    /// Our participant.
    pub own: Participant,
    /// Where our withdrawals go.
    pub receiver: Address,
    /// Our half of the nonce.
    pub nonce_share: [u8; 32],
    /// How long a dispute can be answered, in seconds.
    pub challenge_duration: u64,
    /// Who brings what.
    pub outcome: Allocation,
    /// The peer's participant and its half of the nonce: with its proposal, or its acceptance.
    pub other: Option<(Participant, [u8; 32])>,
}

impl Opening {
    /// Where it stands.
    pub const fn phase(&self) -> Phase {
        if self.is_ours { Phase::Proposing } else { Phase::Offered }
    }

    /// Our place among the participants.
    pub const fn place(&self) -> usize {
        if self.is_ours { 0 } else { 1 }
    }

    /// The record of the channel, once both halves of the nonce are there.
    pub fn begin(&self, ledger_s: u64) -> Result<Record, Error> {
        let (other, share) =
            self.other.as_ref().ok_or(Error::Malformed("nobody answered the proposal"))?;
        let params = self.params(other, share);
        params.check()?;
        let state = State::initial(params.id(), self.outcome.clone());
        state.check(&params)?;
        Ok(self.record(params, state, ledger_s))
    }

    fn params(&self, other: &Participant, share: &[u8; 32]) -> Params {
        let (participants, nonce) = if self.is_ours {
            ([self.own.clone(), other.clone()], Nonce::from_shares(&self.nonce_share, share))
        } else {
            ([other.clone(), self.own.clone()], Nonce::from_shares(share, &self.nonce_share))
        };
        const { assert!(PARTICIPANTS == 2) };
        let (app, kind) = (Address::ZERO, ChannelKind::Ledger);
        Params { challenge_duration: self.challenge_duration, nonce, participants, app, kind }
    }

    fn record(&self, params: Params, state: State, ledger_s: u64) -> Record {
        let view = View::new(state.outcome.assets.len());
        let deadline_s = Some(ledger_s.saturating_add(params.challenge_duration));
        let by = if self.is_ours { self.place() } else { 1 - self.place() };
        let pending = Pending { state, by, change: Change::Begin, own: None, peer: None };
        Record {
            id: params.id(),
            phase: Phase::Exchanging,
            peer: self.peer.clone(),
            device: self.device.clone(),
            sluicegate: self.sluicegate,
            own: self.place(),
            receiver: self.receiver,
            params,
            current: None,
            pending: Some(pending),
            highest: 0,
            burned: Vec::new(),
            payer: None,
            wish: None,
            view,
            deadline_s,
            restored: false,
            ended: None,
        }
    }
}
