//! Our signatures in what the node keeps and sends, as the store checks them.
//!
//! Guarantees: every place of a record or message where a signature of ours can stand is named here, so what goes out
//! can be held against what is stored (I1, I2). Does not: verify a signature.

use sluicegate_channels::{
    Record,
    key::LastSigned,
    record::OwnSignature,
    wire::{ChannelSync, ChannelUpdate, Message},
};
use sluicegate_protocol::channel::{ChannelId, State};

use crate::store::channels::Signature;

/// What the record says our key has signed and the peer may still sign or refuse.
pub(super) fn signed(record: &Record) -> Vec<Signature> {
    let burned = record.burned.iter().map(|burned| own(&burned.state, &burned.own));
    let pending = record.pending.as_ref();
    let pending = pending.and_then(|pending| Some(own(&pending.state, pending.own.as_ref()?)));
    let mut all: Vec<_> = burned.chain(pending).collect();
    all.sort_by_key(|signature| signature.version);
    all
}

/// Our signature of the newest state of both, wherever it came from.
pub(super) fn adopted(record: &Record) -> Option<Signature> {
    let current = record.current.as_ref()?;
    let signature = current.signatures.get(record.own)?;
    Some(of_state(&current.state, Some(signature.as_bytes().to_vec())))
}

/// What the books of a key say it has signed.
pub(super) fn booked(channel: &ChannelId, last: &LastSigned) -> Signature {
    let (channel, version, hash) = (*channel.as_bytes(), last.version, Some(last.hash));
    Signature { channel, version, hash, signature: None }
}

/// Our signature that a message shows; `own` is our place in the channel.
pub(super) fn shown(
    message: &Message,
    own: impl Fn(&ChannelId) -> Option<usize>,
) -> Option<Signature> {
    match message {
        Message::ChannelUpdate(update) => Some(of_update(update)),
        Message::VirtualChannelFundingProposal(proposal) => Some(of_update(&proposal.update)),
        Message::VirtualChannelSettlementProposal(proposal) => Some(of_update(&proposal.update)),
        Message::ChannelUpdateAcc { channel, version, signature } => {
            let signature = Some(signature.as_bytes().to_vec());
            Some(Signature {
                channel: *channel.as_bytes(),
                version: *version,
                hash: None,
                signature,
            })
        }
        Message::ChannelSync(sync) => of_sync(sync, own),
        Message::Ping { .. }
        | Message::Pong { .. }
        | Message::Shutdown { .. }
        | Message::AuthResponse { .. }
        | Message::LedgerChannelProposal(_)
        | Message::LedgerChannelProposalAcc { .. }
        | Message::SubChannelProposal(_)
        | Message::SubChannelProposalAcc { .. }
        | Message::VirtualChannelProposal(_)
        | Message::VirtualChannelProposalAcc { .. }
        | Message::ChannelProposalRej { .. }
        | Message::ChannelUpdateRej { .. } => None,
    }
}

fn of_update(update: &ChannelUpdate) -> Signature {
    of_state(&update.state, Some(update.signature.as_bytes().to_vec()))
}

/// Of a channel that is not known nothing is stored, so it does not pass.
fn of_sync(sync: &ChannelSync, own: impl Fn(&ChannelId) -> Option<usize>) -> Option<Signature> {
    let current = &sync.current;
    let place = own(&current.state.channel);
    let signature = place.and_then(|place| current.signatures.get(place).copied().flatten());
    Some(of_state(&current.state, signature.map(|signature| signature.as_bytes().to_vec())))
}

/// A signature that came with authorisations.
pub(super) fn own(state: &State, own: &OwnSignature) -> Signature {
    of_state(state, Some(own.state.as_bytes().to_vec()))
}

fn of_state(state: &State, signature: Option<Vec<u8>>) -> Signature {
    let (channel, hash) = (*state.channel.as_bytes(), Some(*state.hash().as_bytes()));
    Signature { channel, version: state.version, hash, signature }
}
