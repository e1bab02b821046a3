//! Whether one state may follow another, apart from what the app says.
//!
//! Guarantees: one error for each rule; what the hash commits to is compared, also backends and index maps, which
//! go-perun does not compare. Does not: know the app, its data or who proposes; both are the caller's.

use super::{Rule, State};
use crate::Error;

/// Which versions may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Versions {
    /// The next one only, as go-perun and the contracts' `progress` want it.
    Next,
    /// Every greater one, as the contracts' `register` takes it.
    Greater,
}

impl State {
    /// Whether this state may follow `previous`: the balances may move, nothing else.
    pub fn successor_of(&self, previous: &Self, versions: Versions) -> Result<(), Error> {
        self.relocking_successor_of(previous, versions)?;
        if self.outcome.locked != previous.outcome.locked {
            return Err(Rule::LockedChanged.into());
        }
        Ok(())
    }

    /// Whether this state may follow `previous` and lock or free funds: sums include what is locked.
    pub fn relocking_successor_of(&self, previous: &Self, versions: Versions) -> Result<(), Error> {
        self.outcome.check()?;
        if self.channel != previous.channel {
            return Err(Rule::OtherChannel.into());
        }
        if previous.is_final {
            return Err(Rule::AfterFinal.into());
        }
        versions.check(previous.version, self.version)?;
        if self.outcome.assets != previous.outcome.assets {
            return Err(Rule::AssetsChanged.into());
        }
        for asset in 0..self.outcome.assets.len() {
            if self.total(asset)? != previous.total(asset)? {
                return Err(Rule::SumChanged { asset }.into());
            }
        }
        Ok(())
    }
}

impl Versions {
    fn check(self, previous: u64, version: u64) -> Result<(), Rule> {
        if version <= previous {
            return Err(Rule::VersionNotGreater);
        }
        if self == Self::Next && version - previous != 1 {
            return Err(Rule::VersionGap);
        }
        Ok(())
    }
}
