//! Who is enrolled with which key: endpoint names and pre-shared keys (RFC 4279).
//!
//! Guarantees: an identity is 1 to 32 bytes of text without control characters, a key is 16 bytes; a key appears in no
//! `Debug` output and is wiped from memory when it is dropped. Does not: read the configuration or make keys.

use std::{collections::BTreeMap, fmt, sync::Arc};

use zeroize::Zeroizing;

/// Longest identity in bytes; what TinyDTLS takes by default.
pub const MAX_IDENTITY: usize = 32;

/// Bytes of a key; what TinyDTLS takes by default.
pub const KEY_BYTES: usize = 16;

/// The endpoint name of a device, which it also names itself with in the handshake.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(Arc<str>);

impl Identity {
    /// Takes a name; `None` if it is empty, longer than [`MAX_IDENTITY`] or not printable.
    pub fn new(name: &str) -> Option<Self> {
        let fits = (1..=MAX_IDENTITY).contains(&name.len());
        (fits && !name.contains(char::is_control)).then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A pre-shared key: 16 random bytes.
#[derive(Clone)]
pub struct Psk(Zeroizing<[u8; KEY_BYTES]>);

impl Psk {
    /// Takes the bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the handshake and for nothing else.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(…)")
    }
}

/// The enrolled devices and their keys.
#[derive(Clone, Debug, Default)]
pub struct Enrolled(BTreeMap<Identity, Psk>);

impl Enrolled {
    /// Nobody.
    pub const fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a device or changes its key.
    pub fn insert(&mut self, identity: Identity, key: Psk) {
        self.0.insert(identity, key);
    }

    /// The entry of the identity that a handshake named.
    pub fn find(&self, identity: &[u8]) -> Option<(&Identity, &Psk)> {
        let name = std::str::from_utf8(identity).ok()?;
        self.0.get_key_value(&Identity::new(name)?)
    }

    /// Whether both give the device the same key; a device without a key in one of them has none.
    pub fn same_key(&self, other: &Self, identity: &Identity) -> bool {
        let keys = (self.0.get(identity), other.0.get(identity));
        matches!(keys, (Some(one), Some(two)) if one.expose() == two.expose())
    }

    /// How many devices are enrolled.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no device is enrolled.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Identity, Psk)> for Enrolled {
    fn from_iter<T: IntoIterator<Item = (Identity, Psk)>>(devices: T) -> Self {
        Self(devices.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_a_printable_name_of_at_most_32_bytes() {
        assert!(Identity::new("meter-1").is_some());
        assert!(Identity::new(&"ö".repeat(16)).is_some());
        for wrong in ["", "a\0", "line\n", &"ö".repeat(17)] {
            assert!(Identity::new(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let identity = Identity::new("meter-1").unwrap();
        let enrolled: Enrolled = [(identity, Psk::new([0xA5; 16]))].into_iter().collect();
        let shown = format!("{enrolled:?}{enrolled:#?}");
        assert!(shown.contains("meter-1") && !shown.contains("165") && !shown.contains("a5"));
    }

    #[test]
    fn only_the_exact_name_is_found() {
        let identity = Identity::new("meter-1").unwrap();
        let enrolled: Enrolled = [(identity, Psk::new([1; 16]))].into_iter().collect();
        assert!(enrolled.find(b"meter-1").is_some());
        for wrong in [&b"meter-11"[..], b"meter-", b"", b"METER-1", b"\xff", &[b'a'; 300]] {
            assert!(enrolled.find(wrong).is_none());
        }
    }
}
