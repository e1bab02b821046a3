//! The address book: who may be connected, by name and by certificate.
//!
//! Guarantees: a peer is exactly who has the pinned certificate; its wire address follows from it, or from the wire key
//! of the configuration. Does not: change while it is in use; a new configuration makes a new one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    rc::Rc,
};

use rustls::pki_types::CertificateDer;
use sluicegate_channels::wire::{AddressMap, Codec, RsaPublicKey, WireAddress};
use sluicegate_protocol::Digest;

use super::{certificate, fault::Fault};
use crate::config;

/// A peer as the configuration has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) endpoint: Option<String>,
    pub(super) fingerprint: Digest,
    pub(super) wire_key: Option<RsaPublicKey>,
    pub(super) codec: Codec,
    pub(super) backend: u32,
}

/// A peer that showed its certificate.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) entry: Rc<Entry>,
    /// What it signs its address with.
    pub(super) key: RsaPublicKey,
    /// Its address on the wire, key included.
    pub(super) address: AddressMap,
}

/// All peers.
#[derive(Debug, Clone, Default)]
pub struct Book {
    entries: BTreeMap<String, Rc<Entry>>,
}

impl Book {
    /// Of a configuration; the error says what is wrong.
    pub fn new(peers: &[config::Peer]) -> Result<Self, String> {
        let entries = peers.iter().map(|peer| {
            let entry = Entry {
                name: peer.name.clone(),
                endpoint: peer.endpoint.clone(),
                fingerprint: peer.fingerprint()?,
                wire_key: peer.wire_key()?,
                codec: peer.codec.into(),
                backend: peer.backend,
            };
            Ok((peer.name.clone(), Rc::new(entry)))
        });
        Ok(Self { entries: entries.collect::<Result<_, String>>()? })
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Rc<Entry>> {
        self.entries.values()
    }

    /// The addresses that it names; one by a host's name is not looked up.
    pub(super) fn addresses(&self) -> BTreeSet<IpAddr> {
        let endpoints = self.entries().filter_map(|entry| entry.endpoint.as_ref());
        let addresses = endpoints.filter_map(|text| text.parse::<SocketAddr>().ok());
        addresses.map(|address| address.ip().to_canonical()).collect()
    }

    pub(super) fn fingerprints(&self) -> BTreeSet<Digest> {
        self.entries().map(|entry| entry.fingerprint).collect()
    }

    /// Whether the peer of the name is still this one.
    pub(super) fn has(&self, entry: &Entry) -> bool {
        self.entries.get(&entry.name).is_some_and(|known| **known == *entry)
    }

    /// Whose certificate this is.
    pub(super) fn find(&self, certificate: &CertificateDer<'_>) -> Result<Peer, Fault> {
        let found = certificate::fingerprint(certificate);
        let mut entries = self.entries();
        let entry = entries.find(|entry| entry.fingerprint == found).ok_or(Fault::Unknown)?;
        Peer::new(entry, certificate)
    }
}

impl Peer {
    /// The peer of an entry whose certificate it has shown.
    pub(super) fn new(entry: &Rc<Entry>, certificate: &CertificateDer<'_>) -> Result<Self, Fault> {
        let entry = Rc::clone(entry);
        let key = entry.wire_key.clone().or_else(|| certificate::rsa_key(certificate));
        let key = key.ok_or(Fault::NoKey)?;
        let address = WireAddress::new(&entry.name, Some(key.clone()));
        let address = address.and_then(|address| AddressMap::single(entry.backend, address));
        Ok(Self { entry, key, address: address.map_err(Fault::Message)? })
    }
}
