//! What is durable of one channel.
//!
//! Guarantees: a record alone is enough to go on after a restart, to enforce the newest state that both have signed,
//! and to know every signature of ours that is out (I1, I2). Memory is bounded. Does not: hold keys, or what a
//! connection needs; [`crate::node`] has that.

mod encoding;

use std::collections::VecDeque;

pub use encoding::Stored;

use sluicegate_protocol::channel::{
    Address, Amount, ChannelId, PARTICIPANTS, Params, Signature, State,
};

use crate::Phase;

/// States that we have signed and the peer has not; more and the channel is settled on the ledger.
pub const MAX_BURNED: usize = 8;

/// Bytes that are kept of why a channel was abandoned.
pub const MAX_REASON: usize = 256;

/// Registrations that are remembered, in case a reorg takes the newest back.
pub const MAX_REGISTRATIONS: usize = 16;

/// What a signature of ours comes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSignature {
    /// Of the state.
    pub state: Signature,
    /// For each asset, of the authorisation to withdraw our balance in that state; none where it is zero.
    pub withdrawals: Vec<Option<Signature>>,
}

/// A state that both have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedState {
    /// The state.
    pub state: State,
    /// One signature for each participant, in their order.
    pub signatures: [Signature; PARTICIPANTS],
    /// Our authorisations to withdraw, as in [`OwnSignature`]; empty for a state that the ledger or the peer gave back.
    pub withdrawals: Vec<Option<Signature>>,
}

/// What an update does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The first state.
    Begin,
    /// Nothing follows: the channel is to be concluded.
    Close,
    /// We pay.
    Pay {
        /// The asset's place.
        asset: usize,
        /// How much.
        amount: Amount,
    },
    /// The peer's update, which takes nothing from us.
    Receive,
}

/// A state under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The state.
    pub state: State,
    /// Whose update it is: the participant's place.
    pub by: usize,
    /// Why.
    pub change: Change,
    /// Our signature, once the key gave it.
    pub own: Option<OwnSignature>,
    /// The peer's signature, once it came.
    pub peer: Option<Signature>,
}

/// A state that we signed and the peer refused, or crossed with its own: the peer may still sign it (I2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Burned {
    /// The state.
    pub state: State,
    /// Our signature of it.
    pub own: OwnSignature,
}

/// A state that is registered on the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// Its version.
    pub version: u64,
    /// Its hash, where the ledger gave the state.
    pub hash: Option<[u8; 32]>,
    /// When the challenge is over, in ledger seconds.
    pub timeout_s: u64,
    /// The state, where the ledger gave it and it is not the newest that both have signed: to conclude it if nothing
    /// refutes it.
    pub state: Option<Box<State>>,
}

/// What the ledger said about the channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// For each asset, the final deposits of each participant, up to the conclusion.
    pub deposits: Vec<[Amount; PARTICIPANTS]>,
    /// What they were before the events were read anew: the ledger may not give all of them once more.
    pub known: Vec<[Amount; PARTICIPANTS]>,
    /// For each asset, our final deposits in blocks behind the conclusion: they are ours besides the outcome.
    pub late: Vec<Amount>,
    /// Registrations in blocks, the newest last.
    pub registrations: VecDeque<Registration>,
    /// The version that was concluded.
    pub concluded: Option<u64>,
    /// In which block.
    pub concluded_in: Option<u64>,
    /// For each asset, what we have withdrawn.
    pub withdrawn: Vec<Amount>,
}

/// One channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The channel.
    pub id: ChannelId,
    /// Where it stands.
    pub phase: Phase,
    /// The peer's name in the address book.
    pub peer: String,
    /// The device whose channel it is.
    pub device: String,
    /// Whether the peer is a Sluicegate: versions burn, and both sides may propose.
    pub sluicegate: bool,
    /// Our place among the participants.
    pub own: usize,
    /// Where our withdrawals go.
    pub receiver: Address,
    /// The parameters.
    pub params: Params,
    /// The newest state that both have signed; none before version 0 is.
    pub current: Option<SignedState>,
    /// The state under way.
    pub pending: Option<Pending>,
    /// The highest version that anybody has signed, as far as we know; with another implementation, that we have.
    pub highest: u64,
    /// States of ours that the peer did not sign, above `current`.
    pub burned: Vec<Burned>,
    /// Who paid first: with another implementation than ours nobody else pays.
    pub payer: Option<usize>,
    /// What is to be proposed next.
    pub wish: Option<Change>,
    /// What the ledger said.
    pub view: View,
    /// When the phase runs out, in ledger seconds.
    pub deadline_s: Option<u64>,
    /// The record comes from a backup: nothing more is signed.
    pub restored: bool,
    /// Why the channel was abandoned.
    pub ended: Option<String>,
}

impl Record {
    /// The peer's place among the participants.
    pub const fn peer_place(&self) -> usize {
        1 - self.own
    }

    /// Our address.
    pub const fn own_address(&self) -> &Address {
        &self.params.participants[self.own].address
    }

    /// The peer's address.
    pub const fn peer_address(&self) -> &Address {
        &self.params.participants[self.peer_place()].address
    }

    /// The state that both have signed, if there is one.
    pub fn state(&self) -> Option<&State> {
        self.current.as_ref().map(|current| &current.state)
    }

    /// Whether a final state carries our signature: then nothing else is ever signed.
    pub fn has_signed_final(&self) -> bool {
        let current = self.state().is_some_and(|state| state.is_final);
        let burned = self.burned.iter().any(|burned| burned.state.is_final);
        current || burned || self.pending.as_ref().is_some_and(Pending::is_signed_final)
    }

    /// Whether an update may be proposed or signed now, apart from its content.
    pub fn may_sign(&self) -> bool {
        !self.restored && !self.has_signed_final() && self.burned.len() < MAX_BURNED
    }

    /// What we own of each asset in the newest state that both have signed.
    pub fn own_balances(&self) -> impl Iterator<Item = Amount> {
        let rows = self.state().map(|state| state.outcome.balances.as_slice()).unwrap_or_default();
        rows.iter().filter_map(|row| row.get(self.own).copied())
    }

    /// What we pay with a state that follows the current one.
    pub(crate) fn payment_of(&self, state: &State) -> Option<Change> {
        let rows = self.own_balances().zip(&state.outcome.balances).enumerate();
        let mut paid = rows.filter_map(|(asset, (now, next))| {
            let amount = now.checked_sub(next[self.own]).filter(|amount| !amount.is_zero())?;
            Some(Change::Pay { asset, amount })
        });
        paid.next()
    }

    /// Whether nothing of ours can come of it any more: it is over, and no deposit of ours can be on its way.
    pub fn is_forgettable(&self) -> bool {
        match self.phase {
            // Nothing is deposited before version 0 is signed by both; who has forgotten that knows no better.
            Phase::Abandoned => !self.restored,
            Phase::Withdrawn => !self.restored && !self.expects_deposit(),
            _ => false,
        }
    }

    /// Whether a deposit of ours can be on its way; when a state follows version 0, all are final.
    fn expects_deposit(&self) -> bool {
        let Some(state) = self.state() else { return true };
        let wanted = state.outcome.balances.iter().map(|row| row[self.own]);
        let found = self.view.paid_in().map(|row| row[self.own]).zip(&self.view.late);
        let is_short = |(wanted, (paid, late)): (Amount, (Amount, &Amount))| {
            paid.checked_add(*late).is_some_and(|found| found < wanted)
        };
        state.version == 0 && wanted.zip(found).any(is_short)
    }

    /// Whether the ledger shows a deposit of ours.
    pub fn has_deposited(&self) -> bool {
        self.view.paid_in().any(|row| !row[self.own].is_zero())
    }

    /// The state that is registered, if it is known.
    pub fn registered_state(&self) -> Option<&State> {
        let newest = self.view.registration()?;
        let ours = self.state().filter(|state| {
            newest.hash.is_none_or(|hash| *state.hash().as_bytes() == hash)
                && state.version == newest.version
        });
        ours.or(newest.state.as_deref())
    }

    /// Takes a state that both have signed; what it supersedes can't be enforced any more.
    pub(crate) fn adopt(&mut self, signed: SignedState) {
        let version = signed.state.version;
        self.highest = self.highest.max(version);
        if self.pending.as_ref().is_some_and(|pending| pending.state.version <= version) {
            self.pending = None;
        }
        self.burned.retain(|burned| burned.state.version > version);
        self.current = Some(signed);
    }

    /// A version that the peer alone has signed, or our device without our knowing: between two Sluicegates it is burned.
    /// Another implementation takes the version that follows and no other, and ours may be that: it saw no signature of
    /// ours, and a device that signed the version signs no other state with it.
    pub(crate) fn pass_over(&mut self, version: u64) {
        if self.sluicegate {
            self.highest = self.highest.max(version);
        }
    }

    /// Burns the pending state: keeps it while the peer can still sign it.
    pub(crate) fn burn(&mut self, version: u64) {
        self.highest = self.highest.max(version);
        let Some(pending) = self.pending.take() else { return };
        self.highest = self.highest.max(pending.state.version);
        if let Some(own) = pending.own {
            self.burned.push(Burned { state: pending.state, own });
        }
    }
}

impl Pending {
    fn is_signed_final(&self) -> bool {
        self.state.is_final && self.own.is_some()
    }
}

impl View {
    /// The view before the ledger said anything.
    pub fn new(assets: usize) -> Self {
        Self {
            deposits: vec![[Amount::ZERO; PARTICIPANTS]; assets],
            known: vec![[Amount::ZERO; PARTICIPANTS]; assets],
            late: vec![Amount::ZERO; assets],
            withdrawn: vec![Amount::ZERO; assets],
            ..Self::default()
        }
    }

    /// For each asset, the final deposits of each participant, however often they were read.
    pub fn paid_in(&self) -> impl Iterator<Item = [Amount; PARTICIPANTS]> {
        let rows = self.deposits.iter().zip(&self.known);
        rows.map(|(read, known)| core::array::from_fn(|place| read[place].max(known[place])))
    }

    /// The newest registration.
    pub fn registration(&self) -> Option<&Registration> {
        self.registrations.back()
    }
}
