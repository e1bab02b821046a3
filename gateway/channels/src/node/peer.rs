//! What a peer's connection brings.
//!
//! Guarantees: the envelope's sender is the peer of the connection, and it is meant for us; a channel belongs to one
//! peer; what is not understood is refused in words. Does not: authenticate the connection; its owner has.

use sluicegate_protocol::channel::{Address, ChannelId, PARTICIPANTS, Signature, State};

use super::{Node, Now, Output};
use crate::{
    Input, Phase, Record,
    classify::PeerMessage,
    effect::Outgoing,
    wire::{ChannelSync, ChannelUpdate, Envelope, Message, Transaction},
};

/// What a connection bears.
const MAX_OFFENCES: u16 = 256;

/// A signature that the peer did not make. No honest peer sends one.
const FORGED: u16 = 32;

/// A message for a channel that is none with this peer. An honest peer sends some: for channels that are forgotten here,
/// or lost with a backup.
const ASTRAY: u16 = 1;

impl Node {
    /// A connection with a peer stands, and is authenticated.
    pub fn connected(&mut self, peer: &str, now: Now) -> Vec<Output> {
        let mut out = Vec::new();
        let Some(known) = self.peers.get_mut(peer) else { return out };
        (known.is_connected, known.offences) = (true, 0);
        // Of channels that are over too: a peer may come back with a backup of them.
        for slot in self.channels.values_mut().filter(|slot| slot.record.peer == peer) {
            (slot.asked_sync, slot.answers) = (false, 0);
        }
        for id in self.channels_with(peer) {
            let Some(slot) = self.channels.get(&id) else { continue };
            let input = slot.record.connected();
            self.run(id, input, now, &mut out);
        }
        out
    }

    /// The connection is gone.
    pub fn lost(&mut self, peer: &str) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.is_connected = false;
        }
    }

    pub(super) fn channels_with(&self, peer: &str) -> Vec<ChannelId> {
        let mine = self.channels.iter().filter(|(_, slot)| slot.record.peer == peer);
        mine.filter(|(_, slot)| !slot.record.phase.is_over()).map(|(id, _)| *id).collect()
    }

    /// A message of a peer.
    pub fn message(&mut self, peer: &str, envelope: Envelope, now: Now) -> Vec<Output> {
        let mut out = Vec::new();
        let Some(known) = self.peers.get(peer) else { return out };
        if envelope.sender != known.address || envelope.recipient != self.settings.address {
            let reason = "a message with another sender or recipient than the connection's".into();
            out.push(Output::Disconnect { peer: peer.to_owned(), reason });
            return out;
        }
        self.take_message(peer, envelope.message, now, &mut out);
        out
    }

    fn take_message(&mut self, peer: &str, message: Message, now: Now, out: &mut Vec<Output>) {
        match message {
            Message::ChannelUpdate(update) => self.update(peer, *update, now, out),
            Message::ChannelUpdateAcc { channel, version, signature } => {
                let said = PeerMessage::Acceptance { version, signature };
                self.hear(peer, channel, said, now, out);
            }
            Message::ChannelUpdateRej { channel, version, reason } => {
                self.hear(peer, channel, PeerMessage::Rejection { version, reason }, now, out);
            }
            Message::ChannelSync(sync) => self.sync(peer, *sync, now, out),
            Message::Ping { created } => self.reply(peer, Message::Pong { created }, out),
            Message::VirtualChannelFundingProposal(proposal) => {
                self.reject_update(peer, &proposal.update, "no virtual channels here", out);
            }
            Message::VirtualChannelSettlementProposal(proposal) => {
                self.reject_update(peer, &proposal.update, "no virtual channels here", out);
            }
            message => self.take_opening(peer, message, now, out),
        }
    }

    pub(super) fn reply(&self, peer: &str, message: Message, out: &mut Vec<Output>) {
        if self.is_connected(peer) {
            out.push(Output::Send { peer: peer.to_owned(), message: Box::new(message) });
        }
    }

    fn reject_update(
        &self,
        peer: &str,
        update: &ChannelUpdate,
        reason: &str,
        out: &mut Vec<Output>,
    ) {
        let (channel, version) = (update.state.channel, update.state.version);
        let reason = reason.to_owned();
        self.reply(peer, Message::ChannelUpdateRej { channel, version, reason }, out);
    }

    fn update(&mut self, peer: &str, update: ChannelUpdate, now: Now, out: &mut Vec<Output>) {
        let channel = update.state.channel;
        if self.with(peer, &channel).is_none() {
            self.reject_update(peer, &update, "there is no such channel", out);
            return self.offend(peer, ASTRAY, out);
        }
        if update.app != Address::ZERO {
            return self.reject_update(peer, &update, "the channel has no app", out);
        }
        let (actor, signature) = (usize::from(update.actor), update.signature);
        let said = PeerMessage::Update { state: Box::new(update.state), actor, signature };
        self.hear(peer, channel, said, now, out);
    }

    fn sync(&mut self, peer: &str, sync: ChannelSync, now: Now, out: &mut Vec<Output>) {
        let Transaction { state, signatures, .. } = sync.current;
        let channel = state.channel;
        let current = both(signatures).map(|signatures| Box::new((state, signatures)));
        self.hear(peer, channel, PeerMessage::Sync { current }, now, out);
        if let Some(slot) = self.channels.get_mut(&channel).filter(|slot| slot.record.peer == peer)
        {
            slot.asked_sync = false;
        }
    }

    /// The channel, if it is one with this peer.
    fn with(&self, peer: &str, channel: &ChannelId) -> Option<&Record> {
        self.record(channel).filter(|record| record.peer == peer)
    }

    fn hear(
        &mut self,
        peer: &str,
        channel: ChannelId,
        said: PeerMessage,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(record) = self.with(peer, &channel) else {
            return self.offend(peer, ASTRAY, out);
        };
        let input = record.classify(said);
        let is_forged = matches!(input, Input::Forged(_));
        self.run(channel, input, now, out);
        if is_forged {
            self.offend(peer, FORGED, out);
        }
    }

    /// Counts what an honest peer does not do, and ends the connection when it was too much.
    fn offend(&mut self, peer: &str, weight: u16, out: &mut Vec<Output>) {
        let Some(known) = self.peers.get_mut(peer) else { return };
        known.offences = known.offences.saturating_add(weight);
        if known.offences >= MAX_OFFENCES {
            known.offences = 0;
            let reason = "too many messages with forged signatures or for foreign channels".into();
            out.push(Output::Disconnect { peer: peer.to_owned(), reason });
        }
    }
}

fn both(signatures: [Option<Signature>; PARTICIPANTS]) -> Option<[Signature; PARTICIPANTS]> {
    match signatures {
        [Some(first), Some(second)] => Some([first, second]),
        _ => None,
    }
}

/// The message of a channel as it goes over the wire.
pub(super) fn to_wire(record: &Record, message: Outgoing) -> Option<Message> {
    let channel = record.id;
    Some(match message {
        Outgoing::Acceptance { version, signature } => {
            Message::ChannelUpdateAcc { channel, version, signature }
        }
        Outgoing::Rejection { version, reason } => {
            Message::ChannelUpdateRej { channel, version, reason }
        }
        Outgoing::Sync { current, .. } => {
            // Before version 0 is signed there is nothing to show, and nothing is what ends a go-perun process.
            let current = current.map(|current| transaction(current.state, current.signatures))?;
            Message::ChannelSync(Box::new(ChannelSync { phase: go_perun(record.phase), current }))
        }
        Outgoing::Update { state, signature } => {
            let actor = u16::try_from(record.own).ok()?;
            let (app, state) = (record.params.app, *state);
            Message::ChannelUpdate(Box::new(ChannelUpdate { app, state, actor, signature }))
        }
        Outgoing::VersionZero(signature) => {
            Message::ChannelUpdateAcc { channel, version: 0, signature }
        }
        Outgoing::Accepted | Outgoing::Rejected(_) => return None,
    })
}

fn transaction(state: State, signatures: [Signature; PARTICIPANTS]) -> Transaction {
    Transaction { app: Address::ZERO, state, signatures: signatures.map(Some) }
}

/// The phase in go-perun's numbers (`channel/machine.go`).
const fn go_perun(phase: Phase) -> u8 {
    match phase {
        Phase::Proposing | Phase::Offered => 0,
        Phase::Exchanging => 1,
        Phase::Funding => 2,
        Phase::Open => 3,
        Phase::Proposed | Phase::Asked => 4,
        Phase::Final => 5,
        Phase::Disputed => 7,
        Phase::Concluded => 10,
        Phase::Withdrawn | Phase::Abandoned => 11,
    }
}
