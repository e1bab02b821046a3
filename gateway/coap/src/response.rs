//! A response, to be sent or received (RFC 7252 §5.2, §5.5, §5.10).
//!
//! Guarantees: as for [`crate::Request`]. Does not: hold Observe, Block1, Block2, Size2 and Echo; the
//! endpoint sets and consumes them.

use crate::{Code, Options, option};

/// The age in seconds after which a representation without Max-Age is stale (RFC 7252 §5.10.5).
pub(crate) const DEFAULT_MAX_AGE: u32 = 60;

/// A whole response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// What became of the request.
    pub code: Code,
    /// All options but those of the endpoint.
    pub options: Options,
    /// The body, of any size: the endpoint makes blocks of it.
    pub payload: Vec<u8>,
}

impl Response {
    /// Without options and body.
    pub const fn new(code: Code) -> Self {
        Self { code, options: Options::new(), payload: Vec::new() }
    }

    /// 2.05 with a representation.
    pub fn content(format: u16, payload: impl Into<Vec<u8>>) -> Self {
        let mut response = Self::new(Code::CONTENT);
        response.options.insert_uint(option::CONTENT_FORMAT, format.into());
        response.payload = payload.into();
        response
    }

    /// An error with a text for the person who reads the device's log (RFC 7252 §5.5.2).
    pub fn diagnostic(code: Code, text: &str) -> Self {
        Self { code, options: Options::new(), payload: text.as_bytes().to_vec() }
    }

    /// With the age after which it is stale, in seconds; or, for 4.29 and 5.03, the time to wait.
    #[must_use]
    pub fn with_max_age(mut self, seconds: u32) -> Self {
        self.options.set_uint(option::MAX_AGE, seconds);
        self
    }

    /// With a tag of the representation, 1 to 8 bytes. Without one, the endpoint makes one for a
    /// response of several blocks.
    #[must_use]
    pub fn with_etag(mut self, tag: &[u8]) -> Self {
        self.options.remove(option::ETAG);
        self.options.insert(option::ETAG, &tag[..tag.len().min(8)]);
        self
    }

    /// With the path of what was created.
    #[must_use]
    pub fn with_location<'a>(mut self, segments: impl IntoIterator<Item = &'a str>) -> Self {
        for segment in segments {
            self.options.insert(option::LOCATION_PATH, segment.as_bytes());
        }
        self
    }

    /// The format of the body.
    pub fn content_format(&self) -> Option<u16> {
        self.options.uint(option::CONTENT_FORMAT).and_then(|format| format.try_into().ok())
    }

    /// The age in seconds after which it is stale.
    pub fn max_age(&self) -> u32 {
        self.options.uint(option::MAX_AGE).unwrap_or(DEFAULT_MAX_AGE)
    }

    /// The tag of the representation.
    pub fn etag(&self) -> Option<&[u8]> {
        self.options.first(option::ETAG)
    }

    /// The path of what was created.
    pub fn location(&self) -> impl Iterator<Item = &str> {
        self.options.texts(option::LOCATION_PATH)
    }

    /// Bytes of memory that it takes.
    pub(crate) fn size(&self) -> usize {
        self.options.size() + self.payload.len()
    }
}
