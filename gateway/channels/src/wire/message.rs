//! The 17 messages of go-perun v0.15, with our data model inside.
//!
//! Guarantees: a message that exists can be encoded, but for texts, backends and sums of lengths that an encoding has
//! no room for. Does not: check anything else; an allocation may be without assets, and a signature of nobody.

use heapless::Vec;
use sluicegate_protocol::channel::{
    Address, Allocation, Amount, ChannelId, MAX_ASSETS, MAX_DATA, PARTICIPANTS, Params,
    Participant, Signature, State,
};

use super::AddressMap;

/// Bytes that a proposal carries for whatever its participants agree on; nothing signed covers them.
pub const AUX: usize = 256;

/// A message, from whom and to whom; go-perun routes by the recipient and checks neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Who claims to have sent it.
    pub sender: AddressMap,
    /// Whom it is for.
    pub recipient: AddressMap,
    /// What it says.
    pub message: Message,
}

/// What peers say to each other; the order is that of go-perun's type numbers, from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Are you there? Never sent or answered by go-perun.
    Ping {
        /// When it was sent, in nanoseconds of Unix time.
        created: i64,
    },
    /// The answer to a ping.
    Pong {
        /// When it was sent, in nanoseconds of Unix time.
        created: i64,
    },
    /// The sender stops.
    Shutdown {
        /// Why.
        reason: String,
    },
    /// The sender's proof of its wire address, when a connection begins.
    AuthResponse {
        /// Its signature, up to 1,024 bytes.
        signature: std::vec::Vec<u8>,
    },
    /// A channel that is funded on a ledger.
    LedgerChannelProposal(Box<LedgerChannelProposal>),
    /// Its acceptance.
    LedgerChannelProposalAcc {
        /// The proposal.
        proposal: [u8; 32],
        /// The responder's share of the nonce.
        nonce_share: [u8; 32],
        /// The responder.
        participant: Box<Participant>,
    },
    /// A channel that is funded out of one of the same participants.
    SubChannelProposal(Box<SubChannelProposal>),
    /// Its acceptance.
    SubChannelProposalAcc {
        /// The proposal.
        proposal: [u8; 32],
        /// The responder's share of the nonce.
        nonce_share: [u8; 32],
    },
    /// A channel that is funded out of channels with an intermediary.
    VirtualChannelProposal(Box<VirtualChannelProposal>),
    /// Its acceptance.
    VirtualChannelProposalAcc {
        /// The proposal.
        proposal: [u8; 32],
        /// The responder's share of the nonce.
        nonce_share: [u8; 32],
        /// The responder.
        responder: Box<Participant>,
    },
    /// The rejection of any proposal.
    ChannelProposalRej {
        /// The proposal.
        proposal: [u8; 32],
        /// Why.
        reason: String,
    },
    /// A next state.
    ChannelUpdate(Box<ChannelUpdate>),
    /// A next state that locks funds for a virtual channel; to the intermediary.
    VirtualChannelFundingProposal(Box<VirtualChannelFundingProposal>),
    /// A next state that frees a virtual channel's funds; to the intermediary.
    VirtualChannelSettlementProposal(Box<VirtualChannelSettlementProposal>),
    /// The acceptance of a next state, and both sides' first word on version 0.
    ChannelUpdateAcc {
        /// The channel.
        channel: ChannelId,
        /// The state's version.
        version: u64,
        /// The sender's signature of the state.
        signature: Signature,
    },
    /// The rejection of a next state.
    ChannelUpdateRej {
        /// The channel.
        channel: ChannelId,
        /// The state's version.
        version: u64,
        /// Why.
        reason: String,
    },
    /// What the sender has of a channel.
    ChannelSync(Box<ChannelSync>),
}

/// What all proposals have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseProposal {
    /// The proposal's own, random id.
    pub id: [u8; 32],
    /// How long a dispute can be answered, in seconds.
    pub challenge_duration: u64,
    /// The proposer's share of the nonce.
    pub nonce_share: [u8; 32],
    /// The contract of the app; [`Address::ZERO`] for none.
    pub app: Address,
    /// The app's first data.
    pub data: Vec<u8, MAX_DATA>,
    /// Who owns what in version 0.
    pub outcome: Allocation,
    /// For each asset, what each participant deposits; go-perun doesn't compare it with `outcome`.
    pub funding: Vec<[Amount; PARTICIPANTS], MAX_ASSETS>,
    /// Bytes that nothing signed covers.
    pub aux: Box<[u8; AUX]>,
}

/// A channel that is funded on a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerChannelProposal {
    /// What all proposals have.
    pub base: BaseProposal,
    /// The proposer.
    pub participant: Participant,
    /// Where both participants are on the wire, the proposer first.
    pub peers: [AddressMap; PARTICIPANTS],
}

/// A channel that is funded out of one of the same participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubChannelProposal {
    /// What all proposals have.
    pub base: BaseProposal,
    /// The channel that the funds come from.
    pub parent: ChannelId,
}

/// A channel that is funded out of channels with an intermediary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualChannelProposal {
    /// What all proposals have.
    pub base: BaseProposal,
    /// The proposer.
    pub proposer: Participant,
    /// Where both participants are on the wire, the proposer first.
    pub peers: [AddressMap; PARTICIPANTS],
    /// Each participant's channel with the intermediary.
    pub parents: [ChannelId; PARTICIPANTS],
    /// For each of these channels, the place there of who stands for each participant.
    pub index_maps: [[u16; PARTICIPANTS]; PARTICIPANTS],
}

/// A next state, signed by its proposer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelUpdate {
    /// The contract of the app; [`Address::ZERO`] for none.
    pub app: Address,
    /// The state.
    pub state: State,
    /// The proposer's place among the participants.
    pub actor: u16,
    /// The proposer's signature of the state.
    pub signature: Signature,
}

/// A state with its parameters and the signatures that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedState {
    /// The parameters; the state's app is theirs.
    pub params: Params,
    /// Bytes that nothing signed covers.
    pub aux: Box<[u8; AUX]>,
    /// The state.
    pub state: State,
    /// Each participant's signature of it.
    pub signatures: [Option<Signature>; PARTICIPANTS],
}

/// A next state that locks funds for a virtual channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualChannelFundingProposal {
    /// The next state of the channel with the intermediary.
    pub update: ChannelUpdate,
    /// The virtual channel's first state.
    pub initial: SignedState,
    /// The place of who stands for each participant of the virtual channel.
    pub index_map: [u16; PARTICIPANTS],
}

/// A next state that frees a virtual channel's funds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualChannelSettlementProposal {
    /// The next state of the channel with the intermediary.
    pub update: ChannelUpdate,
    /// The virtual channel's last state.
    pub last: SignedState,
}

/// What a peer has of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSync {
    /// The phase of the peer's state machine, in go-perun's numbers (§2.6).
    pub phase: u8,
    /// Its newest state. go-perun's type allows for none, but its process ends when it reads that.
    pub current: Transaction,
}

/// A state with the signatures that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The contract of the app; [`Address::ZERO`] for none.
    pub app: Address,
    /// The state.
    pub state: State,
    /// Each participant's signature of it.
    pub signatures: [Option<Signature>; PARTICIPANTS],
}
