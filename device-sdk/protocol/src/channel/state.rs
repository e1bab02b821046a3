//! What changes in a channel: one state for each version, with who owns how much of each asset.
//!
//! Guarantees: a state that passes [`State::check`] can be registered, concluded and paid out by the contracts, as far
//! as the state itself decides that. Does not: say whether it may follow another, see [`State::successor_of`], or
//! whether an asset's contract is one to trust.

use heapless::Vec;

use super::{
    Address, Amount, ChannelId, ETHEREUM, MAX_ASSETS, MAX_CC, MAX_DATA, MAX_LOCKED, PARTICIPANTS,
    Params, Rule, StateHash, abi,
};
use crate::Error;

/// What is owned in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asset {
    /// An asset of Ethereum, or of a chain that runs its contracts.
    Ethereum {
        /// The chain's number (EIP-155).
        chain_id: Amount,
        /// The contract that holds the deposits.
        holder: Address,
    },
    /// An asset of another backend.
    Other {
        /// The backend, in go-perun's numbers; not [`ETHEREUM`].
        backend: u32,
        /// The asset as that backend marshals it.
        id: Vec<u8, MAX_CC>,
    },
}

impl Asset {
    /// An asset of Ethereum, by its chain and the contract that holds it.
    pub fn ethereum(chain_id: impl Into<Amount>, holder: Address) -> Self {
        Self::Ethereum { chain_id: chain_id.into(), holder }
    }

    /// An asset of another backend.
    pub fn other(backend: u32, id: &[u8]) -> Result<Self, Error> {
        let id = Vec::from_slice(id)
            .map_err(|_| Rule::Capacity { what: "bytes of an asset", limit: MAX_CC })?;
        let asset = Self::Other { backend, id };
        asset.check()?;
        Ok(asset)
    }

    /// Its backend, in go-perun's numbers.
    pub const fn backend(&self) -> u32 {
        match self {
            Self::Ethereum { .. } => ETHEREUM,
            Self::Other { backend, .. } => *backend,
        }
    }

    pub(super) fn check(&self) -> Result<(), Rule> {
        match self {
            Self::Other { backend, id } if *backend == ETHEREUM || id.is_empty() => {
                Err(Rule::AssetForm)
            }
            _ => Ok(()),
        }
    }
}

/// Funds of a channel that another channel uses meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SubAlloc {
    /// The channel that uses them.
    pub id: ChannelId,
    /// How much of each asset.
    pub balances: Vec<Amount, MAX_ASSETS>,
    /// For each participant of that channel, the place here of who receives its part; always in full.
    pub index_map: [u16; PARTICIPANTS],
}

impl SubAlloc {
    /// The index map of a channel with the same participants in the same order.
    pub const IDENTITY: [u16; PARTICIPANTS] = [0, 1];

    /// The index map in full, as it is signed: none is [`Self::IDENTITY`], a short one is filled with zeros.
    pub fn expand(index_map: &[u16]) -> Result<[u16; PARTICIPANTS], Error> {
        match *index_map {
            [] => Ok(Self::IDENTITY),
            [first] => Ok([first, 0]),
            [first, second] => Ok([first, second]),
            _ => Err(Rule::IndexMap.into()),
        }
    }

    fn check(&self, assets: usize) -> Result<(), Rule> {
        let balances = self.balances.len();
        if balances != assets {
            return Err(Rule::LockedBalances { balances, assets });
        }
        if self.index_map.iter().any(|place| usize::from(*place) >= PARTICIPANTS) {
            return Err(Rule::IndexMap);
        }
        Ok(())
    }
}

/// Who owns how much of each asset.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Allocation {
    /// The assets; each only once.
    pub assets: Vec<Asset, MAX_ASSETS>,
    /// For each asset, what each participant owns of it, locked funds excluded.
    pub balances: Vec<[Amount; PARTICIPANTS], MAX_ASSETS>,
    /// What other channels use meanwhile.
    pub locked: Vec<SubAlloc, MAX_LOCKED>,
}

impl Allocation {
    /// An allocation of these assets, each with its balances, and no locked funds.
    pub fn new(rows: &[(Asset, [Amount; PARTICIPANTS])]) -> Result<Self, Error> {
        let mut allocation = Self::default();
        let full = |()| Rule::Capacity { what: "assets", limit: MAX_ASSETS };
        for (asset, balances) in rows {
            allocation.assets.push(asset.clone()).map_err(|_| full(()))?;
            allocation.balances.push(*balances).map_err(|_| full(()))?;
        }
        allocation.check()?;
        Ok(allocation)
    }

    /// Whether ledgers can settle it: every row there, no asset twice, no sum of 2^256 or more.
    pub fn check(&self) -> Result<(), Error> {
        let (assets, balances) = (self.assets.len(), self.balances.len());
        if assets == 0 {
            return Err(Rule::NoAsset.into());
        }
        if balances != assets {
            return Err(Rule::BalanceRows { balances, assets }.into());
        }
        self.assets.iter().try_for_each(Asset::check)?;
        self.locked.iter().try_for_each(|locked| locked.check(assets))?;
        if has_twice(&self.assets, |a, b| a == b) {
            return Err(Rule::SameAsset.into());
        }
        if has_twice(&self.locked, |a, b| a.id == b.id) {
            return Err(Rule::SameLocked.into());
        }
        (0..assets).try_for_each(|asset| self.total(asset).map(drop))
    }

    /// All there is of an asset, by its place: both balances and the locked funds.
    pub fn total(&self, asset: usize) -> Result<Amount, Error> {
        let owned = self.balances.get(asset).into_iter().flatten();
        let locked = self.locked.iter().filter_map(|locked| locked.balances.get(asset));
        Ok(Amount::checked_sum(owned.chain(locked).copied()).ok_or(Rule::AmountTooLarge)?)
    }
}

/// One version of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The channel.
    pub channel: ChannelId,
    /// Counts the states of the channel, from 0.
    pub version: u64,
    /// Who owns what.
    pub outcome: Allocation,
    /// What the app keeps; empty without an app.
    pub data: Vec<u8, MAX_DATA>,
    /// Whether no state follows, so that it can be concluded at once.
    pub is_final: bool,
}

impl State {
    /// The first state of a channel without an app.
    pub const fn initial(channel: ChannelId, outcome: Allocation) -> Self {
        Self { channel, version: 0, outcome, data: Vec::new(), is_final: false }
    }

    /// What is signed of it: the Keccak-256 hash of the state in Ethereum's ABI.
    pub fn hash(&self) -> StateHash {
        StateHash::new(abi::hash(self))
    }

    /// All there is of an asset, by its place: both balances and the locked funds.
    pub fn total(&self, asset: usize) -> Result<Amount, Error> {
        self.outcome.total(asset)
    }

    /// Whether ledgers can settle it as a state of the channel with these parameters.
    pub fn check(&self, params: &Params) -> Result<(), Error> {
        self.outcome.check()?;
        if self.channel != params.id() {
            return Err(Rule::OtherChannel.into());
        }
        if !params.has_app() && !self.data.is_empty() {
            return Err(Rule::DataWithoutApp.into());
        }
        if params.kind.is_virtual() && !self.outcome.locked.is_empty() {
            return Err(Rule::VirtualLocked.into());
        }
        Ok(())
    }
}

fn has_twice<T>(items: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    items.iter().enumerate().any(|(at, item)| items[..at].iter().any(|before| same(before, item)))
}
