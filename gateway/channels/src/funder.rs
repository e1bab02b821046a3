//! What the ledger is asked to do for a channel: an intent and its record become requests.
//!
//! Guarantees: a request is made of the record alone, so it is the same after a restart and the outbox does it once;
//! nothing is deposited for a record from a backup. Does not: pay fees, retry or wait; the outbox does.

use sluicegate_ledger::{
    Request,
    channels::{Claim, Conclusion, Deposit, Registration, SignedState, Withdrawal},
};
use sluicegate_protocol::channel::{Amount, Signature, State};

use crate::{Phase, effect::Intent, record::Record};

/// Signs the withdrawal of an amount of ours, when no signature came with the state.
pub type SignWithdrawal<'a> = &'a dyn Fn(&Record, Amount) -> Option<Signature>;

impl Record {
    /// The requests of an intent; none when nothing is left to do.
    pub fn requests(&self, intent: Intent, sign: SignWithdrawal<'_>) -> Vec<Request> {
        match intent {
            Intent::Conclude => self.conclude().into_iter().collect(),
            Intent::ConcludeFinal => self
                .claim()
                .map(|claim| Request::ConcludeFinal(Box::new(claim)))
                .into_iter()
                .collect(),
            Intent::CancelDeposit => Vec::new(),
            Intent::Deposit if self.restored => Vec::new(),
            Intent::Deposit => self.deposits(),
            Intent::Register => self.register().into_iter().collect(),
            Intent::Withdraw => self.withdrawals(sign),
        }
    }

    fn claim(&self) -> Option<Claim> {
        let current = self.current.as_ref()?;
        let (state, signatures) = (current.state.clone(), current.signatures);
        Some(Claim { params: self.params.clone(), signed: SignedState { state, signatures } })
    }

    fn register(&self) -> Option<Request> {
        let root = self.claim()?;
        Some(Request::Register(Box::new(Registration { root, subs: Vec::new() })))
    }

    fn conclude(&self) -> Option<Request> {
        // Of a registration that the ledger did not tell once more, ours is the best guess.
        let state = self.registered_state().or(self.state())?.clone();
        let conclusion = Conclusion { params: self.params.clone(), state, subs: Vec::new() };
        Some(Request::Conclude(Box::new(conclusion)))
    }

    fn deposits(&self) -> Vec<Request> {
        let Some(state) = self.state() else { return Vec::new() };
        let rows = state.outcome.assets.iter().zip(&state.outcome.balances);
        let own = rows.filter(|(_, row)| !row[self.own].is_zero());
        let participant = self.params.participants[self.own].address;
        let deposit = |(asset, row): (&sluicegate_protocol::channel::Asset, &[Amount; 2])| {
            let (asset, amount) = (asset.clone(), row[self.own]);
            Request::Deposit(Box::new(Deposit { channel: self.id, participant, asset, amount }))
        };
        own.map(deposit).collect()
    }

    /// What is ours of each asset after the conclusion: our part of the concluded state, or our own deposit where the
    /// deposits don't suffice for the outcome (perun-eth-contracts, `AssetHolder.setOutcome`), and what we deposited
    /// after it.
    pub fn owed(&self) -> Vec<Amount> {
        let Some(state) = self.concluded_state() else { return Vec::new() };
        let rows = state.outcome.balances.iter().zip(self.view.paid_in()).zip(&self.view.late);
        let owed = |((outcome, deposits), late): ((&[Amount; 2], [Amount; 2]), &Amount)| {
            let is_covered = Amount::checked_sum(deposits) >= Amount::checked_sum(*outcome);
            let part = if is_covered { outcome[self.own] } else { deposits[self.own] };
            part.checked_add(*late).unwrap_or(Amount::MAX)
        };
        rows.map(owed).collect()
    }

    /// What of it lies on the ledger still.
    pub fn left(&self) -> Vec<Amount> {
        let owed = self.owed();
        let rows = owed.iter().zip(&self.view.withdrawn);
        rows.map(|(owed, withdrawn)| owed.checked_sub(*withdrawn).unwrap_or_default()).collect()
    }

    fn concluded_state(&self) -> Option<&State> {
        let version = self.view.concluded?;
        let signed = self.signed_states().map(|(state, _)| state);
        let known = signed.chain(self.registered_state());
        known.into_iter().find(|state| state.version == version)
    }

    /// Every state that carries our signature and that the peer can bring to the ledger, with our authorisations: the
    /// newest that both have signed, the one under way, and those that were refused.
    fn signed_states(&self) -> impl Iterator<Item = (&State, &[Option<Signature>])> {
        let current = self.current.iter().map(|known| (&known.state, &*known.withdrawals));
        let pending = self.pending.iter();
        let pending =
            pending.filter_map(|known| Some((&known.state, &*known.own.as_ref()?.withdrawals)));
        let burned = self.burned.iter().map(|known| (&known.state, &*known.own.withdrawals));
        current.chain(pending).chain(burned)
    }

    fn withdrawals(&self, sign: SignWithdrawal<'_>) -> Vec<Request> {
        let Some(state) = self.concluded_state() else { return Vec::new() };
        let open = self.left().into_iter().enumerate().filter(|(_, amount)| !amount.is_zero());
        let withdrawal = |(place, amount)| {
            let signature = self.known_withdrawal(place, amount).or_else(|| sign(self, amount))?;
            let asset = state.outcome.assets.get(place)?.clone();
            let authorisation = self.withdrawal(amount);
            Some(Request::Withdraw(Box::new(Withdrawal { authorisation, asset, signature })))
        };
        open.filter_map(withdrawal).collect()
    }

    /// The authorisation that came with a state, if one is for this amount.
    fn known_withdrawal(&self, place: usize, amount: Amount) -> Option<Signature> {
        let mut known = self.signed_states().filter_map(|(_, all)| all.get(place).copied()?);
        known.find(|one| one.verify_withdrawal(&self.withdrawal(amount)).is_ok())
    }

    /// What the ledger is still to do, by the phase alone: asked for again when the process starts, or the owner wants
    /// it. The outbox does nothing twice.
    pub fn standing(&self, ledger_s: u64) -> Option<Intent> {
        match self.phase {
            Phase::Concluded => Some(Intent::Withdraw),
            Phase::Disputed => self.standing_dispute(ledger_s),
            Phase::Final if self.deadline_s.is_none() => Some(Intent::ConcludeFinal),
            Phase::Funding if !self.restored => Some(Intent::Deposit),
            _ => None,
        }
    }

    fn standing_dispute(&self, ledger_s: u64) -> Option<Intent> {
        let newest = self.view.registration();
        let ours = self.state().map(|state| state.version);
        match newest {
            Some(newest) if ledger_s >= newest.timeout_s => Some(Intent::Conclude),
            Some(newest) if Some(newest.version) >= ours => None,
            _ => Some(Intent::Register),
        }
    }
}
