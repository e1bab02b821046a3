//! An allowance: so much a second on average, and so much at once.
//!
//! Guarantees: integers only; a monotonic clock that does not move gives nothing. Does not: wait.

/// A bucket of tokens, counted in thousandths.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    per_second: u64,
    full: u64,
    tokens: u64,
    filled_ms: u64,
}

impl Allowance {
    /// A full one; 0 a second is without limit.
    pub const fn new(per_second: u32, burst: u32, now_ms: u64) -> Self {
        let full = if burst == 0 { 1_000 } else { burst as u64 * 1_000 };
        Self { per_second: per_second as u64, full, tokens: full, filled_ms: now_ms }
    }

    /// Takes one, or says after how many milliseconds there will be one.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        if self.per_second == 0 {
            return Ok(());
        }
        // A thousandth for each millisecond and each one a second.
        let earned = now_ms.saturating_sub(self.filled_ms).saturating_mul(self.per_second);
        self.tokens = self.tokens.saturating_add(earned).min(self.full);
        self.filled_ms = self.filled_ms.max(now_ms);
        match self.tokens.checked_sub(1_000) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err((1_000 - self.tokens).div_ceil(self.per_second)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_so_many_a_second() {
        let mut allowance = Allowance::new(2, 3, 1_000);
        let taken =
            |allowance: &mut Allowance, now| (0..9).filter(|_| allowance.take(now).is_ok()).count();
        assert_eq!(taken(&mut allowance, 1_000), 3);
        assert_eq!(taken(&mut allowance, 1_499), 0);
        assert_eq!(taken(&mut allowance, 2_000), 2);
        assert_eq!(taken(&mut allowance, 900_000), 3);
    }

    #[test]
    fn who_is_too_fast_is_told_how_long_to_wait() {
        let mut allowance = Allowance::new(10, 2, 0);
        assert_eq!([0; 3].map(|now| allowance.take(now)), [Ok(()), Ok(()), Err(100)]);
        assert_eq!(allowance.take(40), Err(60));
        assert_eq!(allowance.take(100), Ok(()));
        let mut unlimited = Allowance::new(0, 0, 0);
        assert!((0..100).all(|_| unlimited.take(0).is_ok()));
    }
}
