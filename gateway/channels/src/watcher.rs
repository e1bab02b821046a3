//! What the ledger's events mean for a channel: the view they add up to, and the row of the table they are.
//!
//! Guarantees: the newest registration decides, compared with the newest state that both have signed (I3); a deposit
//! counts once it is final; a retracted event is taken out of the view. Does not: ask a ledger anything.

use sluicegate_protocol::channel::{Amount, PARTICIPANTS, Signature, State};

use crate::{
    Phase,
    input::Input,
    record::{MAX_REGISTRATIONS, Record, Registration, View},
};

/// What happened to a channel on the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerEvent {
    /// The outcome is fixed.
    Concluded {
        /// The version that was concluded.
        version: u64,
        /// In which block.
        block: u64,
    },
    /// A deposit is final.
    Deposited {
        /// The asset's place.
        asset: usize,
        /// Whose.
        participant: usize,
        /// How much.
        amount: Amount,
        /// In which block.
        block: u64,
    },
    /// A state was registered, or one refuted another.
    Registered {
        /// Which, and until when it can be refuted.
        registration: Registration,
        /// The state itself, where the ledger has it.
        state: Option<Box<(State, [Signature; PARTICIPANTS])>>,
    },
    /// A conclusion was taken back.
    RetractedConclusion,
    /// A registration was taken back.
    RetractedRegistration {
        /// Its version.
        version: u64,
    },
    /// A withdrawal of ours.
    Withdrawn {
        /// The asset's place.
        asset: usize,
        /// How much.
        amount: Amount,
    },
}

impl Record {
    /// Names what happened on the ledger.
    pub fn watch(&self, event: LedgerEvent) -> Input {
        let mut view = self.view.clone();
        match event {
            LedgerEvent::Deposited { asset, participant, amount, block } => {
                match view.concluded_in {
                    Some(concluded) if block > concluded && participant == self.own => {
                        view.deposit_late(asset, amount);
                    }
                    Some(concluded) if block > concluded => {}
                    _ => view.deposit(asset, participant, amount),
                }
                self.deposited(view, participant)
            }
            LedgerEvent::Registered { registration, state } => {
                // An older registration is announced once more when it is final, behind what refuted it.
                if view.registration().is_some_and(|newest| newest.version >= registration.version)
                {
                    return Input::Stray;
                }
                view.register(registration.clone());
                self.registered(view, &registration, state)
            }
            LedgerEvent::Concluded { version, block } => {
                (view.concluded, view.concluded_in) = (Some(version), Some(block));
                self.concluded(view)
            }
            LedgerEvent::Withdrawn { asset, amount } => {
                view.withdraw(asset, amount);
                self.withdrawn(view)
            }
            LedgerEvent::RetractedRegistration { version } => {
                view.registrations.retain(|known| known.version != version);
                Input::Retracted(view)
            }
            LedgerEvent::RetractedConclusion => self.retracted_conclusion(view),
        }
    }

    /// The ledger's events begin anew: what they add up to is counted once more, from nothing.
    pub fn anew(&self) -> Input {
        let mut view = View::new(self.view.deposits.len());
        view.known = self.view.paid_in().collect();
        (view.concluded, view.concluded_in) = (self.view.concluded, self.view.concluded_in);
        Input::Anew(view)
    }

    fn deposited(&self, view: View, by: usize) -> Input {
        let zero = self.state().filter(|state| state.version == 0);
        let is_funded = zero.is_some_and(|state| view.covers(&state.outcome.balances));
        match self.phase {
            Phase::Funding if is_funded => Input::Funded(view),
            Phase::Abandoned
                if by == self.own && view.concluded.is_none() && self.is_own_deposit(&view) =>
            {
                Input::DepositStranded(view)
            }
            Phase::Abandoned | Phase::Concluded | Phase::Withdrawn => self.deposited_late(view),
            _ => Input::Deposit(view),
        }
    }

    /// Whether what is there of ours can come from us, who pay in all of it at once or nothing, and is no gift.
    fn is_own_deposit(&self, view: &View) -> bool {
        let state = self.state().or(self.pending.as_ref().map(|pending| &pending.state));
        let rows = state.map(|state| state.outcome.balances.iter()).into_iter().flatten();
        let mut own =
            rows.zip(view.paid_in()).map(|(wanted, paid)| (wanted[self.own], paid[self.own]));
        own.any(|(wanted, paid)| !wanted.is_zero() && paid >= wanted)
    }

    /// The outcome is fixed, and a deposit from before or after it is final only now: what is ours may be another sum
    /// than it seemed.
    fn deposited_late(&self, view: View) -> Input {
        let now = Self { view, ..self.clone() };
        let (before, left) = (self.left(), now.left());
        let is_something = left.iter().any(|amount| !amount.is_zero());
        match self.phase {
            _ if before == left => Input::Deposit(now.view),
            _ if is_something => Input::DepositLate(now.view),
            Phase::Concluded => Input::Withdrawn(now.view),
            _ => Input::Deposit(now.view),
        }
    }

    fn registered(
        &self,
        view: View,
        registration: &Registration,
        state: Option<Box<(State, [Signature; PARTICIPANTS])>>,
    ) -> Input {
        let ours = self.state().map(|state| (state.version, *state.hash().as_bytes()));
        match ours {
            Some((version, _)) if registration.version < version => Input::RegisteredOlder(view),
            Some((version, hash))
                if registration.version == version
                    && registration.hash.is_none_or(|registered| registered == hash) =>
            {
                Input::RegisteredSame(view)
            }
            _ => {
                let signed = state.map(|state| *state);
                let signed = signed.and_then(|(state, by)| self.signed_by_both(state, by));
                Input::RegisteredNewer(view, signed.map(Box::new))
            }
        }
    }

    fn concluded(&self, view: View) -> Input {
        let concluded = Self { view, ..self.clone() };
        // What was concluded may be forgotten, with a backup: then something may be ours.
        let owed = concluded.owed();
        let is_nothing = !owed.is_empty() && owed.iter().all(|amount| amount.is_zero());
        let view = concluded.view;
        if is_nothing { Input::ConcludedNothingOurs(view) } else { Input::Concluded(view) }
    }

    fn withdrawn(&self, view: View) -> Input {
        let now = Self { view, ..self.clone() };
        let is_all = now.left().iter().all(|amount| amount.is_zero());
        if is_all { Input::Withdrawn(now.view) } else { Input::WithdrawnInPart(now.view) }
    }

    fn retracted_conclusion(&self, mut view: View) -> Input {
        (view.concluded, view.concluded_in) = (None, None);
        let is_final = self.state().is_some_and(|state| state.is_final);
        if is_final && matches!(self.phase, Phase::Concluded | Phase::Withdrawn) {
            return Input::RetractedFinal(view);
        }
        Input::Retracted(view)
    }
}

impl View {
    fn deposit(&mut self, asset: usize, participant: usize, amount: Amount) {
        add(self.deposits.get_mut(asset).and_then(|row| row.get_mut(participant)), amount);
    }

    fn deposit_late(&mut self, asset: usize, amount: Amount) {
        add(self.late.get_mut(asset), amount);
    }

    fn register(&mut self, registration: Registration) {
        if self.registrations.len() == MAX_REGISTRATIONS {
            self.registrations.pop_front();
        }
        self.registrations.push_back(registration);
    }

    fn withdraw(&mut self, asset: usize, amount: Amount) {
        add(self.withdrawn.get_mut(asset), amount);
    }

    /// Whether the final deposits are at least these balances.
    pub fn covers(&self, balances: &[[Amount; PARTICIPANTS]]) -> bool {
        let mut rows = self.paid_in().zip(balances);
        self.deposits.len() == balances.len()
            && rows.all(|(have, want)| have.iter().zip(want).all(|(have, want)| have >= want))
    }
}

fn add(sum: Option<&mut Amount>, amount: Amount) {
    if let Some(sum) = sum {
        *sum = sum.checked_add(amount).unwrap_or(Amount::MAX);
    }
}
