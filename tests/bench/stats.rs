//! Times and how they are told.

use std::time::{Duration, Instant};

use crate::Result;

/// Measured times, ascending.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Measures up to `count` times, but stops after `limit`; `one` gives what it measured.
    pub(crate) fn measure(
        count: usize,
        limit: Duration,
        mut one: impl FnMut() -> Result<Duration>,
    ) -> Result<Self> {
        let start = Instant::now();
        let mut times = Vec::new();
        while times.len() < count && (times.len() < 3 || start.elapsed() < limit) {
            times.push(one()?);
        }
        times.sort_unstable();
        Ok(Self(times))
    }

    pub(crate) fn median(&self) -> Duration {
        self.0[self.0.len() / 2]
    }

    /// 99 of 100 are not slower.
    pub(crate) fn p99(&self) -> Duration {
        self.0[self.0.len() * 99 / 100]
    }
}

/// How long it takes, and what comes out.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let value = work()?;
    Ok((start.elapsed(), value))
}

/// The one in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// So many a second.
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// How many times longer the first is.
pub(crate) fn ratio(time: Duration, yardstick: Duration) -> f64 {
    time.as_secs_f64() / yardstick.as_secs_f64()
}

/// A whole number with a space between groups of three.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// A rate, rounded to whole numbers.
pub(crate) fn whole(value: f64) -> String {
    grouped(value.round() as u64)
}

/// A time in the unit that suits it.
pub(crate) fn time(time: Duration) -> String {
    match time.as_micros() {
        0..10_000 => format!("{:.3} ms", time.as_secs_f64() * 1e3),
        10_000..10_000_000 => format!("{:.0} ms", time.as_secs_f64() * 1e3),
        _ => format!("{:.0} s", time.as_secs_f64()),
    }
}

/// Numbers without pattern: xorshift, the same every time.
pub(crate) struct Noise(pub(crate) u64);

impl Noise {
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
