//! Which row of the table commands, the key's answers, time and connections are.
//!
//! Guarantees: a payment that the balance or the turn forbids is named before anything is recorded. Does not: know
//! limits; the signer does.

use sluicegate_protocol::channel::{Amount, Signature, State, WithdrawalAuth};

use crate::{
    Phase,
    effect::Refusal,
    input::Input,
    record::{OwnSignature, Record, SignedState},
};

impl Record {
    /// A payment.
    pub fn pay(&self, asset: usize, amount: Amount) -> Input {
        match self.may_pay(asset, amount) {
            Ok(()) => Input::Pay { asset, amount },
            Err(refusal) => Input::Impossible(refusal),
        }
    }

    fn may_pay(&self, asset: usize, amount: Amount) -> Result<(), Refusal> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        if !self.may_sign() || self.highest == u64::MAX {
            return Err(Refusal::Ending);
        }
        if !self.sluicegate && self.payer == Some(self.peer_place()) {
            return Err(Refusal::NotOurTurn);
        }
        let left = self.own_balances().nth(asset).ok_or(Refusal::Asset)?;
        if amount.is_zero() || left < amount {
            return Err(Refusal::Balance { left });
        }
        Ok(())
    }

    /// The end of the channel; where no final state can be signed any more, on the ledger.
    pub fn close(&self) -> Input {
        if self.restored && self.phase == Phase::Exchanging {
            return Input::Impossible(Refusal::Ending);
        }
        let is_blocked = !self.may_sign() || self.highest == u64::MAX;
        if self.phase == Phase::Open && is_blocked { Input::Dispute } else { Input::Close }
    }

    /// The key's signature of the pending state.
    pub fn signature(&self, own: OwnSignature) -> Input {
        let Some(pending) = &self.pending else { return Input::Signature(own) };
        match (pending.state.version, &pending.peer, pending.state.is_final) {
            (0, Some(_), _) => Input::SignatureComplete(own),
            (_, _, true) => Input::SignatureOfFinal(own),
            _ => Input::Signature(own),
        }
    }

    /// Whether a signature is that of the pending state by our participant, with every authorisation it needs.
    pub fn is_own_signature(&self, own: &OwnSignature) -> bool {
        let Some(pending) = self.pending.as_ref().filter(|pending| pending.own.is_none()) else {
            return false;
        };
        self.is_own_signature_of(own, &pending.state)
    }

    /// Whether a signature is that of a state by our participant, with every authorisation it needs.
    pub fn is_own_signature_of(&self, own: &OwnSignature, state: &State) -> bool {
        own.state.verify_state(state, self.own_address()).is_ok()
            && self.has_withdrawals(&own.withdrawals, &state.outcome.balances)
    }

    /// Whether the current state came back without our authorisations to withdraw by it.
    pub fn lacks_authorisations(&self) -> bool {
        let lacks = |SignedState { state, withdrawals, .. }: &SignedState| {
            let balances = &state.outcome.balances;
            let mut each = balances.iter().zip(withdrawals);
            balances.len() != withdrawals.len()
                || each.any(|(row, signature)| signature.is_none() && !row[self.own].is_zero())
        };
        !self.phase.is_over() && self.current.as_ref().is_some_and(lacks)
    }

    fn has_withdrawals(&self, withdrawals: &[Option<Signature>], balances: &[[Amount; 2]]) -> bool {
        let needed = balances.iter().map(|row| row[self.own]);
        let fits = |(amount, signature): (Amount, &Option<Signature>)| match signature {
            Some(signature) => signature.verify_withdrawal(&self.withdrawal(amount)).is_ok(),
            None => amount.is_zero(),
        };
        withdrawals.len() == balances.len() && needed.zip(withdrawals).all(fits)
    }

    /// The authorisation to withdraw an amount of ours.
    pub fn withdrawal(&self, amount: Amount) -> WithdrawalAuth {
        let participant = self.params.participants[self.own].clone();
        WithdrawalAuth { channel: self.id, participant, receiver: self.receiver, amount }
    }

    /// Nobody answered in time.
    pub fn overdue(&self) -> Input {
        if self.waits_for_own() && self.phase != Phase::Asked {
            return Input::Unsigned;
        }
        Input::Overdue
    }

    /// A connection with the peer.
    pub fn connected(&self) -> Input {
        match (self.phase, self.waits_for_own(), self.sluicegate) {
            (Phase::Exchanging, true, _) => Input::Unsigned,
            (_, _, true) => Input::Connected,
            (_, _, false) => Input::ConnectedPlain,
        }
    }

    /// Whether a signature of ours is asked for and missing.
    pub fn waits_for_own(&self) -> bool {
        !self.restored && self.pending.as_ref().is_some_and(|pending| pending.own.is_none())
    }

    /// What ledger time brings, in seconds.
    pub fn at_ledger_time(&self, ledger_s: u64) -> Option<Input> {
        self.deadline_s.filter(|deadline| ledger_s >= *deadline).map(|_| Input::Deadline)
    }

    /// What comes by itself after a step.
    pub fn next(&self) -> Option<Input> {
        (self.phase == Phase::Open && self.wish.is_some() && !self.restored)
            .then_some(Input::Resume)
    }
}
