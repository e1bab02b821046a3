//! What the device keeps of a channel: the last state it signed, as far as the next one is judged by it.
//!
//! Guarantees: enough to tell every change of a later state. Does not: hold the state itself.

use core::array;

use sluicegate_protocol::channel::{
    Address, Allocation, Amount, ChannelId, MAX_ASSETS, PARTICIPANTS, Participant, State,
};

/// What was signed last in a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    pub(super) channel: ChannelId,
    /// The device's place among the participants.
    pub(super) own: u8,
    pub(super) participant: Participant,
    pub(super) version: u64,
    pub(super) hash: [u8; 32],
    pub(super) is_final: bool,
    pub(super) receiver: Address,
    /// Tells other assets.
    pub(super) assets: [u8; 32],
    /// Tells other assets or other locked funds.
    pub(super) locked: [u8; 32],
    /// One for each asset, in their order.
    pub(super) rows: [Option<Row>; MAX_ASSETS],
}

/// An asset in the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Row {
    pub(super) owned: Amount,
    /// All there is of it, locked funds included.
    pub(super) total: Amount,
    pub(super) spent: Amount,
}

impl Book {
    /// The channel.
    pub const fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// The version that was signed last.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The hash of the state that was signed last.
    pub const fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// Whether that was the last state of the channel.
    pub const fn is_final(&self) -> bool {
        self.is_final
    }

    /// Who is paid by the channel's withdrawals.
    pub const fn receiver(&self) -> &Address {
        &self.receiver
    }

    /// What the state that was signed last leaves the device of an asset, by its place.
    pub fn owned(&self, asset: u8) -> Option<Amount> {
        Some(self.row(asset.into())?.owned)
    }

    /// What has left the device of an asset since the channel opened, by its place.
    pub fn spent(&self, asset: u8) -> Option<Amount> {
        Some(self.row(asset.into())?.spent)
    }

    pub(super) fn row(&self, asset: usize) -> Option<Row> {
        self.rows.get(asset).copied().flatten()
    }
}

/// The device's balance of an asset in a state.
pub(super) fn owned(state: &State, own: u8, asset: usize) -> Amount {
    let row = state.outcome.balances.get(asset);
    row.and_then(|row| row.get(usize::from(own))).copied().unwrap_or_default()
}

/// The rows of a state in which nothing was spent yet; `None` if a sum does not fit.
pub(super) fn rows(state: &State, own: u8) -> Option<[Option<Row>; MAX_ASSETS]> {
    let mut rows = [None; MAX_ASSETS];
    for (asset, row) in rows.iter_mut().enumerate().take(state.outcome.assets.len()) {
        let total = state.total(asset).ok()?;
        *row = Some(Row { owned: owned(state, own, asset), total, spent: Amount::ZERO });
    }
    Some(rows)
}

/// What tells other assets, and what tells other assets or other locked funds: the hashes of states that have nothing
/// else in them.
pub(super) fn frames(state: &State) -> [[u8; 32]; 2] {
    let Allocation { assets, balances, locked } = &state.outcome;
    let mut frame = State::initial(state.channel, Allocation::default());
    frame.outcome.assets = assets.clone();
    frame.outcome.balances = balances.iter().map(|_| [Amount::ZERO; PARTICIPANTS]).collect();
    let only_assets = *frame.hash().as_bytes();
    if locked.is_empty() {
        return [only_assets; 2];
    }
    frame.outcome.locked = locked.clone();
    [only_assets, *frame.hash().as_bytes()]
}

/// What falls of each asset between the books and a state.
pub(super) fn falls(book: &Book, state: &State) -> [Amount; MAX_ASSETS] {
    array::from_fn(|asset| {
        let before = book.row(asset).unwrap_or_default().owned;
        before.checked_sub(owned(state, book.own, asset)).unwrap_or_default()
    })
}
