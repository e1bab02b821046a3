//! What a counter has counted since a session began.
//!
//! Guarantees: exact, in integers; never falls, whatever the counter does; the same readings in the order of the log give
//! the same count, so a snapshot and the log together are as durable as each reading (I1, I4). A reading that was seen,
//! or is older by the device's own sequence number, changes nothing (I6). Does not: know prices.

use sluicegate_protocol::senml::Decimal;

/// Where a leaf stands: logs follow each other, and leaves within a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Number of the log.
    pub log: u32,
    /// Index of the leaf.
    pub index: u64,
}

/// A reading of the counter, durable in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Where it stands.
    pub place: Place,
    /// The device's own sequence number.
    pub seq: Option<u64>,
    /// What the counter shows.
    pub value: Decimal,
}

/// What was counted up to a place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Since the session began.
    pub total: Decimal,
    /// What the counter showed last; nothing before the first reading.
    pub last: Option<Decimal>,
    /// The highest sequence number so far.
    pub seq: Option<u64>,
    /// The first leaf that was not looked at.
    pub next: Place,
}

/// What a reading did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// The counter went back: it counts from here on.
    Back,
    /// The session's first.
    First,
    /// Nothing: it was seen, or a newer one was.
    Nothing,
    /// The counter rose, or stayed.
    Risen,
    /// The difference has more digits than can be counted; it is left out.
    TooLong,
}

impl Count {
    /// Begins with the reading at `next`, or the first one behind it.
    pub const fn new(next: Place) -> Self {
        Self { total: Decimal::ZERO, last: None, seq: None, next }
    }

    /// Takes a reading.
    pub fn read(&mut self, reading: &Reading) -> Counted {
        if reading.place < self.next {
            return Counted::Nothing;
        }
        let Place { log, index } = reading.place;
        self.next = Place { log, index: index.saturating_add(1) };
        if reading.seq.zip(self.seq).is_some_and(|(seq, known)| seq <= known) {
            return Counted::Nothing;
        }
        self.seq = reading.seq.or(self.seq);
        let Some(last) = self.last.replace(reading.value) else { return Counted::First };
        if reading.value < last {
            return Counted::Back;
        }
        let total = difference(reading.value, last).and_then(|more| self.total.checked_add(more));
        match total {
            Some(total) => {
                self.total = total;
                Counted::Risen
            }
            None => Counted::TooLong,
        }
    }

    /// Whole steps so far; none if they need more than 128 bits.
    pub fn steps(&self, step: Decimal) -> Option<u128> {
        quotient(self.total, step)
    }

    /// The same, with half a step and more counted as a whole one.
    pub fn steps_to_nearest(&self, step: Decimal) -> Option<u128> {
        quotient(self.total.checked_add(self.total)?, step).map(|halves| halves.div_ceil(2))
    }
}

fn difference(more: Decimal, less: Decimal) -> Option<Decimal> {
    more.checked_add(Decimal::new(less.mantissa().checked_neg()?, less.exponent()))
}

/// `total / step`, rounded down; `total` is not negative, `step` is positive.
fn quotient(total: Decimal, step: Decimal) -> Option<u128> {
    let (whole, part) = (total.mantissa().unsigned_abs(), step.mantissa().unsigned_abs());
    let distance = i32::from(total.exponent()) - i32::from(step.exponent());
    let power = 10_u128.checked_pow(distance.unsigned_abs());
    if whole == 0 {
        return Some(0);
    }
    if distance >= 0 {
        return u128::from(whole).checked_mul(power?)?.checked_div(part.into());
    }
    // A step with more digits than that is longer than any total.
    let step = power.and_then(|power| u128::from(part).checked_mul(power));
    step.map_or(Some(0), |step| u128::from(whole).checked_div(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(index: u64, seq: Option<u64>, value: &str) -> Reading {
        Reading { place: Place { log: 1, index }, seq, value: value.parse().unwrap() }
    }

    #[test]
    fn a_counter_counts_from_its_first_reading() {
        let mut count = Count::new(Place { log: 1, index: 5 });
        assert_eq!(count.read(&reading(4, None, "7")), Counted::Nothing);
        assert_eq!(count.read(&reading(5, None, "100.5")), Counted::First);
        assert_eq!(count.read(&reading(5, None, "900")), Counted::Nothing, "seen");
        assert_eq!(count.read(&reading(8, None, "110.25")), Counted::Risen);
        assert_eq!(count.total, "9.75".parse().unwrap());
        assert_eq!(count.read(&reading(9, None, "3")), Counted::Back);
        assert_eq!(count.read(&reading(10, None, "4")), Counted::Risen);
        assert_eq!(count.total, "10.75".parse().unwrap());
        assert_eq!(count.next, Place { log: 1, index: 11 });
    }

    #[test]
    fn a_reading_that_was_overtaken_does_not_turn_the_counter_back() {
        let mut count = Count::new(Place::default());
        count.read(&reading(1, Some(7), "10"));
        count.read(&reading(2, Some(9), "30"));
        assert_eq!(count.read(&reading(3, Some(8), "20")), Counted::Nothing);
        assert_eq!(count.read(&reading(4, Some(9), "30")), Counted::Nothing);
        assert_eq!(count.read(&reading(5, Some(10), "31")), Counted::Risen);
        assert_eq!(count.total, Decimal::from(21));
    }

    #[test]
    fn steps_are_whole_whatever_the_digits() {
        for (total, step, steps) in [
            ("0", "10", Some(0)),
            ("9.999", "10", Some(0)),
            ("10", "10", Some(1)),
            ("35", "0.1", Some(350)),
            ("1e18", "0.001", Some(10_u128.pow(21))),
            ("0.3", "0.1", Some(3)),
            ("1e-300", "10", Some(0)),
            ("1e300", "1", None),
        ] {
            let count = Count { total: total.parse().unwrap(), ..Count::new(Place::default()) };
            assert_eq!(count.steps(step.parse().unwrap()), steps, "{total} / {step}");
        }
    }

    #[test]
    fn half_a_step_counts_as_one_where_it_is_asked_for() {
        for (total, step, steps) in
            [("0", "10", 0), ("4.99", "10", 0), ("5", "10", 1), ("14.9", "10", 1), ("15", "10", 2)]
        {
            let count = Count { total: total.parse().unwrap(), ..Count::new(Place::default()) };
            assert_eq!(count.steps_to_nearest(step.parse().unwrap()), Some(steps), "{total}");
        }
    }

    #[test]
    fn what_has_too_many_digits_is_left_out() {
        let mut count = Count::new(Place::default());
        count.read(&reading(1, None, "1e-30"));
        assert_eq!(count.read(&reading(2, None, "1e30")), Counted::TooLong);
        assert_eq!(count.total, Decimal::ZERO);
        assert_eq!(count.read(&reading(3, None, "1e30")), Counted::Risen);
        let mut count = Count::new(Place::default());
        count.read(&reading(1, None, "-9223372036854775808"));
        assert_eq!(count.read(&reading(2, None, "1")), Counted::TooLong);
    }
}
