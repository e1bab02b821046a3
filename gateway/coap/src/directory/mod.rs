//! The resource directory (RFC 9176), pure state: registrations, their lifetimes, look-ups.
//!
//! Guarantees: bounded by [`Limits`]; a caller that knows who speaks (DTLS) forces the endpoint name:
//! a registration under another name is refused with 4.03, and nobody changes another's. Does not:
//! fetch links itself. For simple registration it says so ([`Answer::Fetch`]); the caller asks the
//! device for `/.well-known/core` and hands the answer to [`Directory::complete`].
//!
//! Order of use: [`Directory::handle`] for each request, [`Directory::expire`] when
//! [`Directory::next_expiry`] is reached. Times are monotonic, in milliseconds.

mod lookup;
mod registration;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use registration::Registration;

use crate::{Code, Error, Method, Request, Response, format, link};

/// Bounds of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Registrations.
    pub registrations: usize,
    /// Registrations under one name, in different sectors.
    pub registrations_per_name: usize,
    /// Bytes of links and attributes of one registration.
    pub bytes_per_registration: usize,
    /// Shortest lifetime in seconds; a shorter one is lengthened.
    pub least_lifetime: u32,
    /// Longest lifetime in seconds; a longer one is shortened.
    pub greatest_lifetime: u32,
    /// Bytes of the answer to a look-up; what doesn't fit is left out, and found with `page`.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            registrations: 2048,
            registrations_per_name: 4,
            bytes_per_registration: 4096,
            least_lifetime: 60,
            greatest_lifetime: 30 * 24 * 3600,
            answer: 64 * 1024,
        }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller<'a> {
    /// Its endpoint name, where that is proven: it then speaks under this name only, and may leave
    /// `ep` out.
    pub name: Option<&'a str>,
    /// The URI of its address, as `coap://[2001:db8::1]:5683`: the base of its links if it gives
    /// none.
    pub base: &'a str,
}

/// What to do with a request to the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Send this.
    Respond(Response),
    /// Simple registration: send this, then ask the device for `/.well-known/core` and call
    /// [`Directory::complete`] with what it answers.
    Fetch(Response, Registration),
}

/// A registration with its links.
#[derive(Debug)]
struct Entry {
    registration: Registration,
    links: String,
    expires: u64,
}

/// All registrations.
#[derive(Debug)]
pub struct Directory {
    limits: Limits,
    entries: BTreeMap<u64, Entry>,
    by_name: BTreeMap<(String, Option<String>), u64>,
    by_expiry: BTreeSet<(u64, u64)>,
    next: u64,
}

impl Directory {
    /// An empty directory.
    pub fn new(limits: Limits) -> Self {
        let (entries, by_name, by_expiry) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { limits, entries, by_name, by_expiry, next: 1 }
    }

    /// Answers a request to `/rd…`, `/rd-lookup/…` or `/.well-known/rd`; none for other paths.
    pub fn handle(&mut self, now: u64, request: &Request, caller: Caller<'_>) -> Option<Answer> {
        let path: Vec<_> = request.path().take(4).collect();
        let id = |text: &str| text.parse::<u64>().ok().filter(|id| id.to_string() == text);
        let response = match (path.as_slice(), request.method) {
            ([".well-known", "rd"], Method::Post) => return Some(self.simple(request, caller)),
            (["rd"], Method::Post) => self.register(now, request, caller),
            (["rd", text], Method::Post) => self.update(now, id(text), request, caller),
            (["rd", text], Method::Delete) => self.remove(id(text), caller),
            (["rd-lookup", "res"], Method::Get) => self.look_up(request, true),
            (["rd-lookup", "ep"], Method::Get) => self.look_up(request, false),
            ([".well-known", "rd"] | ["rd"] | ["rd", _] | ["rd-lookup", "res" | "ep"], _) => {
                Ok(Response::new(Code::METHOD_NOT_ALLOWED))
            }
            _ => return None,
        };
        Some(Answer::Respond(response.unwrap_or_else(|error| refusal(&error))))
    }

    /// Ends a simple registration with the device's answer to `/.well-known/core`.
    pub fn complete(
        &mut self,
        now: u64,
        registration: Registration,
        links: &Response,
    ) -> Result<(), Error> {
        let format = links.content_format().unwrap_or(format::LINK_FORMAT);
        if links.code != Code::CONTENT || format != format::LINK_FORMAT {
            return Err(Error::Link { at: 0, problem: "the device sent no links" });
        }
        let text = text(&links.payload)?;
        self.enter(now, registration, text).map(|_| ())
    }

    /// Removes what is over. Gives the names.
    pub fn expire(&mut self, now: u64) -> Vec<String> {
        let mut names = Vec::new();
        while let Some((_, id)) = self.by_expiry.first().copied().filter(|(at, _)| *at <= now) {
            names.extend(self.take(id).map(|entry| entry.registration.name));
        }
        names
    }

    /// When the next registration is over.
    pub fn next_expiry(&self) -> Option<u64> {
        self.by_expiry.first().map(|(at, _)| *at)
    }

    /// Removes the registrations under names that are not to be kept: those devices are gone.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let gone = self.by_name.iter().filter(|((name, _), _)| !keep(name));
        let gone: Vec<_> = gone.map(|(_, id)| *id).collect();
        gone.into_iter().for_each(|id| drop(self.take(id)));
    }

    fn register(
        &mut self,
        now: u64,
        request: &Request,
        caller: Caller<'_>,
    ) -> Result<Response, Error> {
        if request.content_format().is_some_and(|format| format != format::LINK_FORMAT) {
            return Ok(Response::new(Code::UNSUPPORTED_CONTENT_FORMAT));
        }
        let links = text(&request.payload)?;
        let registration = Registration::new(request, caller, &self.limits)?;
        let id = self.enter(now, registration, links)?;
        Ok(Response::new(Code::CREATED).with_location(["rd", &id.to_string()]))
    }

    fn simple(&self, request: &Request, caller: Caller<'_>) -> Answer {
        if !request.payload.is_empty() {
            let text = "simple registration has no payload";
            return Answer::Respond(Response::diagnostic(Code::BAD_REQUEST, text));
        }
        let registration = Registration::new(request, caller, &self.limits);
        let registration = registration.and_then(|registration| {
            self.may_enter(&registration)?;
            Ok(registration)
        });
        match registration {
            Ok(registration) => Answer::Fetch(Response::new(Code::CHANGED), registration),
            Err(error) => Answer::Respond(refusal(&error)),
        }
    }

    fn update(
        &mut self,
        now: u64,
        id: Option<u64>,
        request: &Request,
        caller: Caller<'_>,
    ) -> Result<Response, Error> {
        let limit = self.limits.bytes_per_registration;
        let (id, entry) = self.owned(id, caller)?;
        let old = entry.expires;
        entry.registration.update(request, caller, limit.saturating_sub(entry.links.len()))?;
        let lifetime = entry.registration.lifetime;
        self.by_expiry.remove(&(old, id));
        self.set_expiry(now, id, lifetime);
        Ok(Response::new(Code::CHANGED))
    }

    fn remove(&mut self, id: Option<u64>, caller: Caller<'_>) -> Result<Response, Error> {
        let (id, _) = self.owned(id, caller)?;
        self.take(id);
        Ok(Response::new(Code::DELETED))
    }

    /// The registration with this identifier, if it is the caller's.
    fn owned(&mut self, id: Option<u64>, caller: Caller<'_>) -> Result<(u64, &mut Entry), Error> {
        let id = id.ok_or(Error::NoRegistration)?;
        let entry = self.entries.get_mut(&id).ok_or(Error::NoRegistration)?;
        if entry.registration.owner.as_deref() != caller.name {
            return Err(Error::OtherName);
        }
        Ok((id, entry))
    }

    /// Whether a registration may be entered; gives the one that it replaces.
    fn may_enter(&self, registration: &Registration) -> Result<Option<u64>, Error> {
        let Registration { name, sector, owner, .. } = registration;
        let named = self.by_name.range((name.clone(), None)..);
        let named: Vec<_> = named.take_while(|((found, _), _)| found == name).collect();
        let foreign =
            |id: &u64| self.entries.get(id).is_some_and(|it| it.registration.owner != *owner);
        if named.iter().any(|(_, id)| foreign(id)) {
            return Err(Error::OtherName);
        }
        if let Some((_, id)) = named.iter().find(|((_, found), _)| found == sector) {
            return Ok(Some(**id));
        }
        let limit = self.limits.registrations_per_name;
        if named.len() >= limit {
            return Err(Error::TooMany { what: "registrations under this name", limit });
        }
        let limit = self.limits.registrations;
        if self.entries.len() >= limit {
            return Err(Error::TooMany { what: "registrations", limit });
        }
        Ok(None)
    }

    fn enter(&mut self, now: u64, registration: Registration, links: &str) -> Result<u64, Error> {
        let (size, limit) = (links.len() + registration.size(), self.limits.bytes_per_registration);
        if size > limit {
            return Err(Error::TooLarge { what: "registration", size, limit });
        }
        check(links)?;
        let replaced = self.may_enter(&registration)?;
        let id = replaced.unwrap_or(self.next);
        match self.take(id) {
            Some(_) => {}
            None => self.next += 1,
        }
        let lifetime = registration.lifetime;
        self.by_name.insert((registration.name.clone(), registration.sector.clone()), id);
        self.entries.insert(id, Entry { registration, links: links.to_owned(), expires: 0 });
        self.set_expiry(now, id, lifetime);
        Ok(id)
    }

    fn set_expiry(&mut self, now: u64, id: u64, lifetime: u32) {
        let Limits { least_lifetime, greatest_lifetime, .. } = self.limits;
        let seconds = lifetime.min(greatest_lifetime).max(least_lifetime);
        let expires = now.saturating_add(u64::from(seconds) * 1000);
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.expires = expires;
            self.by_expiry.insert((expires, id));
        }
    }

    fn take(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        let Registration { name, sector, .. } = &entry.registration;
        self.by_name.remove(&(name.clone(), sector.clone()));
        self.by_expiry.remove(&(entry.expires, id));
        Some(entry)
    }
}

fn text(payload: &[u8]) -> Result<&str, Error> {
    let at = |error: std::str::Utf8Error| error.valid_up_to();
    std::str::from_utf8(payload).map_err(|error| Error::Link { at: at(error), problem: "no UTF-8" })
}

/// Links have to be in limited link format (RFC 9176 Appendix C): targets and anchors are absolute.
fn check(links: &str) -> Result<(), Error> {
    for link in link::parse(links)? {
        let anchor = link.attribute("anchor").unwrap_or("/");
        for reference in [&*link.target, anchor] {
            let path = reference.starts_with('/') && !reference.starts_with("//");
            if !path && !registration::is_uri(reference) {
                let problem = "a target or anchor is neither a URI nor an absolute path";
                return Err(Error::Link { at: 0, problem });
            }
        }
    }
    Ok(())
}

/// The answer to a request that breaks a rule.
fn refusal(error: &Error) -> Response {
    let code = match error {
        Error::OtherName => Code::FORBIDDEN,
        Error::NoRegistration => Code::NOT_FOUND,
        Error::TooMany { .. } => Code::SERVICE_UNAVAILABLE,
        Error::TooLarge { .. } => Code::REQUEST_ENTITY_TOO_LARGE,
        _ => Code::BAD_REQUEST,
    };
    Response::diagnostic(code, &error.to_string())
}
