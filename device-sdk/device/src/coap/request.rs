//! What a client asks for.

use super::Code;
use crate::{Bytes, Error};

/// A request, without its payload: that is a [`super::Body`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method.
    pub method: Code,
    /// Segments divided by `/`, none before the first: `rd/4`.
    pub path: &'a str,
    /// Parts divided by `&`: `ep=meter-1&lt=86400`.
    pub query: &'a str,
    /// The format of the payload.
    pub content_format: Option<u16>,
    /// The format that the response is to have.
    pub accept: Option<u16>,
    /// Bytes of the payload; 0 if there is none.
    pub size: usize,
}

impl<'a> Request<'a> {
    /// A GET without query.
    pub const fn get(path: &'a str) -> Self {
        Self { method: Code::GET, path, query: "", content_format: None, accept: None, size: 0 }
    }

    /// A POST without query.
    pub const fn post(path: &'a str, content_format: u16, size: usize) -> Self {
        let get = Self::get(path);
        Self { method: Code::POST, content_format: Some(content_format), size, ..get }
    }
}

/// A request that is kept while it is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) method: Code,
    path: Bytes<96>,
    query: Bytes<96>,
    pub(super) content_format: Option<u16>,
    pub(super) accept: Option<u16>,
    pub(super) size: usize,
}

impl Kept {
    pub(super) fn new(request: &Request<'_>) -> Result<Self, Error> {
        Ok(Self {
            method: request.method,
            path: Bytes::new(request.path.as_bytes()).ok_or(Error::TooLong("the path"))?,
            query: Bytes::new(request.query.as_bytes()).ok_or(Error::TooLong("the query"))?,
            content_format: request.content_format,
            accept: request.accept,
            size: request.size,
        })
    }

    pub(super) fn path(&self) -> impl Iterator<Item = &str> {
        self.path.as_str().split('/').filter(|segment| !segment.is_empty())
    }

    pub(super) fn query(&self) -> impl Iterator<Item = &str> {
        self.query.as_str().split('&').filter(|part| !part.is_empty())
    }
}
