//! What the owner's commands do.
//!
//! Guarantees: see [`super`]. Does not: check a balance; [`crate::classify`] does.

use super::{Taken, Work};
use crate::{
    Phase,
    effect::{Intent, Notice},
    input::Input,
    record::{Change, MAX_REASON},
};

impl Work {
    /// What comes from the owner, the key, the clock and the process.
    pub(super) fn take_from_here(&mut self, input: Input) -> Taken {
        match input {
            Input::Pay { asset, amount } if self.record.phase == Phase::Open => {
                self.propose(Change::Pay { asset, amount });
                None
            }
            Input::Close => self.close(),
            Input::Dispute => self.disputed_by_owner(),
            Input::Resume => self.resume(),
            input => self.take_from_key(input),
        }
    }

    fn close(&mut self) -> Taken {
        match self.record.phase {
            Phase::Exchanging => self.abandon("the owner closed the channel before it was funded"),
            Phase::Funding => self.dispute("the owner closed the channel before it was funded"),
            Phase::Open => self.propose(Change::Close),
            Phase::Proposed | Phase::Asked => self.record.wish = Some(Change::Close),
            _ => return Some(Input::Close),
        }
        None
    }

    pub(super) fn abandon(&mut self, reason: &str) {
        let end = reason.floor_char_boundary(MAX_REASON);
        self.record.ended = Some(reason[..end].to_owned());
        self.tell(Notice::Abandoned(reason.to_owned()));
        self.enter(Phase::Abandoned);
    }

    fn disputed_by_owner(&mut self) -> Taken {
        match self.record.phase {
            Phase::Funding | Phase::Open | Phase::Proposed | Phase::Asked => {
                self.dispute("the owner wants it");
            }
            Phase::Final => self.ledger(Intent::ConcludeFinal),
            Phase::Disputed | Phase::Concluded => {}
            _ => return Some(Input::Dispute),
        }
        None
    }

    fn resume(&mut self) -> Taken {
        match (self.record.phase, self.record.wish) {
            (Phase::Open, Some(wish)) => {
                self.record.wish = None;
                self.propose(wish);
            }
            _ => return Some(Input::Resume),
        }
        None
    }
}
