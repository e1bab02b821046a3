//! What the owner allows a channel to be, before anything of it is signed.
//!
//! Guarantees: what could trap funds is refused before version 0 is signed (P10 to P14, P17): unknown or doubled
//! assets, amounts that the ledger can't settle, equal participants, too short or too long a challenge. Does not:
//! limit payments; the key does.

use sluicegate_ledger::channels::ChannelAsset;
use sluicegate_protocol::channel::{Allocation, Amount};

/// What channels may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The ledger's assets and their bounds.
    pub assets: Vec<ChannelAsset>,
    /// The shortest challenge, in seconds.
    pub min_challenge_s: u64,
    /// The longest challenge, in seconds.
    pub max_challenge_s: u64,
    /// The least that a channel holds of its first asset: below, fees eat it.
    pub min_channel_value: Amount,
    /// The most that a device brings into one channel, of each asset.
    pub max_deposit: Amount,
}

impl Policy {
    /// Whether a channel with this first allocation is allowed; in words for the peer and the owner.
    pub fn check(
        &self,
        outcome: &Allocation,
        own: usize,
        challenge_duration: u64,
    ) -> Result<(), String> {
        outcome.check().map_err(|error| error.to_string())?;
        if !outcome.locked.is_empty() {
            return Err("a new channel locks nothing".into());
        }
        if !(self.min_challenge_s..=self.max_challenge_s).contains(&challenge_duration) {
            let (min, max) = (self.min_challenge_s, self.max_challenge_s);
            return Err(format!("a challenge lasts between {min} and {max} seconds here"));
        }
        for (place, row) in outcome.balances.iter().enumerate() {
            let asset = outcome.assets.get(place).ok_or("an asset is missing")?;
            self.check_asset(asset, row, own)?;
        }
        let value = outcome.total(0).map_err(|error| error.to_string())?;
        if value < self.min_channel_value {
            return Err(format!("a channel holds at least {} here", self.min_channel_value));
        }
        Ok(())
    }

    fn check_asset(
        &self,
        asset: &sluicegate_protocol::channel::Asset,
        row: &[Amount; 2],
        own: usize,
    ) -> Result<(), String> {
        let known = self.assets.iter().find(|known| known.asset == *asset);
        let known = known.ok_or("an asset that this ledger's channels don't hold")?;
        if row[own] > self.max_deposit {
            return Err(format!("at most {} is deposited here", self.max_deposit));
        }
        check_bounds(known, row)
    }

    /// Whether the ledger can settle these balances; every state is checked, not only the first (design §4).
    pub fn check_state(&self, outcome: &Allocation) -> Result<(), String> {
        for (asset, row) in outcome.assets.iter().zip(&outcome.balances) {
            let known = self.assets.iter().find(|known| known.asset == *asset);
            check_bounds(known.ok_or("an asset that this ledger's channels don't hold")?, row)?;
        }
        Ok(())
    }
}

fn check_bounds(asset: &ChannelAsset, row: &[Amount; 2]) -> Result<(), String> {
    let sum = Amount::checked_sum(*row).filter(|sum| *sum <= asset.max);
    if sum.is_none() {
        return Err(format!("more of an asset than the {} that a channel may hold", asset.max));
    }
    for amount in row {
        if !amount.is_multiple_of(asset.granularity) {
            return Err(format!("amounts are multiples of {} here", asset.granularity));
        }
        if !amount.is_zero() && *amount < asset.min_payout {
            return Err(format!("a part is nothing or at least {} here", asset.min_payout));
        }
    }
    Ok(())
}
