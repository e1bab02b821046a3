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
    },
    /// A deposit is final.
    Deposited {
        /// The asset's place.
        asset: usize,
        /// Whose.
        participant: usize,
        /// How much.
        amount: Amount,
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
    },
}

impl Record {
    /// Names what happened on the ledger.
    pub fn watch(&self, event: LedgerEvent) -> Input {
        let mut view = self.view.clone();
        match event {
            LedgerEvent::Deposited { asset, participant, amount } => {
                view.deposit(asset, participant, amount);
                self.deposited(view)
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
            LedgerEvent::Concluded { version } => {
                view.concluded = Some(version);
                self.concluded(view)
            }
            LedgerEvent::Withdrawn { asset } => {
                view.withdraw(asset);
                self.withdrawn(view)
            }
            LedgerEvent::RetractedRegistration { version } => {
                view.registrations.retain(|known| known.version != version);
                Input::Retracted(view)
            }
            LedgerEvent::RetractedConclusion => self.retracted_conclusion(view),
        }
    }

    fn deposited(&self, view: View) -> Input {
        let zero = self.state().filter(|state| state.version == 0);
        let is_funded = zero.is_some_and(|state| view.covers(&state.outcome.balances));
        if self.phase == Phase::Funding && is_funded {
            Input::Funded(view)
        } else {
            Input::Deposit(view)
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
        let owed = self.owed();
        let mut owed = owed.iter().zip(&view.withdrawn);
        let all = owed.all(|(amount, is_withdrawn)| amount.is_zero() || *is_withdrawn);
        if all { Input::Withdrawn(view) } else { Input::WithdrawnInPart(view) }
    }

    fn retracted_conclusion(&self, mut view: View) -> Input {
        view.concluded = None;
        let is_final = self.state().is_some_and(|state| state.is_final);
        if is_final && matches!(self.phase, Phase::Concluded | Phase::Withdrawn) {
            return Input::RetractedFinal(view);
        }
        Input::Retracted(view)
    }
}

impl View {
    fn deposit(&mut self, asset: usize, participant: usize, amount: Amount) {
        let deposit = self.deposits.get_mut(asset).and_then(|row| row.get_mut(participant));
        if let Some(deposit) = deposit {
            *deposit = deposit.checked_add(amount).unwrap_or(Amount::MAX);
        }
    }

    fn register(&mut self, registration: Registration) {
        if self.registrations.len() == MAX_REGISTRATIONS {
            self.registrations.pop_front();
        }
        self.registrations.push_back(registration);
    }

    fn withdraw(&mut self, asset: usize) {
        if let Some(known) = self.withdrawn.get_mut(asset) {
            *known = true;
        }
    }

    /// Whether the final deposits are at least these balances.
    pub fn covers(&self, balances: &[[Amount; PARTICIPANTS]]) -> bool {
        let rows = self.deposits.iter().zip(balances);
        self.deposits.len() == balances.len()
            && rows.flat_map(|(have, want)| have.iter().zip(want)).all(|(have, want)| have >= want)
    }
}
