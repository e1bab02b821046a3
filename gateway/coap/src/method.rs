//! Request methods (RFC 7252 §5.8; RFC 8132).
//!
//! Guarantees: each method has one code and back. Does not: know what a resource does with it.

use crate::Code;

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// 0.04
    Delete,
    /// 0.05 (RFC 8132)
    Fetch,
    /// 0.01
    Get,
    /// 0.07 (RFC 8132)
    IPatch,
    /// 0.06 (RFC 8132)
    Patch,
    /// 0.02
    Post,
    /// 0.03
    Put,
}

impl Method {
    /// The method with this code; none for a code that is no known method.
    pub const fn from_code(code: Code) -> Option<Self> {
        Some(match code {
            Code::GET => Self::Get,
            Code::POST => Self::Post,
            Code::PUT => Self::Put,
            Code::DELETE => Self::Delete,
            Code::FETCH => Self::Fetch,
            Code::PATCH => Self::Patch,
            Code::IPATCH => Self::IPatch,
            _ => return None,
        })
    }

    /// Its code.
    pub const fn code(self) -> Code {
        match self {
            Self::Get => Code::GET,
            Self::Post => Code::POST,
            Self::Put => Code::PUT,
            Self::Delete => Code::DELETE,
            Self::Fetch => Code::FETCH,
            Self::Patch => Code::PATCH,
            Self::IPatch => Code::IPATCH,
        }
    }

    /// Whether it only reads (RFC 7252 §5.1; RFC 8132 §2).
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Fetch)
    }
}
