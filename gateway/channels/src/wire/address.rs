//! Who a peer is on the wire: go-perun's `wire/net/simple` addresses, by backend.
//!
//! Guarantees: one byte string for an address, and one order of a map's entries; both are bounded. Equality is that of
//! go-perun: all entries, keys included. Does not: verify anything, or say what the backends of a map are.

use crate::Error;

/// Bytes of a name.
const MAX_NAME: usize = 255;

/// Bytes of an RSA modulus: 8,192 bits.
const MAX_MODULUS: usize = 1024;

/// Entries of an address map; go-perun has 7 backends.
const MAX_ADDRESSES: usize = 8;

/// An RSA public key, for go-perun's authentication (PKCS #1 v1.5 over SHA-256).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RsaPublicKey {
    modulus: Vec<u8>,
    exponent: u32,
}

impl RsaPublicKey {
    /// A key of its modulus, big endian without a leading zero, and its exponent, below 2^31.
    pub fn new(modulus: &[u8], exponent: u32) -> Result<Self, Error> {
        let minimal = modulus.first().is_some_and(|first| *first != 0);
        if !minimal || modulus.len() > MAX_MODULUS {
            return Err(Error::Malformed("the modulus of a wire address"));
        }
        if exponent == 0 || i32::try_from(exponent).is_err() {
            return Err(Error::Malformed("the exponent of a wire address"));
        }
        Ok(Self { modulus: modulus.to_vec(), exponent })
    }

    /// The modulus, big endian.
    pub fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    /// The public exponent.
    pub const fn exponent(&self) -> u32 {
        self.exponent
    }
}

/// A peer's name and, unless it is known otherwise, the key that it authenticates with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireAddress {
    name: String,
    key: Option<RsaPublicKey>,
}

impl WireAddress {
    /// An address of a name of up to 255 bytes, with or without a key.
    pub fn new(name: &str, key: Option<RsaPublicKey>) -> Result<Self, Error> {
        if name.len() > MAX_NAME {
            return Err(Error::Malformed("the name of a wire address is too long"));
        }
        Ok(Self { name: name.into(), key })
    }

    /// The name; go-perun breaks ties by it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    pub const fn key(&self) -> Option<&RsaPublicKey> {
        self.key.as_ref()
    }

    /// The address as go-perun marshals it: `u16be length ‖ name [‖ u16be length ‖ modulus ‖ i32be exponent]`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = with_length(self.name.as_bytes());
        if let Some(RsaPublicKey { modulus, exponent }) = &self.key {
            bytes.extend(with_length(modulus));
            bytes.extend(exponent.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`Self::to_bytes`] gives, and nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let wrong = Error::Malformed("a wire address");
        let (name, rest) = split_length(bytes).ok_or_else(|| wrong.clone())?;
        let name = core::str::from_utf8(name).map_err(|_| wrong.clone())?;
        if rest.is_empty() {
            return Self::new(name, None);
        }
        let (modulus, exponent) = split_length(rest).ok_or_else(|| wrong.clone())?;
        let exponent = u32::from_be_bytes(exponent.try_into().map_err(|_| wrong)?);
        Self::new(name, Some(RsaPublicKey::new(modulus, exponent)?))
    }
}

/// Bytes behind their number; at most [`MAX_MODULUS`] by construction.
fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), bytes].concat()
}

fn split_length(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

/// A peer's addresses by backend, in go-perun's numbers; from 1 to 8. Dependable with one only (§1.2).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressMap(Vec<(u32, WireAddress)>);

impl AddressMap {
    /// A map of one entry.
    pub fn single(backend: u32, address: WireAddress) -> Result<Self, Error> {
        Self::new(vec![(backend, address)])
    }

    /// A map of these entries in any order; no backend twice, each below 2^31.
    pub fn new(mut entries: Vec<(u32, WireAddress)>) -> Result<Self, Error> {
        entries.sort();
        let once = entries.is_sorted_by(|(first, _), (second, _)| first < second);
        if !once || entries.is_empty() || entries.len() > MAX_ADDRESSES {
            return Err(Error::Malformed("the entries of an address map"));
        }
        if entries.iter().any(|(backend, _)| i32::try_from(*backend).is_err()) {
            return Err(Error::Malformed("a backend's number"));
        }
        Ok(Self(entries))
    }

    /// The entries, by rising backend.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, &WireAddress)> {
        self.0.iter().map(|(backend, address)| (*backend, address))
    }

    /// In place of a map that doesn't fit; never let out.
    pub(super) const fn nobody() -> Self {
        Self(Vec::new())
    }
}
