//! What the ledger's events do.
//!
//! Guarantees: an older state on the ledger is answered with the newest that both have signed (I3); a retracted event
//! is undone. Does not: add events up; [`crate::watcher`] does, and compares versions.

use super::{Taken, Work};
use crate::{
    Phase,
    effect::{Intent, Notice},
    input::Input,
    record::{SignedState, View},
};

/// How long the side that did not propose the final state leaves its conclusion to the other, in ledger seconds.
const SECOND_CONCLUDES_AFTER_S: u64 = 600;

impl Work {
    pub(super) fn take_from_ledger(&mut self, input: Input) -> Taken {
        match input {
            Input::Anew(view) | Input::Deposit(view) => self.deposit(view),
            Input::DepositLate(view) => self.deposit_late(view),
            Input::DepositStranded(view) => self.deposit_stranded(view),
            Input::Funded(view) => self.funded(view),
            Input::RegisteredOlder(view) => self.registered_older(view),
            Input::RegisteredSame(view) => self.registered_same(view),
            Input::RegisteredNewer(view, signed) => self.registered_newer(view, signed),
            Input::Concluded(view) => self.concluded(view),
            Input::ConcludedNothingOurs(view) => self.concluded_nothing_ours(view),
            Input::Withdrawn(view) => self.withdrawn(view),
            Input::WithdrawnInPart(view) => self.withdrawn_in_part(view),
            Input::Retracted(view) => self.retracted(view),
            Input::RetractedFinal(view) => self.retracted_final(view),
            input => Some(input),
        }
    }

    fn deposit(&mut self, view: View) -> Taken {
        self.record.view = view;
        None
    }

    fn deposit_late(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Concluded | Phase::Withdrawn | Phase::Abandoned => {
                self.record.view = view;
                self.record.ended = None;
                self.ledger(Intent::Withdraw);
                self.enter(Phase::Concluded);
            }
            _ => return Some(Input::DepositLate(view)),
        }
        None
    }

    /// Who deposited has forgotten it, with a backup: the peer or the ledger knows more.
    fn deposit_stranded(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Abandoned => {
                self.record.view = view;
                self.record.ended = None;
                self.record.restored = true;
                self.send_version_zero();
                self.tell(Notice::Restored);
                self.enter(Phase::Exchanging);
            }
            _ => return Some(Input::DepositStranded(view)),
        }
        None
    }

    fn funded(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Funding => {
                self.record.view = view;
                self.tell(Notice::Open);
                self.enter(Phase::Open);
            }
            _ => return Some(Input::Funded(view)),
        }
        None
    }

    fn registered_older(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Open | Phase::Proposed | Phase::Asked => {
                self.record.view = view;
                self.dispute("the peer registered an old state");
            }
            Phase::Final => self.conclude_against(view),
            Phase::Disputed => {
                self.record.view = view;
                self.ledger(Intent::Register);
                self.watch_challenge();
            }
            _ => return Some(Input::RegisteredOlder(view)),
        }
        None
    }

    /// A final state is signed by both: it ends every dispute.
    fn conclude_against(&mut self, view: View) {
        self.record.view = view;
        self.ledger(Intent::ConcludeFinal);
        self.tell(Notice::Dispute("the peer registered another state than the final one".into()));
    }

    fn registered_same(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Funding | Phase::Open | Phase::Proposed | Phase::Asked => {
                self.record.view = view;
                self.enter_dispute("the newest state was registered");
            }
            Phase::Final => self.record.view = view,
            Phase::Disputed => {
                self.record.view = view;
                self.watch_challenge();
            }
            _ => return Some(Input::RegisteredSame(view)),
        }
        None
    }

    fn registered_newer(&mut self, view: View, signed: Option<Box<SignedState>>) -> Taken {
        match self.record.phase {
            Phase::Exchanging | Phase::Funding | Phase::Open | Phase::Proposed | Phase::Asked => {
                self.take_registered(view, signed);
                self.enter_dispute("the peer registered a state that it had not sent us back");
            }
            Phase::Final => self.conclude_against(view),
            Phase::Disputed => {
                self.take_registered(view, signed);
                self.watch_challenge();
            }
            _ => return Some(Input::RegisteredNewer(view, signed)),
        }
        None
    }

    fn take_registered(&mut self, view: View, signed: Option<Box<SignedState>>) {
        self.record.view = view;
        if let Some(signed) = signed {
            self.record.adopt(*signed);
        }
    }

    fn concluded(&mut self, view: View) -> Taken {
        match self.record.phase {
            phase if is_before_conclusion(phase) || phase == Phase::Exchanging => {
                self.record.view = view;
                self.ledger(Intent::Withdraw);
                self.tell(Notice::Concluded);
                self.enter(Phase::Concluded);
            }
            Phase::Abandoned => self.record.view = view,
            _ => return Some(Input::Concluded(view)),
        }
        None
    }

    fn concluded_nothing_ours(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Exchanging => {
                self.record.view = view;
                self.abandon("it was concluded before it was funded");
            }
            Phase::Abandoned => self.record.view = view,
            phase if is_before_conclusion(phase) => self.settled(view),
            _ => return Some(Input::ConcludedNothingOurs(view)),
        }
        None
    }

    fn settled(&mut self, view: View) {
        self.record.view = view;
        self.tell(Notice::Settled);
        self.enter(Phase::Withdrawn);
    }

    fn withdrawn(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Concluded => self.settled(view),
            Phase::Withdrawn => self.record.view = view,
            _ => return Some(Input::Withdrawn(view)),
        }
        None
    }

    fn withdrawn_in_part(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Concluded => {
                self.record.view = view;
                self.ledger(Intent::Withdraw);
            }
            Phase::Withdrawn => self.record.view = view,
            _ => return Some(Input::WithdrawnInPart(view)),
        }
        None
    }

    fn retracted(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Funding | Phase::Open | Phase::Proposed | Phase::Asked => {}
            Phase::Final => self.ledger(Intent::ConcludeFinal),
            Phase::Disputed => self.ledger(Intent::Register),
            Phase::Concluded | Phase::Withdrawn => {
                self.ledger(Intent::Conclude);
                self.enter(Phase::Disputed);
            }
            _ => return Some(Input::Retracted(view)),
        }
        self.record.view = view;
        if self.record.phase == Phase::Disputed {
            self.watch_challenge();
        }
        None
    }

    fn retracted_final(&mut self, view: View) -> Taken {
        match self.record.phase {
            Phase::Concluded | Phase::Withdrawn => {
                self.record.view = view;
                self.ledger(Intent::ConcludeFinal);
                self.enter(Phase::Final);
            }
            _ => return Some(Input::RetractedFinal(view)),
        }
        None
    }

    /// Leaves the conclusion to who proposed the final state, for a while.
    pub(super) fn wait_for_conclusion(&mut self) {
        self.record.deadline_s = Some(self.ledger_s.saturating_add(SECOND_CONCLUDES_AFTER_S));
    }
}

const fn is_before_conclusion(phase: Phase) -> bool {
    phase.is_acting() || matches!(phase, Phase::Funding | Phase::Final | Phase::Disputed)
}
