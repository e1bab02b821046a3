//! Look-ups (RFC 9176 §6): which resources, which endpoints.
//!
//! Guarantees: a filter is met by an attribute of the link or of its registration; targets of resources
//! are absolute; the answer is no longer than [`super::Limits::answer`]. Does not: observe.

use std::borrow::Cow;

use super::{Directory, Entry, registration::parameters};
use crate::{
    Code, Error, Request, Response, format,
    link::{self, Link},
};

/// What is looked for, and which part of it.
struct Query<'a> {
    filters: Vec<(&'a str, &'a str)>,
    skip: usize,
    count: usize,
}

impl Directory {
    /// Answers a look-up of resources or of endpoints.
    pub(super) fn look_up(&self, request: &Request, resources: bool) -> Result<Response, Error> {
        if request.accepts().is_some_and(|format| format != format::LINK_FORMAT) {
            return Ok(Response::new(Code::NOT_ACCEPTABLE));
        }
        let query = Query::new(request)?;
        let mut answer =
            Page { out: String::new(), query: &query, limit: self.limits.answer, at: 0 };
        for (id, entry) in &self.entries {
            let links = link::parse(&entry.links)?;
            if resources {
                links.iter().filter(|link| query.finds(entry, Some(link))).for_each(|link| {
                    answer.add(|| resource(entry, link));
                });
            } else if query.finds_endpoint(*id, entry, &links) {
                let target = format!("/rd/{id}");
                answer.add(|| endpoint(target, entry));
            }
        }
        Ok(Response::content(format::LINK_FORMAT, answer.out))
    }
}

/// The part of the answer that is asked for.
struct Page<'a> {
    out: String,
    query: &'a Query<'a>,
    limit: usize,
    /// Links found so far.
    at: usize,
}

impl Page<'_> {
    fn add<'b>(&mut self, link: impl FnOnce() -> Link<'b>) {
        let Query { skip, count, .. } = *self.query;
        let wanted = self.at >= skip && self.at - skip < count;
        self.at += 1;
        if wanted && self.out.len() < self.limit {
            let before = self.out.len();
            link().write(&mut self.out);
            if self.out.len() > self.limit {
                self.out.truncate(before);
                // What follows would leave a gap.
                self.limit = before;
            }
        }
    }
}

impl<'a> Query<'a> {
    fn new(request: &'a Request) -> Result<Self, Error> {
        let mut query = Self { filters: Vec::new(), skip: 0, count: usize::MAX };
        let mut page = 0;
        for (name, value) in parameters(request) {
            let number = |name| {
                let problem = "is not a number";
                value.parse::<usize>().map_err(|_| Error::Parameter { name, problem })
            };
            match name {
                "page" => page = number("page")?,
                "count" => query.count = number("count")?,
                _ => query.filters.push((name, value)),
            }
        }
        if page > 0 && query.count == usize::MAX {
            return Err(Error::Parameter { name: "page", problem: "needs a count" });
        }
        query.skip = page.saturating_mul(query.count);
        Ok(query)
    }

    /// Whether every filter is met by the registration or by the link.
    fn finds(&self, entry: &Entry, link: Option<&Link<'_>>) -> bool {
        self.filters.iter().all(|(name, wanted)| {
            let mut own = entry.registration.values();
            let of_link = |link: &Link<'_>| match *name {
                "href" => {
                    let whole = resolved(&entry.registration.base, &link.target);
                    matches(&link.target, wanted) || matches(&whole, wanted)
                }
                _ => link.attributes.iter().any(|(found, value)| {
                    found == name && matches(value.as_deref().unwrap_or_default(), wanted)
                }),
            };
            own.any(|(found, value)| found == *name && matches(value, wanted))
                || link.is_some_and(of_link)
        })
    }

    fn finds_endpoint(&self, id: u64, entry: &Entry, links: &[Link<'_>]) -> bool {
        let location = format!("/rd/{id}");
        let is_it = |(name, value): &(&str, &str)| *name == "href" && matches(&location, value);
        self.filters.iter().all(is_it) && !self.filters.is_empty()
            || self.finds(entry, None)
            || links.iter().any(|link| self.finds(entry, Some(link)))
    }
}

/// Whether a value, or one of the words in it, is the one that is wanted, or begins with what stands
/// before a `*` (RFC 6690 §4.1).
fn matches(value: &str, wanted: &str) -> bool {
    let fits = |value: &str| match wanted.strip_suffix('*') {
        Some(prefix) => value.starts_with(prefix),
        None => value == wanted,
    };
    fits(value) || value.split(' ').any(fits)
}

/// The link of a resource, with absolute references.
fn resource<'a>(entry: &'a Entry, link: &Link<'a>) -> Link<'a> {
    let base = entry.registration.base.as_str();
    let absolute = |(name, value): &(&'a str, Option<Cow<'a, str>>)| match (*name, value) {
        ("anchor", Some(anchor)) => (*name, Some(resolved(base, anchor).into())),
        _ => (*name, value.clone()),
    };
    Link {
        target: resolved(base, &link.target).into(),
        attributes: link.attributes.iter().map(absolute).collect(),
    }
}

/// The link of an endpoint.
fn endpoint(target: String, entry: &Entry) -> Link<'_> {
    let values = entry.registration.values();
    let mut attributes: Vec<_> =
        values.map(|(name, value)| (name, Some(Cow::Borrowed(value)))).collect();
    attributes.push(("rt", Some("core.rd-ep".into())));
    Link { target: target.into(), attributes }
}

/// A reference in limited link format, made absolute: a path takes scheme and authority of the base.
fn resolved(base: &str, reference: &str) -> String {
    if !reference.starts_with('/') {
        return reference.to_owned();
    }
    let authority = base.find("://").map_or(0, |scheme| scheme + 3);
    let end = base[authority..].find('/').map_or(base.len(), |path| authority + path);
    format!("{}{reference}", &base[..end])
}
