//! Messages and their parts, read from perunio; each function is a line of §1.4 or §1.5.

use heapless::Vec;
use sluicegate_protocol::channel::{
    Address, Allocation, Amount, ChannelId, MAX_ASSETS, MAX_DATA, PARTICIPANTS, Params,
    Participant, Signature, State, SubAlloc,
};

use super::reader::{Reader, Stop};
use crate::{
    Error,
    wire::{
        AUX, AddressMap, BaseProposal, ChannelSync, ChannelUpdate, Envelope, LedgerChannelProposal,
        Message, Refusal, SignedState, SubChannelProposal, Subject, Transaction,
        VirtualChannelFundingProposal, VirtualChannelProposal, VirtualChannelSettlementProposal,
        WireAddress,
        wide::{NOBODY, bound_auth, nothing},
    },
};

impl<'a> Reader<'a> {
    pub(super) fn envelope(&mut self) -> Result<Envelope, Stop> {
        let (sender, recipient) = (self.address_map()?, self.address_map()?);
        Ok(Envelope { sender, recipient, message: self.message()? })
    }

    fn message(&mut self) -> Result<Message, Stop> {
        Ok(match self.u8()? {
            0 => Message::Ping { created: self.i64()? },
            1 => Message::Pong { created: self.i64()? },
            2 => Message::Shutdown { reason: self.text()? },
            3 => Message::AuthResponse { signature: self.auth()? },
            4 => Message::LedgerChannelProposal(self.ledger_proposal()?.into()),
            5 => Message::LedgerChannelProposalAcc {
                proposal: self.array()?,
                nonce_share: self.array()?,
                participant: self.participant()?.into(),
            },
            6 => Message::SubChannelProposal(self.sub_proposal()?.into()),
            7 => Message::SubChannelProposalAcc {
                proposal: self.array()?,
                nonce_share: self.array()?,
            },
            8 => Message::VirtualChannelProposal(self.virtual_proposal()?.into()),
            9 => Message::VirtualChannelProposalAcc {
                proposal: self.array()?,
                nonce_share: self.array()?,
                responder: self.participant()?.into(),
            },
            10 => Message::ChannelProposalRej { proposal: self.array()?, reason: self.text()? },
            11 => Message::ChannelUpdate(self.update()?.into()),
            12 => Message::VirtualChannelFundingProposal(self.virtual_funding()?.into()),
            13 => Message::VirtualChannelSettlementProposal(self.virtual_settlement()?.into()),
            14 => Message::ChannelUpdateAcc {
                channel: self.channel()?,
                version: self.u64()?,
                signature: self.signature()?,
            },
            15 => Message::ChannelUpdateRej {
                channel: self.channel()?,
                version: self.u64()?,
                reason: self.text()?,
            },
            16 => Message::ChannelSync(self.sync()?.into()),
            _ => return Err(Error::Malformed("a message of an unknown kind").into()),
        })
    }

    /// The one length in big endian.
    fn auth(&mut self) -> Result<std::vec::Vec<u8>, Stop> {
        let count = u32::from_be_bytes(self.array()?);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        bound_auth(count)?;
        Ok(self.bytes(count)?.to_vec())
    }

    fn ledger_proposal(&mut self) -> Result<LedgerChannelProposal, Stop> {
        Ok(LedgerChannelProposal {
            base: self.base_proposal()?,
            participant: self.participant()?,
            peers: self.peers()?,
        })
    }

    fn sub_proposal(&mut self) -> Result<SubChannelProposal, Stop> {
        Ok(SubChannelProposal { base: self.base_proposal()?, parent: self.channel()? })
    }

    fn virtual_proposal(&mut self) -> Result<VirtualChannelProposal, Stop> {
        Ok(VirtualChannelProposal {
            base: self.base_proposal()?,
            proposer: self.participant()?,
            peers: self.peers()?,
            parents: self.parents()?,
            index_maps: self.index_maps()?,
        })
    }

    fn base_proposal(&mut self) -> Result<BaseProposal, Stop> {
        let id = self.array()?;
        self.notes.about(Subject::Proposal(id));
        Ok(BaseProposal {
            id,
            challenge_duration: self.u64()?,
            nonce_share: self.array()?,
            app: self.app()?,
            data: self.data()?,
            outcome: self.allocation()?,
            funding: self.balances(None)?,
            aux: self.aux()?,
        })
    }

    fn update(&mut self) -> Result<ChannelUpdate, Stop> {
        let (app, state) = self.state()?;
        self.notes.about(Subject::of(&state));
        Ok(ChannelUpdate { app, state, actor: self.u16()?, signature: self.signature()? })
    }

    fn virtual_funding(&mut self) -> Result<VirtualChannelFundingProposal, Stop> {
        let update = self.update()?;
        let (params, aux, state) = self.params_and_state()?;
        let index_map = self.u16_list()?;
        let index_map = self.notes.full_index_map(&index_map);
        let signatures = self.signatures()?;
        let initial = SignedState { params, aux, state, signatures };
        Ok(VirtualChannelFundingProposal { update, initial, index_map })
    }

    fn virtual_settlement(&mut self) -> Result<VirtualChannelSettlementProposal, Stop> {
        let update = self.update()?;
        let (params, aux, state) = self.params_and_state()?;
        let last = SignedState { params, aux, state, signatures: self.signatures()? };
        Ok(VirtualChannelSettlementProposal { update, last })
    }

    fn params_and_state(&mut self) -> Result<(Params, Box<[u8; AUX]>, State), Stop> {
        let (params, aux) = self.params()?;
        let (app, state) = self.state()?;
        self.notes.same_app(params.app, app);
        Ok((params, aux, state))
    }

    fn sync(&mut self) -> Result<ChannelSync, Stop> {
        let phase = self.u8()?;
        if self.bool()? {
            return Ok(ChannelSync { phase, current: self.transaction()? });
        }
        self.notes.refuse(Refusal::NoState);
        Ok(ChannelSync { phase, current: nothing() })
    }

    fn transaction(&mut self) -> Result<Transaction, Stop> {
        let (app, state) = self.state()?;
        Ok(Transaction { app, state, signatures: self.signatures()? })
    }

    fn address_map(&mut self) -> Result<AddressMap, Stop> {
        let count = self.wide_count()?;
        let entries = self.list(count, |reader| {
            let backend = reader.u32()?;
            Ok((backend, WireAddress::from_bytes(reader.bin()?)?))
        })?;
        Ok(AddressMap::new(entries)?)
    }

    fn peers(&mut self) -> Result<[AddressMap; PARTICIPANTS], Stop> {
        let count = self.wide_count()?;
        let peers = self.list(count, Self::address_map)?;
        Ok(self.notes.each(peers, "peers", AddressMap::nobody()))
    }

    fn participant(&mut self) -> Result<Participant, Stop> {
        let count = self.wide_count()?;
        let entries = self.list(count, |reader| Ok((reader.u32()?, reader.bin()?)))?;
        Ok(self.notes.participant(entries)?)
    }

    fn parents(&mut self) -> Result<[ChannelId; PARTICIPANTS], Stop> {
        let count = self.count()?;
        let parents = self.list(count, Self::channel)?;
        Ok(self.notes.each(parents, "parents", ChannelId::default()))
    }

    fn index_maps(&mut self) -> Result<[[u16; PARTICIPANTS]; PARTICIPANTS], Stop> {
        let count = self.count()?;
        let maps = self.list(count, |reader| {
            let map = reader.u16_list()?;
            Ok(reader.notes.full_index_map(&map))
        })?;
        Ok(self.notes.each(maps, "index maps", SubAlloc::IDENTITY))
    }

    fn channel(&mut self) -> Result<ChannelId, Stop> {
        self.array().map(ChannelId::new)
    }

    fn aux(&mut self) -> Result<Box<[u8; AUX]>, Stop> {
        self.array().map(Box::new)
    }

    fn app(&mut self) -> Result<Address, Stop> {
        if !self.bool()? {
            return Ok(Address::ZERO);
        }
        let id = self.bin()?;
        Ok(self.notes.app(id)?)
    }

    fn data(&mut self) -> Result<Vec<u8, MAX_DATA>, Stop> {
        let bytes = self.bin()?;
        Ok(self.notes.data(bytes))
    }

    fn u16_list(&mut self) -> Result<std::vec::Vec<u16>, Stop> {
        let count = self.count()?;
        self.list(count, Self::u16)
    }

    fn params(&mut self) -> Result<(Params, Box<[u8; AUX]>), Stop> {
        let challenge_duration = self.u64()?;
        let count = self.wide_count()?;
        let participants = self.list(count, Self::participant)?;
        let participants = self.notes.each(participants, "participants", NOBODY);
        let app = self.app()?;
        let nonce = self.number()?;
        let nonce = self.notes.nonce(nonce)?;
        let (ledger, is_virtual) = (self.bool()?, self.bool()?);
        let kind = self.notes.kind(ledger, is_virtual);
        Ok((Params { challenge_duration, nonce, participants, app, kind }, self.aux()?))
    }

    fn state(&mut self) -> Result<(Address, State), Stop> {
        let (channel, version) = (self.channel()?, self.u64()?);
        let (outcome, is_final) = (self.allocation()?, self.bool()?);
        let (app, data) = (self.app()?, self.data()?);
        Ok((app, State { channel, version, outcome, data, is_final }))
    }

    fn allocation(&mut self) -> Result<Allocation, Stop> {
        let (assets, participants, locked) = (self.count()?, self.count()?, self.count()?);
        let mut allocation = Allocation::default();
        for _ in 0..assets {
            let (backend, bytes) = (self.u32()?, self.bin()?);
            let asset = self.notes.asset(backend, bytes)?;
            self.notes.push(&mut allocation.assets, asset, "assets");
        }
        allocation.balances = self.balances(Some((assets, participants)))?;
        self.participants = participants;
        for _ in 0..locked {
            let locked = self.sub_alloc()?;
            self.notes.push(&mut allocation.locked, locked, "locked funds");
        }
        Ok(allocation)
    }

    /// Rows of balances; of so many assets and participants, if that was already said.
    fn balances(
        &mut self,
        said: Option<(usize, usize)>,
    ) -> Result<Vec<[Amount; PARTICIPANTS], MAX_ASSETS>, Stop> {
        let (assets, participants) = (self.count()?, self.count()?);
        let empty = (assets == 0, participants == 0);
        if empty.0 != empty.1 || said.is_some_and(|said| said != (assets, participants) || empty.0)
        {
            return Err(Error::Malformed("the dimensions of an allocation").into());
        }
        let mut rows = Vec::new();
        for _ in 0..assets {
            let row = self.list(participants, Self::amount)?;
            let row = self.notes.each(row, "balances of an asset", Amount::ZERO);
            self.notes.push(&mut rows, row, "assets");
        }
        Ok(rows)
    }

    fn sub_alloc(&mut self) -> Result<SubAlloc, Stop> {
        let id = self.channel()?;
        let mut balances = Vec::new();
        for _ in 0..self.count()? {
            let amount = self.amount()?;
            self.notes.push(&mut balances, amount, "assets");
        }
        let index_map = self.u16_list()?;
        Ok(SubAlloc { id, balances, index_map: self.notes.index_map(&index_map) })
    }

    /// A bit for each participant of the state before, the first lowest, and the signatures of those whose bit is set.
    fn signatures(&mut self) -> Result<[Option<Signature>; PARTICIPANTS], Stop> {
        let participants = self.participants;
        let mask = self.bytes(participants.div_ceil(8))?;
        let signed = |place: usize| mask[place / 8] >> (place % 8) & 1 == 1;
        if (participants..8 * mask.len()).any(signed) {
            return Err(Error::Malformed("a signature of nobody").into());
        }
        let mut signatures = std::vec::Vec::new();
        for place in 0..participants {
            signatures.push(if signed(place) { Some(self.signature()?) } else { None });
        }
        Ok(self.notes.each(signatures, "signatures", None))
    }
}
