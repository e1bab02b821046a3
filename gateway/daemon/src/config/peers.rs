//! The part of the configuration that faces other gateways and go-perun nodes: our name, our port, the address book.
//!
//! Guarantees: as the whole file ([`super`]); two peers differ in name and in certificate. Does not: hold a secret; the
//! fingerprint of a certificate and an RSA public key are none.

use std::net::SocketAddr;

use base64ct::{Base64, Encoding};
use serde::Deserialize;
use sluicegate_channels::wire::{Codec, RsaPublicKey};
use sluicegate_protocol::Digest;

/// Bytes of a name: what fits a certificate's common name (RFC 5280 appendix A.1).
const MAX_NAME: usize = 64;

/// The exponent of every RSA key that Go or we make.
const EXPONENT: u32 = 65_537;

/// Bytes of an RSA modulus that signatures are checked with: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1_024;

/// `[channels]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// Name of this gateway on the wire. Of two peers, the one with the greater name gets through to a go-perun node
    /// that still holds an old connection.
    pub name: String,
    /// Where peers connect to; without it this gateway only connects to them.
    pub listen: Option<SocketAddr>,
    /// Backend that our wire address stands under, in go-perun's numbers; 1 is Ethereum.
    #[serde(default = "ethereum")]
    pub backend: u32,
}

/// `[[peer]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its name on the wire.
    pub name: String,
    /// Where it listens, as `host:port`; without it only the peer connects.
    pub endpoint: Option<String>,
    /// SHA-256 of its certificate, 64 hexadecimal digits.
    pub fingerprint: String,
    /// Modulus of its RSA key in hexadecimal or base64, where that isn't the certificate's (go-perun).
    pub wire_key: Option<String>,
    /// Encoding of its messages.
    #[serde(default)]
    pub codec: PeerCodec,
    /// Backend that its wire address stands under, in go-perun's numbers.
    #[serde(default = "ethereum")]
    pub backend: u32,
}

/// Encoding of messages; both sides need the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerCodec {
    /// go-perun's own.
    #[default]
    Perunio,
    /// Protocol buffers; no sub-channels.
    Protobuf,
}

impl From<PeerCodec> for Codec {
    fn from(codec: PeerCodec) -> Self {
        match codec {
            PeerCodec::Perunio => Self::Perunio,
            PeerCodec::Protobuf => Self::Protobuf,
        }
    }
}

impl Peer {
    /// The fingerprint; the error says what is wrong.
    pub fn fingerprint(&self) -> Result<Digest, String> {
        let digits = self.fingerprint.to_ascii_lowercase();
        let wrong = || format!("peer {:?}: fingerprint is not 64 hexadecimal digits", self.name);
        Digest::from_hex(&digits).ok_or_else(wrong)
    }

    /// The key of its wire address where it isn't the certificate's; the error says what is wrong.
    pub fn wire_key(&self) -> Result<Option<RsaPublicKey>, String> {
        let Some(text) = &self.wire_key else { return Ok(None) };
        let modulus = from_hex(text).or_else(|| Base64::decode_vec(text).ok());
        let modulus = modulus.filter(|modulus| MODULUS.contains(&modulus.len()));
        let key = modulus.and_then(|modulus| RsaPublicKey::new(&modulus, EXPONENT).ok());
        let rule = "wire_key is no RSA modulus of 2048 to 8192 bits in hexadecimal or base64";
        key.map(Some).ok_or_else(|| format!("peer {:?}: {rule}", self.name))
    }

    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        check_name("peer", name)?;
        check_backend(&format!("peer {name:?}: backend"), self.backend)?;
        self.fingerprint()?;
        self.wire_key()?;
        let port = |endpoint: &str| {
            let (host, port) = endpoint.rsplit_once(':')?;
            (!host.is_empty()).then(|| port.parse::<u16>().ok().filter(|port| *port != 0))?
        };
        if self.endpoint.as_deref().is_some_and(|endpoint| port(endpoint).is_none()) {
            return Err(format!("peer {name:?}: endpoint is not host:port"));
        }
        Ok(())
    }
}

/// Checks the address book against itself and our own name.
pub(super) fn check(channels: Option<&Channels>, peers: &[Peer]) -> Result<(), String> {
    match channels {
        None if peers.is_empty() => return Ok(()),
        None => return Err("a peer needs [channels] with our own name".to_owned()),
        Some(channels) => {
            check_name("channels.name", &channels.name)?;
            check_backend("channels.backend", channels.backend)?;
        }
    }
    for (position, peer) in peers.iter().enumerate() {
        peer.check()?;
        let (name, others) = (&peer.name, &peers[..position]);
        if channels.is_some_and(|channels| channels.name == *name) {
            return Err(format!("peer {name:?} has our own name"));
        }
        if others.iter().any(|other| other.name == *name) {
            return Err(format!("peer {name:?} is there twice"));
        }
        if let Some(other) = others.iter().find(|other| other.fingerprint() == peer.fingerprint()) {
            return Err(format!("peers {:?} and {name:?} have one fingerprint", other.name));
        }
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match (1..=MAX_NAME).contains(&name.len()) && name.chars().all(valid) {
        true => Ok(()),
        false => Err(format!("{what} {name:?}: a name has 1 to 64 of A-Z a-z 0-9 - _ .")),
    }
}

fn check_backend(what: &str, backend: u32) -> Result<(), String> {
    i32::try_from(backend).map(drop).map_err(|_| format!("{what} is too large"))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let whole = text.len().is_multiple_of(2) && text.bytes().all(|c| c.is_ascii_hexdigit());
    whole.then(|| text.as_bytes().chunks(2).map(pair).collect())?
}

const fn ethereum() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn peers(text: &str) -> Result<Vec<Peer>, String> {
        let text = format!("{}\n{text}", super::super::tests::MINIMAL);
        Config::parse(&text, Path::new("/")).map(|config| config.peers)
    }

    fn valid() -> String {
        let print = "ab".repeat(32);
        format!(
            "[channels]\nname = \"mine\"\n[[peer]]\nname = \"yours\"\nfingerprint = \"{print}\"\n"
        )
    }

    #[test]
    fn a_peer_is_a_name_and_a_fingerprint() {
        let peers = peers(&valid()).unwrap();
        assert_eq!((peers[0].codec, peers[0].backend), (PeerCodec::Perunio, 1));
        assert_eq!(peers[0].wire_key().unwrap(), None);
    }

    #[test]
    fn a_wire_key_is_hexadecimal_or_base64() {
        let (hex, base64) = ("c3".repeat(256), Base64::encode_string(&[0xc3; 256]));
        let read = |key: &str| -> Result<_, String> {
            let peers = peers(&format!("{}wire_key = \"{key}\"", valid()))?;
            Ok(peers[0].wire_key()?.map(|key| key.modulus().to_vec()))
        };
        assert_eq!(read(&hex), read(&base64));
        assert_eq!(read(&hex), Ok(Some(vec![0xc3; 256])));
        assert!(read(&hex[2..]).unwrap_err().contains("wire_key"));
    }

    #[test]
    fn mistakes_are_named() {
        let twin = "[[peer]]\nname = \"other\"\nfingerprint = \"".to_owned() + &"AB".repeat(32);
        for (from, to, named) in [
            ("\"yours\"", "\"mine\"", "our own name"),
            ("\"yours\"", "\"y y\"", "a name has"),
            ("abab", "xyab", "64 hexadecimal"),
            ("[channels]\nname = \"mine\"", "", "needs [channels]"),
            ("[channels]", "[channels]\nbackend = 4294967295", "too large"),
            ("[[peer]]", "[[peer]]\nendpoint = \"host\"", "host:port"),
            ("[[peer]]", "[[peer]]\nendpoint = \":5750\"", "host:port"),
            ("[[peer]]", "[[peer]]\ncodec = \"json\"", "json"),
            ("[[peer]]", &format!("{twin}\"\n[[peer]]"), "one fingerprint"),
        ] {
            let error = peers(&valid().replace(from, to)).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
