//! The table of `README.md` as code: what an input does to a channel.
//!
//! Guarantees: every cell of the table and nothing else; a step neither fails nor blocks. Does not: check an input,
//! see [`crate::classify`], or make anything durable.
//!
//! A method of [`Work`] is one input, its `match` names the phases of the table, and what it does not name is
//! [`otherwise`], the rows of `others`.

mod command;
mod key;
mod ledger;
mod peer;
mod time;

use sluicegate_protocol::channel::{Amount, State};

use crate::{
    Opening, Phase,
    effect::{Effect, Intent, Notice, Outgoing, Refusal, SignRequest},
    input::Input,
    record::{Change, Pending, Record},
};

/// A channel from its proposal to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// Abandoned before anything was signed: there is nothing to keep.
    Gone,
    /// Proposed; in memory only.
    Opening(Box<Opening>),
    /// What is durable.
    Record(Box<Record>),
}

impl Channel {
    /// Where it stands.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Gone => Phase::Abandoned,
            Self::Opening(opening) => opening.phase(),
            Self::Record(record) => record.phase,
        }
    }
}

/// What an input did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The channel now. If its record changed, it is durable before the first effect.
    pub channel: Channel,
    /// What to do, in this order.
    pub effects: Vec<Effect>,
}

/// Takes an input, at this ledger time in seconds.
pub fn step(channel: Channel, input: Input, ledger_s: u64) -> Step {
    match channel {
        Channel::Opening(opening) => opening_step(opening, input),
        Channel::Record(record) => {
            let mut work = Work { record, effects: Vec::new(), ledger_s };
            if let Some(input) = work.take(input) {
                work.effects = otherwise(input, work.record.phase);
            }
            Step { channel: Channel::Record(work.record), effects: work.effects }
        }
        Channel::Gone => {
            Step { channel: Channel::Gone, effects: otherwise(input, Phase::Abandoned) }
        }
    }
}

fn opening_step(opening: Box<Opening>, input: Input) -> Step {
    let (tell, send) = (|notice| vec![Effect::Tell(notice)], |m| vec![Effect::Send(m)]);
    let gone = |effects| Step { channel: Channel::Gone, effects };
    match (opening.phase(), input) {
        (Phase::Proposing, Input::Accepted(record)) => begun(record, Vec::new()),
        (Phase::Offered, Input::Agree(record)) => begun(record, send(Outgoing::Accepted)),
        (Phase::Proposing, Input::Rejected(reason)) => gone(tell(Notice::Refused(reason))),
        (Phase::Proposing, Input::Close) => gone(tell(Notice::Abandoned("by the owner".into()))),
        (Phase::Proposing, Input::Overdue) => {
            gone(tell(Notice::Refused("the peer did not answer the proposal".into())))
        }
        (Phase::Offered, Input::Decline(reason)) => gone(send(Outgoing::Rejected(reason))),
        (Phase::Offered, Input::Close) => gone(send(Outgoing::Rejected("not wanted".into()))),
        (Phase::Offered, Input::Overdue) => {
            gone(send(Outgoing::Rejected("nobody decided in time".into())))
        }
        (phase, input) => {
            Step { channel: Channel::Opening(opening), effects: otherwise(input, phase) }
        }
    }
}

fn begun(record: Box<Record>, mut effects: Vec<Effect>) -> Step {
    effects.extend(sign_request(&record));
    Step { channel: Channel::Record(record), effects }
}

/// Asks the key for the signature that the pending state lacks.
fn sign_request(record: &Record) -> Option<Effect> {
    let pending = record.pending.as_ref().filter(|pending| pending.own.is_none())?;
    let (state, change) = (Box::new(pending.state.clone()), pending.change);
    Some(Effect::Sign(SignRequest { state, change }))
}

/// The rows `others`.
fn otherwise(input: Input, phase: Phase) -> Vec<Effect> {
    let reject = |version, reason: &str| {
        vec![Effect::Send(Outgoing::Rejection { version, reason: reason.to_owned() })]
    };
    let closed = format!("the channel is {phase}");
    match input {
        Input::Update(update) | Input::UpdatePastOurs(update) => {
            reject(update.state.version, &closed)
        }
        Input::RefusedUpdate { version, reason }
        | Input::RefusedUpdatePlain { version, reason } => reject(version, &reason),
        Input::Crossing { version }
        | Input::CrossingOursFirst { version }
        | Input::CrossingTheirsFirst { version } => reject(version, &closed),
        Input::Forged(what) => vec![Effect::Tell(Notice::Forged(what))],
        Input::Impossible(refusal) => vec![Effect::Refuse(refusal)],
        Input::Agree(_) | Input::Decline(_) | Input::Dispute => {
            vec![Effect::Refuse(Refusal::Phase(phase))]
        }
        Input::Pay { .. } if matches!(phase, Phase::Proposed | Phase::Asked) => {
            vec![Effect::Refuse(Refusal::Busy)]
        }
        Input::Pay { .. } => vec![Effect::Refuse(Refusal::Phase(phase))],
        _ => Vec::new(),
    }
}

/// A step on a record.
struct Work {
    record: Box<Record>,
    effects: Vec<Effect>,
    ledger_s: u64,
}

/// Nothing, or the input that the table has only `others` for.
type Taken = Option<Input>;

impl Work {
    fn take(&mut self, input: Input) -> Taken {
        let input = self.take_from_peer(input)?;
        let input = self.take_from_ledger(input)?;
        self.take_from_here(input)
    }

    fn send(&mut self, message: Outgoing) {
        self.effects.push(Effect::Send(message));
    }

    fn send_sync(&mut self, is_answer: bool) {
        let current = self.record.current.clone().map(Box::new);
        self.send(Outgoing::Sync { current, is_answer });
    }

    fn ledger(&mut self, intent: Intent) {
        self.effects.push(Effect::Ledger(intent));
    }

    fn tell(&mut self, notice: Notice) {
        self.effects.push(Effect::Tell(notice));
    }

    fn enter(&mut self, phase: Phase) {
        if self.record.phase == Phase::Funding && phase != Phase::Open {
            self.ledger(Intent::CancelDeposit);
        }
        self.record.phase = phase;
        self.record.deadline_s = None;
    }

    /// Asks for the signature of the pending state.
    fn sign(&mut self) {
        self.effects.extend(sign_request(&self.record));
    }

    /// Settles on the ledger with what both have signed.
    fn dispute(&mut self, reason: &str) {
        self.ledger(Intent::Register);
        self.enter_dispute(reason);
    }

    fn enter_dispute(&mut self, reason: &str) {
        self.tell(Notice::Dispute(reason.to_owned()));
        self.enter(Phase::Disputed);
        self.watch_challenge();
    }

    fn watch_challenge(&mut self) {
        self.record.deadline_s = self.record.view.registration().map(|newest| newest.timeout_s);
    }

    /// Makes the next state of ours and asks for its signature.
    fn propose(&mut self, change: Change) {
        match next_state(&self.record, change) {
            Some(state) => {
                let by = self.record.own;
                self.record.pending = Some(Pending { state, by, change, own: None, peer: None });
                self.enter(Phase::Proposed);
                self.sign();
            }
            None => self.dispute("no further state can be signed"),
        }
    }
}

/// The state that a change of ours leads to: above every version that was ever signed, on the newest that both have.
fn next_state(record: &Record, change: Change) -> Option<State> {
    if !record.may_sign() {
        return None;
    }
    let mut state = record.state()?.clone();
    state.version = record.highest.max(state.version).checked_add(1)?;
    match change {
        Change::Close => state.is_final = true,
        Change::Pay { asset, amount } => {
            let row = state.outcome.balances.get_mut(asset)?;
            let (own, peer) = (row[record.own], row[record.peer_place()]);
            row[record.own] = own.checked_sub(amount)?;
            row[record.peer_place()] = Amount::checked_add(peer, amount)?;
        }
        Change::Begin | Change::Receive => return None,
    }
    Some(state)
}
