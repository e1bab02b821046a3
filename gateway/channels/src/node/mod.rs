//! All channels of a gateway: its peers, openings, channels, keys and timers.
//!
//! Guarantees: outputs come in the order in which they have to happen: a record or the books of a key before whatever
//! shows them to anyone (I1). A message counts only from the peer whose connection it came over, for channels with
//! that peer (P6); what it costs is bounded per peer and in total (I7). Does not: read clocks, draw random numbers,
//! open connections or ask ledgers; it is told.
//!
//! - this file: what there is, and the loop from input to outputs
//! - [`opening`]: proposals; `peer`: messages; `here`: commands, signatures, time; `ledger`: events

mod here;
mod ledger;
pub mod opening;
mod peer;

use std::collections::{BTreeMap, VecDeque};

use sluicegate_protocol::channel::{Address, ChannelId, FundingId, SigningKey};

pub use here::Silence;

use crate::{
    Channel, Effect, Input, Opening, Phase, Record, Step,
    effect::{Intent, Notice, Outgoing, Refusal, SignRequest},
    input::PeerUpdate,
    key::{self, Books, LastSigned, Limit, Spent},
    policy::Policy,
    step,
    wire::{AddressMap, Message},
};

/// What a node is told once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our address on the wire.
    pub address: AddressMap,
    /// What channels may be.
    pub policy: Policy,
    /// What may leave the keys.
    pub limits: Vec<Limit>,
    /// Where withdrawals go: the owner's account.
    pub receiver: Address,
    /// How long a peer or a device has for an answer, in milliseconds.
    pub answer_ms: u64,
    /// How long an update may go unanswered before the channel is settled on the ledger, in milliseconds.
    pub patience_ms: u64,
    /// Proposals under way with one peer.
    pub max_openings: usize,
    /// Channels with one peer that are not over.
    pub max_channels: usize,
}

/// The time, in two of its kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, in milliseconds.
    pub ms: u64,
    /// Of the ledger, in seconds.
    pub ledger_s: u64,
}

/// Who signs for a device.
#[derive(Debug, Clone)]
pub enum DeviceKey {
    /// The device itself; its address.
    Away(Address),
    /// This gateway.
    Here(SigningKey),
}

impl DeviceKey {
    fn address(&self) -> Address {
        match self {
            Self::Away(address) => *address,
            Self::Here(key) => key.address(),
        }
    }
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Close the connection; the peer broke a rule that no honest one breaks.
    Disconnect {
        /// Whose.
        peer: String,
        /// Which rule.
        reason: String,
    },
    /// Make the record durable.
    Keep(Box<Record>),
    /// Make the books of a key durable.
    KeepBooks {
        /// For this channel.
        channel: ChannelId,
        /// The books.
        books: Books,
    },
    /// Keep a channel no longer: it is over, and nothing of ours can come of it any more.
    Forget {
        /// Which.
        channel: ChannelId,
    },
    /// Give the requests of an intent to the outbox, with the record that is kept last before this.
    Ledger {
        /// For this channel.
        channel: ChannelId,
        /// What.
        intent: Intent,
    },
    /// Answer a command with an error.
    Refuse {
        /// In this channel.
        channel: ChannelId,
        /// Why.
        refusal: Refusal,
    },
    /// Write a message to the peer's connection.
    Send {
        /// Whose.
        peer: String,
        /// What.
        message: Box<Message>,
    },
    /// Ask a device for its signature.
    Sign {
        /// In this channel.
        channel: ChannelId,
        /// Which device.
        device: String,
        /// What.
        request: SignRequest,
    },
    /// Tell the owner, and who drives the payments.
    Tell {
        /// About what.
        about: About,
        /// What.
        notice: Notice,
    },
}

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// A channel.
    Channel(ChannelId),
    /// A proposal.
    Proposal([u8; 32]),
}

/// Proposals that are remembered so that a repeated one is not offered twice.
const MAX_RECENT: usize = 256;

/// Channels that are over, nothing of ours can come of, and are kept: the newest, for peers that ask.
pub const MAX_OVER: usize = 64;

/// Answers to synchronisations while nothing changes.
const MAX_ANSWERS: u8 = 2;

struct Peer {
    address: AddressMap,
    is_connected: bool,
    /// What it did on this connection that no honest peer does, weighed.
    offences: u16,
}

struct Waiting {
    opening: Box<Opening>,
    due_ms: u64,
}

/// A channel with what need not survive a restart.
struct Slot {
    record: Box<Record>,
    last: Option<LastSigned>,
    held: Option<PeerUpdate>,
    /// An update that was turned down because the device did not answer in time: it may have signed.
    late: Option<PeerUpdate>,
    timer: Option<Timer>,
    /// We asked for a synchronisation: what comes next is its answer.
    asked_sync: bool,
    /// Answers to synchronisations since the connection began or the record changed: two never answer each other for
    /// ever.
    answers: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Timer {
    phase: Phase,
    version: u64,
    /// It is the device that is waited for, not the peer.
    is_unsigned: bool,
    since_ms: u64,
    due_ms: u64,
    wait_ms: u64,
}

/// All channels of a gateway.
pub struct Node {
    settings: Settings,
    devices: BTreeMap<String, DeviceKey>,
    peers: BTreeMap<String, Peer>,
    openings: BTreeMap<[u8; 32], Waiting>,
    recent: VecDeque<[u8; 32]>,
    channels: BTreeMap<ChannelId, Slot>,
    /// Channels that can be forgotten, oldest first.
    over: VecDeque<ChannelId>,
    spent: Vec<Option<Spent>>,
    funding: BTreeMap<FundingId, (ChannelId, usize)>,
}

impl Node {
    /// A node without channels.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            devices: BTreeMap::new(),
            peers: BTreeMap::new(),
            openings: BTreeMap::new(),
            recent: VecDeque::new(),
            channels: BTreeMap::new(),
            over: VecDeque::new(),
            spent: Vec::new(),
            funding: BTreeMap::new(),
        }
    }

    /// Enters a peer into the address book.
    pub fn add_peer(&mut self, name: &str, address: AddressMap) {
        self.peers.insert(name.to_owned(), Peer { address, is_connected: false, offences: 0 });
    }

    /// Enters a device.
    pub fn add_device(&mut self, name: &str, key: DeviceKey) {
        self.devices.insert(name.to_owned(), key);
    }

    /// What was spent of the limits before, in their order.
    pub fn load_spent(&mut self, spent: Vec<Option<Spent>>) {
        self.spent = spent;
    }

    /// A channel as it was kept, and what its key signed last in it.
    pub fn load(&mut self, record: Record, last: Option<LastSigned>, now: Now) {
        let id = record.id;
        self.insert(Box::new(record), last);
        self.set_timer(id, now);
        self.note_over(id);
    }

    fn note_over(&mut self, channel: ChannelId) {
        let is_over = self.record(&channel).is_some_and(Record::is_forgettable);
        if is_over && !self.over.contains(&channel) {
            self.over.push_back(channel);
        }
    }

    /// Forgets the oldest channels that are over, beyond so many.
    fn forget(&mut self, out: &mut Vec<Output>) {
        while self.over.len() > MAX_OVER {
            let Some(channel) = self.over.pop_front() else { return };
            // One that goes on after all comes back when it is over again.
            let slot = self.channels.get(&channel).filter(|slot| slot.record.is_forgettable());
            let Some(slot) = slot else { continue };
            for participant in &slot.record.params.participants {
                self.funding.remove(&FundingId::of(&channel, &participant.address));
            }
            self.channels.remove(&channel);
            out.push(Output::Forget { channel });
        }
    }

    /// A channel.
    pub fn record(&self, channel: &ChannelId) -> Option<&Record> {
        self.channels.get(channel).map(|slot| &*slot.record)
    }

    /// All channels.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.channels.values().map(|slot| &*slot.record)
    }

    /// A proposal that waits.
    pub fn opening(&self, proposal: &[u8; 32]) -> Option<&Opening> {
        self.openings.get(proposal).map(|waiting| &*waiting.opening)
    }

    /// All proposals that wait.
    pub fn openings(&self) -> impl Iterator<Item = &Opening> {
        self.openings.values().map(|waiting| &*waiting.opening)
    }

    fn insert(&mut self, record: Box<Record>, last: Option<LastSigned>) {
        let id = record.id;
        for (place, participant) in record.params.participants.iter().enumerate() {
            let funding = FundingId::of(&id, &participant.address);
            self.funding.insert(funding, (id, place));
        }
        let (held, late, timer) = (None, None, None);
        let slot = Slot { record, last, held, late, timer, asked_sync: false, answers: 0 };
        self.channels.insert(id, slot);
    }

    /// Runs an input and all that follows from it by itself.
    fn run(&mut self, channel: ChannelId, input: Input, now: Now, out: &mut Vec<Output>) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let Some(slot) = self.channels.get_mut(&channel) else { return };
            let before = slot.record.clone();
            let done = step(Channel::Record(before.clone()), input, now.ledger_s);
            next = self.take_step(channel, done, now, out);
            next = next.or_else(|| self.next(&channel, &before));
        }
        self.set_timer(channel, now);
        self.note_over(channel);
        self.forget(out);
    }

    /// Keeps what changed and performs the effects; gives the key's answer, if it was asked.
    fn take_step(
        &mut self,
        id: ChannelId,
        Step { channel, effects }: Step,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Option<Input> {
        let Channel::Record(record) = channel else { return None };
        let slot = self.channels.get_mut(&id)?;
        if slot.record != record {
            out.push(Output::Keep(record.clone()));
            slot.record = record;
            slot.answers = 0;
        }
        let mut answer = None;
        for effect in effects {
            answer = self.perform(id, effect, now, out).or(answer);
        }
        answer
    }

    fn perform(
        &mut self,
        channel: ChannelId,
        effect: Effect,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Option<Input> {
        let slot = self.channels.get_mut(&channel)?;
        match effect {
            Effect::Hold(update) => slot.held = Some(update),
            Effect::Ledger(intent) => out.push(Output::Ledger { channel, intent }),
            Effect::Refuse(refusal) => out.push(Output::Refuse { channel, refusal }),
            Effect::Send(message) => self.send(channel, message, out),
            Effect::Sign(request) => return self.sign(channel, request, now, out),
            Effect::Tell(notice) => {
                out.push(Output::Tell { about: About::Channel(channel), notice });
            }
        }
        None
    }

    /// Signs for a represented device, or asks the device.
    fn sign(
        &mut self,
        channel: ChannelId,
        request: SignRequest,
        now: Now,
        out: &mut Vec<Output>,
    ) -> Option<Input> {
        let slot = self.channels.get_mut(&channel)?;
        let record = &*slot.record;
        if let Err(reason) = self.settings.policy.check_state(&request.state.outcome) {
            return Some(Input::NoSignature(reason));
        }
        let key = match self.devices.get(&record.device) {
            Some(DeviceKey::Here(key)) => key,
            Some(DeviceKey::Away(_)) => {
                let device = record.device.clone();
                out.push(Output::Sign { channel, device, request });
                return None;
            }
            None => return Some(Input::NoSignature("the device is not enrolled".into())),
        };
        if key.address() != *record.own_address() {
            return Some(Input::NoSignature("the channel was opened with another key".into()));
        }
        let books = Books { last: slot.last.clone(), spent: self.spent.clone() };
        let limits = &self.settings.limits;
        match key::sign(key, record, &request.state, limits, &books, now.ledger_s) {
            Ok(signing) => {
                let input = record.signature(signing.own);
                slot.last.clone_from(&signing.books.last);
                self.spent.clone_from(&signing.books.spent);
                out.push(Output::KeepBooks { channel, books: signing.books });
                Some(input)
            }
            Err(refused) => Some(Input::NoSignature(refused.to_string())),
        }
    }

    /// What a step that opened the way brings by itself: an update that was held, or a wish once both have signed
    /// something new. After a crossing the other side goes first, and a timer brings the wish.
    fn next(&mut self, channel: &ChannelId, before: &Record) -> Option<Input> {
        let slot = self.channels.get_mut(channel)?;
        if slot.record.phase != Phase::Open {
            return None;
        }
        if let Some(PeerUpdate { state, signature }) = slot.held.take() {
            let actor = slot.record.peer_place();
            let update = crate::classify::PeerMessage::Update { state, actor, signature };
            return Some(slot.record.classify(update));
        }
        let is_new = slot.record.current != before.current;
        if is_new { slot.record.next() } else { None }
    }

    fn is_connected(&self, peer: &str) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.is_connected)
    }

    fn send(&mut self, channel: ChannelId, message: Outgoing, out: &mut Vec<Output>) {
        let Some(slot) = self.channels.get_mut(&channel) else { return };
        let peer = slot.record.peer.clone();
        if !self.peers.get(&peer).is_some_and(|peer| peer.is_connected) {
            return;
        }
        if let Outgoing::Sync { is_answer, .. } = message {
            if is_answer && (slot.asked_sync || slot.answers >= MAX_ANSWERS) {
                return;
            }
            slot.asked_sync |= !is_answer;
            slot.answers = slot.answers.saturating_add(u8::from(is_answer));
        }
        if slot.record.phase == Phase::Abandoned {
            if slot.answers >= MAX_ANSWERS {
                return;
            }
            slot.answers = slot.answers.saturating_add(1);
        }
        if let Some(message) = peer::to_wire(&slot.record, message) {
            out.push(Output::Send { peer, message: Box::new(message) });
        }
    }

    /// A timer for what waits for a peer or a device; it goes on as long as that does not change.
    fn set_timer(&mut self, channel: ChannelId, now: Now) {
        let Some(slot) = self.channels.get_mut(&channel) else { return };
        let record = &slot.record;
        let waits = match record.phase {
            Phase::Exchanging | Phase::Proposed | Phase::Asked => true,
            Phase::Open if record.next().is_some() => true,
            // Who has forgotten what was concluded, asks until it is known.
            Phase::Concluded => record.owed().is_empty(),
            phase => record.restored && matches!(phase, Phase::Open | Phase::Funding),
        };
        if !waits {
            slot.timer = None;
            return;
        }
        let version = record.pending.as_ref().map_or(0, |pending| pending.state.version);
        let (phase, is_unsigned) = (record.phase, record.waits_for_own());
        let waits_for = |timer: &Timer| (timer.phase, timer.version, timer.is_unsigned);
        let same = |timer: &Timer| waits_for(timer) == (phase, version, is_unsigned);
        if slot.timer.as_ref().is_some_and(same) {
            return;
        }
        let (since_ms, wait_ms) = (now.ms, self.settings.answer_ms);
        let due_ms = now.ms.saturating_add(wait_ms);
        slot.timer = Some(Timer { phase, version, is_unsigned, since_ms, due_ms, wait_ms });
    }
}
