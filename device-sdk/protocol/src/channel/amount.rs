//! An amount of an asset in its smallest unit: an unsigned integer of 256 bits.
//!
//! Guarantees: no operation wraps or rounds; one decimal text and one minimal byte string for each amount.
//! Does not: know decimals or the name of a currency.

use core::{fmt, str::FromStr};

use heapless::Vec;
use ruint::Uint;

use super::Rule;

/// An amount, from 0 to 2^256 - 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(Uint<256, 4>);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(Uint::ZERO);
    /// The largest amount, 2^256 - 1.
    pub const MAX: Self = Self(Uint::MAX);

    /// Takes 32 bytes, big endian.
    pub const fn from_be_bytes(bytes: [u8; 32]) -> Self {
        Self(Uint::from_be_bytes(bytes))
    }

    /// The 32 bytes, big endian.
    pub fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// Takes up to 32 bytes, big endian, without a leading zero; zero has no bytes.
    pub fn from_minimal(bytes: &[u8]) -> Option<Self> {
        if bytes.first() == Some(&0) {
            return None;
        }
        Uint::try_from_be_slice(bytes).map(Self)
    }

    /// As few bytes as hold the amount, big endian.
    pub fn to_minimal(self) -> Vec<u8, 32> {
        self.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect()
    }

    /// The sum, if it is below 2^256.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, if it is not negative.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product, if it is below 2^256.
    pub fn checked_mul(self, other: Self) -> Option<Self> {
        self.0.checked_mul(other.0).map(Self)
    }

    /// The sum of all, if it is below 2^256.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// Whether it is a multiple of another; of zero only zero is.
    pub fn is_multiple_of(self, other: Self) -> bool {
        self.0.checked_rem(other.0).map_or(self.is_zero(), |rest| rest.is_zero())
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

impl From<u64> for Amount {
    fn from(number: u64) -> Self {
        Self(Uint::from(number))
    }
}

impl From<u128> for Amount {
    fn from(number: u128) -> Self {
        Self(Uint::from(number))
    }
}

impl TryFrom<Amount> for u128 {
    type Error = Rule;

    fn try_from(amount: Amount) -> Result<Self, Rule> {
        Self::try_from(amount.0).map_err(|_| Rule::AmountTooLarge)
    }
}

/// Reads a decimal number without sign, leading zero or separator.
impl FromStr for Amount {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let canonical = text == "0" || !text.starts_with('0');
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !canonical || !digits {
            return Err(Rule::AmountForm);
        }
        Uint::from_str_radix(text, 10).map(Self).map_err(|_| Rule::AmountTooLarge)
    }
}

/// The decimal number.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
