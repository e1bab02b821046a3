//! An allowance: so much a second on average, and so much at once.
//!
//! Guarantees: integers only; a monotonic clock that does not move gives nothing. Does not: wait.

/// A bucket of tokens, counted in thousandths.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    per_second: u64,
    full: u64,
    tokens: u64,
    filled_ms: u64,
}

impl Allowance {
    /// A full one.
    pub(crate) const fn new(per_second: u32, burst: u32, now_ms: u64) -> Self {
        let full = burst as u64 * 1_000;
        Self { per_second: per_second as u64, full, tokens: full, filled_ms: now_ms }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self, now_ms: u64) -> bool {
        // A thousandth for each millisecond and each one a second.
        let earned = now_ms.saturating_sub(self.filled_ms).saturating_mul(self.per_second);
        self.tokens = self.tokens.saturating_add(earned).min(self.full);
        self.filled_ms = self.filled_ms.max(now_ms);
        let left = self.tokens.checked_sub(1_000);
        self.tokens = left.unwrap_or(self.tokens);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_so_many_a_second() {
        let mut allowance = Allowance::new(2, 3, 1_000);
        let taken = |allowance: &mut Allowance, now| (0..9).filter(|_| allowance.take(now)).count();
        assert_eq!(taken(&mut allowance, 1_000), 3);
        assert_eq!(taken(&mut allowance, 1_499), 0);
        assert_eq!(taken(&mut allowance, 2_000), 2);
        assert_eq!(taken(&mut allowance, 900_000), 3);
    }
}
