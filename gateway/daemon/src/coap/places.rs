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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{devices, testing::Place};

    const DEVICES: &str = "[[device]]\nname = \"meter-1\"\n\
        [[device]]\nname = \"lab-1\"\nsecurity = \"none\"\n\
        [[device]]\nname = \"lab-2\"\nsecurity = \"none\"\n";

    fn plain(port: u16) -> Link {
        Link::Plain(Path::to(SocketAddr::from(([127, 0, 0, 1], port))))
    }

    fn name(places: &mut Places, link: Link, named: Option<&str>) -> Option<String> {
        places.device(link, named).map(|found| found.device.name.clone())
    }

    #[test]
    fn on_the_plain_port_only_devices_without_security_speak_each_from_one_address() {
        let place = Place::new(DEVICES);
        let mut places = Places::new(Registry::load(&place.config()).0);
        assert_eq!(name(&mut places, plain(1), None), None);
        assert_eq!(name(&mut places, plain(1), Some("meter-1")), None);
        assert_eq!(name(&mut places, plain(1), Some("stranger")), None);
        assert_eq!(name(&mut places, plain(1), Some("lab-1")).as_deref(), Some("lab-1"));
        assert_eq!(name(&mut places, plain(1), None).as_deref(), Some("lab-1"));
        assert_eq!(name(&mut places, plain(2), Some("lab-1")).as_deref(), Some("lab-1"));
        assert_eq!(name(&mut places, plain(1), None), None, "it moved");
        assert_eq!(places.link_of("lab-1"), Some(plain(2)));
        for port in 3..1_000 {
            name(&mut places, plain(port), Some("lab-2"));
        }
        assert_eq!((places.plain.len(), places.links.len()), (2, 2));
    }

    #[test]
    fn over_dtls_a_device_is_who_its_key_says() {
        let place = Place::new(DEVICES);
        let mut places = Places::new(Registry::load(&place.config()).0);
        let (first, second) = (SessionId::numbered(1), SessionId::numbered(2));
        let path = Path::to(SocketAddr::from(([127, 0, 0, 1], 9)));
        let meter = Identity::new("meter-1").unwrap();
        places.opened(first, &meter, path);
        for named in [None, Some("lab-1"), Some("meter-2")] {
            assert_eq!(name(&mut places, Link::Dtls(first), named).as_deref(), Some("meter-1"));
        }
        places.opened(second, &meter, path);
        places.closed(first);
        assert_eq!(places.link_of("meter-1"), Some(Link::Dtls(second)));
        assert_eq!(name(&mut places, Link::Dtls(first), Some("lab-1")), None);
        places.closed(second);
        assert_eq!((places.link_of("meter-1"), places.sessions.len()), (None, 0));
    }

    #[test]
    fn who_needs_a_key_now_is_no_longer_at_a_plain_address() {
        let place = Place::new(DEVICES);
        let registry = Registry::load(&place.config()).0;
        let mut places = Places::new(registry.clone());
        name(&mut places, plain(1), Some("lab-1"));
        name(&mut places, plain(2), Some("lab-2"));
        place.configure("[[device]]\nname = \"lab-1\"\n");
        registry.reload(&place.config());
        assert_eq!(name(&mut places, plain(1), Some("lab-1")), None);
        places.retain();
        assert_eq!((places.link_of("lab-1"), places.link_of("lab-2")), (None, None));
        assert!(devices::names(&place.config()).contains(&"lab-1".to_owned()));
    }
}
