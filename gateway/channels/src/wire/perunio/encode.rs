//! Messages and their parts, written in perunio; each function is a line of §1.4 or §1.5.

use sluicegate_protocol::channel::{
    Address, Allocation, Amount, Asset, PARTICIPANTS, Params, Participant, Signature, State,
    SubAlloc,
};

use crate::{
    Error,
    wire::{
        AUX, AddressMap, BaseProposal, ChannelSync, ChannelUpdate, Envelope, LedgerChannelProposal,
        MAX_MESSAGE, Message, SignedState, SubChannelProposal, VirtualChannelFundingProposal,
        VirtualChannelProposal, VirtualChannelSettlementProposal, wide,
    },
};

/// The bytes of a message.
pub(in crate::wire) fn encode(envelope: &Envelope) -> Result<Vec<u8>, Error> {
    let mut writer = Writer(Vec::new());
    writer.address_map(&envelope.sender)?;
    writer.address_map(&envelope.recipient)?;
    writer.message(&envelope.message)?;
    if writer.0.len() > MAX_MESSAGE {
        return Err(Error::Unsendable("a message is too long"));
    }
    Ok(writer.0)
}

struct Writer(Vec<u8>);

impl Writer {
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn bool(&mut self, value: bool) {
        self.put(&[u8::from(value)]);
    }

    fn u16(&mut self, number: u16) {
        self.put(&number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    fn count(&mut self, count: usize) -> Result<(), Error> {
        let count = u16::try_from(count).map_err(|_| Error::Unsendable("too many of something"))?;
        self.u16(count);
        Ok(())
    }

    /// A count of 32 bits.
    fn wide_count(&mut self, count: usize) -> Result<(), Error> {
        self.count(count)?;
        self.u16(0);
        Ok(())
    }

    fn bin(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.put(&wide::bin(bytes)?);
        Ok(())
    }

    /// At most 32 bytes behind their number.
    fn amount(&mut self, amount: Amount) {
        let bytes = amount.to_minimal();
        self.put(&[bytes.len().to_le_bytes()[0]]);
        self.put(&bytes);
    }

    fn message(&mut self, message: &Message) -> Result<(), Error> {
        match message {
            Message::Ping { created } => self.time(0, *created),
            Message::Pong { created } => self.time(1, *created),
            Message::Shutdown { reason } => self.text(2, &[], reason)?,
            Message::AuthResponse { signature } => self.auth(signature)?,
            Message::LedgerChannelProposal(proposal) => self.ledger_proposal(proposal)?,
            Message::LedgerChannelProposalAcc { proposal, nonce_share, participant } => {
                self.shares(5, proposal, nonce_share);
                self.participant(participant)?;
            }
            Message::SubChannelProposal(proposal) => self.sub_proposal(proposal)?,
            Message::SubChannelProposalAcc { proposal, nonce_share } => {
                self.shares(7, proposal, nonce_share);
            }
            Message::VirtualChannelProposal(proposal) => self.virtual_proposal(proposal)?,
            Message::VirtualChannelProposalAcc { proposal, nonce_share, responder } => {
                self.shares(9, proposal, nonce_share);
                self.participant(responder)?;
            }
            Message::ChannelProposalRej { proposal, reason } => self.text(10, proposal, reason)?,
            Message::ChannelUpdate(update) => {
                self.put(&[11]);
                self.update(update)?;
            }
            Message::VirtualChannelFundingProposal(proposal) => self.virtual_funding(proposal)?,
            Message::VirtualChannelSettlementProposal(proposal) => {
                self.virtual_settlement(proposal)?;
            }
            Message::ChannelUpdateAcc { channel, version, signature } => {
                self.put(&[14]);
                self.put(channel.as_bytes());
                self.u64(*version);
                self.put(signature.as_bytes());
            }
            Message::ChannelUpdateRej { channel, version, reason } => {
                let names = [channel.as_bytes().as_slice(), &version.to_le_bytes()].concat();
                self.text(15, &names, reason)?;
            }
            Message::ChannelSync(sync) => self.sync(sync)?,
        }
        Ok(())
    }

    fn time(&mut self, kind: u8, created: i64) {
        self.put(&[kind]);
        self.put(&created.to_le_bytes());
    }

    fn text(&mut self, kind: u8, names: &[u8], reason: &str) -> Result<(), Error> {
        self.put(&[kind]);
        self.put(names);
        self.bin(reason.as_bytes())
    }

    fn auth(&mut self, signature: &[u8]) -> Result<(), Error> {
        wide::sendable_auth(signature)?;
        self.put(&[3, 0, 0]);
        let length = u16::try_from(signature.len()).unwrap_or_default();
        self.put(&length.to_be_bytes());
        self.put(signature);
        Ok(())
    }

    fn shares(&mut self, kind: u8, proposal: &[u8; 32], nonce_share: &[u8; 32]) {
        self.put(&[kind]);
        self.put(proposal);
        self.put(nonce_share);
    }

    fn ledger_proposal(&mut self, proposal: &LedgerChannelProposal) -> Result<(), Error> {
        self.put(&[4]);
        self.base_proposal(&proposal.base)?;
        self.participant(&proposal.participant)?;
        self.peers(&proposal.peers)
    }

    fn sub_proposal(&mut self, proposal: &SubChannelProposal) -> Result<(), Error> {
        self.put(&[6]);
        self.base_proposal(&proposal.base)?;
        self.put(proposal.parent.as_bytes());
        Ok(())
    }

    fn virtual_proposal(&mut self, proposal: &VirtualChannelProposal) -> Result<(), Error> {
        self.put(&[8]);
        self.base_proposal(&proposal.base)?;
        self.participant(&proposal.proposer)?;
        self.peers(&proposal.peers)?;
        self.count(PARTICIPANTS)?;
        proposal.parents.iter().for_each(|parent| self.put(parent.as_bytes()));
        self.count(PARTICIPANTS)?;
        proposal.index_maps.iter().try_for_each(|map| self.index_map(map))
    }

    fn base_proposal(&mut self, base: &BaseProposal) -> Result<(), Error> {
        self.put(&base.id);
        self.u64(base.challenge_duration);
        self.put(&base.nonce_share);
        self.app(&base.app)?;
        self.bin(&base.data)?;
        self.allocation(&base.outcome)?;
        self.balances(&base.funding)?;
        self.aux(&base.aux);
        Ok(())
    }

    fn update(&mut self, update: &ChannelUpdate) -> Result<(), Error> {
        self.state(&update.app, &update.state)?;
        self.u16(update.actor);
        self.put(update.signature.as_bytes());
        Ok(())
    }

    fn virtual_funding(&mut self, proposal: &VirtualChannelFundingProposal) -> Result<(), Error> {
        self.put(&[12]);
        self.update(&proposal.update)?;
        self.params_and_state(&proposal.initial)?;
        self.index_map(&proposal.index_map)?;
        self.signatures(&proposal.initial.signatures);
        Ok(())
    }

    fn virtual_settlement(
        &mut self,
        proposal: &VirtualChannelSettlementProposal,
    ) -> Result<(), Error> {
        self.put(&[13]);
        self.update(&proposal.update)?;
        self.params_and_state(&proposal.last)?;
        self.signatures(&proposal.last.signatures);
        Ok(())
    }

    fn params_and_state(&mut self, signed: &SignedState) -> Result<(), Error> {
        self.params(&signed.params)?;
        self.aux(&signed.aux);
        self.state(&signed.params.app, &signed.state)
    }

    fn sync(&mut self, sync: &ChannelSync) -> Result<(), Error> {
        self.put(&[16, sync.phase]);
        self.bool(true);
        self.state(&sync.current.app, &sync.current.state)?;
        self.signatures(&sync.current.signatures);
        Ok(())
    }

    fn address_map(&mut self, map: &AddressMap) -> Result<(), Error> {
        self.wide_count(map.iter().len())?;
        map.iter().try_for_each(|(backend, address)| {
            self.put(&backend.to_le_bytes());
            self.bin(&address.to_bytes())
        })
    }

    fn peers(&mut self, peers: &[AddressMap; PARTICIPANTS]) -> Result<(), Error> {
        self.wide_count(PARTICIPANTS)?;
        peers.iter().try_for_each(|peer| self.address_map(peer))
    }

    fn participant(&mut self, participant: &Participant) -> Result<(), Error> {
        let entries = wide::addresses(participant)?;
        self.wide_count(entries.len())?;
        entries.into_iter().try_for_each(|(backend, address)| {
            self.put(&backend.to_le_bytes());
            self.bin(address)
        })
    }

    fn index_map(&mut self, map: &[u16; PARTICIPANTS]) -> Result<(), Error> {
        self.count(PARTICIPANTS)?;
        map.iter().for_each(|place| self.u16(*place));
        Ok(())
    }

    fn app(&mut self, app: &Address) -> Result<(), Error> {
        self.bool(!app.is_zero());
        if app.is_zero() {
            return Ok(());
        }
        self.bin(app.as_bytes())
    }

    fn aux(&mut self, aux: &[u8; AUX]) {
        self.put(aux);
    }

    fn params(&mut self, params: &Params) -> Result<(), Error> {
        self.u64(params.challenge_duration);
        self.wide_count(PARTICIPANTS)?;
        params.participants.iter().try_for_each(|participant| self.participant(participant))?;
        self.app(&params.app)?;
        self.amount(Amount::from_be_bytes(*params.nonce.as_bytes()));
        self.bool(params.kind.is_ledger());
        self.bool(params.kind.is_virtual());
        Ok(())
    }

    fn state(&mut self, app: &Address, state: &State) -> Result<(), Error> {
        self.put(state.channel.as_bytes());
        self.u64(state.version);
        self.allocation(&state.outcome)?;
        self.bool(state.is_final);
        self.app(app)?;
        self.bin(&state.data)
    }

    fn allocation(&mut self, allocation: &Allocation) -> Result<(), Error> {
        wide::sendable(allocation)?;
        self.count(allocation.assets.len())?;
        self.count(PARTICIPANTS)?;
        self.count(allocation.locked.len())?;
        allocation.assets.iter().try_for_each(|asset| self.asset(asset))?;
        self.balances(&allocation.balances)?;
        allocation.locked.iter().try_for_each(|locked| self.sub_alloc(locked))
    }

    fn asset(&mut self, asset: &Asset) -> Result<(), Error> {
        self.put(&asset.backend().to_le_bytes());
        self.bin(&wide::asset(asset)?)
    }

    /// Rows of balances; without one, go-perun writes no participants either.
    fn balances(&mut self, rows: &[[Amount; PARTICIPANTS]]) -> Result<(), Error> {
        self.count(rows.len())?;
        self.count(if rows.is_empty() { 0 } else { PARTICIPANTS })?;
        rows.iter().flatten().for_each(|amount| self.amount(*amount));
        Ok(())
    }

    fn sub_alloc(&mut self, locked: &SubAlloc) -> Result<(), Error> {
        self.put(locked.id.as_bytes());
        self.count(locked.balances.len())?;
        locked.balances.iter().for_each(|amount| self.amount(*amount));
        self.index_map(&locked.index_map)
    }

    fn signatures(&mut self, signatures: &[Option<Signature>; PARTICIPANTS]) {
        let signed = signatures.iter().enumerate().filter(|(_, signature)| signature.is_some());
        self.put(&[signed.fold(0, |mask, (place, _)| mask | 1 << place)]);
        signatures.iter().flatten().for_each(|signature| self.put(signature.as_bytes()));
    }
}
