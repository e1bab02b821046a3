//! Limits at the key (I5): how much may leave it, per device, peer, asset and period.
//!
//! Guarantees: what leaves the key is the fall of its own balance from the state that it signed last, so what it
//! receives refills nothing; a period is one of ledger time, which a clock that is set does not restart. Does not:
//! spread a payment: it fits into the period or is refused. Two full limits can meet at the border of two periods.

use sluicegate_protocol::channel::{Amount, Asset};

use super::{LastSigned, Refused};
use crate::Record;

/// A limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// What the administrator calls it.
    pub name: String,
    /// For which device; all of the gateway together if none is named.
    pub device: Option<String>,
    /// Towards which peer; all together if none is named.
    pub peer: Option<String>,
    /// Of which asset.
    pub asset: Asset,
    /// How much may leave in one period.
    pub amount: Amount,
    /// The length of a period, in seconds of ledger time.
    pub period_s: u64,
}

/// What left in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Which period, counted from the Unix epoch.
    pub period: u64,
    /// How much.
    pub amount: Amount,
}

impl Limit {
    fn applies_to(&self, record: &Record) -> bool {
        self.device.as_ref().is_none_or(|device| *device == record.device)
            && self.peer.as_ref().is_none_or(|peer| *peer == record.peer)
    }

    /// The account after this much more, or why not. A period that ledger time fell back behind goes on.
    fn charge(
        &self,
        before: Option<Spent>,
        needed: Amount,
        ledger_s: u64,
    ) -> Result<Spent, Refused> {
        let period = ledger_s / self.period_s.max(1);
        let fresh = Spent { period, amount: Amount::ZERO };
        let spent = before.filter(|spent| spent.period >= period).unwrap_or(fresh);
        let sum = spent.amount.checked_add(needed).filter(|sum| *sum <= self.amount);
        let amount = sum.ok_or_else(|| {
            let left = self.amount.checked_sub(spent.amount).unwrap_or(Amount::ZERO);
            Refused::Limit { limit: self.name.clone(), left, needed }
        })?;
        Ok(Spent { amount, ..spent })
    }
}

/// Charges every limit with what leaves the key, or refuses for the first that does not bear it.
pub(super) fn charge(
    limits: &[Limit],
    spent: &[Option<Spent>],
    record: &Record,
    before: Option<&LastSigned>,
    next: &LastSigned,
    ledger_s: u64,
) -> Result<Vec<Option<Spent>>, Refused> {
    let account = |(place, limit): (usize, &Limit)| {
        let so_far = spent.get(place).copied().flatten();
        match fall(limit, record, before, next) {
            Some(needed) if !needed.is_zero() => limit.charge(so_far, needed, ledger_s).map(Some),
            _ => Ok(so_far),
        }
    };
    limits.iter().enumerate().map(account).collect()
}

/// How much of the limit's asset leaves the key: none with the first state, which only locks what is ours.
fn fall(
    limit: &Limit,
    record: &Record,
    before: Option<&LastSigned>,
    next: &LastSigned,
) -> Option<Amount> {
    if !limit.applies_to(record) {
        return None;
    }
    let state = record.state().or(record.pending.as_ref().map(|pending| &pending.state))?;
    let place = state.outcome.assets.iter().position(|asset| *asset == limit.asset)?;
    let (owned_before, owned) = (before?.owned.get(place)?, next.owned.get(place)?);
    Some(owned_before.checked_sub(*owned).unwrap_or(Amount::ZERO))
}
