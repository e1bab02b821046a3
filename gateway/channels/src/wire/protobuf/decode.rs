//! Messages and their parts, read from protocol buffers; each function is a line of §1.6.

use heapless::Vec;
use sluicegate_protocol::channel::{
    Address, Allocation, Amount, ChannelId, MAX_ASSETS, PARTICIPANTS, Params, Participant,
    Signature, State, SubAlloc,
};

use super::fields::{Fields, exactly, small};
use crate::{
    Error,
    wire::{
        AUX, AddressMap, BaseProposal, ChannelSync, ChannelUpdate, Envelope, LedgerChannelProposal,
        Message, Refusal, SignedState, SubChannelProposal, Subject, Transaction,
        VirtualChannelFundingProposal, VirtualChannelProposal, VirtualChannelSettlementProposal,
        WireAddress,
        wide::{NOBODY, Notes, bound_auth, nothing, text},
    },
};

/// What was noted so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub(super) notes: Notes,
}

/// The first and the last number of a message's kind in an envelope.
const KINDS: (u64, u64) = (3, 19);

impl Reader {
    pub(super) fn envelope(&mut self, bytes: &[u8]) -> Result<Envelope, Error> {
        let mut fields = Fields::new(bytes);
        let sender = address_map(fields.message(1)?)?;
        let recipient = address_map(fields.message(2)?)?;
        let kind = fields.next()?;
        let message = if (KINDS.0..=KINDS.1).contains(&kind) {
            self.message(kind, fields.message(kind)?)?
        } else {
            self.notes.refuse(Refusal::Message);
            Message::Ping { created: 0 }
        };
        fields.end(KINDS.1)?;
        Ok(Envelope { sender, recipient, message })
    }

    fn message(&mut self, kind: u64, mut fields: Fields<'_>) -> Result<Message, Error> {
        let fields = &mut fields;
        let (message, last) = match kind {
            3 => (Message::Ping { created: time(fields)? }, 1),
            4 => (Message::Pong { created: time(fields)? }, 1),
            5 => (Message::Shutdown { reason: text(fields.bytes(1)?)? }, 1),
            6 => (Message::AuthResponse { signature: auth(fields)? }, 1),
            7 => (Message::LedgerChannelProposal(self.ledger_proposal(fields)?.into()), 3),
            8 => (self.ledger_acceptance(fields)?, 2),
            9 => (Message::SubChannelProposal(self.sub_proposal(fields)?.into()), 2),
            10 => (sub_acceptance(fields)?, 1),
            11 => (Message::VirtualChannelProposal(self.virtual_proposal(fields)?.into()), 5),
            12 => (self.virtual_acceptance(fields)?, 2),
            13 => (proposal_rejection(fields)?, 2),
            14 => (Message::ChannelUpdate(self.update(fields)?.into()), 2),
            15 => (Message::VirtualChannelFundingProposal(self.virtual_funding(fields)?.into()), 3),
            16 => (
                Message::VirtualChannelSettlementProposal(self.virtual_settlement(fields)?.into()),
                2,
            ),
            17 => (self.update_acceptance(fields)?, 3),
            18 => (update_rejection(fields)?, 3),
            _ => (Message::ChannelSync(self.sync(fields)?.into()), 2),
        };
        core::mem::replace(fields, Fields::new(&[])).end(last)?;
        Ok(message)
    }

    fn ledger_proposal(&mut self, fields: &mut Fields<'_>) -> Result<LedgerChannelProposal, Error> {
        Ok(LedgerChannelProposal {
            base: self.base_proposal(fields.message(1)?)?,
            participant: self.participant(fields.message(2)?)?,
            peers: self.peers(fields, 3)?,
        })
    }

    fn ledger_acceptance(&mut self, fields: &mut Fields<'_>) -> Result<Message, Error> {
        let (proposal, nonce_share) = shares(fields)?;
        let participant = self.participant(fields.message(2)?)?.into();
        Ok(Message::LedgerChannelProposalAcc { proposal, nonce_share, participant })
    }

    fn sub_proposal(&mut self, fields: &mut Fields<'_>) -> Result<SubChannelProposal, Error> {
        let base = self.base_proposal(fields.message(1)?)?;
        Ok(SubChannelProposal { base, parent: ChannelId::new(fields.array(2)?) })
    }

    fn virtual_proposal(
        &mut self,
        fields: &mut Fields<'_>,
    ) -> Result<VirtualChannelProposal, Error> {
        let base = self.base_proposal(fields.message(1)?)?;
        let proposer = self.participant(fields.message(2)?)?;
        let peers = self.peers(fields, 3)?;
        let parents = fields.items(4, |bytes| exactly(bytes).map(ChannelId::new))?;
        let parents = self.notes.each(parents, "parents", ChannelId::default());
        let maps = fields.items(5, |bytes| self.full_index_map(Fields::new(bytes)))?;
        let index_maps = self.notes.each(maps, "index maps", SubAlloc::IDENTITY);
        Ok(VirtualChannelProposal { base, proposer, peers, parents, index_maps })
    }

    fn virtual_acceptance(&mut self, fields: &mut Fields<'_>) -> Result<Message, Error> {
        let (proposal, nonce_share) = shares(fields)?;
        let responder = self.participant(fields.message(2)?)?.into();
        Ok(Message::VirtualChannelProposalAcc { proposal, nonce_share, responder })
    }

    fn base_proposal(&mut self, mut fields: Fields<'_>) -> Result<BaseProposal, Error> {
        let id = fields.array(1)?;
        self.notes.about(Subject::Proposal(id));
        let base = BaseProposal {
            id,
            challenge_duration: fields.number(2)?,
            nonce_share: fields.array(3)?,
            app: self.app(fields.bytes(4)?)?,
            data: self.notes.data(fields.bytes(5)?),
            outcome: self.allocation(fields.message(6)?)?,
            funding: self.balances(fields.message(7)?)?,
            aux: aux(fields.bytes(8)?)?,
        };
        fields.end(8)?;
        Ok(base)
    }

    fn update(&mut self, fields: &mut Fields<'_>) -> Result<ChannelUpdate, Error> {
        let mut update = fields.message(1)?;
        let (app, state) = self.state(update.message(1)?)?;
        self.notes.about(Subject::of(&state));
        let actor = small(update.number(2)?)?;
        update.end(2)?;
        Ok(ChannelUpdate { app, state, actor, signature: self.signature(fields.bytes(2)?)? })
    }

    fn inner_update(&mut self, mut fields: Fields<'_>) -> Result<ChannelUpdate, Error> {
        let update = self.update(&mut fields)?;
        fields.end(2)?;
        Ok(update)
    }

    fn virtual_funding(
        &mut self,
        fields: &mut Fields<'_>,
    ) -> Result<VirtualChannelFundingProposal, Error> {
        Ok(VirtualChannelFundingProposal {
            update: self.inner_update(fields.message(1)?)?,
            initial: self.signed_state(fields.message(2)?)?,
            index_map: self.full_index_map(fields.message(3)?)?,
        })
    }

    fn virtual_settlement(
        &mut self,
        fields: &mut Fields<'_>,
    ) -> Result<VirtualChannelSettlementProposal, Error> {
        Ok(VirtualChannelSettlementProposal {
            update: self.inner_update(fields.message(1)?)?,
            last: self.signed_state(fields.message(2)?)?,
        })
    }

    fn update_acceptance(&mut self, fields: &mut Fields<'_>) -> Result<Message, Error> {
        Ok(Message::ChannelUpdateAcc {
            channel: ChannelId::new(fields.array(1)?),
            version: fields.number(2)?,
            signature: self.signature(fields.bytes(3)?)?,
        })
    }

    fn sync(&mut self, fields: &mut Fields<'_>) -> Result<ChannelSync, Error> {
        let phase = u8::try_from(fields.number(1)?);
        let phase = phase.map_err(|_| Error::Malformed("a phase is above 255"))?;
        let mut transaction = fields.message(2)?;
        let current = if transaction.next()? == 0 {
            self.notes.refuse(Refusal::NoState);
            nothing()
        } else {
            self.transaction(&mut transaction)?
        };
        transaction.end(2)?;
        Ok(ChannelSync { phase, current })
    }

    fn transaction(&mut self, fields: &mut Fields<'_>) -> Result<Transaction, Error> {
        let (app, state) = self.state(fields.message(1)?)?;
        Ok(Transaction { app, state, signatures: self.signatures(fields, 2)? })
    }

    fn signed_state(&mut self, mut fields: Fields<'_>) -> Result<SignedState, Error> {
        let (params, aux) = self.params(fields.message(1)?)?;
        let (app, state) = self.state(fields.message(2)?)?;
        self.notes.same_app(params.app, app);
        let signatures = self.signatures(&mut fields, 3)?;
        fields.end(3)?;
        Ok(SignedState { params, aux, state, signatures })
    }

    fn signatures(
        &mut self,
        fields: &mut Fields<'_>,
        field: u64,
    ) -> Result<[Option<Signature>; PARTICIPANTS], Error> {
        let signatures = fields.items(field, |bytes| match bytes {
            [] => Ok(None),
            bytes => self.signature(bytes).map(Some),
        })?;
        Ok(self.notes.each(signatures, "signatures", None))
    }

    fn signature(&mut self, bytes: &[u8]) -> Result<Signature, Error> {
        self.notes.signature(&exactly(bytes)?)
    }

    fn peers(
        &mut self,
        fields: &mut Fields<'_>,
        field: u64,
    ) -> Result<[AddressMap; PARTICIPANTS], Error> {
        let peers = fields.items(field, |bytes| address_map(Fields::new(bytes)))?;
        Ok(self.notes.each(peers, "peers", AddressMap::nobody()))
    }

    fn participant(&mut self, mut fields: Fields<'_>) -> Result<Participant, Error> {
        let entries = fields.items(1, mapping)?;
        fields.end(1)?;
        self.notes.participant(entries)
    }

    fn full_index_map(&mut self, mut fields: Fields<'_>) -> Result<[u16; PARTICIPANTS], Error> {
        let map = fields.packed(1)?;
        fields.end(1)?;
        Ok(self.notes.full_index_map(&map))
    }

    fn app(&mut self, id: &[u8]) -> Result<Address, Error> {
        if id.is_empty() { Ok(Address::ZERO) } else { self.notes.app(id) }
    }

    fn params(&mut self, mut fields: Fields<'_>) -> Result<(Params, Box<[u8; AUX]>), Error> {
        // The id that go-perun neither writes nor reads.
        let _ = fields.bytes(1)?;
        let challenge_duration = fields.number(2)?;
        let participants = fields.items(3, |bytes| self.participant(Fields::new(bytes)))?;
        let participants = self.notes.each(participants, "participants", NOBODY);
        let app = self.app(fields.bytes(4)?)?;
        let nonce = self.notes.nonce(fields.bytes(5)?)?;
        let (ledger, is_virtual) = (fields.bool(6)?, fields.bool(7)?);
        let kind = self.notes.kind(ledger, is_virtual);
        let aux = aux(fields.bytes(8)?)?;
        fields.end(8)?;
        Ok((Params { challenge_duration, nonce, participants, app, kind }, aux))
    }

    fn state(&mut self, mut fields: Fields<'_>) -> Result<(Address, State), Error> {
        let channel = ChannelId::new(fields.array(1)?);
        let version = fields.number(2)?;
        let app = self.app(fields.bytes(3)?)?;
        let outcome = self.allocation(fields.message(4)?)?;
        let data = self.notes.data(fields.bytes(5)?);
        let is_final = fields.bool(6)?;
        fields.end(6)?;
        Ok((app, State { channel, version, outcome, data, is_final }))
    }

    fn allocation(&mut self, mut fields: Fields<'_>) -> Result<Allocation, Error> {
        let mut allocation = Allocation::default();
        let backends = fields.items(1, exactly)?;
        let assets = fields.items(2, Ok)?;
        if backends.len() != assets.len() {
            return Err(Error::Malformed("another number of backends than of assets"));
        }
        for (backend, bytes) in backends.iter().zip(&assets) {
            let asset = self.notes.asset(u32::from_be_bytes(*backend), bytes)?;
            self.notes.push(&mut allocation.assets, asset, "assets");
        }
        let (rows, count) = self.rows(fields.message(3)?)?;
        allocation.balances = rows;
        for locked in fields.items(4, |bytes| self.sub_alloc(Fields::new(bytes)))? {
            self.notes.push(&mut allocation.locked, locked, "locked funds");
        }
        fields.end(4)?;
        if count != assets.len() || count == 0 {
            return Err(Error::Malformed("the dimensions of an allocation"));
        }
        Ok(allocation)
    }

    fn balances(
        &mut self,
        fields: Fields<'_>,
    ) -> Result<Vec<[Amount; PARTICIPANTS], MAX_ASSETS>, Error> {
        self.rows(fields).map(|(rows, _)| rows)
    }

    /// Rows of balances, and how many there are.
    fn rows(
        &mut self,
        mut fields: Fields<'_>,
    ) -> Result<(Vec<[Amount; PARTICIPANTS], MAX_ASSETS>, usize), Error> {
        let found = fields.items(1, |bytes| self.row(Fields::new(bytes)))?;
        fields.end(1)?;
        let mut rows = Vec::new();
        found.iter().for_each(|row| self.notes.push(&mut rows, *row, "assets"));
        Ok((rows, found.len()))
    }

    fn row(&mut self, fields: Fields<'_>) -> Result<[Amount; PARTICIPANTS], Error> {
        let row = self.balance(fields)?;
        Ok(self.notes.each(row, "balances of an asset", Amount::ZERO))
    }

    fn balance(&mut self, mut fields: Fields<'_>) -> Result<std::vec::Vec<Amount>, Error> {
        let amounts = fields.items(1, |bytes| self.notes.amount(bytes))?;
        fields.end(1)?;
        Ok(amounts)
    }

    fn sub_alloc(&mut self, mut fields: Fields<'_>) -> Result<SubAlloc, Error> {
        let id = ChannelId::new(fields.array(1)?);
        let mut balances = Vec::new();
        for amount in self.balance(fields.message(2)?)? {
            self.notes.push(&mut balances, amount, "assets");
        }
        let mut map = fields.message(3)?;
        let index_map = self.notes.index_map(&map.packed(1)?);
        map.end(1)?;
        fields.end(3)?;
        Ok(SubAlloc { id, balances, index_map })
    }
}

fn address_map(mut fields: Fields<'_>) -> Result<AddressMap, Error> {
    let entries = fields.items(1, |bytes| {
        let (backend, address) = mapping(bytes)?;
        Ok((backend, WireAddress::from_bytes(address)?))
    })?;
    fields.end(1)?;
    AddressMap::new(entries)
}

fn mapping(bytes: &[u8]) -> Result<(u32, &[u8]), Error> {
    let mut fields = Fields::new(bytes);
    let backend = u32::from_be_bytes(fields.array(1)?);
    let address = fields.bytes(2)?;
    fields.end(2)?;
    Ok((backend, address))
}

/// The 256 bytes, or none for zeros: what go-perun v0.13 writes.
fn aux(bytes: &[u8]) -> Result<Box<[u8; AUX]>, Error> {
    let aux = if bytes.is_empty() { [0; AUX] } else { exactly(bytes)? };
    Ok(aux.into())
}

fn time(fields: &mut Fields<'_>) -> Result<i64, Error> {
    Ok(fields.number(1)?.cast_signed())
}

fn auth(fields: &mut Fields<'_>) -> Result<std::vec::Vec<u8>, Error> {
    let signature = fields.bytes(1)?;
    bound_auth(signature.len())?;
    Ok(signature.to_vec())
}

fn shares(fields: &mut Fields<'_>) -> Result<([u8; 32], [u8; 32]), Error> {
    let mut base = fields.message(1)?;
    let shares = (base.array(1)?, base.array(2)?);
    base.end(2)?;
    Ok(shares)
}

fn sub_acceptance(fields: &mut Fields<'_>) -> Result<Message, Error> {
    let (proposal, nonce_share) = shares(fields)?;
    Ok(Message::SubChannelProposalAcc { proposal, nonce_share })
}

fn proposal_rejection(fields: &mut Fields<'_>) -> Result<Message, Error> {
    Ok(Message::ChannelProposalRej { proposal: fields.array(1)?, reason: text(fields.bytes(2)?)? })
}

fn update_rejection(fields: &mut Fields<'_>) -> Result<Message, Error> {
    Ok(Message::ChannelUpdateRej {
        channel: ChannelId::new(fields.array(1)?),
        version: fields.number(2)?,
        reason: text(fields.bytes(3)?)?,
    })
}
