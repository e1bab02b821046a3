//! What must hold in every history.
//!
//! Guarantees, seen from outside: one version, one state, and nothing after a final one (I2); a signature that left was
//! durable before (I1); at the end each side has deposited once and withdrawn what the newest state that both signed
//! gives it (I3); among honest gateways nobody disputes. Does not: look into a node.

use std::collections::BTreeMap;

use sluicegate_channels::{
    Phase, Record,
    effect::Notice,
    wire::{Codec, Message},
};
use sluicegate_ledger::{Cursor, EventKind, Finality};
use sluicegate_protocol::channel::{Amount, ChannelId, FundingId, State};

use crate::{
    gateway::{Disk, Gateway, NAMES},
    ledger::Ledger,
};

/// What was seen.
#[derive(Debug, Default)]
pub struct Check {
    /// For each side, channel and version: the hash that was signed.
    signed: [BTreeMap<(ChannelId, u64), [u8; 32]>; 2],
    /// For each side and channel: the version of the final state that was signed.
    last: [BTreeMap<ChannelId, u64>; 2],
    disputes_are_expected: bool,
    restored: [bool; 2],
    failure: Option<String>,
}

impl Check {
    /// From here on a dispute is explained.
    pub const fn expect_disputes(&mut self) {
        self.disputes_are_expected = true;
    }

    /// This side goes on from a backup: it may have forgotten newer states.
    pub const fn restored(&mut self, side: usize) {
        self.restored[side] = true;
    }

    /// Something that must not be.
    pub fn fail(&mut self, what: String) {
        self.failure.get_or_insert(what);
    }

    /// What failed, if anything.
    pub fn verdict(&self) -> Result<(), String> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// A message left.
    pub fn sent(&mut self, side: usize, bytes: &[u8], disk: &Disk) {
        let (envelope, _) = Codec::Perunio.decode(bytes).unwrap().unwrap();
        match envelope.message {
            Message::ChannelUpdate(update) => self.signature(side, &update.state, disk),
            Message::ChannelUpdateAcc { channel, version, signature } => {
                let signer = crate::gateway::device_key(side).address();
                let of_version =
                    |known: &&(ChannelId, u64, [u8; 32])| known.0 == channel && known.1 == version;
                let hashes = disk.signed.iter().filter(of_version);
                let mut hashes = hashes.filter(|known| signature.verify(&known.2, &signer).is_ok());
                match hashes.next() {
                    Some((_, _, hash)) => {
                        let hash = *hash;
                        self.version(side, channel, version, hash);
                    }
                    None => self.fail(format!(
                        "{} sent a signature of version {version} that was not durable",
                        NAMES[side]
                    )),
                }
            }
            _ => {}
        }
    }

    fn signature(&mut self, side: usize, state: &State, disk: &Disk) {
        let hash = *state.hash().as_bytes();
        if !disk.signed.contains(&(state.channel, state.version, hash)) {
            let version = state.version;
            self.fail(format!("{} sent version {version} before it was durable", NAMES[side]));
        }
        self.version(side, state.channel, state.version, hash);
        if state.is_final {
            self.last[side].insert(state.channel, state.version);
        }
    }

    fn version(&mut self, side: usize, channel: ChannelId, version: u64, hash: [u8; 32]) {
        let before = *self.signed[side].entry((channel, version)).or_insert(hash);
        if before != hash {
            self.fail(format!("{} signed two states with version {version}", NAMES[side]));
        }
        if self.last[side].get(&channel).is_some_and(|last| version > *last) {
            self.fail(format!("{} signed version {version} after a final one", NAMES[side]));
        }
    }

    /// Both have come to an end.
    pub fn end(&self, gateways: &[Gateway; 2], ledger: &Ledger) -> Result<(), String> {
        self.verdict()?;
        if !self.disputes_are_expected {
            no_disputes(gateways)?;
        }
        let money = Money::read(ledger);
        for gateway in gateways {
            for record in gateway.channels() {
                self.settled(gateway, &record, &money)?;
                nothing_left(gateway, &record, ledger)?;
            }
        }
        Ok(())
    }

    fn settled(&self, gateway: &Gateway, record: &Record, money: &Money) -> Result<(), String> {
        let (name, own) = (NAMES[gateway.number], record.own);
        let funding = FundingId::of(&record.id, &record.params.participants[own].address);
        let (paid_in, paid_out) = money.of(&funding);
        if record.phase == Phase::Abandoned {
            let ended = format!("{name} abandoned a channel it had paid {paid_in} into");
            return if paid_in.is_zero() { Ok(()) } else { Err(ended) };
        }
        // Who goes on from a backup knows what it paid in by the ledger only.
        let state = record.state().ok_or(format!("{name} has no state"))?;
        let zero = self.first_balance(gateway, record).unwrap_or(paid_in);
        // Who learns of version 0 from the ledger alone has not paid, and gets nothing.
        let has_kept_out = paid_in.is_zero() && paid_out.is_zero() && !money.is_covered(record);
        if paid_in != zero && !has_kept_out && !self.restored[gateway.number] {
            return Err(format!("{name} paid {paid_in} in, not {zero}"));
        }
        let newest = newest(gateway, record).filter(|_| !self.restored[gateway.number]);
        let newest = newest.unwrap_or_else(|| state.clone());
        let owed = newest.outcome.balances[0][own];
        let has_funding = record.view.covers(&newest.outcome.balances) || money.is_covered(record);
        let expected = if has_funding { owed } else { paid_in };
        if paid_out < expected {
            let version = newest.version;
            return Err(format!(
                "{name} got {paid_out} and not the {expected} that version {version} gives it"
            ));
        }
        Ok(())
    }

    fn first_balance(&self, gateway: &Gateway, record: &Record) -> Option<Amount> {
        let of_channel = gateway.history.iter().filter(|known| known.id == record.id);
        let states = of_channel.filter_map(|known| {
            known.state().or(known.pending.as_ref().map(|pending| &pending.state)).cloned()
        });
        let mut zero = states.filter(|state| state.version == 0);
        zero.next().map(|state| state.outcome.balances[0][record.own])
    }
}

/// Nothing of ours lies on the ledger any more, whenever it came there.
fn nothing_left(gateway: &Gateway, record: &Record, ledger: &Ledger) -> Result<(), String> {
    let own = &record.params.participants[record.own].address;
    let left = ledger.holdings(&FundingId::of(&record.id, own));
    let name = NAMES[gateway.number];
    if left.is_zero() { Ok(()) } else { Err(format!("{left} of {name} are left on the ledger")) }
}

/// The newest state that both had signed and this side had on its disk.
fn newest(gateway: &Gateway, record: &Record) -> Option<State> {
    let of_channel = gateway.history.iter().filter(|known| known.id == record.id);
    of_channel.filter_map(|known| known.state().cloned()).max_by_key(|state| state.version)
}

fn no_disputes(gateways: &[Gateway; 2]) -> Result<(), String> {
    for gateway in gateways {
        for (_, notice) in &gateway.notices {
            if let Notice::Dispute(reason) = notice
                && !is_explained(reason)
            {
                return Err(format!("{} disputes: {reason}", NAMES[gateway.number]));
            }
        }
    }
    Ok(())
}

/// What honest gateways may have to settle on the ledger: a close before the funding or a funding that took too long,
/// final updates that cross with another update, a peer that was away for too long.
fn is_explained(reason: &str) -> bool {
    [
        "before it was funded",
        "the deposits were not complete in time",
        "the peer refuses the final state",
        "the peer does not answer",
        "the newest state was registered",
        "had not sent us back",
        "the peer registered",
    ]
    .iter()
    .any(|known| reason.contains(known))
}

/// What went in and out, by the ledger's final events.
struct Money(BTreeMap<FundingId, (Amount, Amount)>);

impl Money {
    fn read(ledger: &Ledger) -> Self {
        let mut money: BTreeMap<FundingId, (Amount, Amount)> = BTreeMap::new();
        let (events, _) = ledger.events(&Cursor::default());
        for event in events.iter().filter(|event| event.finality == Finality::Final) {
            match &event.kind {
                EventKind::Deposited(paid) => {
                    let sums = money.entry(paid.funding).or_default();
                    sums.0 = sums.0.checked_add(paid.amount).unwrap();
                }
                EventKind::Withdrawn { paid, .. } => {
                    let sums = money.entry(paid.funding).or_default();
                    sums.1 = sums.1.checked_add(paid.amount).unwrap();
                }
                _ => {}
            }
        }
        Self(money)
    }

    fn of(&self, funding: &FundingId) -> (Amount, Amount) {
        self.0.get(funding).copied().unwrap_or_default()
    }

    fn is_covered(&self, record: &Record) -> bool {
        let Some(state) = record.state() else { return false };
        let participants = record.params.participants.iter();
        let paid = participants.map(|one| self.of(&FundingId::of(&record.id, &one.address)).0);
        Amount::checked_sum(paid) >= state.total(0).ok()
    }
}
