//! Request methods and response codes (RFC 7252 §12.1; RFC 7959 §2.9; RFC 8132; RFC 8516; RFC 8768).
//!
//! Guarantees: a [`Code`] is one byte, class in the upper three bits; names are those of the RFCs.
//! Does not: say which codes an application should use.

use core::fmt;

/// The code of a message: `c.dd`, as in `4.04`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(pub u8);

impl Code {
    /// 0.00: no request and no response.
    pub const EMPTY: Self = Self(0);
    /// 0.01
    pub const GET: Self = Self::new(0, 1);
    /// 0.02
    pub const POST: Self = Self::new(0, 2);
    /// 0.03
    pub const PUT: Self = Self::new(0, 3);
    /// 0.04
    pub const DELETE: Self = Self::new(0, 4);
    /// 0.05 (RFC 8132)
    pub const FETCH: Self = Self::new(0, 5);
    /// 0.06 (RFC 8132)
    pub const PATCH: Self = Self::new(0, 6);
    /// 0.07 (RFC 8132)
    pub const IPATCH: Self = Self::new(0, 7);
    /// 2.01
    pub const CREATED: Self = Self::new(2, 1);
    /// 2.02
    pub const DELETED: Self = Self::new(2, 2);
    /// 2.03
    pub const VALID: Self = Self::new(2, 3);
    /// 2.04
    pub const CHANGED: Self = Self::new(2, 4);
    /// 2.05
    pub const CONTENT: Self = Self::new(2, 5);
    /// 2.31: the next block, please (RFC 7959).
    pub const CONTINUE: Self = Self::new(2, 31);
    /// 4.00
    pub const BAD_REQUEST: Self = Self::new(4, 0);
    /// 4.01
    pub const UNAUTHORIZED: Self = Self::new(4, 1);
    /// 4.02: an unknown critical option.
    pub const BAD_OPTION: Self = Self::new(4, 2);
    /// 4.03
    pub const FORBIDDEN: Self = Self::new(4, 3);
    /// 4.04
    pub const NOT_FOUND: Self = Self::new(4, 4);
    /// 4.05
    pub const METHOD_NOT_ALLOWED: Self = Self::new(4, 5);
    /// 4.06
    pub const NOT_ACCEPTABLE: Self = Self::new(4, 6);
    /// 4.08: blocks are missing (RFC 7959).
    pub const REQUEST_ENTITY_INCOMPLETE: Self = Self::new(4, 8);
    /// 4.09 (RFC 8132)
    pub const CONFLICT: Self = Self::new(4, 9);
    /// 4.12
    pub const PRECONDITION_FAILED: Self = Self::new(4, 12);
    /// 4.13
    pub const REQUEST_ENTITY_TOO_LARGE: Self = Self::new(4, 13);
    /// 4.15
    pub const UNSUPPORTED_CONTENT_FORMAT: Self = Self::new(4, 15);
    /// 4.22 (RFC 8132)
    pub const UNPROCESSABLE_ENTITY: Self = Self::new(4, 22);
    /// 4.29: too fast (RFC 8516).
    pub const TOO_MANY_REQUESTS: Self = Self::new(4, 29);
    /// 5.00
    pub const INTERNAL_SERVER_ERROR: Self = Self::new(5, 0);
    /// 5.01
    pub const NOT_IMPLEMENTED: Self = Self::new(5, 1);
    /// 5.02
    pub const BAD_GATEWAY: Self = Self::new(5, 2);
    /// 5.03
    pub const SERVICE_UNAVAILABLE: Self = Self::new(5, 3);
    /// 5.04
    pub const GATEWAY_TIMEOUT: Self = Self::new(5, 4);
    /// 5.05: this is no proxy.
    pub const PROXYING_NOT_SUPPORTED: Self = Self::new(5, 5);
    /// 5.08 (RFC 8768)
    pub const HOP_LIMIT_REACHED: Self = Self::new(5, 8);

    /// `class.detail`; the class has three bits, the detail five.
    pub const fn new(class: u8, detail: u8) -> Self {
        Self(class << 5 | (detail & 31))
    }

    /// The class: 0 request, 2 success, 4 client error, 5 server error.
    pub const fn class(self) -> u8 {
        self.0 >> 5
    }

    /// Whether this is a response code.
    pub const fn is_response(self) -> bool {
        matches!(self.class(), 2 | 4 | 5)
    }

    /// Whether this is a 2.xx code.
    pub const fn is_success(self) -> bool {
        self.class() == 2
    }

    /// Whether its class is reserved: a message with it is a format error (RFC 7252 §3).
    pub(super) const fn is_reserved(self) -> bool {
        matches!(self.class(), 1 | 3 | 6 | 7)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.class(), self.0 & 31)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
