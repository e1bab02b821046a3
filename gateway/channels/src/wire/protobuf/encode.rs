//! Messages and their parts, written as protocol buffers; each function is a line of §1.6.

use sluicegate_protocol::channel::{
    Address, Allocation, Amount, PARTICIPANTS, Params, Participant, Signature, State, SubAlloc,
};

use super::fields::Writer;
use crate::{
    Error,
    wire::{
        AUX, AddressMap, BaseProposal, ChannelSync, ChannelUpdate, Envelope, LedgerChannelProposal,
        Message, SignedState, SubChannelProposal, VirtualChannelFundingProposal,
        VirtualChannelProposal, VirtualChannelSettlementProposal, wide,
    },
};

/// The message without its frame.
pub(super) fn envelope(envelope: &Envelope) -> Result<Vec<u8>, Error> {
    let mut writer = Writer::default();
    writer.address_map(1, &envelope.sender);
    writer.address_map(2, &envelope.recipient);
    writer.kind(&envelope.message)?;
    Ok(writer.0)
}

impl Writer {
    fn kind(&mut self, message: &Message) -> Result<(), Error> {
        match message {
            Message::Ping { created } => self.time(3, *created),
            Message::Pong { created } => self.time(4, *created),
            Message::Shutdown { reason } => {
                self.message(5, |fields| fields.bytes(1, reason.as_bytes()));
            }
            Message::AuthResponse { signature } => {
                wide::sendable_auth(signature)?;
                self.message(6, |fields| fields.bytes(1, signature));
            }
            Message::LedgerChannelProposal(proposal) => {
                self.try_message(7, |fields| fields.ledger_proposal(proposal))?;
            }
            Message::LedgerChannelProposalAcc { proposal, nonce_share, participant } => {
                self.acceptance(8, proposal, nonce_share, Some(participant))?;
            }
            Message::SubChannelProposal(proposal) => {
                self.try_message(9, |fields| fields.sub_proposal(proposal))?;
            }
            Message::SubChannelProposalAcc { proposal, nonce_share } => {
                self.acceptance(10, proposal, nonce_share, None)?;
            }
            Message::VirtualChannelProposal(proposal) => {
                self.try_message(11, |fields| fields.virtual_proposal(proposal))?;
            }
            Message::VirtualChannelProposalAcc { proposal, nonce_share, responder } => {
                self.acceptance(12, proposal, nonce_share, Some(responder))?;
            }
            Message::ChannelProposalRej { proposal, reason } => self.message(13, |fields| {
                fields.bytes(1, proposal);
                fields.bytes(2, reason.as_bytes());
            }),
            Message::ChannelUpdate(update) => {
                self.try_message(14, |fields| fields.update(update))?;
            }
            Message::VirtualChannelFundingProposal(proposal) => {
                self.try_message(15, |fields| fields.virtual_funding(proposal))?;
            }
            Message::VirtualChannelSettlementProposal(proposal) => {
                self.try_message(16, |fields| fields.virtual_settlement(proposal))?;
            }
            Message::ChannelUpdateAcc { channel, version, signature } => {
                self.answer(17, channel.as_bytes(), *version, signature.as_bytes());
            }
            Message::ChannelUpdateRej { channel, version, reason } => {
                self.answer(18, channel.as_bytes(), *version, reason.as_bytes());
            }
            Message::ChannelSync(sync) => self.try_message(19, |fields| fields.sync(sync))?,
        }
        Ok(())
    }

    fn time(&mut self, field: u64, created: i64) {
        self.message(field, |fields| fields.number(1, created.cast_unsigned()));
    }

    fn acceptance(
        &mut self,
        field: u64,
        proposal: &[u8; 32],
        nonce_share: &[u8; 32],
        participant: Option<&Participant>,
    ) -> Result<(), Error> {
        self.try_message(field, |fields| {
            fields.message(1, |base| {
                base.bytes(1, proposal);
                base.bytes(2, nonce_share);
            });
            participant.map_or(Ok(()), |participant| fields.participant(2, participant))
        })
    }

    fn answer(&mut self, field: u64, channel: &[u8; 32], version: u64, content: &[u8]) {
        self.message(field, |fields| {
            fields.bytes(1, channel);
            fields.number(2, version);
            fields.bytes(3, content);
        });
    }

    fn ledger_proposal(&mut self, proposal: &LedgerChannelProposal) -> Result<(), Error> {
        self.base_proposal(1, &proposal.base)?;
        self.participant(2, &proposal.participant)?;
        self.peers(3, &proposal.peers);
        Ok(())
    }

    fn sub_proposal(&mut self, proposal: &SubChannelProposal) -> Result<(), Error> {
        self.base_proposal(1, &proposal.base)?;
        self.bytes(2, proposal.parent.as_bytes());
        Ok(())
    }

    fn virtual_proposal(&mut self, proposal: &VirtualChannelProposal) -> Result<(), Error> {
        self.base_proposal(1, &proposal.base)?;
        self.participant(2, &proposal.proposer)?;
        self.peers(3, &proposal.peers);
        proposal.parents.iter().for_each(|parent| self.item(4, parent.as_bytes()));
        proposal.index_maps.iter().for_each(|map| self.index_map(5, map));
        Ok(())
    }

    fn base_proposal(&mut self, field: u64, base: &BaseProposal) -> Result<(), Error> {
        self.try_message(field, |fields| {
            fields.bytes(1, &base.id);
            fields.number(2, base.challenge_duration);
            fields.bytes(3, &base.nonce_share);
            fields.app(4, &base.app);
            fields.bytes(5, &base.data);
            fields.allocation(6, &base.outcome)?;
            fields.balances(7, &base.funding);
            fields.aux(8, &base.aux);
            Ok(())
        })
    }

    fn update(&mut self, update: &ChannelUpdate) -> Result<(), Error> {
        self.try_message(1, |fields| {
            fields.state(1, &update.app, &update.state)?;
            fields.number(2, u64::from(update.actor));
            Ok(())
        })?;
        self.bytes(2, update.signature.as_bytes());
        Ok(())
    }

    fn virtual_funding(&mut self, proposal: &VirtualChannelFundingProposal) -> Result<(), Error> {
        self.try_message(1, |fields| fields.update(&proposal.update))?;
        self.signed_state(2, &proposal.initial)?;
        self.index_map(3, &proposal.index_map);
        Ok(())
    }

    fn virtual_settlement(
        &mut self,
        proposal: &VirtualChannelSettlementProposal,
    ) -> Result<(), Error> {
        self.try_message(1, |fields| fields.update(&proposal.update))?;
        self.signed_state(2, &proposal.last)
    }

    fn sync(&mut self, sync: &ChannelSync) -> Result<(), Error> {
        self.number(1, u64::from(sync.phase));
        self.try_message(2, |fields| {
            fields.state(1, &sync.current.app, &sync.current.state)?;
            fields.signatures(2, &sync.current.signatures);
            Ok(())
        })
    }

    fn signed_state(&mut self, field: u64, signed: &SignedState) -> Result<(), Error> {
        self.try_message(field, |fields| {
            fields.try_message(1, |params| params.params(&signed.params, &signed.aux))?;
            fields.state(2, &signed.params.app, &signed.state)?;
            fields.signatures(3, &signed.signatures);
            Ok(())
        })
    }

    /// An empty item for a signature that is missing.
    fn signatures(&mut self, field: u64, signatures: &[Option<Signature>; PARTICIPANTS]) {
        for signature in signatures {
            self.item(field, signature.as_ref().map_or(&[], |signature| signature.as_bytes()));
        }
    }

    fn address_map(&mut self, field: u64, map: &AddressMap) {
        self.message(field, |fields| {
            map.iter().for_each(|(backend, address)| fields.mapping(backend, &address.to_bytes()));
        });
    }

    fn peers(&mut self, field: u64, peers: &[AddressMap; PARTICIPANTS]) {
        peers.iter().for_each(|peer| self.address_map(field, peer));
    }

    fn participant(&mut self, field: u64, participant: &Participant) -> Result<(), Error> {
        let entries = wide::addresses(participant)?;
        self.message(field, |fields| {
            entries.into_iter().for_each(|(backend, address)| fields.mapping(backend, address));
        });
        Ok(())
    }

    fn mapping(&mut self, backend: u32, address: &[u8]) {
        self.message(1, |fields| {
            fields.bytes(1, &backend.to_be_bytes());
            fields.bytes(2, address);
        });
    }

    fn index_map(&mut self, field: u64, map: &[u16; PARTICIPANTS]) {
        self.message(field, |fields| fields.packed(1, map));
    }

    fn app(&mut self, field: u64, app: &Address) {
        if !app.is_zero() {
            self.bytes(field, app.as_bytes());
        }
    }

    fn aux(&mut self, field: u64, aux: &[u8; AUX]) {
        self.bytes(field, aux);
    }

    fn params(&mut self, params: &Params, aux: &[u8; AUX]) -> Result<(), Error> {
        self.number(2, params.challenge_duration);
        params.participants.iter().try_for_each(|participant| self.participant(3, participant))?;
        self.app(4, &params.app);
        self.bytes(5, &Amount::from_be_bytes(*params.nonce.as_bytes()).to_minimal());
        self.number(6, u64::from(params.kind.is_ledger()));
        self.number(7, u64::from(params.kind.is_virtual()));
        self.aux(8, aux);
        Ok(())
    }

    fn state(&mut self, field: u64, app: &Address, state: &State) -> Result<(), Error> {
        self.try_message(field, |fields| {
            fields.bytes(1, state.channel.as_bytes());
            fields.number(2, state.version);
            fields.app(3, app);
            fields.allocation(4, &state.outcome)?;
            fields.bytes(5, &state.data);
            fields.number(6, u64::from(state.is_final));
            Ok(())
        })
    }

    fn allocation(&mut self, field: u64, allocation: &Allocation) -> Result<(), Error> {
        wide::sendable(allocation)?;
        self.try_message(field, |fields| {
            for asset in &allocation.assets {
                fields.item(1, &asset.backend().to_be_bytes());
            }
            for asset in &allocation.assets {
                fields.item(2, &wide::asset(asset)?);
            }
            fields.balances(3, &allocation.balances);
            allocation.locked.iter().for_each(|locked| fields.sub_alloc(4, locked));
            Ok(())
        })
    }

    fn balances(&mut self, field: u64, rows: &[[Amount; PARTICIPANTS]]) {
        self.message(field, |fields| rows.iter().for_each(|row| fields.balance(1, row)));
    }

    fn balance(&mut self, field: u64, amounts: &[Amount]) {
        self.message(field, |fields| {
            amounts.iter().for_each(|amount| fields.item(1, &amount.to_minimal()));
        });
    }

    fn sub_alloc(&mut self, field: u64, locked: &SubAlloc) {
        self.message(field, |fields| {
            fields.bytes(1, locked.id.as_bytes());
            fields.balance(2, &locked.balances);
            fields.index_map(3, &locked.index_map);
        });
    }
}
