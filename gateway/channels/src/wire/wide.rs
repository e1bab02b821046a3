//! Values that go-perun's messages may hold and our data model does not: noted, passed over, and refused at the end.
//!
//! Guarantees: the first thing that doesn't fit is kept with what the message was about; reading goes on with a
//! placeholder, so that both decoders find the end of a message that is merely wide. A value that has another encoding
//! is malformed instead. Does not: let a placeholder out: a message with a note is no message.

use std::fmt;

use heapless::Vec;
use sluicegate_protocol::{
    Error as ProtocolError,
    channel::{
        Address, Allocation, Amount, Asset, CcAddress, ChannelId, ChannelKind, ETHEREUM, MAX_CC,
        MAX_DATA, Nonce, PARTICIPANTS, Participant, Rule, Signature, State, SubAlloc,
    },
};

use super::{AddressMap, Envelope, Message, Transaction};
use crate::Error;

/// Bytes of a number in go-perun's own encoding.
const MAX_NUMBER: usize = 128;

/// Bytes of a signature of a wire address: RSA with 8,192 bits.
const MAX_AUTH: usize = 1024;

/// A message that is whole but holds what this crate doesn't; to be refused, with [`Self::refusal`] as the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Who claims to have sent it.
    pub sender: AddressMap,
    /// Whom it was for.
    pub recipient: AddressMap,
    /// What it was about; `None` if there is nothing to refuse.
    pub subject: Option<Subject>,
    /// What doesn't fit.
    pub refusal: Refusal,
    /// How many bytes it has; the next message starts behind them.
    pub length: usize,
}

impl std::error::Error for Unsupported {}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer's message is not supported: {}", self.refusal)
    }
}

/// What a rejection has to name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A proposal, by its id; [`Message::ChannelProposalRej`] refuses it.
    Proposal([u8; 32]),
    /// An update; [`Message::ChannelUpdateRej`] refuses it.
    Update {
        /// The channel.
        channel: ChannelId,
        /// The state's version.
        version: u64,
    },
}

impl Subject {
    /// An update to this state.
    pub(super) const fn of(state: &State) -> Self {
        Self::Update { channel: state.channel, version: state.version }
    }

    /// The message that refuses it.
    pub fn reject(self, reason: String) -> Message {
        match self {
            Self::Proposal(proposal) => Message::ChannelProposalRej { proposal, reason },
            Self::Update { channel, version } => {
                Message::ChannelUpdateRej { channel, version, reason }
            }
        }
    }
}

/// Why a message is refused; the text is fit for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// An app that is no contract of Ethereum.
    #[error("the app is not an address of Ethereum")]
    App,
    /// Something that there has to be one of for each participant, in another number.
    #[error("there are {found} {what}, not one for each of 2 participants")]
    Each {
        /// What.
        what: &'static str,
        /// How many of it.
        found: usize,
    },
    /// A channel that is a ledger channel and a virtual channel.
    #[error("a channel is a ledger channel or a virtual channel, not both")]
    Kind,
    /// A message of a kind that go-perun v0.15 doesn't have.
    #[error("the message is of an unknown kind")]
    Message,
    /// A channel of which the peer has no state.
    #[error("there is no state to synchronise")]
    NoState,
    /// A participant without an address of Ethereum, with which this crate signs, or with several others.
    #[error("a participant needs an address of Ethereum and at most one other")]
    Participant,
    /// A rule of the data model.
    #[error("{0}")]
    Rule(Rule),
    /// A signed state with another app than its parameters.
    #[error("the state has another app than the parameters")]
    StateApp,
}

impl From<Rule> for Refusal {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

/// The first thing that didn't fit, and what the message is about.
#[derive(Debug, Default)]
pub(super) struct Notes {
    refusal: Option<Refusal>,
    subject: Option<Subject>,
}

impl Notes {
    /// Notes that something doesn't fit, unless something else did not before.
    pub(super) fn refuse(&mut self, refusal: impl Into<Refusal>) {
        self.refusal.get_or_insert(refusal.into());
    }

    /// Notes what the message is about; the first word counts.
    pub(super) fn about(&mut self, subject: Subject) {
        self.subject.get_or_insert(subject);
    }

    /// The message if everything fitted.
    pub(super) fn close(
        &self,
        envelope: Envelope,
        length: usize,
    ) -> Result<(Envelope, usize), Error> {
        let Some(refusal) = self.refusal else { return Ok((envelope, length)) };
        let Envelope { sender, recipient, .. } = envelope;
        let subject = self.subject;
        Err(Error::Unsupported(Box::new(Unsupported {
            sender,
            recipient,
            subject,
            refusal,
            length,
        })))
    }

    /// Adds to a list with room for it.
    pub(super) fn push<T, const N: usize>(
        &mut self,
        list: &mut Vec<T, N>,
        item: T,
        what: &'static str,
    ) {
        if list.push(item).is_err() {
            self.refuse(Rule::Capacity { what, limit: N });
        }
    }

    /// A number in as few bytes as hold it.
    pub(super) fn amount(&mut self, bytes: &[u8]) -> Result<Amount, Error> {
        minimal(bytes)?;
        Ok(Amount::from_minimal(bytes).unwrap_or_else(|| {
            self.refuse(Rule::AmountTooLarge);
            Amount::ZERO
        }))
    }

    /// A nonce in as few bytes as hold it.
    pub(super) fn nonce(&mut self, bytes: &[u8]) -> Result<Nonce, Error> {
        Ok(Nonce::new(self.amount(bytes)?.to_be_bytes()))
    }

    /// An asset as its backend marshals it.
    pub(super) fn asset(&mut self, backend: u32, bytes: &[u8]) -> Result<Asset, Error> {
        self::backend(backend)?;
        if backend == ETHEREUM {
            return self.ethereum(bytes);
        }
        if bytes.is_empty() {
            return Err(Error::Malformed("an asset without bytes"));
        }
        Ok(Asset::other(backend, bytes).unwrap_or_else(|_| {
            self.refuse(Rule::Capacity { what: "bytes of an asset", limit: MAX_CC });
            Asset::ethereum(0_u64, Address::ZERO)
        }))
    }

    /// `bin(chain id) ‖ u32le backend ‖ bin(holder)`, perun-eth-backend's asset.
    fn ethereum(&mut self, bytes: &[u8]) -> Result<Asset, Error> {
        let wrong = Error::Malformed("an asset of Ethereum");
        let (chain, rest) = split_bin(bytes).ok_or_else(|| wrong.clone())?;
        let (backend, rest) = rest.split_first_chunk().ok_or_else(|| wrong.clone())?;
        let (holder, rest) = split_bin(rest).ok_or_else(|| wrong.clone())?;
        if u32::from_le_bytes(*backend) != ETHEREUM || !rest.is_empty() {
            return Err(wrong);
        }
        let holder = Address::from_slice(holder).ok_or(wrong)?;
        Ok(Asset::ethereum(self.amount(chain)?, holder))
    }

    /// An app by its id.
    pub(super) fn app(&mut self, id: &[u8]) -> Result<Address, Error> {
        match Address::from_slice(id) {
            Some(app) if app.is_zero() => Err(Error::Malformed("the zero address as an app")),
            Some(app) => Ok(app),
            None if id.is_empty() => Err(Error::Malformed("an app without an id")),
            None => {
                self.refuse(Refusal::App);
                Ok(Address::ZERO)
            }
        }
    }

    /// An app's data.
    pub(super) fn data(&mut self, bytes: &[u8]) -> Vec<u8, MAX_DATA> {
        Vec::from_slice(bytes).unwrap_or_else(|_| {
            self.refuse(Rule::Capacity { what: "bytes of data", limit: MAX_DATA });
            Vec::new()
        })
    }

    /// The index map of locked funds, in full.
    pub(super) fn index_map(&mut self, map: &[u16]) -> [u16; PARTICIPANTS] {
        SubAlloc::expand(map).unwrap_or_else(|_| {
            self.refuse(Rule::IndexMap);
            SubAlloc::IDENTITY
        })
    }

    /// The index map of a virtual channel, which go-perun always sends in full.
    pub(super) fn full_index_map(&mut self, map: &[u16]) -> [u16; PARTICIPANTS] {
        map.try_into().unwrap_or_else(|_| {
            self.refuse(Rule::IndexMap);
            SubAlloc::IDENTITY
        })
    }

    /// One of something for each participant.
    pub(super) fn each<T: Clone>(
        &mut self,
        items: std::vec::Vec<T>,
        what: &'static str,
        nobody: T,
    ) -> [T; PARTICIPANTS] {
        let found = items.len();
        items.try_into().unwrap_or_else(|_| {
            self.refuse(Refusal::Each { what, found });
            [nobody.clone(), nobody]
        })
    }

    /// The kind of a channel with these flags.
    pub(super) fn kind(&mut self, ledger: bool, is_virtual: bool) -> ChannelKind {
        ChannelKind::from_flags(ledger, is_virtual).unwrap_or_else(|| {
            self.refuse(Refusal::Kind);
            ChannelKind::Ledger
        })
    }
    /// A participant's addresses by backend.
    pub(super) fn participant(
        &mut self,
        mut entries: std::vec::Vec<(u32, &[u8])>,
    ) -> Result<Participant, Error> {
        entries.sort_unstable();
        let once = entries.is_sorted_by(|(first, _), (second, _)| first < second);
        if !once || entries.iter().any(|(_, bytes)| bytes.is_empty()) {
            return Err(Error::Malformed("a participant's addresses"));
        }
        entries.iter().try_for_each(|(number, _)| backend(*number))?;
        let participant = participant(&entries).unwrap_or_else(|| {
            self.refuse(Refusal::Participant);
            NOBODY
        });
        Ok(participant)
    }

    /// A signature as go-perun takes them.
    pub(super) fn signature(&mut self, bytes: &[u8; Signature::LEN]) -> Result<Signature, Error> {
        match Signature::from_go_perun(bytes) {
            Ok(signature) => Ok(signature),
            Err(ProtocolError::Channel(rule)) => {
                self.refuse(rule);
                Ok(Signature::from_bytes(&UNSIGNED)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A state and parameters with one app.
    pub(super) fn same_app(&mut self, params: Address, state: Address) {
        if params != state {
            self.refuse(Refusal::StateApp);
        }
    }
}

/// In place of a participant that doesn't fit.
pub(super) const NOBODY: Participant = Participant::new(Address::ZERO);

/// In place of a transaction without a state.
pub(super) fn nothing() -> Transaction {
    let state = State::initial(ChannelId::default(), Allocation::default());
    Transaction { app: Address::ZERO, state, signatures: [None; PARTICIPANTS] }
}

/// In place of a signature that is none: r and s are 1.
const UNSIGNED: [u8; Signature::LEN] = {
    let mut bytes = [0; Signature::LEN];
    (bytes[31], bytes[63], bytes[64]) = (1, 1, 27);
    bytes
};

/// Ethereum's address, and at most one more that fits.
fn participant(entries: &[(u32, &[u8])]) -> Option<Participant> {
    let (ethereum, mut others) =
        entries.iter().partition::<std::vec::Vec<_>, _>(|(backend, _)| *backend == ETHEREUM);
    let &&(_, address) = ethereum.first()?;
    let address = Address::from_slice(address)?;
    let Some(&(backend, bytes)) = others.pop() else { return Some(Participant::new(address)) };
    if !others.is_empty() {
        return None;
    }
    Participant::with_cc(address, backend, bytes).ok()
}

/// A participant's addresses by rising backend.
pub(super) fn addresses(participant: &Participant) -> Result<std::vec::Vec<(u32, &[u8])>, Error> {
    let mut entries = vec![(ETHEREUM, participant.address.as_bytes().as_slice())];
    if let Some(CcAddress { backend, bytes }) = &participant.cc {
        entries.push((*backend, bytes));
        if *backend == ETHEREUM || bytes.is_empty() {
            return Err(Error::Unsendable("a participant's other address"));
        }
        sendable_backend(*backend)?;
    }
    entries.sort_unstable();
    Ok(entries)
}

/// An asset as its backend marshals it.
pub(super) fn asset(asset: &Asset) -> Result<std::vec::Vec<u8>, Error> {
    match asset {
        Asset::Ethereum { chain_id, holder } => {
            let (chain, backend) = (bin(&chain_id.to_minimal())?, ETHEREUM.to_le_bytes());
            Ok([chain, backend.to_vec(), bin(holder.as_bytes())?].concat())
        }
        Asset::Other { backend, id } if *backend == ETHEREUM || id.is_empty() => {
            Err(Error::Unsendable("an asset"))
        }
        Asset::Other { backend, id } => sendable_backend(*backend).map(|()| id.to_vec()),
    }
}

/// Bytes behind their number, `u16le`.
pub(super) fn bin(bytes: &[u8]) -> Result<std::vec::Vec<u8>, Error> {
    let length = u16::try_from(bytes.len()).map_err(|_| Error::Unsendable("too many bytes"))?;
    Ok([&length.to_le_bytes(), bytes].concat())
}

/// A number of bytes without a leading zero, as go-perun bounds it.
fn minimal(bytes: &[u8]) -> Result<(), Error> {
    if bytes.first() == Some(&0) || bytes.len() > MAX_NUMBER {
        return Err(Error::Malformed("a number has a leading zero or is too long"));
    }
    Ok(())
}

/// The bound of a wire address's signature.
pub(super) fn bound_auth(count: usize) -> Result<(), Error> {
    if count > MAX_AUTH {
        return Err(Error::Malformed("the signature of a wire address is too long"));
    }
    Ok(())
}

/// The same for one of ours.
pub(super) fn sendable_auth(signature: &[u8]) -> Result<(), Error> {
    bound_auth(signature.len()).map_err(|_| Error::Unsendable("a signature is too long"))
}

/// What go-perun takes as an allocation: a row of balances for each asset, and at least one.
pub(super) fn sendable(allocation: &Allocation) -> Result<(), Error> {
    if allocation.assets.is_empty() || allocation.assets.len() != allocation.balances.len() {
        return Err(Error::Unsendable("the dimensions of an allocation"));
    }
    Ok(())
}

/// A text.
pub(super) fn text(bytes: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::Malformed("a text is not UTF-8"))?;
    Ok(text.into())
}

fn backend(number: u32) -> Result<(), Error> {
    i32::try_from(number).map(drop).map_err(|_| Error::Malformed("a backend's number"))
}

fn sendable_backend(number: u32) -> Result<(), Error> {
    backend(number).map_err(|_| Error::Unsendable("a backend's number"))
}

/// Bytes behind their number, `u16le`.
fn split_bin(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}
