//! What the rules of channels are written with: one channel, requests about it, and how they are carried to the ledger.

#![expect(clippy::expect_used, reason = "its own small keys and states, never what a ledger says")]

use alloc::{boxed::Box, format, string::String, vec, vec::Vec};

use sluicegate_protocol::channel::{
    Address, Allocation, Amount, Asset, ChannelKind, FundingId, Nonce, Params, Participant,
    Signature, SigningKey, State, SubAlloc, WithdrawalAuth,
};

use super::{
    Fault, Harness, Verdict, ask, bury, channels::ChannelHarness, digest, end_of_events, expect_eq,
    finalise,
};
use crate::{
    Channels, Claim, Conclusion, Cursor, Deposit, Dispute, EventKind, Fee, Finality, Registration,
    Request, Signed, SignedState, Status, Withdrawal,
};

/// Seeds of the keys of the participants, and of two others.
pub(super) const PARTIES: [u8; 2] = [0x11, 0x22];
pub(super) const STRANGERS: [u8; 2] = [0x33, 0x44];

/// How long a challenge lasts in these rules, in seconds.
pub(super) const CHALLENGE: u64 = 3600;

/// One channel of a rule: parameters, and requests about it.
pub(super) struct Case<'h, H> {
    h: &'h H,
    pub(super) params: Params,
    asset: Asset,
    unit: Amount,
}

impl<'h, H: ChannelHarness> Case<'h, H> {
    pub(super) fn new(h: &'h H, name: &str) -> Result<Self, String> {
        let terms = h.channels().terms();
        let asset = terms.assets.first().ok_or("the ledger takes no asset")?;
        let participants = keys(PARTIES).map(|key| Participant::new(key.address()));
        let nonce = Nonce::new(*digest(name).as_bytes());
        let (app, kind) = (Address::ZERO, ChannelKind::Ledger);
        let params = Params { challenge_duration: CHALLENGE, nonce, participants, app, kind };
        let unit = asset.granularity.max(asset.min_payout);
        Ok(Self { h, params, asset: asset.asset.clone(), unit })
    }

    /// A channel that this one funds.
    pub(super) fn below(&self, name: &str) -> Result<Self, String> {
        let mut below = Case::new(self.h, name)?;
        below.params.kind = ChannelKind::Sub;
        Ok(below)
    }

    pub(super) fn amount(&self, units: u64) -> Result<Amount, String> {
        self.unit.checked_mul(Amount::from(units)).ok_or("the unit is too large".into())
    }

    pub(super) fn state(&self, version: u64, balances: [u64; 2]) -> Result<State, String> {
        let row = [self.amount(balances[0])?, self.amount(balances[1])?];
        let outcome = Allocation::new(&[(self.asset.clone(), row)]).map_err(|e| format!("{e}"))?;
        Ok(State { version, ..State::initial(self.params.id(), outcome) })
    }

    /// A state that locks all that these states hold, with their index maps.
    pub(super) fn lock(
        &self,
        balances: [u64; 2],
        subs: &[(&State, [u16; 2])],
    ) -> Result<State, String> {
        let mut state = self.state(1, balances)?;
        for (sub, index_map) in subs {
            let total = sub.total(0).map_err(|error| format!("{error}"))?;
            let balances = [total].into_iter().collect();
            let locked = SubAlloc { id: sub.channel, balances, index_map: *index_map };
            state.outcome.locked.push(locked).map_err(|_| "too much is locked")?;
        }
        Ok(state)
    }

    pub(super) fn signed(&self, state: &State) -> SignedState {
        SignedState { state: state.clone(), signatures: signed_by(PARTIES, state) }
    }

    pub(super) fn claim(&self, of: &Self, state: &State) -> Claim {
        Claim { params: of.params.clone(), signed: self.signed(state) }
    }

    pub(super) fn deposit(&self, who: usize, units: u64) -> Result<Request, String> {
        let (channel, asset) = (self.params.id(), self.asset.clone());
        let participant = self.params.participants[who].address;
        let amount = self.amount(units)?;
        Ok(Request::Deposit(Box::new(Deposit { channel, participant, asset, amount })))
    }

    pub(super) fn fund(&self, units: [u64; 2]) -> Verdict {
        self.done(&self.deposit(0, units[0])?)?;
        self.done(&self.deposit(1, units[1])?)
    }

    pub(super) fn register(&self, state: &State) -> Request {
        self.register_tree(state, &[])
    }

    pub(super) fn register_tree(&self, state: &State, subs: &[(&Self, &State)]) -> Request {
        let subs = subs.iter().map(|(case, state)| self.claim(case, state)).collect();
        Request::Register(Box::new(Registration { root: self.claim(self, state), subs }))
    }

    pub(super) fn conclude(&self, state: &State, subs: &[&State]) -> Request {
        let subs = subs.iter().map(|state| (*state).clone()).collect();
        let (params, state) = (self.params.clone(), state.clone());
        Request::Conclude(Box::new(Conclusion { params, state, subs }))
    }

    pub(super) fn conclude_final(&self, state: &State) -> Request {
        Request::ConcludeFinal(Box::new(self.claim(self, state)))
    }

    pub(super) fn withdrawal(
        &self,
        who: usize,
        units: u64,
        to: Address,
    ) -> Result<Withdrawal, String> {
        let authorisation = WithdrawalAuth {
            channel: self.params.id(),
            participant: self.params.participants[who].clone(),
            receiver: to,
            amount: self.amount(units)?,
        };
        let signature = keys(PARTIES)[who].sign_withdrawal(&authorisation);
        let signature = signature.map_err(|error| format!("{error}"))?;
        Ok(Withdrawal { authorisation, asset: self.asset.clone(), signature })
    }

    pub(super) fn funding(&self, who: usize) -> FundingId {
        FundingId::of(&self.params.id(), &self.params.participants[who].address)
    }

    pub(super) fn part(&self, who: usize) -> Result<Amount, String> {
        ask(self.h, self.h.channels().holdings(&self.funding(who), &self.asset))
    }

    pub(super) fn expect_parts(&self, units: [u64; 2]) -> Verdict {
        let parts = [self.part(0)?, self.part(1)?];
        expect_eq("parts", parts, [self.amount(units[0])?, self.amount(units[1])?])
    }

    pub(super) fn dispute(&self) -> Result<Option<Dispute>, String> {
        ask(self.h, self.h.channels().dispute(&self.params.id()))
    }

    pub(super) fn is_settled(&self) -> Result<bool, String> {
        ask(self.h, self.h.channels().is_settled(&self.params.id(), &self.asset))
    }

    /// Submitted by the first account, it becomes final.
    pub(super) fn done(&self, request: &Request) -> Verdict {
        perform(self.h, self.h.channels(), request).map(|_| ())
    }

    /// It is refused somewhere on its way, and changes nothing.
    pub(super) fn refused(&self, request: &Request) -> Verdict {
        let before = (self.dispute()?, self.is_settled()?, self.part(0)?, self.part(1)?);
        let start = end_of_events(self.h)?;
        if let Ok(signed) = prepare(self.h, self.h.channels(), request)
            && self.h.wait(self.h.channels().submit(&signed)).is_ok()
        {
            bury(self.h);
            let status = ask(self.h, self.h.ledger().status(&signed.id))?;
            if !matches!(status, Status::Failed { .. }) {
                return Err(format!("kind {} was not refused: {status:?}", request.kind()));
            }
        }
        let after = (self.dispute()?, self.is_settled()?, self.part(0)?, self.part(1)?);
        expect_eq("after a refusal", after, before)?;
        expect_eq("events of a refusal", finals(self.h, &start)?, vec![])
    }

    pub(super) fn comes_back(&self, request: &Request) -> Verdict {
        let h = self.h;
        let read = || Ok::<_, String>((self.dispute()?, self.is_settled()?, self.part(1)?));
        let (before, start) = (read()?, end_of_events(h)?);
        let signed = prepare(h, h.channels(), request)?;
        ask(h, h.channels().submit(&signed))?;
        h.produce();
        let included = ask(h, h.ledger().status(&signed.id))?;
        if !matches!(included, Status::Included { .. }) || !h.inject(Fault::Reorg) {
            return finalise(h, &signed);
        }
        expect_eq("after the reorg", read()?, before)?;
        expect_eq("landed", ask(h, h.channels().landed(request))?, None)?;
        ask(h, h.channels().submit(&signed))?;
        finalise(h, &signed)?;
        let events = ask(h, h.ledger().events(&start))?.events;
        let told: Vec<_> = events.into_iter().map(|event| event.finality).collect();
        let expected =
            [Finality::Included, Finality::Retracted, Finality::Included, Finality::Final];
        expect_eq("events", told, expected.to_vec())
    }
}

pub(super) fn keys(seeds: [u8; 2]) -> [SigningKey; 2] {
    seeds.map(|seed| SigningKey::from_bytes(&[seed; 32]).expect("a small number is a secret key"))
}

pub(super) fn signed_by(seeds: [u8; 2], state: &State) -> [Signature; 2] {
    keys(seeds).map(|key| key.sign_state(state).expect("no hash is known that can't be signed"))
}

/// The final events behind a cursor.
pub(super) fn finals<H: Harness>(h: &H, from: &Cursor) -> Result<Vec<EventKind>, String> {
    let (mut cursor, mut kinds) = (from.clone(), vec![]);
    loop {
        let page = ask(h, h.ledger().events(&cursor))?;
        if page.events.is_empty() {
            return Ok(kinds);
        }
        let finals = page.events.into_iter().filter(|event| event.finality == Finality::Final);
        kinds.extend(finals.map(|event| event.kind));
        cursor = page.next;
    }
}

pub(super) fn prepare<H: Harness>(
    h: &H,
    by: &dyn Channels,
    request: &Request,
) -> Result<Signed, String> {
    let nonce = ask(h, by.account())?.next_nonce;
    let unsigned = ask(h, by.build(request, nonce, Fee::Estimate))?;
    ask(h, Box::pin(core::future::ready(by.sign(&unsigned))))
}

pub(super) fn perform<H: Harness>(
    h: &H,
    by: &dyn Channels,
    request: &Request,
) -> Result<Signed, String> {
    let signed = prepare(h, by, request)?;
    ask(h, by.submit(&signed))?;
    finalise(h, &signed).map_err(|seen| format!("kind {}: {seen}", request.kind()))?;
    Ok(signed)
}
