//! What a device says about itself when it registers (RFC 9176 §5).
//!
//! Guarantees: name and sector are at most 63 bytes, the lifetime at least a second, the base a URI; a
//! proven name can't be replaced by another. Does not: hold links.

use super::{Caller, Limits};
use crate::{Error, Request};

/// Lifetime in seconds of a registration that gives none.
const DEFAULT_LIFETIME: u32 = 90_000;

/// Longest name of an endpoint or sector in bytes.
const LONGEST_NAME: usize = 63;

/// A registration, without its links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// The endpoint name.
    pub name: String,
    /// The sector.
    pub sector: Option<String>,
    /// The lifetime in seconds.
    pub lifetime: u32,
    /// The base URI of its links.
    pub base: String,
    /// Whether the device gave the base, so that it stays when its address changes.
    base_given: bool,
    /// Everything else that it says: `et`, for instance.
    pub attributes: Vec<(String, String)>,
    /// The proven name of whoever registered.
    pub(super) owner: Option<String>,
}

impl Registration {
    /// Reads the parameters of a request.
    pub(super) fn new(
        request: &Request,
        caller: Caller<'_>,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let mut new = Self {
            name: caller.name.unwrap_or_default().to_owned(),
            sector: None,
            lifetime: DEFAULT_LIFETIME.min(limits.greatest_lifetime),
            base: caller.base.to_owned(),
            base_given: false,
            attributes: Vec::new(),
            owner: caller.name.map(str::to_owned),
        };
        for (name, value) in parameters(request) {
            match name {
                "ep" if caller.name.is_some_and(|name| name != value) => {
                    return Err(Error::OtherName);
                }
                "ep" => new.name = named("ep", value)?,
                "d" => new.sector = Some(named("d", value)?),
                _ => new.set(name, value)?,
            }
        }
        if new.name.is_empty() {
            return Err(Error::Parameter { name: "ep", problem: "is missing" });
        }
        Ok(new)
    }

    /// Reads the parameters of an update; nothing changes if one is wrong, or if it then takes more
    /// than `limit` bytes.
    pub(super) fn update(
        &mut self,
        request: &Request,
        caller: Caller<'_>,
        limit: usize,
    ) -> Result<(), Error> {
        let mut new = self.clone();
        if !new.base_given {
            caller.base.clone_into(&mut new.base);
        }
        let mut said = Vec::new();
        for (name, value) in parameters(request) {
            if matches!(name, "ep" | "d") {
                return Err(Error::Parameter { name: "ep or d", problem: "can not be changed" });
            }
            if !matches!(name, "lt" | "base") && !said.contains(&name) {
                new.attributes.retain(|(found, _)| found != name);
                said.push(name);
            }
            new.set(name, value)?;
        }
        let size = new.size();
        if size > limit {
            return Err(Error::TooLarge { what: "update", size, limit });
        }
        *self = new;
        Ok(())
    }

    /// The value of a parameter, `ep` and `d` among them.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = [("ep", Some(self.name.as_str())), ("d", self.sector.as_deref())];
        let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let own = own.chain([("base", self.base.as_str())]);
        own.chain(self.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    /// Bytes of memory that it takes.
    pub(super) fn size(&self) -> usize {
        self.values().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "lt" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                let problem = "is not between 1 and 4294967295 seconds";
                self.lifetime = seconds.ok_or(Error::Parameter { name: "lt", problem })?;
            }
            "base" => {
                if !is_uri(value) || value.len() > 255 {
                    return Err(Error::Parameter { name: "base", problem: "is not a URI" });
                }
                (self.base, self.base_given) = (value.to_owned(), true);
            }
            _ => {
                let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                if name.is_empty() || !name.bytes().all(is_name) {
                    let problem = "has a name that can not be looked up";
                    return Err(Error::Parameter { name: "in the query", problem });
                }
                if value.chars().any(char::is_control) {
                    let problem = "holds a control character";
                    return Err(Error::Parameter { name: "in the query", problem });
                }
                self.attributes.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }
}

/// Name and value of each parameter of a query; one without a value has an empty one.
pub(super) fn parameters(request: &Request) -> impl Iterator<Item = (&str, &str)> {
    request.parameters().map(|text| text.split_once('=').unwrap_or((text, "")))
}

fn named(name: &'static str, value: &str) -> Result<String, Error> {
    if value.is_empty() || value.len() > LONGEST_NAME || value.chars().any(char::is_control) {
        return Err(Error::Parameter { name, problem: "is empty, too long or not a name" });
    }
    Ok(value.to_owned())
}

/// Whether a text begins with a scheme and holds only what a URI may hold (RFC 3986 §3).
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let scheme = scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte);
    begins && scheme && !rest.is_empty() && rest.bytes().all(allowed)
}
