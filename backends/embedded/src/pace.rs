//! Ledger time, which is not the host's clock.
//!
//! Guarantees: while it runs it never goes back and never steps: it runs with monotonic time and drifts towards the wall
//! clock. It is at least half as fast as monotonic time ([`SLOWEST`]), and at most twice ([`FASTEST_CHALLENGED`]) while a
//! challenge is open, at most eight times ([`FASTEST`]) while none is. So a clock that steps forward, or a ledger that was
//! down, ends no challenge: who has to answer one has at least half of it by any clock that runs. The price: when the clock
//! is set a day ahead, the dates of blocks lie behind for three and a half hours. Only a ledger that is opened with no
//! challenge open begins with the wall clock: nobody knows how long it was away. With one open it goes on from its newest
//! block, which is at most [`crate::chain::CHALLENGED_HEARTBEAT_MS`] older than the end. Does not: read clocks.

/// How many times slower than monotonic time ledger time runs at most.
pub const SLOWEST: u64 = 2;

/// How many times faster it runs at most.
pub const FASTEST: u64 = 8;

/// The same while a challenge is open.
pub const FASTEST_CHALLENGED: u64 = 2;

/// Ledger time when it was looked at last.
#[derive(Debug)]
pub(crate) struct Pace {
    ledger_ms: u64,
    seen_ms: u64,
}

impl Pace {
    /// Of a ledger that is opened now; its newest block has this time.
    pub(crate) fn new(
        newest_ms: u64,
        wall_ms: u64,
        monotonic_ms: u64,
        is_challenged: bool,
    ) -> Self {
        let ledger_ms = if is_challenged { newest_ms } else { newest_ms.max(wall_ms) };
        Self { ledger_ms, seen_ms: monotonic_ms }
    }

    /// Ledger time now.
    pub(crate) fn time(&mut self, wall_ms: u64, monotonic_ms: u64, is_challenged: bool) -> u64 {
        let passed = monotonic_ms.saturating_sub(self.seen_ms);
        let after = |ms| self.ledger_ms.saturating_add(ms);
        let fastest = if is_challenged { FASTEST_CHALLENGED } else { FASTEST };
        let least = after(passed.div_ceil(SLOWEST));
        let most = after(passed.saturating_mul(fastest));
        self.ledger_ms = wall_ms.clamp(least, most);
        self.seen_ms = self.seen_ms.max(monotonic_ms);
        self.ledger_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_caught_up_with_in_time_and_never_goes_back() {
        let mut pace = Pace::new(1_000, 5_000_000, 0, true);
        assert_eq!(pace.time(5_000_000, 0, false), 1_000);
        assert_eq!(pace.time(5_000_000, 100, false), 1_800);
        assert_eq!(pace.time(5_000_000, 1_000_000, false), 5_000_000);
        assert_eq!(pace.time(4_000, 1_000_002, false), 5_000_001);
    }

    #[test]
    fn a_challenge_lasts_at_least_half_of_its_time_and_at_most_twice() {
        for wall_ms in [0, u64::MAX] {
            let mut pace = Pace::new(1_000_000, 0, 0, false);
            let mut time = 0;
            (1..=100_u64).for_each(|now| time = pace.time(wall_ms, now * 1_000, true));
            assert_eq!(time, 1_000_000 + if wall_ms == 0 { 50_000 } else { 200_000 });
        }
    }

    #[test]
    fn an_idle_ledger_begins_with_the_clock() {
        assert_eq!(Pace::new(1_000, 5_000_000, 7, false).time(5_000_000, 7, false), 5_000_000);
    }

    #[test]
    fn with_a_clock_that_is_right_it_is_the_clock() {
        let mut pace = Pace::new(1_000_000, 0, 0, false);
        for now in 1..=100_u64 {
            assert_eq!(pace.time(1_000_000 + now * 700, now * 700, true), 1_000_000 + now * 700);
        }
    }
}
