//! The resource directory (RFC 9176), pure state: registrations, their lifetimes, look-ups.
//!
//! Guarantees: bounded by [`Limits`]; a caller that knows who speaks (DTLS) forces the endpoint name:
//! a registration under another name is refused with 4.03, and nobody changes another's. Does not:
//! fetch links itself: for simple registration it says so ([`Answer::Fetch`]), and the caller asks
//! the device for `/.well-known/core` and hands the links to [`Directory::complete`].

use crate::Response;

/// Bounds of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Registrations.
    pub registrations: usize,
    /// Bytes of links of one registration.
    pub bytes_per_registration: usize,
    /// Shortest lifetime in seconds (RFC 9176 §5: 1).
    pub least_lifetime: u32,
    /// Longest lifetime in seconds.
    pub greatest_lifetime: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            registrations: 4096,
            bytes_per_registration: 4096,
            least_lifetime: 1,
            greatest_lifetime: u32::MAX,
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

/// A registration without its links yet: what a device asked for with simple registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    name: String,
    sector: Option<String>,
    lifetime: u32,
    base: String,
    attributes: Vec<(String, String)>,
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
