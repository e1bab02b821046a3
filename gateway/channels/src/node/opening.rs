//! Proposals, ours and the peers'.
//!
//! Guarantees: whatever could trap funds is refused before anything is signed; a proposal that comes again is answered
//! once; proposals are bounded per peer. Does not: decide an offer; the owner or its rules do.
//!
//! Two Sluicegates find each other out: the proposer says so in `aux`, the responder in the second half of its share
//! of the nonce, which is a hash of the first half and the proposal. Neither is signed: a peer that pretends only
//! loses what it gains by burning versions, and never more than its own channel.

use sluicegate_protocol::{
    channel::{Address, Allocation, Participant},
    sha256,
};

use super::{About, MAX_RECENT, Node, Now, Output, Waiting};
use crate::{
    Channel, Input, Opening, Step,
    effect::{Effect, Notice, Outgoing},
    step,
    wire::{AUX, BaseProposal, LedgerChannelProposal, Message},
};

const CAPABILITY: &[u8] = b"sluicegate/1";

/// What the owner proposes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The peer's name in the address book.
    pub peer: String,
    /// The device whose channel it is.
    pub device: String,
    /// Who brings what; we are participant 0.
    pub outcome: Allocation,
    /// How long a dispute can be answered, in seconds.
    pub challenge_duration: u64,
    /// 32 random bytes: the name of the proposal.
    pub id: [u8; 32],
    /// 32 random bytes: our half of the nonce.
    pub nonce_share: [u8; 32],
}

impl Node {
    /// Proposes a channel. In words why not, if not.
    pub fn propose(&mut self, proposal: Proposal, now: Now) -> Result<Vec<Output>, String> {
        self.settings.policy.check(&proposal.outcome, 0, proposal.challenge_duration)?;
        let key = self.devices.get(&proposal.device).ok_or("there is no such device")?;
        let own = Participant::new(key.address());
        if !self.is_connected(&proposal.peer) {
            return Err(format!("there is no connection with {}", proposal.peer));
        }
        self.check_room(&proposal.peer)?;
        let opening = Opening {
            is_ours: true,
            proposal: proposal.id,
            peer: proposal.peer,
            device: proposal.device,
            sluicegate: false,
            own,
            receiver: self.settings.receiver,
            nonce_share: proposal.nonce_share,
            challenge_duration: proposal.challenge_duration,
            outcome: proposal.outcome,
            other: None,
        };
        let mut out = Vec::new();
        let message = self.proposal_message(&opening).ok_or("the peer is unknown")?;
        self.reply(&opening.peer, message, &mut out);
        self.wait(Box::new(opening), now);
        Ok(out)
    }

    fn proposal_message(&self, opening: &Opening) -> Option<Message> {
        let peer = self.peers.get(&opening.peer)?;
        let mut aux = Box::new([0; AUX]);
        aux[..CAPABILITY.len()].copy_from_slice(CAPABILITY);
        let base = BaseProposal {
            id: opening.proposal,
            challenge_duration: opening.challenge_duration,
            nonce_share: opening.nonce_share,
            app: Address::ZERO,
            data: Default::default(),
            funding: opening.outcome.balances.clone(),
            outcome: opening.outcome.clone(),
            aux,
        };
        let peers = [self.settings.address.clone(), peer.address.clone()];
        let participant = opening.own.clone();
        Some(Message::LedgerChannelProposal(Box::new(LedgerChannelProposal {
            base,
            participant,
            peers,
        })))
    }

    fn wait(&mut self, opening: Box<Opening>, now: Now) {
        let due_ms = now.ms.saturating_add(self.settings.answer_ms);
        self.openings.insert(opening.proposal, Waiting { opening, due_ms });
    }

    fn check_room(&self, peer: &str) -> Result<(), String> {
        let waiting = self.openings.values().filter(|waiting| waiting.opening.peer == peer);
        if waiting.count() >= self.settings.max_openings {
            return Err("too many proposals are under way".into());
        }
        if self.channels_with(peer).len() >= self.settings.max_channels {
            return Err("too many channels are open".into());
        }
        Ok(())
    }

    pub(super) fn take_opening(
        &mut self,
        peer: &str,
        message: Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        match message {
            Message::LedgerChannelProposal(proposal) => self.offered(peer, *proposal, now, out),
            Message::LedgerChannelProposalAcc { proposal, nonce_share, participant } => {
                self.accepted(peer, proposal, nonce_share, *participant, now, out);
            }
            Message::ChannelProposalRej { proposal, reason }
                if self.opening(&proposal).is_some_and(|opening| opening.peer == peer) =>
            {
                self.run_opening(proposal, Input::Rejected(reason), now, out);
            }
            Message::SubChannelProposal(proposal) => {
                self.reject(peer, proposal.base.id, "no sub-channels here".into(), out);
            }
            Message::VirtualChannelProposal(proposal) => {
                self.reject(peer, proposal.base.id, "no virtual channels here".into(), out);
            }
            _ => {}
        }
    }

    fn reject(&self, peer: &str, proposal: [u8; 32], reason: String, out: &mut Vec<Output>) {
        self.reply(peer, Message::ChannelProposalRej { proposal, reason }, out);
    }

    fn offered(
        &mut self,
        peer: &str,
        proposal: LedgerChannelProposal,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let id = proposal.base.id;
        if self.openings.contains_key(&id) || self.recent.contains(&id) {
            return;
        }
        if let Err(reason) = self.check_offer(peer, &proposal) {
            return self.reject(peer, id, reason, out);
        }
        self.remember(id);
        let base = proposal.base;
        let opening = Opening {
            is_ours: false,
            proposal: id,
            peer: peer.to_owned(),
            device: String::new(),
            sluicegate: base.aux.starts_with(CAPABILITY),
            own: Participant::new(Address::ZERO),
            receiver: self.settings.receiver,
            nonce_share: [0; 32],
            challenge_duration: base.challenge_duration,
            outcome: base.outcome,
            other: Some((proposal.participant, base.nonce_share)),
        };
        self.wait(Box::new(opening), now);
        out.push(Output::Tell { about: About::Proposal(id), notice: Notice::Offered });
    }

    fn remember(&mut self, proposal: [u8; 32]) {
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(proposal);
    }

    fn check_offer(&self, peer: &str, proposal: &LedgerChannelProposal) -> Result<(), String> {
        let base = &proposal.base;
        self.settings.policy.check(&base.outcome, 1, base.challenge_duration)?;
        if base.app != Address::ZERO || !base.data.is_empty() {
            return Err("channels have no app here".into());
        }
        if base.funding != base.outcome.balances {
            return Err("each side deposits what it owns at first".into());
        }
        if proposal.participant.cc.is_some() {
            return Err("participants have one address here".into());
        }
        let addresses =
            [&self.peers.get(peer).ok_or("an unknown peer")?.address, &self.settings.address];
        if proposal.peers.iter().ne(addresses) {
            return Err("the proposal names other peers".into());
        }
        self.check_room(peer)
    }

    /// The owner accepts an offer for a device, with 32 random bytes. In words why not, if not.
    pub fn agree(
        &mut self,
        proposal: &[u8; 32],
        device: &str,
        random: [u8; 32],
        now: Now,
    ) -> Result<Vec<Output>, String> {
        let key = self.devices.get(device).ok_or("there is no such device")?;
        let own = Participant::new(key.address());
        let waiting = self.openings.get_mut(proposal).ok_or("there is no such offer")?;
        let opening = &mut waiting.opening;
        if opening.is_ours {
            return Err("the proposal is ours".into());
        }
        opening.own = own;
        device.clone_into(&mut opening.device);
        opening.nonce_share = if opening.sluicegate { marked(proposal, &random) } else { random };
        let record = opening.begin(now.ledger_s).map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        self.run_opening(*proposal, Input::Agree(Box::new(record)), now, &mut out);
        Ok(out)
    }

    /// The owner refuses an offer.
    pub fn decline(&mut self, proposal: &[u8; 32], reason: &str, now: Now) -> Vec<Output> {
        let mut out = Vec::new();
        self.run_opening(*proposal, Input::Decline(reason.to_owned()), now, &mut out);
        out
    }

    fn accepted(
        &mut self,
        peer: &str,
        proposal: [u8; 32],
        share: [u8; 32],
        participant: Participant,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(waiting) = self.openings.get_mut(&proposal) else { return };
        let opening = &mut waiting.opening;
        if opening.peer != peer || !opening.is_ours {
            return;
        }
        opening.sluicegate = marked(&proposal, &share) == share;
        let has_cc = participant.cc.is_some();
        opening.other = Some((participant, share));
        let input = match opening.begin(now.ledger_s) {
            Ok(_) if has_cc => Input::Rejected("participants have one address here".into()),
            Ok(record) => Input::Accepted(Box::new(record)),
            Err(error) => Input::Rejected(format!("the acceptance can't be used: {error}")),
        };
        self.run_opening(proposal, input, now, out);
    }

    pub(super) fn run_opening(
        &mut self,
        proposal: [u8; 32],
        input: Input,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(Waiting { opening, due_ms }) = self.openings.remove(&proposal) else { return };
        let (peer, share, own) = (opening.peer.clone(), opening.nonce_share, opening.own.clone());
        let Step { channel, effects } = step(Channel::Opening(opening), input, now.ledger_s);
        let id = match channel {
            Channel::Opening(opening) => {
                self.openings.insert(proposal, Waiting { opening, due_ms });
                None
            }
            Channel::Record(record) => {
                let id = record.id;
                out.push(Output::Keep(record.clone()));
                self.insert(record, None);
                Some(id)
            }
            Channel::Gone => None,
        };
        for effect in effects {
            match effect {
                Effect::Send(Outgoing::Accepted) => {
                    let (nonce_share, participant) = (share, Box::new(own.clone()));
                    let message =
                        Message::LedgerChannelProposalAcc { proposal, nonce_share, participant };
                    self.reply(&peer, message, out);
                }
                Effect::Send(Outgoing::Rejected(reason)) => {
                    self.reject(&peer, proposal, reason, out);
                }
                Effect::Tell(notice) => {
                    out.push(Output::Tell { about: About::Proposal(proposal), notice });
                }
                effect => {
                    if let Some(id) = id
                        && let Some(input) = self.perform(id, effect, now, out)
                    {
                        self.run(id, input, now, out);
                    }
                }
            }
        }
        if let Some(id) = id {
            self.set_timer(id, now);
        }
    }
}

/// A share of the nonce that a Sluicegate recognises: 16 random bytes and 16 of their hash with the proposal.
fn marked(proposal: &[u8; 32], random: &[u8; 32]) -> [u8; 32] {
    let mut share = *random;
    let hash = sha256(&[CAPABILITY, proposal, &random[..16]]);
    share[16..].copy_from_slice(&hash.as_bytes()[..16]);
    share
}
