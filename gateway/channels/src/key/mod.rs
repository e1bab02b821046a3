//! The key of a represented device: what it may sign, and the signature.
//!
//! Guarantees: one version, one state (I2): a version is signed again only as the same bytes, no smaller version is
//! signed ever, and nothing after a final state. A limit is checked before anything is signed (I5). What a signature
//! commits to comes with it as records, to be durable before the signature is used (I1). Does not: store anything, or
//! judge the content of an update; [`crate::classify`] does.

mod derive;
mod limit;

use sluicegate_protocol::channel::{Amount, SigningKey, State};

pub use derive::device_key;
pub use limit::{Limit, Spent};

use crate::record::{OwnSignature, Record};

/// The newest state of a channel that the key has signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSigned {
    /// Its version.
    pub version: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// Whether it is final.
    pub is_final: bool,
    /// What it leaves us of each asset.
    pub owned: Vec<Amount>,
}

/// What is durable of a key, for one channel and for all limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Books {
    /// The newest state of the channel that was signed.
    pub last: Option<LastSigned>,
    /// What was spent of each limit, in the order of the limits.
    pub spent: Vec<Option<Spent>>,
}

/// A signature, and the books with it. The books are durable before the signature leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// The signature with its authorisations.
    pub own: OwnSignature,
    /// The books from now on.
    pub books: Books,
}

/// Why the key does not sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A final state was signed; nothing follows it.
    #[error("a final state was signed before; nothing else is signed in this channel")]
    AfterFinal,
    /// Another state with this version was signed.
    #[error("another state with version {0} was signed before")]
    Equivocation(u64),
    /// The state is not one of the channel, or not for this key.
    #[error("{0}")]
    Foreign(sluicegate_protocol::Error),
    /// The limit is used up.
    #[error("the limit {limit} leaves {left}; the payment needs {needed}")]
    Limit {
        /// Its name.
        limit: String,
        /// What is left of it in this period.
        left: Amount,
        /// What the payment takes.
        needed: Amount,
    },
    /// A greater version was signed.
    #[error("version {signed} was signed before, so version {asked} is not")]
    Older {
        /// What was signed.
        signed: u64,
        /// What was asked for.
        asked: u64,
    },
}

/// Signs a state of a channel and the withdrawals that it allows, if nothing forbids it.
pub fn sign(
    key: &SigningKey,
    record: &Record,
    state: &State,
    limits: &[Limit],
    books: &Books,
    ledger_s: u64,
) -> Result<Signing, Refused> {
    state.check(&record.params).map_err(Refused::Foreign)?;
    let last = follows(books.last.as_ref(), state, record.own)?;
    let spent = match &books.last {
        Some(before) if *before == last => books.spent.clone(),
        before => limit::charge(limits, &books.spent, record, before.as_ref(), &last, ledger_s)?,
    };
    let own = signature(key, record, state).map_err(Refused::Foreign)?;
    Ok(Signing { own, books: Books { last: Some(last), spent } })
}

/// Whether a state may be signed after what was signed before.
fn follows(last: Option<&LastSigned>, state: &State, own: usize) -> Result<LastSigned, Refused> {
    let next = LastSigned {
        version: state.version,
        hash: *state.hash().as_bytes(),
        is_final: state.is_final,
        owned: state.outcome.balances.iter().map(|row| row[own]).collect(),
    };
    match last {
        Some(last) if *last == next => {}
        Some(last) if last.version == next.version => {
            return Err(Refused::Equivocation(next.version));
        }
        Some(last) if last.is_final => return Err(Refused::AfterFinal),
        Some(last) if last.version > next.version => {
            return Err(Refused::Older { signed: last.version, asked: next.version });
        }
        _ => {}
    }
    Ok(next)
}

fn signature(
    key: &SigningKey,
    record: &Record,
    state: &State,
) -> Result<OwnSignature, sluicegate_protocol::Error> {
    let withdrawal = |amount: Amount| {
        let is_worth = !amount.is_zero();
        is_worth.then(|| key.sign_withdrawal(&record.withdrawal(amount))).transpose()
    };
    let balances = state.outcome.balances.iter().map(|row| row[record.own]);
    let withdrawals = balances.map(withdrawal).collect::<Result<_, _>>()?;
    Ok(OwnSignature { state: key.sign_state(state)?, withdrawals })
}
