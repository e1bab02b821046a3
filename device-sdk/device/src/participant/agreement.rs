//! What the application agrees to: a payment, an allowance, and the limit above both.
//!
//! Guarantees: what is agreed to can be used once; a payment or a step of an allowance that does not suffice is not
//! made up from the other. Does not: last beyond a restart.

use sluicegate_protocol::channel::{Amount, Asset, MAX_ASSETS};

use crate::Error;

/// What may leave of an asset, whatever is agreed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// The asset.
    pub asset: Asset,
    /// The largest deposit of the device in a channel.
    pub deposit: Amount,
    /// The most that leaves in the whole life of a channel. [`super::Book::spent`] is compared with it, which is
    /// durable and never falls; whoever wants a limit for a day raises this one each day.
    pub spending: Amount,
}

/// Payments that are agreed to beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The most that leaves with one signature.
    pub per_step: Amount,
    /// The most that leaves with all of them; what is left, when asked for.
    pub total: Amount,
}

/// The agreements for one channel.
#[derive(Debug, Clone, Default)]
pub(super) struct Agreed {
    payment: Option<(usize, Amount)>,
    allowances: [Option<Allowance>; MAX_ASSETS],
}

/// What falls of each asset.
pub(super) type Falls = [Amount; MAX_ASSETS];

impl Agreed {
    pub(super) fn pay(&mut self, asset: u8, amount: Amount) -> Result<(), Error> {
        if self.payment.is_some() {
            return Err(Error::Busy);
        }
        self.payment = Some((asset.into(), amount));
        Ok(())
    }

    pub(super) const fn cancel_payment(&mut self) {
        self.payment = None;
    }

    pub(super) fn allow(&mut self, asset: u8, allowance: Option<Allowance>) -> Result<(), Error> {
        let place = self.allowances.get_mut(usize::from(asset)).ok_or(Error::Full("assets"))?;
        *place = allowance;
        Ok(())
    }

    pub(super) fn allowance(&self, asset: usize) -> Option<Allowance> {
        self.allowances.get(asset).copied().flatten()
    }

    /// What is agreed to after a payment that takes this; `None` if it is not agreed to.
    pub(super) fn after_payment(&self, falls: &Falls) -> Option<Self> {
        let is_covered = |(asset, amount): &(usize, Amount)| {
            falls
                .iter()
                .enumerate()
                .all(|(at, fall)| fall.is_zero() || (at == *asset && fall <= amount))
        };
        if self.payment.as_ref().is_some_and(is_covered) {
            return Some(Self { payment: None, ..self.clone() });
        }
        self.after_step(falls)
    }

    /// What is agreed to after a step that takes this out of allowances; `None` if it is not agreed to.
    pub(super) fn after_step(&self, falls: &Falls) -> Option<Self> {
        let mut after = self.clone();
        for (fall, place) in falls.iter().zip(&mut after.allowances) {
            if fall.is_zero() {
                continue;
            }
            let allowance = place.as_mut().filter(|allowance| *fall <= allowance.per_step)?;
            allowance.total = allowance.total.checked_sub(*fall)?;
        }
        Some(after)
    }
}
