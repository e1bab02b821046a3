//! Which row of the table an input is: signatures verified, rules checked, versions compared.
//!
//! Guarantees: what passes may be recorded and acted on; what does not is named as what it is, with the broken rule.
//! Nothing here changes a channel. Does not: say what follows; [`crate::step()`] does.
//!
//! - this file: messages of the peer
//! - [`here`]: commands, the key's answers, time and connections

pub mod here;

use sluicegate_protocol::channel::{PARTICIPANTS, Signature, State, Versions};

use crate::{
    Phase,
    input::{Input, PeerUpdate},
    record::{Pending, Record, SignedState},
};

/// How far a Sluicegate's update may leap over versions that were refused or crossed.
pub const MAX_LEAP: u64 = 1 << 20;

/// What a peer may say about a channel that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMessage {
    /// It signs a state of ours.
    Acceptance {
        /// Which version.
        version: u64,
        /// Its signature.
        signature: Signature,
    },
    /// It does not sign a state of ours.
    Rejection {
        /// Which version.
        version: u64,
        /// Why.
        reason: String,
    },
    /// What it has.
    Sync {
        /// The newest state that both have signed, in its eyes.
        current: Option<Box<(State, [Signature; PARTICIPANTS])>>,
    },
    /// Its update.
    Update {
        /// The next state.
        state: Box<State>,
        /// Whose update it says it is.
        actor: usize,
        /// Its signature.
        signature: Signature,
    },
}

impl Record {
    /// Names what the peer said.
    pub fn classify(&self, message: PeerMessage) -> Input {
        match message {
            PeerMessage::Acceptance { version, signature } => self.acceptance(version, signature),
            PeerMessage::Rejection { version, reason } => self.rejection(version, reason),
            PeerMessage::Sync { current } => self.sync(current),
            PeerMessage::Update { state, actor, signature } => {
                self.update(*state, actor, signature)
            }
        }
    }

    fn acceptance(&self, version: u64, signature: Signature) -> Input {
        if version == 0 {
            return self.version_zero(signature);
        }
        let Some(pending) = self.signed_pending(version) else { return Input::Stray };
        if signature.verify_state(&pending.state, self.peer_address()).is_err() {
            return Input::Forged("an acceptance that the peer did not sign".into());
        }
        match pending.state.is_final {
            true => Input::CountersignedFinal(signature),
            false => Input::Countersigned(signature),
        }
    }

    fn version_zero(&self, signature: Signature) -> Input {
        let pending = self.pending.as_ref().filter(|pending| pending.state.version == 0);
        let state = pending.map(|pending| &pending.state).or_else(|| self.state_zero());
        let Some(state) = state else { return Input::Stray };
        if signature.verify_state(state, self.peer_address()).is_err() {
            return Input::Forged("a signature of version 0 that the peer did not make".into());
        }
        match (self.phase, pending) {
            (Phase::Exchanging, Some(Pending { own: None, .. })) => Input::VersionZero(signature),
            (Phase::Funding, _) if !self.sluicegate => Input::Stray,
            _ => Input::VersionZeroComplete(signature),
        }
    }

    fn state_zero(&self) -> Option<&State> {
        self.state().filter(|state| state.version == 0)
    }

    /// Our update of this version, if it carries our signature.
    fn signed_pending(&self, version: u64) -> Option<&Pending> {
        let pending = self.pending.as_ref()?;
        let is_ours = pending.by == self.own && pending.own.is_some();
        (is_ours && pending.state.version == version && version > 0).then_some(pending)
    }

    fn is_our_update(&self, state: &State) -> bool {
        self.signed_pending(state.version).is_some_and(|pending| pending.state == *state)
    }

    fn is_burned(&self, state: &State) -> bool {
        self.burned.iter().any(|burned| burned.state == *state)
    }

    fn rejection(&self, version: u64, reason: String) -> Input {
        match self.signed_pending(version) {
            Some(pending) if pending.state.is_final => Input::FinalRejected(reason),
            Some(_) if self.sluicegate => Input::UpdateRejected(reason),
            Some(_) => Input::UpdateRejectedPlain(reason),
            None => Input::Stray,
        }
    }

    fn sync(&self, current: Option<Box<(State, [Signature; PARTICIPANTS])>>) -> Input {
        let Some((state, signatures)) = current.map(|current| *current) else {
            return if self.current.is_some() { Input::SyncBehind } else { Input::Stray };
        };
        if state.channel != self.id {
            return Input::Forged("a synchronisation with the state of another channel".into());
        }
        match self.state() {
            Some(ours) if *ours == state => return Input::SyncEqual,
            Some(ours) if ours.version > state.version => return Input::SyncBehind,
            _ => {}
        }
        match self.signed_by_both(state, signatures) {
            // Our update with the peer's signature: its acceptance was lost on the way.
            Some(signed) if self.is_our_update(&signed.state) => {
                self.acceptance(signed.state.version, signed.signatures[self.peer_place()])
            }
            Some(signed) if signed.state.is_final => Input::SyncAheadFinal(Box::new(signed)),
            Some(signed) if self.phase.is_acting() && self.is_burned(&signed.state) => {
                Input::SyncAheadBurned(Box::new(signed))
            }
            Some(signed) => Input::SyncAhead(Box::new(signed)),
            None => Input::Forged("a synchronisation with a state that not both signed".into()),
        }
    }

    /// A state with the signatures of both, and with our authorisations as far as they are known.
    pub fn signed_by_both(
        &self,
        state: State,
        signatures: [Signature; PARTICIPANTS],
    ) -> Option<SignedState> {
        state.check(&self.params).ok()?;
        let hash = *state.hash().as_bytes();
        let signers = self.params.participants.iter().zip(&signatures);
        let is_signed =
            |(signer, signature): (&sluicegate_protocol::channel::Participant, &Signature)| {
                signature.verify(&hash, &signer.address).is_ok()
            };
        if !signers.into_iter().all(is_signed) {
            return None;
        }
        let withdrawals = self.known_withdrawals(&state);
        Some(SignedState { state, signatures, withdrawals })
    }

    fn known_withdrawals(&self, state: &State) -> Vec<Option<Signature>> {
        let pending = self.pending.as_ref().filter(|pending| pending.state == *state);
        let own = pending.and_then(|pending| pending.own.as_ref());
        let burned = self.burned.iter().find(|burned| burned.state == *state);
        let own = own.or(burned.map(|burned| &burned.own));
        own.map(|own| own.withdrawals.clone()).unwrap_or_default()
    }

    fn update(&self, state: State, actor: usize, signature: Signature) -> Input {
        let version = state.version;
        if signature.verify_state(&state, self.peer_address()).is_err() {
            return Input::Forged("an update that the peer did not sign".into());
        }
        if self.is_known(&state) {
            return Input::SameUpdate;
        }
        if let Some(ours) = self.pending.as_ref().filter(|pending| pending.by == self.own)
            && ours.own.is_some()
            && ours.state.version == version
        {
            return self.crossing(version, ours.state.is_final || state.is_final);
        }
        if let Err(reason) = self.may_accept(&state, actor) {
            return match self.sluicegate {
                true => Input::RefusedUpdate { version, reason },
                false => Input::RefusedUpdatePlain { version, reason },
            };
        }
        let update = PeerUpdate { state: Box::new(state), signature };
        match self.phase {
            Phase::Proposed => Input::UpdatePastOurs(update),
            _ => Input::Update(update),
        }
    }

    fn is_known(&self, state: &State) -> bool {
        let asked = self.pending.as_ref().filter(|pending| pending.by != self.own);
        self.state() == Some(state) || asked.is_some_and(|pending| pending.state == *state)
    }

    fn crossing(&self, version: u64, is_final: bool) -> Input {
        match (self.sluicegate && !is_final, self.own) {
            (false, _) => Input::Crossing { version },
            (true, 0) => Input::CrossingOursFirst { version },
            (true, _) => Input::CrossingTheirsFirst { version },
        }
    }

    /// Whether we would sign this update of the peer; else why not, in words for the peer.
    fn may_accept(&self, state: &State, actor: usize) -> Result<(), String> {
        let current = self.state().ok_or("the channel is not open")?;
        if actor != self.peer_place() {
            return Err("the update is not by its sender".into());
        }
        if !self.may_sign() {
            return Err("nothing more is signed in this channel".into());
        }
        if self.phase == Phase::Asked {
            return Err("another update waits".into());
        }
        self.check_version(state.version, current.version)?;
        let versions = if self.sluicegate { Versions::Greater } else { Versions::Next };
        state.successor_of(current, versions).map_err(|error| error.to_string())?;
        if state.data != current.data {
            return Err("there is no app".into());
        }
        self.check_balances(state, current)
    }

    fn check_version(&self, version: u64, current: u64) -> Result<(), String> {
        if version <= self.highest {
            return Err(format!("version {version} was signed before; {} was", self.highest));
        }
        if version - current > MAX_LEAP {
            return Err("the version leaps too far".into());
        }
        Ok(())
    }

    /// Nothing may be taken from us, and a final state changes nothing.
    fn check_balances(&self, state: &State, current: &State) -> Result<(), String> {
        let rows = state.outcome.balances.iter().zip(&current.outcome.balances);
        let takes = rows.clone().any(|(next, now)| next[self.own] < now[self.own]);
        if takes {
            return Err("the update takes from us".into());
        }
        if state.is_final && rows.into_iter().any(|(next, now)| next != now) {
            return Err("a final state changes nothing".into());
        }
        Ok(())
    }
}
