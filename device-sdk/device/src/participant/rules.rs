//! Whether a state may be signed: the first one of a channel, or one after another.
//!
//! Guarantees: one refusal for each rule. Does not: sign, or change anything.

use sluicegate_protocol::channel::{
    Address, Asset, ChannelKind, MAX_ASSETS, Nonce, Params, State,
    exchange::{OpenRequest, Opening, Refusal, SignRequest, Why},
};

use super::{
    Book, Limit, Policy,
    agreement::{Agreed, Falls},
    book,
};

type Limits = [Option<Limit>; MAX_ASSETS];

/// What the first state of a channel is compared with.
pub(super) struct Terms<'a> {
    pub(super) own: Address,
    pub(super) policy: &'a Policy,
    pub(super) limits: &'a Limits,
    pub(super) asked: Option<&'a (OpenRequest, Option<Address>)>,
}

impl Terms<'_> {
    /// The books of the channel.
    pub(super) fn open(&self, request: &SignRequest, hash: [u8; 32]) -> Result<Book, Refusal> {
        let SignRequest { opening, state, .. } = request;
        let opening = opening.as_ref().ok_or(Refusal::UnknownChannel)?;
        let params = &opening.params;
        params.check().map_err(|_| Refusal::OtherChannel)?;
        state.check(params).map_err(|_| Refusal::OtherChannel)?;
        if params.kind != ChannelKind::Ledger || params.has_app() {
            return Err(Refusal::Kind);
        }
        let own = params.index_of(&self.own).ok_or(Refusal::NotParticipant)?;
        let participant = params.participants.get(own).ok_or(Refusal::NotParticipant)?;
        if request.receiver != self.policy.receiver || participant.cc != self.policy.elsewhere {
            return Err(Refusal::Receiver);
        }
        let is_first = state.version == 0 && !state.is_final && state.outcome.locked.is_empty();
        if !is_first || request.why != Why::Open {
            return Err(Refusal::NotFirst);
        }
        let own = u8::try_from(own).map_err(|_| Refusal::NotParticipant)?;
        let is_asked = self.asked.is_some_and(|asked| is_asked(&self.own, asked, request));
        let is_offer =
            self.policy.takes_offers && params.challenge_duration >= self.policy.least_challenge;
        if !is_asked && !is_offer {
            return Err(Refusal::Terms);
        }
        self.check_deposits(state, own)?;
        let [assets, locked] = book::frames(state);
        Ok(Book {
            channel: state.channel,
            own,
            participant: participant.clone(),
            version: 0,
            hash,
            is_final: false,
            receiver: request.receiver,
            assets,
            locked,
            rows: book::rows(state, own).ok_or(Refusal::OtherChannel)?,
        })
    }

    fn check_deposits(&self, state: &State, own: u8) -> Result<(), Refusal> {
        for (at, asset) in state.outcome.assets.iter().enumerate() {
            let deposit = book::owned(state, own, at);
            let limit = limit_of(self.limits, asset).map(|limit| limit.deposit);
            if deposit > limit.unwrap_or_default() {
                return Err(Refusal::DepositLimit);
            }
        }
        Ok(())
    }
}

/// Whether a channel is the one that was asked for: the same terms, and a nonce that has the request's share.
///
/// The one who asks is the first participant: the share of the nonce is the proposer's.
pub(super) fn is_asked(
    own: &Address,
    asked: &(OpenRequest, Option<Address>),
    request: &SignRequest,
) -> bool {
    let (asked, peer) = asked;
    let Some(Opening { params, peer_share: Some(share) }) = &request.opening else { return false };
    let Params { challenge_duration, nonce, participants: [first, second], .. } = params;
    let outcome = &request.state.outcome;
    outcome.assets[..] == [asked.asset.clone()]
        && outcome.balances[..] == [[asked.own_deposit, asked.peer_deposit]]
        && *challenge_duration == asked.challenge_duration
        && *nonce == Nonce::from_shares(&asked.share, share)
        && first.address == *own
        && peer.is_none_or(|peer| second.address == peer)
}

/// Whether the withdrawals of a known channel go where they always went.
pub(super) fn check_receiver(book: &Book, request: &SignRequest) -> Result<(), Refusal> {
    if request.receiver == book.receiver { Ok(()) } else { Err(Refusal::Receiver) }
}

/// The books and the agreements after a state that was not signed yet.
pub(super) fn follow(
    book: &Book,
    agreed: &Agreed,
    limits: &Limits,
    request: &SignRequest,
    hash: [u8; 32],
) -> Result<(Book, Agreed), Refusal> {
    let state = &request.state;
    check_receiver(book, request)?;
    check_version(book, state)?;
    let locked = check_frame(book, request)?;
    if state.is_final != (request.why == Why::Final) || request.why == Why::Open {
        return Err(Refusal::OtherStep);
    }
    let falls = book::falls(book, state);
    let agreed = agree(agreed, request, &falls)?;
    let mut next =
        Book { version: state.version, hash, is_final: state.is_final, locked, ..book.clone() };
    charge(&mut next, limits, state, &falls)?;
    Ok((next, agreed))
}

/// One version, one state; versions rise; nothing follows a final state.
fn check_version(book: &Book, state: &State) -> Result<(), Refusal> {
    if state.version == book.version {
        return Err(Refusal::Equivocation);
    }
    if book.is_final {
        return Err(Refusal::AfterFinal);
    }
    if state.version < book.version { Err(Refusal::Older) } else { Ok(()) }
}

/// What tells the locked funds, if nothing but balances changed, and locked funds where that is the reason.
fn check_frame(book: &Book, request: &SignRequest) -> Result<[u8; 32], Refusal> {
    let state = &request.state;
    if !state.data.is_empty() {
        return Err(Refusal::OtherChannel);
    }
    let [assets, locked] = book::frames(state);
    if assets != book.assets {
        return Err(Refusal::AssetsChanged);
    }
    let totals = book.rows.iter().flatten().enumerate();
    let mut changed = totals.filter(|(asset, row)| state.total(*asset) != Ok(row.total));
    if changed.next().is_some() {
        return Err(Refusal::SumChanged);
    }
    match (locked == book.locked, request.why == Why::Lock) {
        (false, false) => Err(Refusal::LockedChanged),
        (true, true) => Err(Refusal::OtherStep),
        _ => Ok(locked),
    }
}

/// The agreements after what falls.
fn agree(agreed: &Agreed, request: &SignRequest, falls: &Falls) -> Result<Agreed, Refusal> {
    let nothing = falls.iter().all(|fall| fall.is_zero());
    match request.why {
        Why::Pay => agreed.after_payment(falls).ok_or(Refusal::NotAgreed),
        Why::Lock => agreed.after_step(falls).ok_or(Refusal::NotAgreed),
        Why::Final if !nothing || !request.state.outcome.locked.is_empty() => {
            Err(Refusal::FinalBalances)
        }
        Why::Open | Why::Receive if !nothing => Err(Refusal::NotAgreed),
        Why::Open | Why::Receive | Why::Final => Ok(agreed.clone()),
    }
}

/// Writes the balances into the books, and what falls to what was spent.
fn charge(next: &mut Book, limits: &Limits, state: &State, falls: &Falls) -> Result<(), Refusal> {
    let own = next.own;
    let rows = next.rows.iter_mut().flatten().zip(falls).enumerate();
    for ((at, (row, fall)), asset) in rows.zip(&state.outcome.assets) {
        row.owned = book::owned(state, own, at);
        if fall.is_zero() {
            continue;
        }
        let most = limit_of(limits, asset).map(|limit| limit.spending).unwrap_or_default();
        let spent = row.spent.checked_add(*fall).filter(|spent| *spent <= most);
        row.spent = spent.ok_or(Refusal::SpendingLimit)?;
    }
    Ok(())
}

fn limit_of<'a>(limits: &'a Limits, asset: &Asset) -> Option<&'a Limit> {
    limits.iter().flatten().find(|limit| limit.asset == *asset)
}
