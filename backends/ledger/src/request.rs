//! What the gateway wants from a ledger, its one encoding, and what makes two requests the same.
//!
//! Guarantees: a request that passes [`Request::check`] can be encoded, and each has one encoding:
//! `[kind, …]` with the fields in the order of the type; parameters and states are byte strings of their own encoding.
//! Does not: verify a signature; the ledger does.

use alloc::{boxed::Box, vec::Vec};

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};
use sluicegate_protocol::{
    Digest,
    channel::{Address, State, WithdrawalAuth},
    sha256,
};

use crate::{
    Claim, Class, Conclusion, Deposit, Error, MAX_SUBS, Progression, Registration, SignedState,
    Withdrawal, cbor, cbor::channel as put,
};

const TAG: &[u8] = b"sluicegate/request/v1\0";

/// What the gateway wants from the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Put a digest on the ledger.
    Anchor(Digest),
    /// Fix the outcome of a dispute whose time is over.
    Conclude(Box<Conclusion>),
    /// Fix the outcome that both signed as final, at once, whatever dispute is running.
    ConcludeFinal(Box<Claim>),
    /// Put money into a channel.
    Deposit(Box<Deposit>),
    /// Carry an app on.
    Progress(Box<Progression>),
    /// Begin a dispute, or answer one.
    Register(Box<Registration>),
    /// Take money out of a settled channel.
    Withdraw(Box<Withdrawal>),
}

impl Request {
    /// Longest encoding: a tree of [`MAX_SUBS`] channels below its root.
    pub const MAX_ENCODED: usize = 28 * 1024;

    /// Reads the one encoding.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("request", bytes)
    }

    /// The encoding; empty for a request that does not pass [`Self::check`].
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// What makes two requests the same, so that it is done once: of a deposit who is funded with what, whatever
    /// the amount; of a registration, a step or a conclusion the states; of a withdrawal all that is authorised.
    /// Signatures make no difference.
    pub fn key(&self) -> Digest {
        let hash = |parts: &[&[u8]]| {
            let kind = [self.kind()];
            sha256(&[&[TAG, &kind], parts].concat())
        };
        match self {
            Self::Anchor(digest) => *digest,
            Self::Conclude(c) => hash(&[c.state.hash().as_bytes(), &hashes(&c.subs)]),
            Self::ConcludeFinal(claim) => hash(&[claim.signed.state.hash().as_bytes()]),
            Self::Deposit(d) => hash(&[d.funding().as_bytes(), &put::asset_bytes(&d.asset)]),
            Self::Progress(p) => hash(&[p.new.hash().as_bytes()]),
            Self::Register(r) => {
                let subs = hashes(r.subs.iter().map(|claim| &claim.signed.state));
                hash(&[r.root.signed.state.hash().as_bytes(), &subs])
            }
            Self::Withdraw(w) => hash(&[&w.authorisation.hash(), &put::asset_bytes(&w.asset)]),
        }
    }

    /// The number of its kind, which begins its encoding.
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Anchor(_) => 1,
            Self::Deposit(_) => 2,
            Self::Register(_) => 3,
            Self::Progress(_) => 4,
            Self::Conclude(_) => 5,
            Self::ConcludeFinal(_) => 6,
            Self::Withdraw(_) => 7,
        }
    }

    /// Which budget it draws on; `stake` is what would be lost without it, in base units of what fees are paid in.
    pub const fn class(&self, stake: u128) -> Class {
        match self {
            Self::Anchor(_) | Self::Deposit(_) => Class::Routine,
            Self::Conclude(_)
            | Self::ConcludeFinal(_)
            | Self::Progress(_)
            | Self::Register(_)
            | Self::Withdraw(_) => Class::Dispute { stake },
        }
    }

    /// Whether it can be meant at all: parameters and states that ledgers settle, a tree that is not too large.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            Self::Anchor(_) | Self::Deposit(_) => Ok(()),
            Self::Conclude(conclusion) => {
                conclusion.params.check()?;
                conclusion.state.check(&conclusion.params)?;
                few(conclusion.subs.len())?;
                Ok(conclusion.subs.iter().try_for_each(|sub| sub.outcome.check())?)
            }
            Self::ConcludeFinal(claim) => claim.check(),
            Self::Progress(step) => {
                step.params.check()?;
                step.old.check(&step.params)?;
                Ok(step.new.check(&step.params)?)
            }
            Self::Register(registration) => {
                few(registration.subs.len())?;
                registration.root.check()?;
                registration.subs.iter().try_for_each(Claim::check)
            }
            Self::Withdraw(_) => Ok(()),
        }
    }
}

impl Claim {
    fn check(&self) -> Result<(), Error> {
        self.params.check()?;
        Ok(self.signed.state.check(&self.params)?)
    }
}

const fn few(subs: usize) -> Result<(), Error> {
    if subs > MAX_SUBS { Err(Error::Malformed("tree: it has too many channels")) } else { Ok(()) }
}

fn hashes<'a>(states: impl IntoIterator<Item = &'a State>) -> Vec<u8> {
    states.into_iter().flat_map(|state| *state.hash().as_bytes()).collect()
}

impl<C> Encode<C> for Request {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        let fields = match self {
            Self::Anchor(_) | Self::ConcludeFinal(_) => 1,
            Self::Register(_) => 2,
            Self::Conclude(_) | Self::Withdraw(_) => 3,
            Self::Deposit(_) => 4,
            Self::Progress(_) => 5,
        };
        e.array(1 + fields)?.u8(self.kind())?;
        match self {
            Self::Anchor(digest) => e.bytes(digest.as_bytes()).map(|_| ()),
            Self::Conclude(conclusion) => conclusion.put(e),
            Self::ConcludeFinal(claim) => put_claim(e, claim),
            Self::Deposit(deposit) => deposit.put(e),
            Self::Progress(step) => step.put(e),
            Self::Register(registration) => registration.put(e),
            Self::Withdraw(withdrawal) => withdrawal.put(e),
        }
    }
}

impl<'b, C> Decode<'b, C> for Request {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        Ok(match (cbor::open_array(d)?, d.u8()?) {
            (2, 1) => Self::Anchor(cbor::digest(d)?),
            (5, 2) => Self::Deposit(Box::new(Deposit::take(d)?)),
            (3, 3) => Self::Register(Box::new(Registration::take(d)?)),
            (6, 4) => Self::Progress(Box::new(Progression::take(d)?)),
            (4, 5) => Self::Conclude(Box::new(Conclusion::take(d)?)),
            (2, 6) => Self::ConcludeFinal(Box::new(claim(d)?)),
            (4, 7) => Self::Withdraw(Box::new(Withdrawal::take(d)?)),
            _ => return Err(decode::Error::message("unknown request")),
        })
    }
}

type Written<W> = Result<(), encode::Error<<W as Write>::Error>>;

impl Deposit {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Written<W> {
        e.bytes(self.channel.as_bytes())?.bytes(self.participant.as_bytes())?;
        put::put_asset(e, &self.asset)?;
        put::put_amount(e, &self.amount)
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, decode::Error> {
        let channel = put::channel(d)?;
        let participant = Address::new(cbor::fixed(d)?);
        Ok(Self { channel, participant, asset: put::asset(d)?, amount: put::amount(d)? })
    }
}

impl Registration {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Written<W> {
        put_claim(e, &self.root)?;
        e.array(self.subs.len() as u64)?;
        self.subs.iter().try_for_each(|sub| put_claim(e, sub))
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, decode::Error> {
        Ok(Self { root: claim(d)?, subs: put::few(d, MAX_SUBS, claim)? })
    }
}

impl Progression {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Written<W> {
        put::put_params(e, &self.params)?;
        put::put_state(e, &self.old)?;
        put::put_state(e, &self.new)?;
        e.u16(self.actor)?.bytes(self.signature.as_bytes())?;
        Ok(())
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, decode::Error> {
        let params = put::params(d)?;
        let (old, new) = (put::state(d)?, put::state(d)?);
        Ok(Self { params, old, new, actor: d.u16()?, signature: put::signature(d)? })
    }
}

impl Conclusion {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Written<W> {
        put::put_params(e, &self.params)?;
        put::put_state(e, &self.state)?;
        e.array(self.subs.len() as u64)?;
        self.subs.iter().try_for_each(|sub| put::put_state(e, sub))
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, decode::Error> {
        let (params, state) = (put::params(d)?, put::state(d)?);
        Ok(Self { params, state, subs: put::few(d, MAX_SUBS, put::state)? })
    }
}

impl Withdrawal {
    fn put<W: Write>(&self, e: &mut Encoder<W>) -> Written<W> {
        let WithdrawalAuth { channel, participant, receiver, amount } = &self.authorisation;
        e.array(4)?.bytes(channel.as_bytes())?;
        put::put_participant(e, participant)?;
        e.bytes(receiver.as_bytes())?;
        put::put_amount(e, amount)?;
        put::put_asset(e, &self.asset)?;
        e.bytes(self.signature.as_bytes())?;
        Ok(())
    }

    fn take(d: &mut Decoder<'_>) -> Result<Self, decode::Error> {
        cbor::array(d, 4)?;
        let (channel, participant) = (put::channel(d)?, put::participant(d)?);
        let (receiver, amount) = (Address::new(cbor::fixed(d)?), put::amount(d)?);
        let authorisation = WithdrawalAuth { channel, participant, receiver, amount };
        Ok(Self { authorisation, asset: put::asset(d)?, signature: put::signature(d)? })
    }
}

/// `[params, state, signature, signature]`
fn put_claim<W: Write>(e: &mut Encoder<W>, claim: &Claim) -> Written<W> {
    put::put_params(e.array(4)?, &claim.params)?;
    put::put_signed(e, &claim.signed)
}

fn claim(d: &mut Decoder<'_>) -> Result<Claim, decode::Error> {
    cbor::array(d, 4)?;
    let (params, signed): (_, SignedState) = (put::params(d)?, put::signed(d)?);
    Ok(Claim { params, signed })
}

#[cfg(test)]
mod tests {
    use std::vec;

    use sluicegate_protocol::channel::{
        Allocation, Amount, Asset, ChannelId, ChannelKind, MAX_ASSETS, MAX_CC, Nonce, Params,
        Participant, SigningKey, SubAlloc,
    };

    use super::*;

    fn keys() -> [SigningKey; 2] {
        [[0x11; 32], [0x22; 32]].map(|bytes| SigningKey::from_bytes(&bytes).unwrap())
    }

    fn participant(key: &SigningKey) -> Participant {
        Participant::with_cc(key.address(), u32::MAX, &[7; MAX_CC]).unwrap()
    }

    fn params() -> Params {
        Params {
            challenge_duration: u64::MAX,
            nonce: Nonce::new([9; 32]),
            participants: keys().each_ref().map(participant),
            app: Address::new([5; 20]),
            kind: ChannelKind::Ledger,
        }
    }

    /// The longest state: everything is there, and as large as it can be.
    fn state() -> State {
        let row = |n: u8| (Asset::other(u32::MAX, &[n; MAX_CC]).unwrap(), [Amount::ZERO; 2]);
        let mut outcome = Allocation::new(&[row(1), row(2), row(3), row(4)]).unwrap();
        let big = Amount::from_be_bytes([0x0f; 32]);
        outcome.balances.iter_mut().for_each(|row| *row = [big; 2]);
        for n in 0..8 {
            let balances = [big; MAX_ASSETS].into_iter().collect();
            let id = ChannelId::new([n; 32]);
            outcome.locked.push(SubAlloc { id, balances, index_map: SubAlloc::IDENTITY }).unwrap();
        }
        let mut state = State::initial(params().id(), outcome);
        (state.version, state.is_final) = (u64::MAX, true);
        state.data.resize_default(state.data.capacity()).unwrap();
        state
    }

    fn claim() -> Claim {
        let state = state();
        let signatures = keys().each_ref().map(|key| key.sign_state(&state).unwrap());
        Claim { params: params(), signed: SignedState { state, signatures } }
    }

    fn requests() -> Vec<Request> {
        let signature = claim().signed.signatures[0];
        let authorisation = WithdrawalAuth {
            channel: params().id(),
            participant: params().participants[1].clone(),
            receiver: Address::new([3; 20]),
            amount: Amount::from(300u64),
        };
        let asset = Asset::ethereum(1337u64, Address::new([0xaa; 20]));
        let deposit = Deposit {
            channel: params().id(),
            participant: keys()[0].address(),
            asset: asset.clone(),
            amount: Amount::from(5u64),
        };
        let (params, old) = (params(), state());
        let new = State { version: 1, ..old.clone() };
        let conclusion =
            Conclusion { params: params.clone(), state: old.clone(), subs: vec![old.clone(); 8] };
        vec![
            Request::Anchor(sha256(&[b"a"])),
            Request::Deposit(Box::new(deposit)),
            Request::Register(Box::new(Registration { root: claim(), subs: vec![claim(); 8] })),
            Request::Progress(Box::new(Progression { params, old, new, actor: 1, signature })),
            Request::Conclude(Box::new(conclusion)),
            Request::ConcludeFinal(Box::new(claim())),
            Request::Withdraw(Box::new(Withdrawal { authorisation, asset, signature })),
        ]
    }

    #[test]
    fn requests_round_trip_within_their_bound_and_differ() {
        let requests = requests();
        for (at, request) in requests.iter().enumerate() {
            let bytes = request.to_bytes();
            assert_eq!(Request::decode(&bytes).as_ref(), Ok(request));
            assert_eq!(request.check(), Ok(()));
            assert!((1..=Request::MAX_ENCODED).contains(&bytes.len()), "{}", bytes.len());
            assert!(requests[..at].iter().all(|other| other.key() != request.key()));
            assert!(requests[..at].iter().all(|other| other.kind() < request.kind()));
        }
    }

    #[test]
    fn a_changed_byte_is_another_request_or_none() {
        for request in requests().into_iter().filter(|r| r.to_bytes().len() < 4096) {
            let bytes = request.to_bytes();
            for at in 0..bytes.len() {
                let mut changed = bytes.clone();
                changed[at] ^= 1;
                if let Ok(other) = Request::decode(&changed) {
                    assert_eq!(other.to_bytes(), changed);
                    assert_ne!(other, request);
                }
                assert!(Request::decode(&bytes[..at]).is_err());
            }
        }
    }

    #[test]
    fn a_deposit_is_the_same_whatever_its_amount() {
        let Request::Deposit(deposit) = &requests()[1] else { panic!("a deposit") };
        let key = |change: fn(&mut Deposit)| {
            let mut changed = deposit.clone();
            change(&mut changed);
            Request::Deposit(changed).key()
        };
        let same = key(|_| {});
        assert_eq!(key(|d| d.amount = Amount::from(6u64)), same);
        assert_ne!(key(|d| d.participant = Address::new([1; 20])), same);
        assert_ne!(key(|d| d.channel = ChannelId::new([1; 32])), same);
        assert_ne!(key(|d| d.asset = Asset::ethereum(1u64, Address::ZERO)), same);
    }

    #[test]
    fn what_can_not_be_settled_is_no_request() {
        let mut registration = Registration { root: claim(), subs: vec![claim(); 9] };
        assert!(Request::Register(Box::new(registration.clone())).check().is_err());
        registration.subs.clear();
        registration.root.signed.state.outcome.locked[0].index_map = [0, 2];
        let request = Request::Register(Box::new(registration));
        assert!(request.check().is_err());
        assert_eq!(request.to_bytes(), vec![]);
        let mut conclusion = Conclusion { params: params(), state: state(), subs: vec![] };
        conclusion.params.participants[1] = conclusion.params.participants[0].clone();
        assert!(Request::Conclude(Box::new(conclusion)).check().is_err());
    }
}
