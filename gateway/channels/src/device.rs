//! What a device that signs for itself is asked and told of a channel, made of the channel's record.
//!
//! Guarantees: the same record gives the same request with the same number, so a restart asks for the same, and a number
//! never stands for two states. Parameters are in the request for version 0, which is a channel's first. Does not: keep
//! anything; the peer's share in the nonce, by which a device knows the channel that it asked for, comes from outside.

use sluicegate_protocol::channel::{
    Amount, State,
    exchange::{Current, Opening, SignRequest, Summary, Why},
};

use crate::{
    Record,
    record::{Change, Pending},
};

/// The number of the request for this state: the first bytes of its hash.
pub fn request_number(state: &State) -> u64 {
    let hash = state.hash();
    hash.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Record {
    /// What the device is to sign: what is under way, or a state that came back without its authorisations.
    pub fn request(&self, peer_share: Option<[u8; 32]>) -> Option<SignRequest> {
        if self.waits_for_own() {
            return self.pending.as_ref().map(|pending| self.request_for(pending, peer_share));
        }
        // A device that signed a state signs it again as the same bytes.
        let state = self.state().filter(|_| self.lacks_authorisations())?.clone();
        let again = Pending { state, by: self.own, change: Change::Receive, own: None, peer: None };
        Some(self.request_for(&again, peer_share))
    }

    /// Whether this payment of ours is under way.
    pub fn is_paying(&self, asset: usize, amount: Amount) -> bool {
        self.pending.as_ref().is_some_and(|it| it.change == Change::Pay { asset, amount })
    }

    /// The request for the payment of ours that is under way, signed or not.
    pub fn payment_request(&self) -> Option<SignRequest> {
        let is_payment = |pending: &&Pending| matches!(pending.change, Change::Pay { .. });
        let pending = self.pending.as_ref().filter(is_payment)?;
        Some(self.request_for(pending, None))
    }

    fn request_for(&self, pending: &Pending, peer_share: Option<[u8; 32]>) -> SignRequest {
        let Pending { state, change, .. } = pending;
        let opening = || Opening { params: self.params.clone(), peer_share };
        SignRequest {
            number: request_number(state),
            opening: (state.version == 0).then(opening),
            state: state.clone(),
            why: match change {
                _ if state.is_final => Why::Final,
                Change::Begin => Why::Open,
                Change::Close => Why::Final,
                Change::Pay { .. } => Why::Pay,
                Change::Receive => Why::Receive,
            },
            receiver: self.receiver,
        }
    }

    /// Whether the request with this number was answered with a signature, as far as that still matters.
    pub fn is_signed(&self, number: u64) -> bool {
        let pending = self.pending.iter().filter(|pending| pending.own.is_some());
        let current = self.state().filter(|_| !self.lacks_authorisations());
        let states = pending.map(|pending| &pending.state).chain(current);
        let mut states = states.chain(self.burned.iter().map(|burned| &burned.state));
        states.any(|state| request_number(state) == number)
    }

    /// How the channel stands, for the device.
    pub fn summary(&self, peer_share: Option<[u8; 32]>) -> Option<Summary> {
        let current = self.state().map(|state| {
            let rows = state.outcome.balances.iter();
            let balances = rows.map(|row| [row[self.own], row[self.peer_place()]]).collect();
            Current { version: state.version, balances }
        });
        let (phase, pending) = (self.phase.shown()?, self.request(peer_share));
        Some(Summary { id: self.id, current, phase, pending })
    }
}
