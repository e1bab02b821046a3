//! Metered payments: a reading of a device drives payments, or says what was delivered for them.
//!
//! Who pays stays one step ahead of the counter: `paid >= (steps + 1) × price` for each payee, and never more than that.
//! Who sells begins when one step is paid, and lets deliver until half a step more than what is paid was delivered: two
//! counters never agree to the last digit, and a payment takes its time. So a session that breaks off costs who pays no
//! more than one step, and who sells no more than half of one and what flows between two readings.
//!
//! Guarantees: what was paid is read from the channel itself, deposited less own balance, and what was counted from the
//! log behind a durable snapshot: after a crash anywhere no step is paid twice and none is forgotten. No payment while
//! one is under way, and no second attempt after a refusal before the next reading or a change of the balance: no busy
//! loop. A counter that goes back pays nothing, and one reading pays at most `max_steps`. Payees are independent.
//! Does not: read logs, sign, or switch anything; it is told and says what is to be done, in order. Who pays back in the
//! same channel is asked for it again: the channel's balance is all that counts.
//!
//! Order of calls: [`Meter::new`], [`Meter::load`]; then, whenever there are readings or a channel may have changed,
//! [`Meter::readings`] with what the log holds from [`Meter::next`] on, and after it [`Meter::accounts`], which decides. A
//! view of the channels is newer than every payment that was asked for before it.

mod count;
#[cfg(test)]
mod tests;
mod word;

use std::collections::BTreeMap;

use sluicegate_protocol::{
    channel::{Amount, ChannelId},
    senml::Decimal,
};

pub use self::{
    count::{Count, Counted, Place, Reading},
    word::Word,
};

/// Readings between two snapshots: what a start reads again.
const SNAPSHOT: u32 = 64;

/// What is paid for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tariff {
    /// In the unit of the counter; more than zero.
    pub step: Decimal,
    /// The most steps that one reading pays.
    pub max_steps: u32,
    /// Which side of the payments this is.
    pub side: Side,
}

/// Which side of the payments a meter is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// It pays these.
    Pays(Vec<Price>),
    /// It sells to this one.
    Sells(Price),
}

/// Whom a step is paid to, or by whom, and what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The peer's name.
    pub peer: String,
    /// Base units for each step; more than zero.
    pub price: Amount,
}

/// A channel of the meter's device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The channel.
    pub channel: ChannelId,
    /// With whom.
    pub peer: String,
    /// Payments may be signed in it.
    pub is_open: bool,
    /// Nothing is under way in it, and the peer is there.
    pub is_free: bool,
    /// What this side has deposited.
    pub deposited: Amount,
    /// What is this side's in the newest state that both have signed.
    pub own: Amount,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make the count of a channel's session durable, before anything that follows.
    Keep(ChannelId, Count),
    /// Pay in a channel.
    Pay(ChannelId, Amount),
    /// Let deliver, or stop it.
    Switch(bool),
    /// Tell the owner.
    Tell(Word),
}

/// How a payee or the payer stands; amounts are base units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its name.
    pub peer: String,
    /// The channel of the session; none without one.
    pub channel: Option<ChannelId>,
    /// What the counter has counted.
    pub delivered: Decimal,
    /// Whether it has shown anything yet.
    pub is_counting: bool,
    /// Whole steps of it.
    pub steps: u128,
    /// What has to be paid for that, one step ahead included.
    pub due: Amount,
    /// What is paid.
    pub paid: Amount,
    /// What is left of this side's balance.
    pub left: Amount,
}

/// One meter.
#[derive(Debug)]
pub struct Meter {
    tariff: Tariff,
    parties: Vec<Party>,
    /// Snapshots of sessions that have not gone on yet.
    kept: BTreeMap<ChannelId, Count>,
    /// Something was read since the last view of the channels.
    has_read: bool,
    /// Whether it lets deliver; unknown at the start.
    is_on: Option<bool>,
}

#[derive(Debug)]
struct Party {
    peer: String,
    price: Amount,
    session: Option<Session>,
    told: Option<Word>,
}

#[derive(Debug)]
struct Session {
    account: Account,
    count: Count,
    /// Readings since the snapshot.
    unkept: u32,
    /// What the newest reading may still pay.
    allowance: Amount,
    /// The own balance at the last attempt since the newest reading.
    attempt: Option<Amount>,
    /// The owner knows that the balance is low.
    is_low: bool,
}

impl Meter {
    /// A meter without sessions.
    pub fn new(tariff: Tariff) -> Self {
        let party = |Price { peer, price }: &Price| Party {
            peer: peer.clone(),
            price: *price,
            session: None,
            told: None,
        };
        let parties = match &tariff.side {
            Side::Pays(payees) => payees.iter().map(party).collect(),
            Side::Sells(payer) => vec![party(payer)],
        };
        Self { tariff, parties, kept: BTreeMap::new(), has_read: false, is_on: None }
    }

    /// A snapshot as it was kept; of a channel that is not this meter's it changes nothing.
    pub fn load(&mut self, channel: ChannelId, count: Count) {
        self.kept.insert(channel, count);
    }

    /// The first leaf that is to be looked at; none without a session.
    pub fn next(&self) -> Option<Place> {
        self.parties.iter().filter_map(|party| Some(party.session.as_ref()?.count.next)).min()
    }

    /// The device's channels as they are now. A session that begins now counts from the leaf `end` on.
    pub fn accounts(&mut self, accounts: &[Account], end: Place) -> Vec<Effect> {
        let mut out = Vec::new();
        let max_steps = self.tariff.max_steps;
        for party in &mut self.parties {
            party.take(accounts, &mut self.kept, (end, max_steps), &mut out);
        }
        if std::mem::take(&mut self.has_read) {
            self.tell_missing(&mut out);
        }
        self.settle(&mut out);
        out
    }

    /// What the log holds of the counter before `end`, in its order; what was seen before is left out. It is paid with the
    /// next view of the channels.
    pub fn readings(&mut self, readings: &[Reading], end: Place) -> Vec<Effect> {
        let mut out = Vec::new();
        let max_steps = self.tariff.max_steps;
        for party in &mut self.parties {
            self.has_read |= party.read(readings, max_steps, &mut out);
            party.skip(end);
        }
        out
    }

    /// The channels can't be seen: nothing is delivered until they are.
    pub fn unseen(&mut self) -> Vec<Effect> {
        match self.tariff.side {
            Side::Sells { .. } if self.is_on != Some(false) => {
                self.is_on = Some(false);
                vec![Effect::Switch(false)]
            }
            _ => Vec::new(),
        }
    }

    /// A payment was refused, and why.
    pub fn refused(&mut self, channel: &ChannelId, reason: &str) -> Vec<Effect> {
        let mut out = Vec::new();
        let is_its = |party: &&mut Party| {
            party.session.as_ref().is_some_and(|session| session.account.channel == *channel)
        };
        if let Some(party) = self.parties.iter_mut().find(is_its) {
            let (peer, reason) = (party.peer.clone(), reason.to_owned());
            party.tell(Word::Refused { peer, reason }, &mut out);
        }
        out
    }

    /// How all stand.
    pub fn standings(&self) -> Vec<Standing> {
        self.parties.iter().map(|party| party.standing(self.tariff.step, self.pays())).collect()
    }

    /// Whether it lets deliver; none for who pays, or before it knows.
    pub const fn is_on(&self) -> Option<bool> {
        self.is_on
    }

    const fn pays(&self) -> bool {
        matches!(self.tariff.side, Side::Pays(_))
    }

    /// Only where others are paid: without any channel there is no session at all.
    fn tell_missing(&mut self, out: &mut Vec<Effect>) {
        if !self.parties.iter().any(|party| party.session.is_some()) {
            return;
        }
        for party in self.parties.iter_mut().filter(|party| party.session.is_none()) {
            party.tell(Word::Missing(party.peer.clone()), out);
        }
    }

    fn settle(&mut self, out: &mut Vec<Effect>) {
        let Tariff { step, max_steps, side } = &self.tariff;
        match side {
            Side::Pays(_) => {
                self.parties.iter_mut().for_each(|party| party.pay(*step, *max_steps, out));
            }
            Side::Sells(_) => {
                let on = self.parties.iter().all(|party| party.may_deliver(*step));
                if self.is_on != Some(on) {
                    self.is_on = Some(on);
                    out.push(Effect::Switch(on));
                }
            }
        }
    }
}

impl Party {
    /// Goes on in the session's channel while it is open, or begins in another.
    fn take(
        &mut self,
        accounts: &[Account],
        kept: &mut BTreeMap<ChannelId, Count>,
        (end, max_steps): (Place, u32),
        out: &mut Vec<Effect>,
    ) {
        let open = || accounts.iter().filter(|a| a.is_open && a.peer == self.peer);
        if let Some(session) = &mut self.session {
            if let Some(account) = open().find(|a| a.channel == session.account.channel) {
                session.account = account.clone();
                return;
            }
            out.push(Effect::Tell(Word::Ended(session.account.channel)));
            self.session = None;
            self.told = None;
        }
        let known = open().find(|account| kept.contains_key(&account.channel));
        let Some(account) = known.or_else(|| open().next()) else { return };
        let channel = account.channel;
        let count = kept.remove(&channel).unwrap_or_else(|| {
            let count = Count::new(end);
            out.push(Effect::Keep(channel, count));
            out.push(Effect::Tell(Word::Begun(channel)));
            count
        });
        let allowance = self.allowance(max_steps);
        let account = account.clone();
        let session =
            Session { account, count, unkept: 0, allowance, attempt: None, is_low: false };
        self.session = Some(session);
        self.told = None;
    }

    /// Gives whether there was anything new.
    fn read(&mut self, readings: &[Reading], max_steps: u32, out: &mut Vec<Effect>) -> bool {
        let allowance = self.allowance(max_steps);
        let Some(session) = &mut self.session else { return false };
        let (mut is_new, mut is_kept, mut words) = (false, true, Vec::new());
        for reading in readings {
            let counted = session.count.read(reading);
            is_new |= counted != Counted::Nothing;
            is_kept &= matches!(counted, Counted::Nothing | Counted::Risen);
            session.unkept = session.unkept.saturating_add(1);
            match counted {
                Counted::Back => words.push(Word::Back),
                Counted::TooLong => words.push(Word::TooLong),
                Counted::First | Counted::Nothing | Counted::Risen => {}
            }
        }
        if is_new {
            session.allowance = allowance;
            session.attempt = None;
        }
        if session.unkept >= SNAPSHOT || !is_kept {
            session.unkept = 0;
            out.push(Effect::Keep(session.account.channel, session.count));
        }
        words.into_iter().for_each(|word| self.tell(word, out));
        is_new
    }

    /// Nothing before `end` is left to look at.
    fn skip(&mut self, end: Place) {
        if let Some(session) = &mut self.session {
            session.count.next = session.count.next.max(end);
        }
    }

    /// What one reading may pay.
    fn allowance(&self, max_steps: u32) -> Amount {
        self.price.checked_mul(u64::from(max_steps).into()).unwrap_or(Amount::MAX)
    }

    /// Pays what is due, if it may now.
    fn pay(&mut self, step: Decimal, max_steps: u32, out: &mut Vec<Effect>) {
        let Some(session) = &self.session else { return };
        if session.count.last.is_none() {
            return;
        }
        let (peer, left) = (self.peer.clone(), session.account.own);
        let Some([delivered, ahead]) = session.costs(step, self.price) else {
            return self.tell(Word::TooLong, out);
        };
        let ahead = session.unpaid(ahead);
        // What does not reach for the step ahead is for what was delivered.
        let due = if ahead > left { session.unpaid(delivered).min(left) } else { ahead };
        if ahead > left {
            self.tell(Word::Exhausted { peer: peer.clone(), left }, out);
        } else if due > session.allowance && session.attempt.is_none() {
            self.tell(Word::Jump { peer: peer.clone(), max_steps }, out);
        } else if due.is_zero() {
            self.told = None;
        }
        self.tell_low(out);
        let Some(session) = &mut self.session else { return };
        let amount = due.min(session.allowance);
        if !amount.is_zero() && session.account.is_free && session.attempt != Some(left) {
            session.attempt = Some(left);
            session.allowance = session.allowance.checked_sub(amount).unwrap_or(Amount::ZERO);
            out.push(Effect::Pay(session.account.channel, amount));
        }
    }

    fn tell_low(&mut self, out: &mut Vec<Effect>) {
        let price = self.price;
        let Some(session) = &mut self.session else { return };
        let (was_low, left) = (session.is_low, session.account.own);
        session.is_low = left < price;
        if session.is_low && !was_low {
            out.push(Effect::Tell(Word::Low { peer: self.peer.clone(), left }));
        }
    }

    /// Whether a step is paid, and what was delivered is but for less than half of one.
    fn may_deliver(&self, step: Decimal) -> bool {
        let Some(session) = &self.session else { return false };
        let Account { deposited, own, .. } = session.account;
        let needed = session.count.steps_to_nearest(step).map(|steps| Amount::from(steps.max(1)));
        let needed = needed.and_then(|steps| self.price.checked_mul(steps));
        let needed = needed.and_then(|cost| deposited.checked_add(cost));
        session.count.last.is_some() && needed.is_some_and(|needed| own >= needed)
    }

    /// Once, until something else is to be told.
    fn tell(&mut self, word: Word, out: &mut Vec<Effect>) {
        if !self.told.as_ref().is_some_and(|told| told.is_like(&word)) {
            out.push(Effect::Tell(word.clone()));
        }
        self.told = Some(word);
    }

    fn standing(&self, step: Decimal, pays: bool) -> Standing {
        let session = self.session.as_ref();
        let account = session.map(|session| &session.account);
        let costs = session.filter(|s| s.count.last.is_some());
        let costs = costs.and_then(|session| session.costs(step, self.price));
        let paid = account.and_then(|Account { deposited, own, .. }| match pays {
            true => deposited.checked_sub(*own),
            false => own.checked_sub(*deposited),
        });
        Standing {
            peer: self.peer.clone(),
            channel: account.map(|account| account.channel),
            delivered: session.map_or(Decimal::ZERO, |session| session.count.total),
            is_counting: session.is_some_and(|session| session.count.last.is_some()),
            steps: session.and_then(|session| session.count.steps(step)).unwrap_or(0),
            due: costs.map_or(Amount::ZERO, |[_, ahead]| ahead),
            paid: paid.unwrap_or(Amount::ZERO),
            left: account.map_or(Amount::ZERO, |account| account.own),
        }
    }
}

impl Session {
    /// What the delivered steps cost, and what they and the next one do.
    fn costs(&self, step: Decimal, price: Amount) -> Option<[Amount; 2]> {
        let delivered = price.checked_mul(Amount::from(self.count.steps(step)?))?;
        Some([delivered, delivered.checked_add(price)?])
    }

    /// What of a cost is not paid yet.
    fn unpaid(&self, cost: Amount) -> Amount {
        let Account { deposited, own, .. } = self.account;
        let unpaid = cost.checked_add(own).and_then(|sum| sum.checked_sub(deposited));
        unpaid.unwrap_or(Amount::ZERO)
    }
}
