//! Decimal numbers as devices send them: exact, without floats.
//!
//! Guarantees: a value has one representation, so equal values are equal and 1.1 is 1.10; sums are
//! exact or refused. Does not: round, except where a binary float stands for a decimal (see
//! [`Decimal::from_f64`]).

use core::{
    cmp::Ordering,
    fmt::{self, Write},
    str::FromStr,
};

use crate::Error;

const NOT_A_NUMBER: &str = "not a number";
const NOT_FINITE: &str = "not a finite number";
const TOO_LONG: &str = "the number needs more than 64 bits";

/// `mantissa × 10^exponent`, with the smallest mantissa that is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Decimal {
    mantissa: i64,
    exponent: i16,
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self { mantissa: 0, exponent: 0 };

    /// `mantissa × 10^exponent`: `Decimal::new(231, -1)` is 23.1.
    pub const fn new(mut mantissa: i64, mut exponent: i16) -> Self {
        if mantissa == 0 {
            return Self::ZERO;
        }
        while mantissa % 10 == 0 && exponent < i16::MAX {
            mantissa /= 10;
            exponent += 1;
        }
        Self { mantissa, exponent }
    }

    /// The significant digits, without trailing zeros.
    pub const fn mantissa(self) -> i64 {
        self.mantissa
    }

    /// The power of ten of the last significant digit; 0 for zero.
    pub const fn exponent(self) -> i16 {
        self.exponent
    }

    /// The exact sum; `None` if its digits need more than 64 bits.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let (low, high) =
            if self.exponent <= other.exponent { (self, other) } else { (other, self) };
        if high.mantissa == 0 || low.mantissa == 0 {
            return Some(if high.mantissa == 0 { low } else { high });
        }
        let distance = u32::from(high.exponent.abs_diff(low.exponent));
        let high = i128::from(high.mantissa).checked_mul(10_i128.checked_pow(distance)?)?;
        Self::from_wide(high.checked_add(low.mantissa.into())?, low.exponent.into()).ok()
    }

    /// The value in units of `10^-places`, rounded down; `None` if it needs more than 64 bits.
    ///
    /// `scaled(3)` of a time in seconds is that time in milliseconds.
    pub fn scaled(self, places: u8) -> Option<i64> {
        let exponent = i32::from(self.exponent) + i32::from(places);
        let power = 10_i64.checked_pow(exponent.unsigned_abs());
        match (self.mantissa, power) {
            (0, _) => Some(0),
            (mantissa, power) if exponent >= 0 => mantissa.checked_mul(power?),
            (mantissa, Some(power)) => Some(mantissa.div_euclid(power)),
            // Less than one unit.
            (mantissa, None) => Some(if mantissa < 0 { -1 } else { 0 }),
        }
    }

    /// The number that a double stands for: an integer exactly, otherwise the shortest decimal
    /// that is nearest to this double, which is what the sender had before it was one.
    pub fn from_f64(value: f64) -> Result<Self, Error> {
        Self::from_double(value.to_bits()).map_err(Error::Decimal)
    }

    /// `mantissa × 10^exponent` of a wider mantissa, if it fits without its trailing zeros.
    pub(super) fn from_wide(mut mantissa: i128, mut exponent: i32) -> Result<Self, &'static str> {
        if mantissa == 0 {
            return Ok(Self::ZERO);
        }
        while mantissa % 10 == 0 && exponent < i16::MAX.into() {
            mantissa /= 10;
            exponent += 1;
        }
        let mantissa = i64::try_from(mantissa).map_err(|_| TOO_LONG)?;
        Ok(Self::new(mantissa, i16::try_from(exponent).map_err(|_| TOO_LONG)?))
    }

    /// IEEE 754 binary64.
    pub(super) fn from_double(bits: u64) -> Result<Self, &'static str> {
        let binary = Binary::new(bits, 52, 11)?;
        binary.integer().map_or_else(|| shortest(format_args!("{:e}", f64::from_bits(bits))), Ok)
    }

    /// IEEE 754 binary32.
    pub(super) fn from_single(bits: u32) -> Result<Self, &'static str> {
        let binary = Binary::new(bits.into(), 23, 8)?;
        binary.integer().map_or_else(|| shortest(format_args!("{:e}", f32::from_bits(bits))), Ok)
    }

    /// IEEE 754 binary16.
    pub(super) fn from_half(bits: u16) -> Result<Self, &'static str> {
        let binary = Binary::new(bits.into(), 10, 5)?;
        binary.integer().map_or_else(|| binary.shortest_half(), Ok)
    }
}

/// A JSON number with a lower-case `e`.
impl FromStr for Decimal {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let literal = Literal::parse(text).ok_or(NOT_A_NUMBER);
        literal.and_then(|literal| literal.decimal()).map_err(Error::Decimal)
    }
}

impl From<i32> for Decimal {
    fn from(value: i32) -> Self {
        Self::new(value.into(), 0)
    }
}

/// As a JSON number: positional with up to 19 places, with an exponent otherwise.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.mantissa.unsigned_abs();
        let power = 10_u64.checked_pow(self.exponent.unsigned_abs().into());
        let sign = if self.mantissa < 0 { "-" } else { "" };
        match power {
            Some(power) if self.exponent < 0 => {
                let (whole, part) = (digits / power, digits % power);
                let width = usize::from(self.exponent.unsigned_abs());
                write!(f, "{sign}{whole}.{part:0width$}")
            }
            Some(power) if digits.checked_mul(power).is_some() => {
                write!(f, "{sign}{}", digits.saturating_mul(power))
            }
            _ => write!(f, "{}e{}", self.mantissa, self.exponent),
        }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let signs = self.mantissa.signum().cmp(&other.mantissa.signum());
        let magnitudes = self.magnitude().cmp(&other.magnitude());
        signs.then(if self.mantissa < 0 { magnitudes.reverse() } else { magnitudes })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Decimal {
    /// The power of ten above the first digit, then the digits aligned to the left.
    fn magnitude(self) -> (i32, u128) {
        let digits = self.mantissa.unsigned_abs();
        let Some(length) = digits.checked_ilog10() else { return (i32::MIN, 0) };
        let aligned = u128::from(digits) * 10_u128.pow(19_u32.saturating_sub(length));
        (i32::from(self.exponent).saturating_add_unsigned(length), aligned)
    }
}

/// A JSON number (RFC 8259 §6), cut into its parts.
pub(crate) struct Literal<'a> {
    negative: bool,
    whole: &'a str,
    fraction: &'a str,
    power: &'a str,
    upper_case: bool,
}

impl<'a> Literal<'a> {
    /// The parts, if `text` is a JSON number as a whole.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (digits, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let canonical = whole == "0" || !whole.starts_with('0');
        let unsigned = power.strip_prefix(['+', '-']).unwrap_or(power);
        let parts = [whole, fraction, unsigned];
        let upper_case = text.contains('E');
        (canonical && parts.into_iter().all(is_digits)).then_some(Self {
            negative,
            whole,
            fraction,
            power,
            upper_case,
        })
    }

    /// The exact value; the exponent has to be marked by a lower-case `e` (RFC 8428 §5).
    pub(crate) fn decimal(&self) -> Result<Decimal, &'static str> {
        if self.upper_case {
            return Err("the exponent is not marked by a lower-case e");
        }
        let (mantissa, zeros) = significant(self.whole.bytes().chain(self.fraction.bytes()))?;
        if mantissa == 0 {
            return Ok(Decimal::ZERO);
        }
        let power: i32 = self.power.parse().map_err(|_| TOO_LONG)?;
        let places = i32::try_from(self.fraction.len()).map_err(|_| TOO_LONG)?;
        let exponent = power.checked_sub(places).and_then(|power| power.checked_add(zeros));
        let mantissa = if self.negative { -i128::from(mantissa) } else { mantissa.into() };
        Decimal::from_wide(mantissa, exponent.ok_or(TOO_LONG)?)
    }
}

/// A binary float: `mantissa × 2^exponent`.
struct Binary {
    negative: bool,
    mantissa: u64,
    exponent: i32,
    /// The next float towards zero is only half as far away as the one beyond.
    uneven: bool,
}

impl Binary {
    fn new(bits: u64, fraction_bits: u32, exponent_bits: u32) -> Result<Self, &'static str> {
        let fraction = bits & ((1 << fraction_bits) - 1);
        let all_ones = (1_u64 << exponent_bits) - 1;
        let field = (bits >> fraction_bits) & all_ones;
        if field == all_ones {
            return Err(NOT_FINITE);
        }
        let hidden = if field == 0 { 0 } else { 1 << fraction_bits };
        let bias = (1_i32 << (exponent_bits - 1)) - 1;
        let field_value = i32::try_from(field.max(1)).map_err(|_| NOT_FINITE)?;
        Ok(Self {
            negative: bits >> (fraction_bits + exponent_bits) != 0,
            mantissa: fraction | hidden,
            exponent: field_value.saturating_sub(bias).saturating_sub_unsigned(fraction_bits),
            uneven: fraction == 0 && field > 1,
        })
    }

    /// The exact value, if it is an integer that fits.
    fn integer(&self) -> Option<Decimal> {
        let shift = self.exponent.unsigned_abs();
        let value = if self.mantissa == 0 {
            0
        } else if self.exponent >= 0 {
            (self.mantissa.leading_zeros() > shift).then(|| self.mantissa << shift)?
        } else {
            (self.mantissa.trailing_zeros() >= shift).then(|| self.mantissa >> shift)?
        };
        self.signed(value.into(), 0).ok()
    }

    /// The shortest decimal nearest to a half-precision float that is not an integer.
    fn shortest_half(&self) -> Result<Decimal, &'static str> {
        // In units of 2^-25: a half of the smallest step is one of them.
        let shift = self.exponent.saturating_add(25).unsigned_abs();
        let value = u128::from(self.mantissa) << shift;
        for places in 1..=24_u8 {
            let power = 10_u128.pow(places.into());
            let exact = value * power;
            let digits = (exact + (1 << 24)) >> 25;
            let (found, half_step) = (digits << 25, power << (shift - 1));
            let below = found < exact && self.uneven;
            if found.abs_diff(exact) < (if below { half_step / 2 } else { half_step }) {
                return self.signed(i128::try_from(digits).map_err(|_| TOO_LONG)?, places);
            }
        }
        Err(TOO_LONG)
    }

    fn signed(&self, digits: i128, places: u8) -> Result<Decimal, &'static str> {
        Decimal::from_wide(if self.negative { -digits } else { digits }, -i32::from(places))
    }
}

/// Reads back what the standard library writes for a float: its shortest digits.
fn shortest(digits: fmt::Arguments<'_>) -> Result<Decimal, &'static str> {
    struct Buffer([u8; 32], usize);
    impl Write for Buffer {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let end = self.1.saturating_add(text.len());
            self.0.get_mut(self.1..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
            self.1 = end;
            Ok(())
        }
    }
    let mut buffer = Buffer([0; 32], 0);
    buffer.write_fmt(digits).map_err(|_| TOO_LONG)?;
    let text = buffer.0.get(..buffer.1).and_then(|bytes| core::str::from_utf8(bytes).ok());
    text.and_then(Literal::parse).ok_or(TOO_LONG)?.decimal()
}

/// The digits as a number without its trailing zeros, and how many of these there were.
fn significant(digits: impl Iterator<Item = u8>) -> Result<(u64, i32), &'static str> {
    let (mut number, mut zeros) = (0_u64, 0_u32);
    for digit in digits.map(|digit| digit.wrapping_sub(b'0')) {
        if digit == 0 {
            zeros = zeros.saturating_add(u32::from(number != 0));
            continue;
        }
        let shifted =
            10_u64.checked_pow(zeros.saturating_add(1)).and_then(|p| number.checked_mul(p));
        // Only zeros were read, so the power does not matter.
        let shifted = if number == 0 { Some(0) } else { shifted };
        number = shifted.and_then(|n| n.checked_add(digit.into())).ok_or(TOO_LONG)?;
        zeros = 0;
    }
    Ok((number, i32::try_from(zeros).map_err(|_| TOO_LONG)?))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
