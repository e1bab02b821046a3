//! An address of Ethereum: the last 20 bytes of the hash of a public key.
//!
//! Guarantees: prints with the checksum of EIP-55; a text in mixed case is read only if its checksum is right.
//! Does not: know whether the address belongs to a key or to a contract.

use core::{fmt, str::FromStr};

use super::{Rule, abi::keccak};
use crate::digest::from_hex;

/// 20 bytes of an account, a contract or nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Address([u8; Self::LEN]);

impl Address {
    /// Bytes of an address.
    pub const LEN: usize = 20;
    /// The address of nobody.
    pub const ZERO: Self = Self([0; Self::LEN]);

    /// Takes 20 bytes as they are.
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// Takes a slice of exactly 20 bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Whether it is the address of nobody.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The 40 digits with the checksum of EIP-55: a letter is upper case if the hash's digit there is 8 or more.
    fn checksummed(&self) -> [u8; 2 * Self::LEN] {
        let mut digits = [0; 2 * Self::LEN];
        for (at, digit) in digits.iter_mut().enumerate() {
            let nibble = nibble(&self.0, at);
            *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        }
        let hash = keccak(|sink| sink.put(&digits));
        for (at, digit) in digits.iter_mut().enumerate() {
            if nibble(&hash, at) >= 8 {
                digit.make_ascii_uppercase();
            }
        }
        digits
    }
}

/// Reads `0x` and 40 digits in lower case, in upper case or with the checksum of EIP-55.
impl FromStr for Address {
    type Err = Rule;

    fn from_str(text: &str) -> Result<Self, Rule> {
        let digits = text.strip_prefix("0x").ok_or(Rule::AddressForm)?;
        let address = Self(from_hex(digits).ok_or(Rule::AddressForm)?);
        let lower = !digits.bytes().any(|digit| digit.is_ascii_uppercase());
        let upper = !digits.bytes().any(|digit| digit.is_ascii_lowercase());
        if lower || upper || digits.as_bytes() == address.checksummed() {
            return Ok(address);
        }
        Err(Rule::AddressChecksum)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.checksummed();
        write!(f, "0x{}", core::str::from_utf8(&digits).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn nibble(bytes: &[u8], at: usize) -> u8 {
    let byte = bytes[at / 2];
    if at.is_multiple_of(2) { byte >> 4 } else { byte & 15 }
}
