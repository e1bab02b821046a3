//! The rules of channels on the ledger: who may register, refute and conclude what, and when.
//!
//! Guarantees: the semantics of Perun's contracts (the spec's §5.3), with their traps closed: parameters and states
//! that could not be settled are not registered (the same participant or asset twice, an index map that points nowhere,
//! an unknown holder on this chain, a ledger channel below another). Everything is checked before anything is changed.
//! Does not: hold money, read a clock or keep anything: it gives what changes.
//!
//! Times are ledger seconds; `now` is the time of the block.

use std::{collections::BTreeMap, slice::Iter, sync::Arc};

use sluicegate_ledger::{Claim, Conclusion, Dispute, Error as PortError, Phase, Registration};
use sluicegate_protocol::{
    Error as ProtocolError,
    channel::{
        Amount, Asset, ChannelId, FundingId, PARTICIPANTS, Params, Rule, State, StateHash, SubAlloc,
    },
};

/// Why a request about a channel has no effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the channel is concluded already")]
    AlreadyConcluded,
    #[error("the challenge duration is too long")]
    Duration,
    #[error("the channel is settled, nothing is taken any more")]
    Settled,
    #[error("a sub-channel is not the one that the locked funds name")]
    InvalidSubChannel,
    #[error("the state is not the registered one")]
    InvalidState,
    #[error("a state of version {registered} is registered")]
    InvalidVersion { registered: u64 },
    #[error("a ledger channel can't be funded by another channel")]
    LedgerChannelBelow,
    #[error("there is less than that")]
    InsufficientFunds,
    #[error("this ledger runs no apps")]
    NoApps,
    #[error("not a ledger channel")]
    NotLedger,
    #[error("the state is not final")]
    NotFinal,
    #[error("the channel is not registered")]
    NotRegistered,
    #[error("the channel is not settled")]
    NotSettled,
    #[error("nothing is to be moved")]
    Nothing,
    #[error("the time to refute ended at {0}")]
    RefutationOver(u64),
    #[error(transparent)]
    Rule(#[from] ProtocolError),
    #[error("the state has sub-channels")]
    SubChannels,
    #[error("the sub-channels are more or fewer than the locked funds name")]
    SubChannelCount,
    #[error("a sub-channel holds something else than was locked for it")]
    SubOutcome,
    #[error("the challenge lasts until {0}")]
    TooEarly(u64),
    #[error("this ledger has no such asset")]
    UnknownAsset,
}

impl From<Rule> for Refusal {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule.into())
    }
}

impl From<Refusal> for PortError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooEarly(_) => Self::Unavailable(refusal.to_string()),
            _ => Self::Rejected(refusal.to_string()),
        }
    }
}

/// What is registered.
pub(crate) type Disputes = BTreeMap<ChannelId, Dispute>;

/// What a request changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Disputes as they are afterwards, in the order of their events.
    pub(crate) disputes: Vec<(ChannelId, Dispute)>,
    /// What the participants of a concluded ledger channel get.
    pub(crate) outcome: Option<Outcome>,
}

/// What the two participants of a channel own of the ledger's money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) channel: ChannelId,
    pub(crate) parts: [(FundingId, Amount); PARTICIPANTS],
}

/// The court: what is registered, when it is now, and what the ledger's money is.
#[derive(Debug)]
pub(crate) struct Adjudicator<'a> {
    disputes: &'a Disputes,
    native: &'a Asset,
    now: u64,
    changes: Changes,
}

impl<'a> Adjudicator<'a> {
    pub(crate) fn new(disputes: &'a Disputes, native: &'a Asset, now: u64) -> Self {
        Self { disputes, native, now, changes: Changes::default() }
    }

    /// Registers a tree of states, or refutes what is registered of it.
    pub(crate) fn register(mut self, tree: &Registration) -> Result<Changes, Refusal> {
        must(tree.root.params.kind.is_ledger(), Refusal::NotLedger)?;
        let mut subs = tree.subs.iter();
        self.register_one(&tree.root)?;
        self.register_below(&tree.root.signed.state, &mut subs)?;
        must(subs.len() == 0, Refusal::SubChannelCount)?;
        Ok(self.changes)
    }

    fn register_below(
        &mut self,
        parent: &State,
        subs: &mut Iter<'_, Claim>,
    ) -> Result<(), Refusal> {
        for locked in &parent.outcome.locked {
            let sub = subs.next().ok_or(Refusal::SubChannelCount)?;
            must(!sub.params.kind.is_ledger(), Refusal::LedgerChannelBelow)?;
            check_below(parent, locked, &sub.signed.state)?;
            self.register_one(sub)?;
            self.register_below(&sub.signed.state, subs)?;
        }
        Ok(())
    }

    fn register_one(&mut self, claim: &Claim) -> Result<(), Refusal> {
        self.check(claim)?;
        let (state, hash) = (&claim.signed.state, claim.signed.state.hash());
        let timeout = match self.dispute(&state.channel) {
            Some(known) if known.state == hash => return Ok(()),
            Some(known) => refuted(known, state, self.now)?,
            None => {
                let end = self.now.checked_add(claim.params.challenge_duration);
                end.ok_or(Refusal::Duration)?
            }
        };
        let timeout = if state.is_final { self.now } else { timeout };
        self.store(claim, hash, timeout, Phase::Dispute);
        Ok(())
    }

    /// Concludes a dispute whose time is over, with everything below it.
    pub(crate) fn conclude(mut self, conclusion: &Conclusion) -> Result<Changes, Refusal> {
        let Conclusion { params, state, subs } = conclusion;
        must(params.kind.is_ledger(), Refusal::NotLedger)?;
        params.check()?;
        state.check(params)?;
        let known = self.dispute(&state.channel).ok_or(Refusal::NotRegistered)?;
        must(known.state == state.hash(), Refusal::InvalidState)?;
        must(known.phase != Phase::Concluded, Refusal::AlreadyConcluded)?;
        must(self.now >= known.ends_at(), Refusal::TooEarly(known.ends_at()))?;
        self.conclude_registered(state)?;
        let mut subs = subs.iter();
        let amounts = self.conclude_below(state, &mut subs)?;
        must(subs.len() == 0, Refusal::SubChannelCount)?;
        Ok(self.settled(params, state, amounts))
    }

    /// What the participants get of the ledger's money out of a state and all states below it.
    fn conclude_below(
        &mut self,
        parent: &State,
        subs: &mut Iter<'_, State>,
    ) -> Result<[Amount; PARTICIPANTS], Refusal> {
        let mut amounts = self.amounts(parent);
        for locked in &parent.outcome.locked {
            let sub = subs.next().ok_or(Refusal::SubChannelCount)?;
            check_below(parent, locked, sub)?;
            self.conclude_registered(sub)?;
            let below = self.conclude_below(sub, subs)?;
            for (place, amount) in locked.index_map.into_iter().zip(below) {
                let slot = amounts.get_mut(usize::from(place)).ok_or(Rule::IndexMap)?;
                *slot = slot.checked_add(amount).ok_or(Rule::AmountTooLarge)?;
            }
        }
        Ok(amounts)
    }

    /// Concludes one channel with its registered state; one that is concluded already stays so.
    fn conclude_registered(&mut self, state: &State) -> Result<(), Refusal> {
        let known = self.dispute(&state.channel).ok_or(Refusal::NotRegistered)?;
        must(known.state == state.hash(), Refusal::InvalidState)?;
        if known.phase != Phase::Concluded {
            let concluded = Dispute { phase: Phase::Concluded, ..known.clone() };
            self.changes.disputes.push((state.channel, concluded));
        }
        Ok(())
    }

    /// Concludes a channel at once with a state that both signed as final.
    pub(crate) fn conclude_final(mut self, claim: &Claim) -> Result<Changes, Refusal> {
        let Claim { params, signed } = claim;
        must(params.kind.is_ledger(), Refusal::NotLedger)?;
        must(signed.state.is_final, Refusal::NotFinal)?;
        must(signed.state.outcome.locked.is_empty(), Refusal::SubChannels)?;
        self.check(claim)?;
        let known = self.dispute(&signed.state.channel);
        let is_concluded = known.is_some_and(|known| known.phase == Phase::Concluded);
        must(!is_concluded, Refusal::AlreadyConcluded)?;
        self.store(claim, signed.state.hash(), self.now, Phase::Concluded);
        let amounts = self.amounts(&signed.state);
        Ok(self.settled(params, &signed.state, amounts))
    }

    /// Parameters and state that can be settled here, with both signatures.
    fn check(&self, claim: &Claim) -> Result<(), Refusal> {
        let state = &claim.signed.state;
        must(state.outcome.assets.iter().all(|asset| self.knows(asset)), Refusal::UnknownAsset)?;
        claim.signed.check(&claim.params).map_err(|error| match error {
            PortError::Proof(broken) => Refusal::Rule(broken),
            _ => Refusal::InvalidState,
        })
    }

    /// Assets of other ledgers are none of ours; on this chain there is one holder.
    fn knows(&self, asset: &Asset) -> bool {
        match (asset, self.native) {
            (Asset::Ethereum { chain_id, .. }, Asset::Ethereum { chain_id: ours, .. }) => {
                chain_id != ours || asset == self.native
            }
            _ => true,
        }
    }

    fn dispute(&self, channel: &ChannelId) -> Option<&Dispute> {
        let changed = self.changes.disputes.iter().rev().find(|(id, _)| id == channel);
        changed.map(|(_, dispute)| dispute).or_else(|| self.disputes.get(channel))
    }

    fn store(&mut self, claim: &Claim, state: StateHash, timeout: u64, phase: Phase) {
        let dispute = Dispute {
            version: claim.signed.state.version,
            state,
            timeout,
            challenge_duration: claim.params.challenge_duration,
            has_app: claim.params.has_app(),
            phase,
            signed: Some(Arc::new(claim.signed.clone())),
        };
        self.changes.disputes.push((claim.signed.state.channel, dispute));
    }

    /// What the participants own of the ledger's money in one state.
    fn amounts(&self, state: &State) -> [Amount; PARTICIPANTS] {
        let rows = state.outcome.assets.iter().zip(&state.outcome.balances);
        let row = rows.filter(|(asset, _)| *asset == self.native).map(|(_, row)| *row).next();
        row.unwrap_or_default()
    }

    fn settled(
        mut self,
        params: &Params,
        state: &State,
        amounts: [Amount; PARTICIPANTS],
    ) -> Changes {
        let channel = state.channel;
        let [first, second] = &params.participants;
        let parts = [(first, amounts[0]), (second, amounts[1])]
            .map(|(participant, amount)| (FundingId::of(&channel, &participant.address), amount));
        self.changes.outcome = Some(Outcome { channel, parts });
        self.changes
    }
}

/// Until when a newer state can still be refuted: a refutation does not move it.
const fn refuted(known: &Dispute, state: &State, now: u64) -> Result<u64, Refusal> {
    if state.version <= known.version {
        return Err(Refusal::InvalidVersion { registered: known.version });
    }
    match known.phase {
        Phase::Concluded => Err(Refusal::AlreadyConcluded),
        Phase::Dispute if now < known.timeout => Ok(known.timeout),
        Phase::Dispute | Phase::ForceExecution => Err(Refusal::RefutationOver(known.timeout)),
    }
}

/// The state of a sub-channel holds what was locked for it.
fn check_below(parent: &State, locked: &SubAlloc, sub: &State) -> Result<(), Refusal> {
    must(sub.channel == locked.id, Refusal::InvalidSubChannel)?;
    must(sub.outcome.assets == parent.outcome.assets, Refusal::SubOutcome)?;
    for (asset, amount) in locked.balances.iter().enumerate() {
        must(sub.total(asset)? == *amount, Refusal::SubOutcome)?;
    }
    Ok(())
}

fn must(holds: bool, refusal: Refusal) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(refusal) }
}
