//! Parameters and states as the store and devices hold them: deterministic CBOR (RFC 8949 §4.2.1), integer keys.
//!
//! Guarantees: one encoding of a value, in this version and on every machine; what is written or read passes its
//! `check`. Does not: compare a state with its parameters, see [`State::check`].
//!
//! ```text
//! Params      = {1: challenge duration, 2: nonce, 3: [Participant, Participant], ? 4: app, 5: kind}
//! Participant = [address] / [address, backend, address there]
//! kind        = 0 (ledger) / 1 (sub) / 2 (virtual)
//! State       = {1: channel, 2: version, 3: [+ Row], ? 4: [+ Locked], ? 5: data, ? 6: true (final)}
//! Row         = [1, chain id, holder, balance, balance] / [backend, asset, balance, balance]
//! Locked      = [channel, [+ balance], [place, place]]
//! ```
//!
//! Amounts are byte strings, big endian, without leading zeros. What is optional is missing when there is nothing.

use heapless::Vec;

use super::{
    Address, Allocation, Amount, Asset, CcAddress, ChannelId, ChannelKind, ETHEREUM, MAX_ASSETS,
    Nonce, PARTICIPANTS, Params, Participant, State, SubAlloc,
    abi::{Buffer, Sink},
    cbor::{Reader, Writer},
};
use crate::Error;

pub(super) const TOO_MANY: Error = Error::Record("there is more than fits");
pub(super) const SPELLED_OUT: Error = Error::Record("nothing is spelled out");
const UNKNOWN_KIND: Error = Error::Record("the kind of the channel is unknown");

impl Params {
    /// Bytes that the longest encoding has.
    pub const MAX_ENCODED: usize = 386;

    /// Writes the parameters into `buffer` and gives what it wrote.
    pub fn encode<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Error> {
        into_buffer(buffer, |sink| self.encode_to(sink))
    }

    /// Writes the parameters.
    pub fn encode_to(&self, sink: &mut dyn Sink) -> Result<(), Error> {
        self.check()?;
        let mut writer = Writer(sink);
        writer.map(4 + usize::from(self.has_app()));
        writer.unsigned(1);
        writer.unsigned(self.challenge_duration);
        writer.unsigned(2);
        writer.bytes(self.nonce.as_bytes());
        writer.unsigned(3);
        writer.array(PARTICIPANTS);
        self.participants.iter().for_each(|participant| participant.write(&mut writer));
        if self.has_app() {
            writer.unsigned(4);
            writer.bytes(self.app.as_bytes());
        }
        writer.unsigned(5);
        writer.unsigned(kind_number(self.kind));
        Ok(())
    }

    /// Reads parameters from exactly these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read_exactly(bytes, Self::read)
    }

    /// Reads parameters, and leaves what follows them.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let challenge_duration = fields.required(1)?.unsigned()?;
        let nonce = Nonce::new(fields.required(2)?.bytes_of()?);
        let list = fields.required(3)?;
        list.array_of(PARTICIPANTS)?;
        let participants = [Participant::read(list)?, Participant::read(list)?];
        let app = fields.optional(4)?.map(read_app).transpose()?.unwrap_or_default();
        let kind = read_kind(fields.required(5)?)?;
        fields.end()?;
        let params = Self { challenge_duration, nonce, participants, app, kind };
        params.check()?;
        Ok(params)
    }
}

impl Participant {
    fn write(&self, writer: &mut Writer<'_>) {
        writer.array(if self.cc.is_some() { 3 } else { 1 });
        writer.bytes(self.address.as_bytes());
        if let Some(CcAddress { backend, bytes }) = &self.cc {
            writer.unsigned((*backend).into());
            writer.bytes(bytes);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let items = reader.array()?;
        let address = Address::new(reader.bytes_of()?);
        match items {
            1 => Ok(Self::new(address)),
            3 => Self::with_cc(address, reader.unsigned()?, reader.bytes()?),
            _ => Err(Error::Record("a participant has one item or three")),
        }
    }
}

impl State {
    /// Bytes that the longest encoding has.
    pub const MAX_ENCODED: usize = 2528;

    /// Writes the state into `buffer` and gives what it wrote.
    pub fn encode<'a>(&self, buffer: &'a mut [u8]) -> Result<&'a [u8], Error> {
        into_buffer(buffer, |sink| self.encode_to(sink))
    }

    /// Writes the state.
    pub fn encode_to(&self, sink: &mut dyn Sink) -> Result<(), Error> {
        self.outcome.check()?;
        let (locked, data) = (&self.outcome.locked, &self.data);
        let optional = [!locked.is_empty(), !data.is_empty(), self.is_final];
        let mut writer = Writer(sink);
        writer.map(3 + optional.into_iter().filter(|is_there| *is_there).count());
        writer.unsigned(1);
        writer.bytes(self.channel.as_bytes());
        writer.unsigned(2);
        writer.unsigned(self.version);
        writer.unsigned(3);
        self.outcome.write_rows(&mut writer);
        if !locked.is_empty() {
            writer.unsigned(4);
            writer.array(locked.len());
            locked.iter().for_each(|locked| locked.write(&mut writer));
        }
        if !data.is_empty() {
            writer.unsigned(5);
            writer.bytes(data);
        }
        if self.is_final {
            writer.unsigned(6);
            writer.boolean(true);
        }
        Ok(())
    }

    /// Reads a state from exactly these bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        read_exactly(bytes, Self::read)
    }

    /// Reads a state, and leaves what follows it.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut fields = reader.map()?;
        let channel = ChannelId::new(fields.required(1)?.bytes_of()?);
        let version = fields.required(2)?.unsigned()?;
        let mut outcome = Allocation::read_rows(fields.required(3)?)?;
        if let Some(list) = fields.optional(4)? {
            outcome.locked = read_all(list, SubAlloc::read)?;
        }
        let data = fields.optional(5)?.map(read_data).transpose()?.unwrap_or_default();
        let is_final = fields.optional(6)?.map(read_final).transpose()?.is_some();
        fields.end()?;
        outcome.check()?;
        Ok(Self { channel, version, outcome, data, is_final })
    }
}

impl Allocation {
    fn write_rows(&self, writer: &mut Writer<'_>) {
        writer.array(self.assets.len());
        for (asset, balances) in self.assets.iter().zip(&self.balances) {
            asset.write(PARTICIPANTS, writer);
            balances.iter().for_each(|amount| write_amount(amount, writer));
        }
    }

    fn read_rows(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let rows: Vec<_, MAX_ASSETS> = read_all(reader, read_row)?;
        let mut allocation = Self::default();
        for (asset, balances) in rows {
            allocation.assets.push(asset).map_err(|_| TOO_MANY)?;
            allocation.balances.push(balances).map_err(|_| TOO_MANY)?;
        }
        Ok(allocation)
    }
}

fn read_row(reader: &mut Reader<'_>) -> Result<(Asset, [Amount; PARTICIPANTS]), Error> {
    let asset = Asset::read(PARTICIPANTS, reader)?;
    Ok((asset, [read_amount(reader)?, read_amount(reader)?]))
}

impl Asset {
    /// An array that begins with the asset, and in which `more` items follow.
    pub(super) fn write(&self, more: usize, writer: &mut Writer<'_>) {
        match self {
            Self::Ethereum { chain_id, holder } => {
                writer.array(3 + more);
                writer.unsigned(ETHEREUM.into());
                write_amount(chain_id, writer);
                writer.bytes(holder.as_bytes());
            }
            Self::Other { backend, id } => {
                writer.array(2 + more);
                writer.unsigned((*backend).into());
                writer.bytes(id);
            }
        }
    }

    /// The asset at the beginning of an array in which exactly `more` items follow.
    pub(super) fn read(more: usize, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let items = reader.array()?.checked_sub(more);
        match (reader.unsigned()?, items) {
            (ETHEREUM, Some(3)) => Ok(Self::Ethereum {
                chain_id: read_amount(reader)?,
                holder: Address::new(reader.bytes_of()?),
            }),
            (backend, Some(2)) if backend != ETHEREUM => Self::other(backend, reader.bytes()?),
            _ => Err(Error::Record("a row has another number of items")),
        }
    }
}

impl SubAlloc {
    fn write(&self, writer: &mut Writer<'_>) {
        writer.array(3);
        writer.bytes(self.id.as_bytes());
        writer.array(self.balances.len());
        self.balances.iter().for_each(|amount| write_amount(amount, writer));
        writer.array(PARTICIPANTS);
        self.index_map.iter().for_each(|place| writer.unsigned((*place).into()));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.array_of(3)?;
        let id = ChannelId::new(reader.bytes_of()?);
        let balances = read_all(reader, read_amount)?;
        reader.array_of(PARTICIPANTS)?;
        Ok(Self { id, balances, index_map: [reader.unsigned()?, reader.unsigned()?] })
    }
}

/// A value that takes all of these bytes.
pub(super) fn read_exactly<'a, T>(
    bytes: &'a [u8],
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut reader = Reader::new(bytes);
    let value = read(&mut reader)?;
    reader.end()?;
    Ok(value)
}

pub(super) fn into_buffer(
    buffer: &mut [u8],
    encode: impl FnOnce(&mut dyn Sink) -> Result<(), Error>,
) -> Result<&[u8], Error> {
    let mut sink = Buffer::new(buffer);
    encode(&mut sink)?;
    sink.finish()
}

pub(super) fn write_amount(amount: &Amount, writer: &mut Writer<'_>) {
    writer.bytes(&amount.to_minimal());
}

pub(super) fn read_amount(reader: &mut Reader<'_>) -> Result<Amount, Error> {
    let malformed = Error::Record("an amount is too long or begins with a zero");
    Amount::from_minimal(reader.bytes()?).ok_or(malformed)
}

/// An array of at least one item.
pub(super) fn read_all<'a, T, const N: usize>(
    reader: &mut Reader<'a>,
    read: impl Fn(&mut Reader<'a>) -> Result<T, Error>,
) -> Result<Vec<T, N>, Error> {
    let mut items = Vec::new();
    let count = reader.array()?;
    for _ in 0..count {
        items.push(read(reader)?).map_err(|_| TOO_MANY)?;
    }
    if items.is_empty() { Err(SPELLED_OUT) } else { Ok(items) }
}

fn read_app(reader: &mut Reader<'_>) -> Result<Address, Error> {
    let app = Address::new(reader.bytes_of()?);
    if app.is_zero() { Err(SPELLED_OUT) } else { Ok(app) }
}

fn read_data<const N: usize>(reader: &mut Reader<'_>) -> Result<Vec<u8, N>, Error> {
    let data = Vec::from_slice(reader.bytes()?).map_err(|_| TOO_MANY)?;
    if data.is_empty() { Err(SPELLED_OUT) } else { Ok(data) }
}

fn read_final(reader: &mut Reader<'_>) -> Result<(), Error> {
    if reader.boolean()? { Ok(()) } else { Err(SPELLED_OUT) }
}

const fn kind_number(kind: ChannelKind) -> u64 {
    match kind {
        ChannelKind::Ledger => 0,
        ChannelKind::Sub => 1,
        ChannelKind::Virtual => 2,
    }
}

fn read_kind(reader: &mut Reader<'_>) -> Result<ChannelKind, Error> {
    match reader.unsigned::<u64>()? {
        0 => Ok(ChannelKind::Ledger),
        1 => Ok(ChannelKind::Sub),
        2 => Ok(ChannelKind::Virtual),
        _ => Err(UNKNOWN_KIND),
    }
}
