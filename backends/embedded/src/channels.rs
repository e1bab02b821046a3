//! Payment channels on the ledger: what it takes, and what can be read.
//!
//! Guarantees: only the ledger's own money is ever asked for; of another asset nothing lies here. Does not: verify what
//! it reads: the ledger's key signs heads, not channels.

use sluicegate_ledger::{
    Asset as Named, ChannelAsset, Channels, Deposit, Dispute, Error, Landed, Payout, Reply,
    Request, Terms,
};
use sluicegate_protocol::channel::{Amount, Asset, ChannelId, FundingId};

use crate::{
    asset::{native_asset, payout_address},
    client::{Backend, Transport, UNFIT},
    wire::{Answer, Question},
};

/// What the ledger of this name takes, and where it pays the account. A balance of an account has 64 bits.
pub(crate) fn terms(name: &str, money: Named, account: &[u8; 32]) -> Terms {
    let asset = ChannelAsset {
        asset: native_asset(name),
        name: money,
        granularity: Amount::from(1u64),
        max: Amount::from(u64::MAX),
        min_payout: Amount::from(1u64),
    };
    let payout = Payout { receiver: payout_address(account), cc: None };
    Terms { apps: false, assets: vec![asset], payout }
}

impl<T: Transport> Backend<T> {
    /// Where a request had its effect last; a deposit only once all of it lies there.
    pub(crate) async fn done(&self, request: &Request) -> Result<Option<Landed>, Error> {
        if let Request::Deposit(deposit) = request
            && !self.is_funded(deposit).await?
        {
            return Ok(None);
        }
        match self.ask(Question::Landed(request.key())).await? {
            Answer::Landed(landed) => Ok(landed),
            _ => Err(UNFIT),
        }
    }

    async fn is_funded(&self, deposit: &Deposit) -> Result<bool, Error> {
        Ok(self.holdings(&deposit.funding(), &deposit.asset).await? >= deposit.amount)
    }

    fn is_native(&self, asset: &Asset) -> bool {
        self.terms().assets.iter().any(|known| known.asset == *asset)
    }
}

impl<T: Transport> Channels for Backend<T> {
    fn terms(&self) -> &Terms {
        &self.terms
    }

    fn dispute<'a>(&'a self, channel: &'a ChannelId) -> Reply<'a, Option<Dispute>> {
        Box::pin(async move {
            match self.ask(Question::Dispute(*channel)).await? {
                Answer::Dispute(dispute) => Ok(dispute.map(|dispute| *dispute)),
                _ => Err(UNFIT),
            }
        })
    }

    fn holdings<'a>(&'a self, funding: &'a FundingId, asset: &'a Asset) -> Reply<'a, Amount> {
        Box::pin(async move {
            if !self.is_native(asset) {
                return Ok(Amount::ZERO);
            }
            match self.ask(Question::Holdings(*funding)).await? {
                Answer::Holdings(amount) => Ok(amount),
                _ => Err(UNFIT),
            }
        })
    }

    fn is_settled<'a>(&'a self, channel: &'a ChannelId, asset: &'a Asset) -> Reply<'a, bool> {
        Box::pin(async move {
            if !self.is_native(asset) {
                return Ok(false);
            }
            match self.ask(Question::Settled(*channel)).await? {
                Answer::Settled(is_settled) => Ok(is_settled),
                _ => Err(UNFIT),
            }
        })
    }
}
