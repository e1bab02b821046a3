//! The ledger's money: what accounts have, what lies in channels, and how it moves between them.
//!
//! Guarantees: no unit is made or lost: what accounts have, what lies in channels and the fees paid add up to the
//! grants. What Perun's asset holders lose comes back to the account that paid it: when a channel is settled, deposits
//! for somebody who is no participant, and a surplus over the outcome. The ledger does not know what was agreed, so a
//! surplus goes back newest deposit first: who pays once more than agreed, or after all was there, has it back.
//! A deposit into a settled channel is refused. Underfunded channels are settled as in the contracts: each
//! participant has its own deposits. Does not: judge disputes; [`crate::adjudicator`] does.
//!
//! An account is paid by its [payout address](crate::asset), before it is ever used too: what it has is its grant and
//! all that was paid to the address, without what it spent.

use sluicegate_ledger::{Deposit, Movement, Withdrawal};
use sluicegate_protocol::channel::{Address, Amount, Asset, ChannelId, FundingId, PARTICIPANTS};

use crate::{
    adjudicator::{Outcome, Refusal},
    asset::payout_address,
    undo::Undo,
};

/// An account's Ed25519 key.
type Account = [u8; 32];

/// A deposit until its channel is settled.
#[derive(Debug, Clone, Copy)]
struct Paid {
    funding: FundingId,
    account: Account,
    amount: u128,
}

/// What is known of a channel's money.
#[derive(Debug, Clone, Copy, Default)]
struct Pot {
    /// How many deposits there were.
    deposits: u64,
    settled: bool,
}

#[derive(Debug)]
pub(crate) struct Holdings {
    grant: u64,
    native: Asset,
    pots: Undo<ChannelId, Pot>,
    /// Numbered within their channel.
    deposits: Undo<(ChannelId, u64), Paid>,
    parts: Undo<FundingId, u128>,
    /// All that was ever paid to an address.
    credits: Undo<Address, u128>,
    /// All that an account ever paid.
    spent: Undo<Account, u128>,
}

/// A position of all maps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark([u64; 5]);

impl Holdings {
    pub(crate) fn new(grant: u64, native: Asset) -> Self {
        Self {
            grant,
            native,
            pots: Undo::default(),
            deposits: Undo::default(),
            parts: Undo::default(),
            credits: Undo::default(),
            spent: Undo::default(),
        }
    }

    pub(crate) const fn native(&self) -> &Asset {
        &self.native
    }

    /// What an account has.
    pub(crate) fn balance(&self, account: &Account) -> u128 {
        let paid = self.credits.get(&payout_address(account)).copied().unwrap_or_default();
        let spent = self.spent.get(account).copied().unwrap_or_default();
        u128::from(self.grant).saturating_add(paid).saturating_sub(spent)
    }

    /// What lies there for a participant.
    pub(crate) fn part(&self, funding: &FundingId) -> u128 {
        self.parts.get(funding).copied().unwrap_or_default()
    }

    pub(crate) fn is_settled(&self, channel: &ChannelId) -> bool {
        self.pots.get(channel).is_some_and(|pot| pot.settled)
    }

    /// Takes money from an account, if it has that much.
    pub(crate) fn spend(&mut self, account: &Account, amount: u128) -> Result<(), Refusal> {
        if amount > self.balance(account) {
            return Err(Refusal::InsufficientFunds);
        }
        let spent = self.spent.get(account).copied().unwrap_or_default();
        self.spent.put(*account, Some(add(spent, amount)?));
        Ok(())
    }

    /// Moves money from an account into a channel that is not settled.
    pub(crate) fn deposit(
        &mut self,
        account: &Account,
        deposit: &Deposit,
    ) -> Result<Movement, Refusal> {
        self.check_asset(&deposit.asset)?;
        let amount = native_amount(deposit.amount)?;
        let pot = self.pots.get(&deposit.channel).copied().unwrap_or_default();
        if pot.settled {
            return Err(Refusal::Settled);
        }
        self.spend(account, amount)?;
        let funding = deposit.funding();
        self.parts.put(funding, Some(add(self.part(&funding), amount)?));
        let paid = Paid { funding, account: *account, amount };
        self.deposits.put((deposit.channel, pot.deposits), Some(paid));
        let deposits = pot.deposits.saturating_add(1);
        self.pots.put(deposit.channel, Some(Pot { deposits, ..pot }));
        Ok(Movement { funding, asset: deposit.asset.clone(), amount: deposit.amount })
    }

    /// Fixes what the participants of a channel own: the outcome if that much was deposited, else their own deposits.
    pub(crate) fn settle(&mut self, outcome: &Outcome) -> Result<(), Refusal> {
        let channel = outcome.channel;
        if self.is_settled(&channel) {
            return Err(Refusal::Settled);
        }
        let mut deposits = self.take_deposits(&channel);
        let is_part = |paid: &Paid| outcome.parts.iter().any(|(part, _)| *part == paid.funding);
        for stranger in deposits.extract_if(.., |paid| !is_part(paid)) {
            self.give_back(&stranger, stranger.amount)?;
        }
        if let Some(surplus) = surplus(&deposits, outcome) {
            self.give_surplus_back(&deposits, surplus)?;
            for (part, amount) in native_parts(outcome).into_iter().flatten() {
                self.parts.put(part, Some(amount).filter(|amount| *amount > 0));
            }
        }
        let pot = self.pots.get(&channel).copied().unwrap_or_default();
        self.pots.put(channel, Some(Pot { settled: true, ..pot }));
        Ok(())
    }

    /// Pays out of a settled channel, whoever carries the authorisation to the ledger.
    pub(crate) fn withdraw(&mut self, withdrawal: &Withdrawal) -> Result<Movement, Refusal> {
        let Withdrawal { authorisation, asset, signature } = withdrawal;
        self.check_asset(asset)?;
        if !self.is_settled(&authorisation.channel) {
            return Err(Refusal::NotSettled);
        }
        signature.verify_withdrawal(authorisation)?;
        let funding = FundingId::of(&authorisation.channel, &authorisation.participant.address);
        let amount = native_amount(authorisation.amount)?;
        let left = self.part(&funding).checked_sub(amount).ok_or(Refusal::InsufficientFunds)?;
        self.parts.put(funding, Some(left).filter(|left| *left > 0));
        self.credit(authorisation.receiver, amount)?;
        Ok(Movement { funding, asset: asset.clone(), amount: authorisation.amount })
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark([
            self.pots.position(),
            self.deposits.position(),
            self.parts.position(),
            self.credits.position(),
            self.spent.position(),
        ])
    }

    /// Takes back everything since the mark.
    pub(crate) fn rewind(&mut self, Mark([pots, deposits, parts, credits, spent]): Mark) {
        self.pots.rewind(pots);
        self.deposits.rewind(deposits);
        self.parts.rewind(parts);
        self.credits.rewind(credits);
        self.spent.rewind(spent);
    }

    /// Makes everything before the mark stay.
    pub(crate) fn forget(&mut self, Mark([pots, deposits, parts, credits, spent]): Mark) {
        self.pots.forget(pots);
        self.deposits.forget(deposits);
        self.parts.forget(parts);
        self.credits.forget(credits);
        self.spent.forget(spent);
    }

    fn check_asset(&self, asset: &Asset) -> Result<(), Refusal> {
        if *asset == self.native { Ok(()) } else { Err(Refusal::UnknownAsset) }
    }

    /// The deposits of a channel, oldest first; they are needed no more.
    fn take_deposits(&mut self, channel: &ChannelId) -> Vec<Paid> {
        let range = (*channel, 0)..=(*channel, u64::MAX);
        let found: Vec<_> = self.deposits.map().range(range).map(|(k, paid)| (*k, *paid)).collect();
        found.iter().for_each(|(key, _)| self.deposits.put(*key, None));
        found.into_iter().map(|(_, paid)| paid).collect()
    }

    fn give_surplus_back(&mut self, deposits: &[Paid], mut surplus: u128) -> Result<(), Refusal> {
        for paid in deposits.iter().rev() {
            let back = paid.amount.min(surplus);
            self.give_back(paid, back)?;
            surplus -= back;
        }
        Ok(())
    }

    fn give_back(&mut self, paid: &Paid, amount: u128) -> Result<(), Refusal> {
        if amount == 0 {
            return Ok(());
        }
        let left = self.part(&paid.funding).checked_sub(amount);
        let left = left.ok_or(Refusal::InsufficientFunds)?;
        self.parts.put(paid.funding, Some(left).filter(|left| *left > 0));
        self.credit(payout_address(&paid.account), amount)
    }

    fn credit(&mut self, address: Address, amount: u128) -> Result<(), Refusal> {
        let paid = self.credits.get(&address).copied().unwrap_or_default();
        self.credits.put(address, Some(add(paid, amount)?));
        Ok(())
    }
}

/// What was deposited beyond the outcome; none if that much was not deposited.
fn surplus(deposits: &[Paid], outcome: &Outcome) -> Option<u128> {
    let deposited = deposits.iter().try_fold(0u128, |sum, paid| sum.checked_add(paid.amount))?;
    let parts = native_parts(outcome)?;
    let wanted = parts.iter().try_fold(0u128, |sum, (_, amount)| sum.checked_add(*amount))?;
    deposited.checked_sub(wanted)
}

/// The outcome in numbers that this ledger can hold.
fn native_parts(outcome: &Outcome) -> Option<[(FundingId, u128); PARTICIPANTS]> {
    let [(first, one), (second, two)] = outcome.parts;
    Some([(first, u128::try_from(one).ok()?), (second, u128::try_from(two).ok()?)])
}

/// An amount that is worth moving, and that can be there at all.
fn native_amount(amount: Amount) -> Result<u128, Refusal> {
    if amount.is_zero() {
        return Err(Refusal::Nothing);
    }
    u128::try_from(amount).map_err(|_| Refusal::InsufficientFunds)
}

fn add(sum: u128, amount: u128) -> Result<u128, Refusal> {
    sum.checked_add(amount).ok_or(Refusal::InsufficientFunds)
}
