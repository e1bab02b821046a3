//! What the owner, the devices and the clocks bring.
//!
//! Guarantees: a signature of a device counts only if it is right in every part; time makes the same things happen
//! whenever it is asked for. Does not: sleep; [`Node::tick`] is called when there is time.

use sluicegate_protocol::channel::{Amount, ChannelId, PARTICIPANTS, State};

use super::{Node, Now, Output, Slot};
use crate::{
    Input, Phase,
    effect::Notice,
    input::PeerUpdate,
    record::{OwnSignature, Pending},
};

/// The longest time between two repetitions, in milliseconds.
const MAX_WAIT_MS: u64 = 60_000;

/// How long the ledger may be unread after a start, in seconds.
const MAX_BLIND_START_S: u64 = 300;

/// How long the ledger's events could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// In seconds of monotonic time.
    pub seconds: u64,
    /// Never since the process started.
    pub is_from_start: bool,
}

impl Node {
    /// Pays in a channel.
    pub fn pay(
        &mut self,
        channel: ChannelId,
        asset: usize,
        amount: Amount,
        now: Now,
    ) -> Vec<Output> {
        self.on(channel, now, |slot| slot.record.pay(asset, amount))
    }

    /// Ends a channel together with the peer.
    pub fn close(&mut self, channel: ChannelId, now: Now) -> Vec<Output> {
        self.on(channel, now, |slot| slot.record.close())
    }

    /// Settles a channel on the ledger.
    pub fn dispute(&mut self, channel: ChannelId, now: Now) -> Vec<Output> {
        let mut out = self.on(channel, now, |_| Input::Dispute);
        if out.is_empty() {
            out.extend(self.standing(channel, now));
        }
        out
    }

    /// What the ledger is still to do for a channel.
    fn standing(&self, channel: ChannelId, now: Now) -> Option<Output> {
        let intent = self.record(&channel)?.standing(now.ledger_s)?;
        Some(Output::Ledger { channel, intent })
    }

    /// The record comes from a backup.
    pub fn restored(&mut self, channel: ChannelId, now: Now) -> Vec<Output> {
        self.on(channel, now, |_| Input::Restored)
    }

    /// A device signed what was asked of it.
    pub fn signed(&mut self, channel: ChannelId, own: OwnSignature, now: Now) -> Vec<Output> {
        self.on(channel, now, |slot| {
            let current = slot.record.state().filter(|_| slot.record.lacks_authorisations());
            if slot.record.is_own_signature(&own) {
                slot.record.signature(own)
            } else if current.is_some_and(|state| slot.record.is_own_signature_of(&own, state)) {
                Input::Authorised(own)
            } else {
                let forged = || Input::Forged("a signature of the device that does not fit".into());
                slot.too_late(&own).unwrap_or_else(forged)
            }
        })
    }

    /// Whether a signature is of an update of the peer that was turned down for want of it, and nothing newer was signed
    /// since: then both have signed it.
    pub fn is_late_signature(&self, channel: &ChannelId, own: &OwnSignature) -> bool {
        self.channels.get(channel).is_some_and(|slot| slot.too_late(own).is_some())
    }

    /// A device refuses to sign, and why.
    pub fn not_signed(&mut self, channel: ChannelId, reason: &str, now: Now) -> Vec<Output> {
        self.on(channel, now, |_| Input::NoSignature(reason.to_owned()))
    }

    /// Asks again for what a device has not signed yet: it was heard.
    pub fn heard(&mut self, device: &str, now: Now) -> Vec<Output> {
        let slots = self.channels.iter().filter(|(_, slot)| slot.record.device == device);
        let waiting = slots.filter(|(_, slot)| slot.record.waits_for_own());
        let ids: Vec<_> = waiting.map(|(id, _)| *id).collect();
        let mut out = Vec::new();
        ids.into_iter().for_each(|id| self.run(id, Input::Unsigned, now, &mut out));
        out
    }

    /// Goes on after a start: asks for the signatures that are missing, and for what the ledger is still to do.
    pub fn start(&mut self, now: Now) -> Vec<Output> {
        let channels: Vec<_> = self.channels.keys().copied().collect();
        let standing = channels.into_iter().filter_map(|channel| self.standing(channel, now));
        let mut out: Vec<_> = standing.collect();
        let waiting = self.channels.iter().filter(|(_, slot)| slot.record.waits_for_own());
        let ids: Vec<_> = waiting.map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.run(id, Input::Unsigned, now, &mut out));
        self.forget(&mut out);
        out
    }

    fn on(
        &mut self,
        channel: ChannelId,
        now: Now,
        input: impl FnOnce(&Slot) -> Input,
    ) -> Vec<Output> {
        let mut out = Vec::new();
        if let Some(slot) = self.channels.get(&channel) {
            let input = input(slot);
            self.run(channel, input, now, &mut out);
        }
        out
    }

    /// What time brings: answers that are overdue, deadlines of the ledger.
    pub fn tick(&mut self, now: Now) -> Vec<Output> {
        let mut out = Vec::new();
        let overdue = self.openings.iter().filter(|(_, waiting)| waiting.due_ms <= now.ms);
        let overdue: Vec<_> = overdue.map(|(id, _)| *id).collect();
        for proposal in overdue {
            self.run_opening(proposal, Input::Overdue, now, &mut out);
        }
        let due = self.channels.iter().filter_map(|(id, slot)| Some((*id, slot.due(now)?)));
        let due: Vec<_> = due.collect();
        for (channel, is_deadline) in due {
            let input = self.due_input(channel, is_deadline, now);
            if let Some(input) = input {
                self.run(channel, input, now, &mut out);
            }
        }
        out
    }

    fn due_input(&mut self, channel: ChannelId, is_deadline: bool, now: Now) -> Option<Input> {
        let patience_ms = self.settings.patience_ms;
        let slot = self.channels.get_mut(&channel)?;
        if is_deadline {
            return slot.record.at_ledger_time(now.ledger_s);
        }
        slot.keep_late();
        let timer = slot.timer.as_mut()?;
        timer.wait_ms = timer.wait_ms.saturating_mul(2).min(MAX_WAIT_MS);
        timer.due_ms = now.ms.saturating_add(timer.wait_ms);
        let is_over = now.ms.saturating_sub(timer.since_ms) >= patience_ms;
        Some(match (slot.record.phase, slot.record.restored, is_over) {
            (Phase::Exchanging, true, true) if !slot.record.has_deposited() => {
                Input::PatienceOverRestored
            }
            (Phase::Open | Phase::Funding, true, true) => Input::PatienceOverRestored,
            (Phase::Open | Phase::Funding, ..) => return slot.record.next(),
            (Phase::Proposed, _, true) if slot.record.waits_for_own() => {
                Input::PatienceOverUnsigned
            }
            (Phase::Proposed, _, true) => Input::PatienceOver,
            _ => slot.record.overdue(),
        })
    }

    /// When [`Node::tick`] has something to do at the latest: monotonic milliseconds, and ledger seconds.
    pub fn next_times(&self) -> (Option<u64>, Option<u64>) {
        let timers = self.channels.values().filter_map(|slot| slot.timer);
        let openings = self.openings.values().map(|waiting| waiting.due_ms);
        let ms = timers.map(|timer| timer.due_ms).chain(openings).min();
        let deadlines = self.channels.values().filter_map(|slot| slot.record.deadline_s);
        (ms, deadlines.min())
    }

    /// Channels whose challenge runs out soon while the ledger shows an older state than ours, or could without our
    /// seeing it, since the ledger can't be read (I3).
    pub fn endangered(&self, now: Now, warn_s: u64, silence: Silence) -> Vec<(ChannelId, Notice)> {
        let danger = |slot: &Slot| {
            let known = slot.danger(now, warn_s);
            known.or_else(|| slot.blindness(silence)).map(Notice::Endangered)
        };
        let slots = self.channels.iter();
        slots.filter_map(|(id, slot)| Some((*id, danger(slot)?))).collect()
    }
}

impl Slot {
    /// Whether something is due: true for a deadline of the ledger, false for an answer.
    fn due(&self, now: Now) -> Option<bool> {
        if self.record.at_ledger_time(now.ledger_s).is_some() {
            return Some(true);
        }
        self.timer.filter(|timer| timer.due_ms <= now.ms).map(|_| false)
    }

    /// The update that is about to be turned down: the device may be signing it.
    fn keep_late(&mut self) {
        let pending = self.record.pending.as_ref().filter(|_| self.record.phase == Phase::Asked);
        if let Some(Pending { state, peer: Some(peer), .. }) = pending {
            self.late = Some(PeerUpdate { state: Box::new(state.clone()), signature: *peer });
        }
    }

    /// What a signature means that comes after its update was turned down.
    fn too_late(&self, own: &OwnSignature) -> Option<Input> {
        let PeerUpdate { state, signature } = self.late.as_ref()?;
        let is_newest = self.record.phase == Phase::Open && self.record.highest == state.version;
        if !is_newest || !self.record.is_own_signature_of(own, state) {
            return None;
        }
        let mut signatures = [*signature; PARTICIPANTS];
        *signatures.get_mut(self.record.own)? = own.state;
        let mut signed = self.record.signed_by_both(State::clone(state), signatures)?;
        signed.withdrawals.clone_from(&own.withdrawals);
        let (signed, is_final) = (Box::new(signed), state.is_final);
        Some(if is_final { Input::SyncAheadFinal(signed) } else { Input::SyncAhead(signed) })
    }

    fn danger(&self, now: Now, warn_s: u64) -> Option<String> {
        let newest = self.record.view.registration()?;
        let ours = self.record.state()?;
        let is_older = self.record.phase == Phase::Disputed && newest.version < ours.version;
        let left = newest.timeout_s.saturating_sub(now.ledger_s);
        (is_older && left <= warn_s).then(|| {
            format!(
                "version {} is registered, ours is {}, and the ledger has not taken it yet; {left} seconds are left",
                newest.version, ours.version
            )
        })
    }

    /// An older state could be registered since the ledger was read, and its challenge run out unseen.
    fn blindness(&self, Silence { seconds, is_from_start }: Silence) -> Option<String> {
        let challenge_s = self.record.params.challenge_duration;
        let has_outcome = self.record.phase == Phase::Concluded || self.record.phase.is_over();
        let is_at_stake = !has_outcome && self.record.current.is_some();
        let patience_s = challenge_s / 2;
        // How long it was unread before the start nobody knows.
        let patience_s = if is_from_start { patience_s.min(MAX_BLIND_START_S) } else { patience_s };
        (is_at_stake && seconds >= patience_s).then(|| {
            format!(
                "the ledger can't be read for {seconds} seconds; an old state that is registered meanwhile wins after \
                 {challenge_s}. Bring the ledger back"
            )
        })
    }
}
