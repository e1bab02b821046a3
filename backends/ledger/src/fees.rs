//! The two fee budgets, checked before a transaction is signed (invariant I5).
//!
//! Routine transactions obey a ceiling per transaction and one per day; what a day leaves unspent carries over up to a
//! bound. Dispute transactions may cost a share of what is at stake and draw on a reserve set aside beforehand, which
//! routine transactions never touch.
//!
//! Guarantees: days are those of the ledger and never go back, so a step of the wall clock restarts nothing; what was
//! signed counts as spent, whether it lands or not. Does not: sign; the [outbox](crate::outbox) asks here first.
//!
//! Order of use: [`Budgets::roll`] with ledger time, [`Budgets::check`], sign, [`Budgets::charge`], make both durable.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode, encode::Write};

use crate::{Error, cbor};

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;

/// Basis points of the whole.
const WHOLE: u128 = 10_000;

/// What may be spent; amounts in base units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most that one routine transaction may cost.
    pub per_transaction: u128,
    /// The most that the routine transactions of a day may cost.
    pub per_day: u128,
    /// The most that carries over from the days before.
    pub carry_over: u128,
    /// Share of the stake that a dispute may cost, in basis points.
    pub dispute_share_bp: u16,
}

/// Which budget a transaction draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It defends money: the reserve pays.
    Dispute {
        /// What would be lost without it, in base units.
        stake: u128,
    },
    /// Anchors, deposits, keep-alive.
    Routine,
}

impl Class {
    /// Disputes go first.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Self::Dispute { .. } => 0,
            Self::Routine => 1,
        }
    }
}

/// What was spent so far. Kept durable by the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budgets {
    /// The ledger's day since the Unix epoch, once it is known.
    day: Option<u64>,
    spent: u128,
    carried: u128,
    reserve: u128,
}

impl Budgets {
    /// Budgets whose record was lost: nothing more is spent on the day that the ledger says it is.
    pub const fn exhausted() -> Self {
        Self { day: None, spent: u128::MAX, carried: 0, reserve: 0 }
    }

    /// Reads the one encoding of budgets.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        cbor::decode("fee budgets", bytes)
    }

    /// Moves on to the day of this ledger time; an earlier day changes nothing.
    pub fn roll(&mut self, limits: &Limits, time_ms: u64) {
        let today = time_ms / DAY_MS;
        match self.day {
            None => self.day = Some(today),
            Some(day) if today > day => {
                let idle = u128::from(today - day - 1).saturating_mul(limits.per_day);
                let unspent = self.left(limits).saturating_add(idle);
                self.carried = unspent.min(limits.carry_over);
                (self.day, self.spent) = (Some(today), 0);
            }
            Some(_) => {}
        }
    }

    /// What today still allows to routine transactions.
    pub const fn left(&self, limits: &Limits) -> u128 {
        limits.per_day.saturating_add(self.carried).saturating_sub(self.spent)
    }

    /// What routine transactions cost today.
    pub const fn spent(&self) -> u128 {
        self.spent
    }

    /// What is set aside for disputes.
    pub const fn reserve(&self) -> u128 {
        self.reserve
    }

    /// Sets `amount` more aside for disputes.
    pub const fn set_aside(&mut self, amount: u128) {
        self.reserve = self.reserve.saturating_add(amount);
    }

    /// Gives back what was set aside.
    pub const fn give_back(&mut self, amount: u128) {
        self.reserve = self.reserve.saturating_sub(amount);
    }

    /// Whether a transaction of this fee may be signed. `charged` is what its earlier attempts already count: they share
    /// its nonce, so at most one of them is ever paid.
    pub fn check(&self, limits: &Limits, ask: &Ask) -> Result<(), Error> {
        let fee = ask.fee;
        let more = fee.saturating_sub(ask.charged);
        match ask.class {
            Class::Routine if fee > limits.per_transaction => {
                Err(Error::CeilingPerTransaction { fee, ceiling: limits.per_transaction })
            }
            Class::Routine if more > self.left(limits) => {
                Err(Error::CeilingPerDay { fee, left: self.left(limits) })
            }
            Class::Routine => funded(fee.saturating_add(self.reserve), ask.balance),
            Class::Dispute { stake } => {
                let left = share(stake, limits.dispute_share_bp);
                if fee > left || more > self.reserve {
                    return Err(Error::ReserveExhausted { fee, left: left.min(self.reserve) });
                }
                funded(fee, ask.balance)
            }
        }
    }

    /// Counts a transaction that passed [`Self::check`] and was signed.
    pub const fn charge(&mut self, ask: &Ask) {
        let more = ask.fee.saturating_sub(ask.charged);
        match ask.class {
            Class::Dispute { .. } => self.reserve = self.reserve.saturating_sub(more),
            Class::Routine => self.spent = self.spent.saturating_add(more),
        }
    }
}

/// A fee that someone wants to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Which budget pays.
    pub class: Class,
    /// The fee.
    pub fee: u128,
    /// What earlier attempts with the same nonce already count.
    pub charged: u128,
    /// What the account holds.
    pub balance: u128,
}

const fn funded(needed: u128, balance: u128) -> Result<(), Error> {
    if needed > balance { Err(Error::Unfunded { needed, balance }) } else { Ok(()) }
}

/// `stake × basis points`, rounded down, without overflow.
fn share(stake: u128, bp: u16) -> u128 {
    let bp = u128::from(bp).min(WHOLE);
    (stake / WHOLE) * bp + (stake % WHOLE) * bp / WHOLE
}

impl<C> Encode<C> for Budgets {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.array(5)?.u8(1)?;
        match self.day {
            Some(day) => e.u64(day)?,
            None => e.null()?,
        };
        [self.spent, self.carried, self.reserve]
            .into_iter()
            .try_for_each(|amount| cbor::put_amount(e, amount))
    }
}

impl<'b, C> Decode<'b, C> for Budgets {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, decode::Error> {
        cbor::array(d, 5)?;
        cbor::tag(d, 1)?;
        let day = Option::<u64>::decode(d, ctx)?;
        let (spent, carried) = (cbor::amount(d)?, cbor::amount(d)?);
        Ok(Self { day, spent, carried, reserve: cbor::amount(d)? })
    }
}

impl<C> Encode<C> for Class {
    fn encode<W: Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        match self {
            Self::Routine => e.null().map(|_| ()),
            Self::Dispute { stake } => cbor::put_amount(e, *stake),
        }
    }
}

impl<'b, C> Decode<'b, C> for Class {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        if d.datatype()? == minicbor::data::Type::Null {
            return d.null().map(|()| Self::Routine);
        }
        cbor::amount(d).map(|stake| Self::Dispute { stake })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits =
        Limits { per_transaction: 60, per_day: 100, carry_over: 50, dispute_share_bp: 250 };

    fn routine(fee: u128) -> Ask {
        Ask { class: Class::Routine, fee, charged: 0, balance: 1_000 }
    }

    fn spend(budgets: &mut Budgets, fee: u128) -> Result<(), Error> {
        budgets.check(&LIMITS, &routine(fee)).map(|()| budgets.charge(&routine(fee)))
    }

    #[test]
    fn unspent_carries_over_up_to_its_bound() {
        let mut budgets = Budgets::default();
        budgets.roll(&LIMITS, 10 * DAY_MS);
        assert_eq!(spend(&mut budgets, 60), Ok(()));
        assert_eq!(spend(&mut budgets, 41), Err(Error::CeilingPerDay { fee: 41, left: 40 }));
        let above = Error::CeilingPerTransaction { fee: 61, ceiling: 60 };
        assert_eq!(spend(&mut budgets, 61), Err(above));
        budgets.roll(&LIMITS, 11 * DAY_MS);
        assert_eq!(budgets.left(&LIMITS), 140);
        budgets.roll(&LIMITS, 13 * DAY_MS);
        assert_eq!(budgets.left(&LIMITS), 150);
    }

    #[test]
    fn a_clock_step_restarts_nothing() {
        let mut budgets = Budgets::default();
        budgets.roll(&LIMITS, 10 * DAY_MS);
        spend(&mut budgets, 60).unwrap();
        budgets.roll(&LIMITS, 0);
        budgets.roll(&LIMITS, 10 * DAY_MS + 5);
        assert_eq!(budgets.left(&LIMITS), 40);
    }

    #[test]
    fn a_lost_record_spends_nothing_today() {
        let mut budgets = Budgets::exhausted();
        budgets.roll(&LIMITS, 10 * DAY_MS);
        assert_eq!(budgets.left(&LIMITS), 0);
        budgets.roll(&LIMITS, 11 * DAY_MS);
        assert_eq!(budgets.left(&LIMITS), 100);
    }

    #[test]
    fn disputes_draw_on_the_reserve_and_routine_never_does() {
        let mut budgets = Budgets::default();
        budgets.roll(&LIMITS, DAY_MS);
        budgets.set_aside(30);
        let ask = |fee| Ask { class: Class::Dispute { stake: 1_000 }, ..routine(fee) };
        assert_eq!(
            budgets.check(&LIMITS, &ask(26)),
            Err(Error::ReserveExhausted { fee: 26, left: 25 })
        );
        assert_eq!(budgets.check(&LIMITS, &ask(25)), Ok(()));
        budgets.charge(&ask(25));
        assert_eq!((budgets.reserve(), budgets.left(&LIMITS)), (5, 100));
        let poor = Ask { balance: 50, ..routine(46) };
        assert_eq!(budgets.check(&LIMITS, &poor), Err(Error::Unfunded { needed: 51, balance: 50 }));
    }

    proptest! {
        #[test]
        fn a_day_never_costs_more_than_ceiling_and_carry(
            fees in proptest::collection::vec((0u128..80, 0u64..3), 0..60)
        ) {
            let mut budgets = Budgets::default();
            let (mut day, mut total, mut today) = (0, 0u128, 0u128);
            budgets.roll(&LIMITS, 0);
            for (fee, step) in fees {
                day += step;
                if step > 0 { today = 0; }
                budgets.roll(&LIMITS, day * DAY_MS);
                if spend(&mut budgets, fee).is_ok() { today += fee; total += fee; }
                prop_assert!(today <= LIMITS.per_day + LIMITS.carry_over);
                prop_assert!(total <= LIMITS.per_day * u128::from(day + 1));
                prop_assert_eq!(Budgets::decode(&cbor::encode(&budgets)).unwrap(), budgets);
            }
        }
    }
}
