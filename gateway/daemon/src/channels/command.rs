//! What the owner asks of the channels, and who waits for an answer.
//!
//! Guarantees: an answer comes after what it tells is durable; a payment's when both have signed it, or when it is known
//! that they will not. Does not: repeat anything; who asks twice pays twice.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sluicegate_channels::{
    Phase, Record,
    effect::{self, Notice},
    meter::Account,
    node::{About, Output, Settings, opening::Proposal},
};
use sluicegate_protocol::channel::{Allocation, Amount, Asset, ChannelId};

use super::{Channels, Reply, turn::Turn};
use crate::credentials;

/// What the owner asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The channels of a device as a meter sees them.
    Accounts(String),
    /// Ends a channel together with the peer.
    Close(ChannelId),
    /// Settles a channel on the ledger.
    Dispute(ChannelId),
    /// All channels.
    List,
    /// Proposes a channel; we pay first.
    Open {
        /// With whom.
        peer: String,
        /// Whose channel it is.
        device: String,
        /// What we bring.
        own: Amount,
        /// What the peer brings.
        theirs: Amount,
        /// How long a dispute can be answered, in seconds; the configured time if none is named.
        challenge_s: Option<u64>,
    },
    /// Pays in a channel.
    Pay(ChannelId, Amount),
    /// One channel.
    Show(ChannelId),
    /// What devices have to know that sign for themselves.
    Terms,
}

/// What the owner gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The channels of a device as a meter sees them.
    Accounts(Vec<Account>),
    /// These channels.
    Channels(Vec<Summary>),
    /// It is done, or it is under way and goes on by itself.
    Done,
    /// The channel begins.
    Opened(ChannelId),
    /// What devices have to know that sign for themselves.
    Terms(Terms),
}

/// What a device that signs for itself has to know of its owner and the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Who is paid by withdrawals: the owner's account.
    pub receiver: String,
    /// What channels hold: `ethereum`, the chain and the holder; or another backend's number and the asset's bytes.
    pub assets: Vec<String>,
}

impl Terms {
    fn of(settings: &Settings) -> Self {
        let written = |asset: &Asset| match asset {
            Asset::Ethereum { chain_id, holder } => format!("ethereum {chain_id} {holder}"),
            Asset::Other { backend, id } => {
                let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{backend} {id}")
            }
        };
        let assets = settings.policy.assets.iter().map(|known| written(&known.asset));
        Self { receiver: settings.receiver.to_string(), assets: assets.collect() }
    }
}

/// A channel as people see it; amounts are base units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The channel, hexadecimal.
    pub id: String,
    /// The peer's name.
    pub peer: String,
    /// Whose channel it is.
    pub device: String,
    /// Where it stands.
    pub phase: String,
    /// Version of the newest state that both have signed.
    pub version: Option<u64>,
    /// What is ours in it.
    pub own: String,
    /// What is the peer's.
    pub theirs: String,
    /// When the phase runs out, in ledger seconds.
    pub deadline_s: Option<u64>,
    /// Version of the state that is registered on the ledger.
    pub registered: Option<u64>,
    /// Whether it comes from a backup.
    pub restored: bool,
    /// Why it was abandoned.
    pub ended: Option<String>,
}

impl Summary {
    fn of(record: &Record) -> Self {
        let row = record.state().and_then(|state| state.outcome.balances.first());
        let balance = |place: usize| row.map_or(Amount::ZERO, |row| row[place]).to_string();
        Self {
            id: record.id.to_string(),
            peer: record.peer.clone(),
            device: record.device.clone(),
            phase: record.phase.to_string(),
            version: record.state().map(|state| state.version),
            own: balance(record.own),
            theirs: balance(record.peer_place()),
            deadline_s: record.deadline_s,
            registered: record.view.registrations.back().map(|last| last.version),
            restored: record.restored,
            ended: record.ended.clone(),
        }
    }
}

/// Who waits for what.
#[derive(Default)]
pub(super) struct Waiting {
    payments: BTreeMap<ChannelId, Reply>,
    openings: BTreeMap<[u8; 32], Reply>,
    /// Openings whose channel is in the turn under way.
    begun: Vec<(Reply, ChannelId)>,
}

impl Waiting {
    /// A proposal of ours was accepted; the record is among the outputs, if it came to that.
    pub(super) fn begun(&mut self, proposal: [u8; 32], outputs: &[Output]) {
        let record = outputs.iter().find_map(|output| match output {
            Output::Keep(record) => Some(record.id),
            _ => None,
        });
        if let Some(id) = record
            && let Some(reply) = self.openings.remove(&proposal)
        {
            self.begun.push((reply, id));
        }
    }

    /// Somebody waits for the answer to a proposal.
    pub(super) fn opens(&mut self, proposal: [u8; 32], reply: Reply) {
        self.openings.insert(proposal, reply);
    }

    /// What waited for its turn in the channel is refused.
    pub(super) fn refused(&mut self, channel: &ChannelId, reason: &str) {
        if let Some(reply) = self.payments.remove(channel) {
            let _ = reply.send(Err(reason.to_owned()));
        }
    }

    pub(super) fn told(&mut self, about: &About, notice: &Notice) {
        let answer = match notice {
            Notice::Paid(_) => Ok(Answer::Done),
            Notice::Refused(reason) | Notice::Abandoned(reason) | Notice::Dispute(reason) => {
                Err(reason.clone())
            }
            Notice::Closing | Notice::Concluded | Notice::Restored => {
                Err("the channel ends".to_owned())
            }
            _ => return,
        };
        let reply = match about {
            About::Channel(channel) => self.payments.remove(channel),
            About::Proposal(proposal) => self.openings.remove(proposal),
        };
        if let Some(reply) = reply {
            let _ = reply.send(answer);
        }
    }

    /// The turn is durable, and so are the channels that begin with it.
    pub(super) fn settle(&mut self) {
        for (reply, id) in self.begun.drain(..) {
            let _ = reply.send(Ok(Answer::Opened(id)));
        }
    }

    /// Nothing of what was waited for has happened.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Channels {
    pub(super) fn obey(&mut self, command: Command, reply: Reply, turn: &mut Turn) {
        let now = self.now();
        let command_pays = matches!(command, Command::Pay(..));
        let (channel, outputs) = match command {
            Command::Accounts(device) => {
                let its = self.node.records().filter(|record| record.device == device);
                let all = its.map(|record| self.account(record)).collect();
                return self.answers.push((reply, Ok(Answer::Accounts(all))));
            }
            Command::List => {
                let all = self.node.records().map(Summary::of).collect();
                return self.answers.push((reply, Ok(Answer::Channels(all))));
            }
            Command::Show(channel) => {
                let one = self.node.record(&channel).map(Summary::of);
                let answer = one.map(|one| Answer::Channels(vec![one])).ok_or_else(unknown);
                return self.answers.push((reply, answer));
            }
            Command::Terms => {
                let terms = Terms::of(&self.plan.settings);
                return self.answers.push((reply, Ok(Answer::Terms(terms))));
            }
            Command::Open { peer, device, own, theirs, challenge_s } => {
                let challenge_s = challenge_s.unwrap_or(self.plan.challenge_s);
                return match self.open((peer, device), [own, theirs], challenge_s, turn) {
                    Ok(proposal) => drop(self.waiting.openings.insert(proposal, reply)),
                    Err(reason) => drop(reply.send(Err(reason))),
                };
            }
            Command::Pay(channel, amount) => {
                if self.waiting.payments.contains_key(&channel) {
                    let busy = "a payment is under way; try again when it is done";
                    return drop(reply.send(Err(busy.to_owned())));
                }
                (channel, self.node.pay(channel, 0, amount, now))
            }
            Command::Close(channel) => (channel, self.node.close(channel, now)),
            Command::Dispute(channel) => (channel, self.node.dispute(channel, now)),
        };
        if self.node.record(&channel).is_none() {
            return drop(reply.send(Err(unknown())));
        }
        let refusal = outputs.iter().find_map(refusal);
        match (refusal, command_pays) {
            (Some((reason, _)), _) => return self.answers.push((reply, Err(reason))),
            (None, true) => drop(self.waiting.payments.insert(channel, reply)),
            (None, false) => self.answers.push((reply, Ok(Answer::Done))),
        }
        self.add(outputs, turn);
    }

    fn account(&self, record: &Record) -> Account {
        let is_idle = record.phase == Phase::Open && record.wish.is_none();
        Account {
            channel: record.id,
            peer: record.peer.clone(),
            is_open: record.phase.is_acting() && !record.restored && !record.has_signed_final(),
            // Without the peer a payment would only wait until the channel is settled on the ledger.
            is_free: is_idle && self.connected.contains_key(&record.peer),
            deposited: record.view.paid_in().next().map_or(Amount::ZERO, |row| row[record.own]),
            own: record.own_balances().next().unwrap_or(Amount::ZERO),
        }
    }

    fn open(
        &mut self,
        (peer, device): (String, String),
        balances: [Amount; 2],
        challenge_duration: u64,
        turn: &mut Turn,
    ) -> Result<[u8; 32], String> {
        let now = self.now();
        let random = || credentials::random().map_err(|error| error.to_string());
        let asset = self.plan.settings.policy.assets.first();
        let asset = asset.ok_or("this ledger has no asset for channels")?.asset.clone();
        let outcome = Allocation::new(&[(asset, balances)]).map_err(|error| error.to_string())?;
        let (id, nonce_share) = (random()?, random()?);
        let proposal = Proposal { peer, device, outcome, challenge_duration, id, nonce_share };
        self.check_reserve(balances[0])?;
        let outputs = self.node.propose(proposal, now)?;
        self.add(outputs, turn);
        Ok(id)
    }
}

/// Why a command is refused, and whether it may be given again.
pub(super) fn refusal(output: &Output) -> Option<(String, bool)> {
    match output {
        Output::Refuse { refusal, .. } => {
            Some((refusal.to_string(), *refusal == effect::Refusal::Busy))
        }
        _ => None,
    }
}

fn unknown() -> String {
    "there is no such channel".to_owned()
}
