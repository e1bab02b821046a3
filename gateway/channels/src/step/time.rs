//! What time, connections and starts do.
//!
//! Guarantees: what was sent once is sent again in the same bytes. Does not: read a clock.

use super::{Taken, Work};
use crate::{
    Phase,
    effect::{Intent, Notice},
    input::Input,
};

impl Work {
    pub(super) fn take_from_clock(&mut self, input: Input) -> Taken {
        match input {
            Input::Overdue => self.overdue(),
            Input::PatienceOver if self.record.phase == Phase::Proposed => {
                self.dispute("the peer does not answer");
                None
            }
            Input::PatienceOverUnsigned if self.record.phase == Phase::Proposed => {
                self.withdraw_request();
                None
            }
            Input::PatienceOverRestored => self.patience_over_restored(),
            Input::Deadline => self.deadline(),
            Input::Connected => self.connected(),
            Input::ConnectedPlain => self.connected_plain(),
            Input::Restored => self.restored(),
            input => Some(input),
        }
    }

    /// The device is asked no longer. It may have signed all the same.
    fn withdraw_request(&mut self) {
        if let Some(pending) = self.record.pending.take() {
            self.record.pass_over(pending.state.version);
        }
        self.tell(Notice::Refused("the device did not sign in time".into()));
        self.enter(Phase::Open);
    }

    fn overdue(&mut self) -> Taken {
        match self.record.phase {
            Phase::Exchanging => self.send_version_zero(),
            Phase::Proposed => self.send_update(),
            Phase::Concluded => self.send_sync(false),
            Phase::Asked => self.turn_down("no answer from the device in time".into()),
            _ => return Some(Input::Overdue),
        }
        None
    }

    fn patience_over_restored(&mut self) -> Taken {
        match self.record.phase {
            Phase::Exchanging => self.abandon("the peer has nothing of a channel from a backup"),
            Phase::Funding | Phase::Open => self.dispute("the record comes from a backup"),
            _ => return Some(Input::PatienceOverRestored),
        }
        None
    }

    fn deadline(&mut self) -> Taken {
        match self.record.phase {
            Phase::Exchanging => self.abandon("the peer did not sign version 0 in time"),
            Phase::Funding => self.dispute("the deposits were not complete in time"),
            Phase::Final => {
                self.ledger(Intent::ConcludeFinal);
                self.record.deadline_s = None;
            }
            Phase::Disputed => {
                self.ledger(Intent::Conclude);
                self.record.deadline_s = None;
            }
            _ => return Some(Input::Deadline),
        }
        None
    }

    fn connected(&mut self) -> Taken {
        match self.record.phase {
            Phase::Exchanging => self.send_version_zero(),
            Phase::Funding
            | Phase::Open
            | Phase::Proposed
            | Phase::Asked
            | Phase::Final
            | Phase::Disputed
            | Phase::Concluded => self.send_sync(false),
            _ => return Some(Input::Connected),
        }
        None
    }

    fn connected_plain(&mut self) -> Taken {
        match self.record.phase {
            Phase::Exchanging => self.send_version_zero(),
            Phase::Proposed => self.send_update(),
            _ => return Some(Input::ConnectedPlain),
        }
        None
    }

    fn restored(&mut self) -> Taken {
        let phase = self.record.phase;
        match phase {
            Phase::Exchanging => {
                self.record.deadline_s = None;
                self.send_sync(false);
            }
            Phase::Funding => {
                self.record.deadline_s = None;
                self.ledger(Intent::CancelDeposit);
                self.send_sync(false);
            }
            Phase::Open | Phase::Proposed | Phase::Asked => {
                let highest = self.record.highest;
                self.record.burn(highest);
                self.send_sync(false);
                self.enter(Phase::Open);
            }
            Phase::Disputed => self.ledger(Intent::Register),
            Phase::Final | Phase::Concluded => {}
            _ => return Some(Input::Restored),
        }
        self.record.restored = true;
        self.tell(Notice::Restored);
        None
    }
}
