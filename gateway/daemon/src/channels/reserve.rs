//! No reserve, no channel (design §4): what the account must hold before a channel begins.
//!
//! Guarantees: a channel is neither proposed nor accepted unless the account holds the fees of its dispute, those of all
//! channels that are not over or are proposed, and what is still to be deposited into them; the error says how much to
//! fund. A peer is told nothing of what the account holds. Does not: set anything aside; the anchorer does, when the
//! channel has begun.

use sluicegate_channels::{Opening, Phase, record::Record};
use sluicegate_protocol::channel::Amount;

use super::Channels;

impl Channels {
    /// Whether the account can bear one more channel with this deposit of ours; else in words for the owner.
    pub(super) fn check_reserve(&self, deposit: Amount) -> Result<(), String> {
        if self.plan.fee_reserve == 0 {
            return Ok(());
        }
        let held = self.balance.ok_or("the ledger has not said yet what the account holds")?;
        let open = self.node.records().filter(|record| !record.phase.is_over());
        let proposed = || self.node.openings().filter(|opening| opening.is_ours);
        let count = open.count().saturating_add(proposed().count());
        let channels = u128::try_from(count).unwrap_or(u128::MAX).saturating_add(1);
        let fees = self.plan.fee_reserve.saturating_mul(channels);
        let deposits = self.node.records().map(to_deposit).chain(proposed().map(brings));
        let under_way = deposits.fold(0, u128::saturating_add);
        let needed = fees.saturating_add(under_way).saturating_add(units(deposit));
        if held >= needed {
            return Ok(());
        }
        let lacking = needed - held;
        Err(format!(
            "the account holds {held}, and fees of disputes and deposits need {needed} with this channel: fund it with \
             {lacking} more"
        ))
    }
}

/// What of ours is still to go into a channel.
fn to_deposit(record: &Record) -> u128 {
    if !matches!(record.phase, Phase::Exchanging | Phase::Funding) || record.has_deposited() {
        return 0;
    }
    let state = record.state().or(record.pending.as_ref().map(|pending| &pending.state));
    let row = state.and_then(|state| state.outcome.balances.first());
    row.map_or(0, |row| units(row[record.own]))
}

/// What a proposal of ours brings.
fn brings(opening: &Opening) -> u128 {
    let row = opening.outcome.balances.first();
    row.map_or(0, |row| units(row[opening.place()]))
}

fn units(amount: Amount) -> u128 {
    u128::try_from(amount).unwrap_or(u128::MAX)
}
