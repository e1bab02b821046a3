//! What transactions change beside nonces: money and channels, with the way back.
//!
//! Guarantees: a request that is refused changes nothing; [`Books::rewind`] undoes blocks exactly. Does not: check
//! nonces or the signature of a transaction; the rules of channels are in [`crate::adjudicator`], those of money in
//! [`crate::holdings`].

use sluicegate_ledger::{AccountId, Dispute, EventKind, Phase, Request};
use sluicegate_protocol::channel::{Amount, Asset, ChannelId, FundingId};

use crate::{
    adjudicator::{Adjudicator, Changes, Refusal},
    holdings::{Holdings, Mark as Money},
    undo::Undo,
};

#[derive(Debug)]
pub(crate) struct Books {
    holdings: Holdings,
    disputes: Undo<ChannelId, Dispute>,
}

/// How the books stand at one point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(Money, u64);

impl Books {
    pub(crate) fn new(grant: u64, native: Asset) -> Self {
        Self { holdings: Holdings::new(grant, native), disputes: Undo::default() }
    }

    pub(crate) fn balance(&self, account: &[u8; 32]) -> u128 {
        self.holdings.balance(account)
    }

    pub(crate) fn part(&self, funding: &FundingId) -> Amount {
        self.holdings.part(funding).into()
    }

    pub(crate) fn is_settled(&self, channel: &ChannelId) -> bool {
        self.holdings.is_settled(channel)
    }

    pub(crate) fn dispute(&self, channel: &ChannelId) -> Option<&Dispute> {
        self.disputes.get(channel)
    }

    /// The first moment after `now` at which a challenge ends, in ledger seconds.
    pub(crate) fn next_deadline(&self, now: u64) -> Option<u64> {
        let open = self.disputes.map().values().filter(|known| known.phase != Phase::Concluded);
        open.flat_map(|known| [known.timeout, known.ends_at()]).filter(|end| *end > now).min()
    }

    /// Takes the fee; an account that has less can't be in a block.
    pub(crate) fn charge(&mut self, account: &[u8; 32], fee: u64) -> Result<(), Refusal> {
        self.holdings.spend(account, fee.into())
    }

    /// Does what is asked for in a block of this time, and gives its events in order.
    pub(crate) fn execute(
        &mut self,
        account: &[u8; 32],
        request: &Request,
        now: u64,
    ) -> Result<Vec<EventKind>, Refusal> {
        let before = self.mark();
        let done = self.try_execute(account, request, now);
        if done.is_err() {
            self.rewind(before);
        }
        done
    }

    /// Whether the request would have an effect in a block of this time.
    pub(crate) fn check(
        &mut self,
        account: &[u8; 32],
        request: &Request,
        now: u64,
    ) -> Result<(), Refusal> {
        let before = self.mark();
        let done = self.try_execute(account, request, now);
        self.rewind(before);
        done.map(|_| ())
    }

    fn try_execute(
        &mut self,
        account: &[u8; 32],
        request: &Request,
        now: u64,
    ) -> Result<Vec<EventKind>, Refusal> {
        let court = Adjudicator::new(self.disputes.map(), self.holdings.native(), now);
        let changes = match request {
            Request::Anchor(digest) => {
                let account = AccountId(account.to_vec());
                return Ok(vec![EventKind::Anchored { digest: *digest, account }]);
            }
            Request::Deposit(deposit) => {
                let paid = self.holdings.deposit(account, deposit)?;
                return Ok(vec![EventKind::Deposited(Box::new(paid))]);
            }
            Request::Withdraw(withdrawal) => {
                let paid = Box::new(self.holdings.withdraw(withdrawal)?);
                let receiver = withdrawal.authorisation.receiver;
                return Ok(vec![EventKind::Withdrawn { paid, receiver }]);
            }
            Request::Progress(_) => return Err(Refusal::NoApps),
            Request::Register(registration) => court.register(registration)?,
            Request::Conclude(conclusion) => court.conclude(conclusion)?,
            Request::ConcludeFinal(claim) => court.conclude_final(claim)?,
        };
        self.change(changes)
    }

    fn change(&mut self, changes: Changes) -> Result<Vec<EventKind>, Refusal> {
        if let Some(outcome) = &changes.outcome {
            self.holdings.settle(outcome)?;
        }
        let events = changes.disputes.iter().map(|(channel, dispute)| event(*channel, dispute));
        let events = events.collect();
        for (channel, dispute) in changes.disputes {
            self.disputes.put(channel, Some(dispute));
        }
        Ok(events)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.holdings.mark(), self.disputes.position())
    }

    /// Takes back everything since the mark.
    pub(crate) fn rewind(&mut self, Mark(money, disputes): Mark) {
        self.holdings.rewind(money);
        self.disputes.rewind(disputes);
    }

    /// Makes everything before the mark stay.
    pub(crate) fn forget(&mut self, Mark(money, disputes): Mark) {
        self.holdings.forget(money);
        self.disputes.forget(disputes);
    }
}

fn event(channel: ChannelId, dispute: &Dispute) -> EventKind {
    let Dispute { version, timeout, phase, ref signed, .. } = *dispute;
    match phase {
        Phase::Dispute => {
            EventKind::Registered { channel, version, timeout, signed: signed.clone() }
        }
        Phase::ForceExecution => EventKind::Progressed { channel, version, timeout },
        Phase::Concluded => EventKind::Concluded { channel, version },
    }
}
