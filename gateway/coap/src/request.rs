//! A request, received or to be sent (RFC 7252 §5.1, §5.10).
//!
//! Guarantees: two buffers, options as on the wire and payload; reading them allocates nothing.
//! Does not: hold what the endpoint itself does: Observe, Block1, Block2, Size1, Echo, No-Response
//! are set and consumed by [`crate::Endpoint`].

use crate::{Method, Options, option};

/// A whole request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub method: Method,
    /// Whether it is (to be) sent confirmable; default true.
    pub confirmable: bool,
    /// All options but those of the endpoint.
    pub options: Options,
    /// The body; blocks are already put together.
    pub payload: Vec<u8>,
}

impl Request {
    /// A confirmable request for `path`, segments divided by `/`; empty segments are left out.
    pub fn new(method: Method, path: &str) -> Self {
        let mut options = Options::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            options.insert(option::URI_PATH, segment.as_bytes());
        }
        Self { method, confirmable: true, options, payload: Vec::new() }
    }

    /// With one more parameter, `name=value`.
    #[must_use]
    pub fn query(mut self, parameter: &str) -> Self {
        self.options.insert(option::URI_QUERY, parameter.as_bytes());
        self
    }

    /// With a body.
    #[must_use]
    pub fn payload(mut self, format: u16, payload: impl Into<Vec<u8>>) -> Self {
        self.options.set_uint(option::CONTENT_FORMAT, format.into());
        self.payload = payload.into();
        self
    }

    /// With the format of the answer that is wanted.
    #[must_use]
    pub fn accept(mut self, format: u16) -> Self {
        self.options.set_uint(option::ACCEPT, format.into());
        self
    }

    /// Not confirmable.
    #[must_use]
    pub const fn non_confirmable(mut self) -> Self {
        self.confirmable = false;
        self
    }

    /// The segments of the path.
    pub fn path(&self) -> impl Iterator<Item = &str> {
        self.options.texts(option::URI_PATH)
    }

    /// Whether the path has exactly these segments.
    pub fn is_path(&self, segments: &[&str]) -> bool {
        self.path().eq(segments.iter().copied())
    }

    /// The parameters of the query, mostly `name=value`.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.options.texts(option::URI_QUERY)
    }

    /// The value of the first parameter `name=…`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let value = |text: &'_ str| text.strip_prefix(name)?.strip_prefix('=').map(str::len);
        let found = self.parameters().find_map(|text| Some((text, value(text)?)));
        found.map(|(text, length)| &text[text.len() - length..])
    }

    /// The format of the body.
    pub fn content_format(&self) -> Option<u16> {
        self.options.uint(option::CONTENT_FORMAT).and_then(|format| format.try_into().ok())
    }

    /// The format of the answer that is wanted.
    pub fn accepts(&self) -> Option<u16> {
        self.options.uint(option::ACCEPT).and_then(|format| format.try_into().ok())
    }

    /// Bytes of memory that it takes.
    pub(crate) fn size(&self) -> usize {
        self.options.size() + self.payload.len()
    }
}
