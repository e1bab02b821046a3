//! What the key's answers do.
//!
//! Guarantees: a signature that comes when nothing waits for it is never sent. Does not: sign.

use super::{Taken, Work};
use crate::{
    Phase,
    effect::{Intent, Notice, Outgoing},
    input::Input,
    record::{OwnSignature, Pending},
};

impl Work {
    pub(super) fn take_from_key(&mut self, input: Input) -> Taken {
        match input {
            Input::Signature(own) => self.signature(own),
            Input::SignatureComplete(own) => self.signature_complete(own),
            Input::SignatureOfFinal(own) => self.signature_of_final(own),
            Input::NoSignature(reason) => self.no_signature(reason),
            Input::Authorised(own) => self.authorised(own),
            Input::Unsigned => self.unsigned(),
            input => self.take_from_clock(input),
        }
    }

    fn signature(&mut self, own: OwnSignature) -> Taken {
        match self.record.phase {
            Phase::Exchanging => {
                self.keep_signature(own);
                self.send_version_zero();
            }
            Phase::Proposed => {
                self.keep_signature(own);
                self.send_update();
            }
            Phase::Asked => {
                self.accept(&own);
                self.tell(Notice::Received);
                self.enter(Phase::Open);
            }
            _ => return Some(Input::Signature(own)),
        }
        None
    }

    /// From here on the version is signed, whatever becomes of it.
    fn keep_signature(&mut self, own: OwnSignature) {
        if let Some(pending) = &mut self.record.pending {
            self.record.highest = self.record.highest.max(pending.state.version);
            pending.own = Some(own);
        }
    }

    /// Both have signed the peer's update.
    fn accept(&mut self, own: &OwnSignature) {
        let Some(Pending { state, change, peer: Some(peer), .. }) = self.record.pending.take()
        else {
            return;
        };
        let version = state.version;
        self.adopt_with(state, change, own, peer);
        self.send(Outgoing::Acceptance { version, signature: own.state });
    }

    fn signature_complete(&mut self, own: OwnSignature) -> Taken {
        match (self.record.phase, self.record.pending.take()) {
            (Phase::Exchanging, Some(Pending { state, change, peer: Some(peer), .. })) => {
                self.adopt_with(state, change, &own, peer);
                self.send(Outgoing::VersionZero(own.state));
                self.fund();
            }
            (_, pending) => {
                self.record.pending = pending;
                return Some(Input::SignatureComplete(own));
            }
        }
        None
    }

    fn signature_of_final(&mut self, own: OwnSignature) -> Taken {
        match self.record.phase {
            Phase::Asked => {
                self.accept(&own);
                self.tell(Notice::Closing);
                self.enter(Phase::Final);
                self.wait_for_conclusion();
            }
            Phase::Proposed => {
                self.keep_signature(own);
                self.send_update();
            }
            _ => return Some(Input::SignatureOfFinal(own)),
        }
        None
    }

    fn no_signature(&mut self, reason: String) -> Taken {
        match self.record.phase {
            Phase::Exchanging => self.abandon(&format!("version 0 was not signed: {reason}")),
            Phase::Proposed if self.record.waits_for_own() => {
                self.record.pending = None;
                self.tell(Notice::Refused(reason));
                self.enter(Phase::Open);
            }
            Phase::Asked => self.turn_down(reason),
            _ => return Some(Input::NoSignature(reason)),
        }
        None
    }

    /// The peer's update is not signed.
    pub(super) fn turn_down(&mut self, reason: String) {
        if let Some(pending) = self.record.pending.take() {
            let version = pending.state.version;
            self.record.pass_over(version);
            self.send(Outgoing::Rejection { version, reason: reason.clone() });
        }
        self.tell(Notice::Refused(reason));
        self.enter(Phase::Open);
    }

    /// The device has signed again what the peer or the ledger gave back.
    fn authorised(&mut self, own: OwnSignature) -> Taken {
        let Some(current) = &mut self.record.current else { return Some(Input::Authorised(own)) };
        current.withdrawals = own.withdrawals;
        if self.record.phase == Phase::Concluded {
            self.ledger(Intent::Withdraw);
        }
        None
    }

    fn unsigned(&mut self) -> Taken {
        match self.record.phase {
            Phase::Exchanging | Phase::Proposed | Phase::Asked => self.sign(),
            _ => return Some(Input::Unsigned),
        }
        None
    }
}
