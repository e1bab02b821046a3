//! CoAP for a device that speaks with one gateway (RFC 7252, 7641, 7959, 9175, 8516).
//!
//! Guarantees: [`Message::parse`] takes nothing that RFC 7252 §3 calls a format error; one request
//! is under way at a time, confirmable and repeated with back-off; an incoming request is executed
//! once within [`EXCHANGE_LIFETIME`], as long as no more than [`endpoint::REMEMBERED`] others come.
//! Does not: know addresses (the caller passes datagrams of the gateway only), DTLS, multicast,
//! proxying, Q-Block; take uploads to the device in more than one block.
//!
//! [`Endpoint`] is the whole of it; [`Registration`] adds the resource directory (RFC 9176).

use core::time::Duration;

mod block;
mod body;
mod client;
pub mod endpoint;
mod ids;
mod observe;
mod register;
mod request;
mod server;
mod writer;

pub use block::BlockSize;
pub use body::Body;
pub use client::{Event, Failure, Response};
pub use endpoint::{Endpoint, Output};
pub use ids::Seed;
pub use register::{LinkFormat, Registration};
pub use request::Request;
pub use server::{Application, Incoming, Link, Observable, Reply};
pub use sluicegate_protocol::coap::{Code, Kind, Message, Token, option};
pub use writer::Writer;

/// Room for a message: a payload of 1 KiB, and header, token and options at their longest.
pub const MAX_DATAGRAM: usize = 1024 + 224;

/// Time until the first repetition, before the random factor (RFC 7252 §4.8).
pub const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// How often a confirmable message is repeated (RFC 7252 §4.8).
pub const MAX_RETRANSMIT: u8 = 4;

/// How long a message id may come back (RFC 7252 §4.8.2).
pub const EXCHANGE_LIFETIME: Duration = Duration::from_secs(247);

/// Content formats (RFC 7252 §12.3, RFC 8428 §12.3).
pub mod content_format {
    /// `text/plain; charset=utf-8`.
    pub const TEXT: u16 = 0;
    /// `application/link-format`.
    pub const LINK_FORMAT: u16 = 40;
    /// `application/octet-stream`.
    pub const OCTETS: u16 = 42;
}
