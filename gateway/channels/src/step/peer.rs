//! What the peer's messages do.
//!
//! Guarantees: see [`super`]. Does not: trust anything that [`crate::classify`] has not checked.

use sluicegate_protocol::channel::Signature;

use super::{Taken, Work};
use crate::{
    Phase,
    effect::{Effect, Intent, Notice, Outgoing},
    input::{Input, PeerUpdate},
    record::{Change, OwnSignature, Pending, SignedState},
};

impl Work {
    pub(super) fn take_from_peer(&mut self, input: Input) -> Taken {
        match input {
            Input::VersionZero(signature) => self.version_zero(signature),
            Input::VersionZeroComplete(signature) => self.version_zero_complete(signature),
            Input::Update(update) => self.update(update),
            Input::UpdatePastOurs(update) => self.update_past_ours(update),
            Input::SameUpdate => self.same_update(),
            Input::RefusedUpdate { version, reason } => self.refused_update(version, reason),
            Input::Crossing { version } => self.crossing(version),
            Input::CrossingOursFirst { version } => self.crossing_ours_first(version),
            Input::CrossingTheirsFirst { version } => self.crossing_theirs_first(version),
            Input::Countersigned(signature) => self.countersigned(signature),
            Input::CountersignedFinal(signature) => self.countersigned_final(signature),
            Input::UpdateRejected(reason) => self.update_rejected(reason),
            Input::UpdateRejectedPlain(reason) => self.update_rejected_plain(reason),
            Input::FinalRejected(reason) => self.final_rejected(reason),
            Input::SyncAhead(signed) => self.sync_ahead(signed),
            Input::SyncAheadBurned(signed) => self.sync_ahead_burned(signed),
            Input::SyncAheadFinal(signed) => self.sync_ahead_final(signed),
            input @ (Input::SyncEqual | Input::SyncBehind) => self.sync(input),
            input => Some(input),
        }
    }

    fn version_zero(&mut self, signature: Signature) -> Taken {
        let pending = self.record.pending.as_mut();
        match (self.record.phase, pending) {
            (Phase::Exchanging, Some(pending)) => pending.peer = Some(signature),
            _ => return Some(Input::VersionZero(signature)),
        }
        None
    }

    fn version_zero_complete(&mut self, signature: Signature) -> Taken {
        match self.record.phase {
            Phase::Exchanging => {
                self.complete(signature);
                self.fund();
            }
            Phase::Funding => self.send_sync(false),
            // It was given away before; without it the peer may not get its deposit back.
            Phase::Abandoned => self.send_version_zero(),
            _ => return Some(Input::VersionZeroComplete(signature)),
        }
        None
    }

    /// Version 0 is signed by both.
    pub(super) fn fund(&mut self) {
        self.enter(Phase::Funding);
        let duration = self.record.params.challenge_duration;
        self.record.deadline_s = Some(self.ledger_s.saturating_add(duration));
        if !self.record.restored {
            self.ledger(Intent::Deposit);
        }
    }

    /// Our pending state has the peer's signature too. Gives what it was.
    fn complete(&mut self, signature: Signature) -> Option<Change> {
        let Pending { state, change, own, .. } = self.record.pending.take()?;
        let own = own?;
        self.adopt_with(state, change, &own, signature);
        Some(change)
    }

    /// Both have signed a state, ours just now or before.
    pub(super) fn adopt_with(
        &mut self,
        state: sluicegate_protocol::channel::State,
        change: Change,
        own: &OwnSignature,
        peer: Signature,
    ) {
        let mut signatures = [own.state, own.state];
        signatures[self.record.peer_place()] = peer;
        self.note_payer(change);
        self.record.adopt(SignedState { state, signatures, withdrawals: own.withdrawals.clone() });
    }

    fn note_payer(&mut self, change: Change) {
        let by = match change {
            Change::Pay { .. } => self.record.own,
            Change::Receive => self.record.peer_place(),
            Change::Begin | Change::Close => return,
        };
        self.record.payer.get_or_insert(by);
    }

    fn update(&mut self, update: PeerUpdate) -> Taken {
        match self.record.phase {
            Phase::Open => self.ask(update),
            Phase::Funding => self.effects.push(Effect::Hold(update)),
            _ => return Some(Input::Update(update)),
        }
        None
    }

    /// Asks the key to sign the peer's update.
    fn ask(&mut self, PeerUpdate { state, signature }: PeerUpdate) {
        let change = if state.is_final { Change::Close } else { Change::Receive };
        let (by, peer) = (self.record.peer_place(), Some(signature));
        self.record.pass_over(state.version);
        self.record.pending = Some(Pending { state: *state, by, change, own: None, peer });
        self.enter(Phase::Asked);
        self.sign();
    }

    fn update_past_ours(&mut self, update: PeerUpdate) -> Taken {
        match self.record.phase {
            Phase::Proposed => {
                self.yield_ours(update.state.version);
                self.ask(update);
            }
            _ => return Some(Input::UpdatePastOurs(update)),
        }
        None
    }

    /// Burns our update; what it wanted comes next.
    fn yield_ours(&mut self, version: u64) {
        let wanted = self.record.pending.as_ref().map(|pending| pending.change);
        self.record.burn(version);
        self.record.wish = self.record.wish.or(wanted);
    }

    fn same_update(&mut self) -> Taken {
        match (self.record.phase, &self.record.current) {
            (Phase::Open | Phase::Proposed | Phase::Final | Phase::Disputed, Some(current)) => {
                let signature = current.signatures[self.record.own];
                let version = current.state.version;
                self.send(Outgoing::Acceptance { version, signature });
            }
            _ => return Some(Input::SameUpdate),
        }
        None
    }

    fn refused_update(&mut self, version: u64, reason: String) -> Taken {
        match self.record.phase {
            Phase::Funding | Phase::Open | Phase::Proposed | Phase::Asked => {
                self.record.pass_over(version);
                self.send(Outgoing::Rejection { version, reason });
            }
            _ => return Some(Input::RefusedUpdate { version, reason }),
        }
        None
    }

    fn crossing(&mut self, version: u64) -> Taken {
        match self.record.phase {
            Phase::Proposed => {
                let reason = "an update of ours with this version is under way".to_owned();
                self.send(Outgoing::Rejection { version, reason });
            }
            _ => return Some(Input::Crossing { version }),
        }
        None
    }

    fn crossing_ours_first(&mut self, version: u64) -> Taken {
        match (self.record.phase, self.record.pending.as_ref().map(|pending| pending.change)) {
            (Phase::Proposed, Some(change)) => {
                self.record.burn(version);
                self.propose(change);
            }
            _ => return Some(Input::CrossingOursFirst { version }),
        }
        None
    }

    fn crossing_theirs_first(&mut self, version: u64) -> Taken {
        match self.record.phase {
            Phase::Proposed => {
                self.yield_ours(version);
                self.enter(Phase::Open);
            }
            _ => return Some(Input::CrossingTheirsFirst { version }),
        }
        None
    }

    fn countersigned(&mut self, signature: Signature) -> Taken {
        match self.record.phase {
            Phase::Proposed => {
                if let Some(change) = self.complete(signature) {
                    self.tell(Notice::Paid(change));
                }
                self.enter(Phase::Open);
            }
            Phase::Disputed => {
                self.complete(signature);
                self.ledger(Intent::Register);
            }
            _ => return Some(Input::Countersigned(signature)),
        }
        None
    }

    fn countersigned_final(&mut self, signature: Signature) -> Taken {
        match self.record.phase {
            Phase::Proposed | Phase::Disputed => {
                self.complete(signature);
                self.ledger(Intent::ConcludeFinal);
                self.tell(Notice::Closing);
                self.enter(Phase::Final);
            }
            _ => return Some(Input::CountersignedFinal(signature)),
        }
        None
    }

    fn update_rejected(&mut self, reason: String) -> Taken {
        match self.record.phase {
            Phase::Proposed => {
                let version = self.record.highest;
                self.record.burn(version);
                self.tell(Notice::Refused(reason));
                self.enter(Phase::Open);
            }
            _ => return Some(Input::UpdateRejected(reason)),
        }
        None
    }

    fn update_rejected_plain(&mut self, reason: String) -> Taken {
        match self.record.phase {
            Phase::Proposed => self.tell(Notice::Refused(reason)),
            _ => return Some(Input::UpdateRejectedPlain(reason)),
        }
        None
    }

    fn final_rejected(&mut self, reason: String) -> Taken {
        match self.record.phase {
            Phase::Proposed => {
                let version = self.record.highest;
                self.record.burn(version);
                self.dispute(&format!("the peer refuses the final state: {reason}"));
            }
            _ => return Some(Input::FinalRejected(reason)),
        }
        None
    }

    fn sync_ahead(&mut self, signed: Box<SignedState>) -> Taken {
        match self.record.phase {
            Phase::Exchanging => {
                self.record.adopt(*signed);
                self.fund();
                self.send_sync(true);
            }
            Phase::Funding => {
                self.record.adopt(*signed);
                self.send_sync(true);
            }
            Phase::Open | Phase::Proposed | Phase::Asked => {
                self.recover(*signed);
                self.send_sync(true);
                self.tell(Notice::Recovered);
                self.enter(Phase::Open);
            }
            Phase::Disputed => {
                self.record.adopt(*signed);
                self.ledger(Intent::Register);
                self.send_sync(true);
            }
            Phase::Concluded => self.learn_concluded(*signed),
            _ => return Some(Input::SyncAhead(signed)),
        }
        None
    }

    /// The peer has signed after all what it refused or crossed: it is paid.
    fn sync_ahead_burned(&mut self, signed: Box<SignedState>) -> Taken {
        match self.record.phase {
            Phase::Open | Phase::Proposed | Phase::Asked => {
                let paid = self.record.payment_of(&signed.state);
                self.recover(*signed);
                self.send_sync(true);
                self.tell(paid.map_or(Notice::Recovered, Notice::Paid));
                self.enter(Phase::Open);
            }
            _ => return Some(Input::SyncAheadBurned(signed)),
        }
        None
    }

    /// Adopts a state while something is under way: what was ours and is not in it, comes next. A payment of ours that
    /// was refused or crossed, and that the peer has signed after all, is done: it is not made once more.
    fn recover(&mut self, signed: SignedState) {
        let is_done = self.record.burned.iter().any(|burned| burned.state == signed.state);
        let ours = self.record.pending.as_ref().filter(|pending| pending.by == self.record.own);
        let lost = ours.filter(|pending| pending.state != signed.state).map(|ours| ours.change);
        match lost {
            Some(Change::Pay { .. }) if is_done => self.record.burn(signed.state.version),
            Some(_) => self.yield_ours(signed.state.version),
            None => {}
        }
        if is_done && matches!(self.record.wish, Some(Change::Pay { .. })) {
            self.record.wish = None;
        }
        self.record.pending = None;
        self.record.adopt(signed);
    }

    fn sync_ahead_final(&mut self, signed: Box<SignedState>) -> Taken {
        match self.record.phase {
            Phase::Concluded => self.learn_concluded(*signed),
            Phase::Exchanging
            | Phase::Funding
            | Phase::Open
            | Phase::Proposed
            | Phase::Asked
            | Phase::Disputed => {
                self.record.adopt(*signed);
                self.record.pending = None;
                self.ledger(Intent::ConcludeFinal);
                self.send_sync(true);
                self.tell(Notice::Closing);
                self.enter(Phase::Final);
            }
            _ => return Some(Input::SyncAheadFinal(signed)),
        }
        None
    }

    /// What was concluded is known now: a record from a backup had forgotten it.
    fn learn_concluded(&mut self, signed: SignedState) {
        self.record.adopt(signed);
        self.ledger(Intent::Withdraw);
    }

    fn sync(&mut self, input: Input) -> Taken {
        match self.record.phase {
            Phase::Proposed => {
                self.send_sync(true);
                self.send_update();
            }
            Phase::Funding
            | Phase::Open
            | Phase::Asked
            | Phase::Final
            | Phase::Disputed
            | Phase::Concluded
            | Phase::Withdrawn => self.send_sync(true),
            _ => return Some(input),
        }
        None
    }

    /// Our update, the same bytes as before.
    pub(super) fn send_update(&mut self) {
        let pending = self.record.pending.as_ref();
        let signed = pending.and_then(|p| Some((p.state.clone(), p.own.as_ref()?.state)));
        if let Some((state, signature)) = signed {
            self.send(Outgoing::Update { state: Box::new(state), signature });
        }
    }

    /// Our signature of version 0, the same bytes as before.
    pub(super) fn send_version_zero(&mut self) {
        let own = self.record.pending.as_ref().and_then(|pending| pending.own.as_ref());
        if let Some(signature) = own.map(|own| own.state) {
            self.send(Outgoing::VersionZero(signature));
        }
    }
}
