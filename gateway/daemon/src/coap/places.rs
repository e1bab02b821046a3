//! Who is where: which device speaks on which link, and which link leads to which device.
//!
//! Guarantees: over DTLS a device is who its key says; on the plain port only devices with `security = "none"` speak, under
//! the name that they give (`ep`) or under which their address registered; bounded by sessions and by such devices.
//! Does not: prove anything about a plain address.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    rc::Rc,
};

use super::Link;
use crate::{
    config::Security,
    devices::{Enrolled, Registry},
    net::{Path, dtls::SessionId, psk::Identity},
};

/// Who is where.
pub(super) struct Places {
    registry: Registry,
    sessions: HashMap<SessionId, (Identity, Path)>,
    /// The newest link of each device.
    links: BTreeMap<String, Link>,
    /// Names of devices without security, by their addresses.
    plain: HashMap<SocketAddr, String>,
}

impl Places {
    pub(super) fn new(registry: Registry) -> Self {
        let (sessions, plain) = (HashMap::new(), HashMap::new());
        Self { registry, sessions, links: BTreeMap::new(), plain }
    }

    pub(super) fn opened(&mut self, session: SessionId, identity: &Identity, path: Path) {
        self.sessions.insert(session, (identity.clone(), path));
        self.links.insert(identity.as_str().to_owned(), Link::Dtls(session));
    }

    pub(super) fn closed(&mut self, session: SessionId) {
        let Some((identity, _)) = self.sessions.remove(&session) else { return };
        if self.links.get(identity.as_str()) == Some(&Link::Dtls(session)) {
            self.links.remove(identity.as_str());
        }
    }

    /// Forgets who is no longer enrolled, and the plain addresses of who needs a key now.
    pub(super) fn retain(&mut self) {
        let registry = self.registry.clone();
        let security = |name: &String| registry.get(name).map(|found| found.device.security);
        let is_open = |name: &String| security(name) == Some(Security::None);
        self.links.retain(|name, link| match link {
            Link::Dtls(_) => security(name).is_some(),
            Link::Plain(_) => is_open(name),
        });
        self.plain.retain(|_, name| is_open(name));
    }

    /// The device that speaks on a link; `named` is the name that it gives itself.
    pub(super) fn device(&mut self, link: Link, named: Option<&str>) -> Option<Rc<Enrolled>> {
        match link {
            Link::Dtls(session) => {
                let (identity, _) = self.sessions.get(&session)?;
                self.registry.get(identity.as_str())
            }
            Link::Plain(path) => {
                let known = self.plain.get(&path.peer).map(String::as_str);
                let name = named.or(known)?.to_owned();
                let is_open = |found: &Rc<Enrolled>| found.device.security == Security::None;
                let enrolled = self.registry.get(&name).filter(is_open)?;
                self.remember(path, name);
                Some(enrolled)
            }
        }
    }

    /// A device has one address, the newest.
    fn remember(&mut self, path: Path, name: String) {
        if self.plain.get(&path.peer) != Some(&name) {
            self.plain.retain(|_, known| *known != name);
            self.plain.insert(path.peer, name.clone());
        }
        let link = Link::Plain(path);
        if self.links.get(&name) != Some(&link) {
            self.links.insert(name, link);
        }
    }

    /// The newest link of a device.
    pub(super) fn link_of(&self, device: &str) -> Option<Link> {
        self.links.get(device).copied()
    }

    /// The URI of a link's address.
    pub(super) fn uri(&self, link: Link) -> Option<String> {
        match link {
            Link::Plain(path) => Some(format!("coap://{}", path.peer)),
            Link::Dtls(session) => {
                self.sessions.get(&session).map(|(_, path)| format!("coaps://{}", path.peer))
            }
        }
    }
}
