//! A CoAP endpoint, client and server in one (RFC 7252, 7641, 7959, 9175, 8516, 7967), and the
//! resource directory (RFC 9176, 6690).
//!
//! Guarantees: sans-io. Datagrams and `now` go in, ordered effects come out; a handler runs once for
//! each request however often its datagram arrives; no input panics; all memory is bounded for
//! each peer and in total by [`Settings`]. Does not: own sockets, clocks or randomness, proxy, or
//! answer what was sent to a group; a caller doesn't pass multicast datagrams in.
//!
//! - [`message`]: the datagram, strictly read; [`option`]: its options; [`block`]: block-wise values
//! - [`Request`], [`Response`], [`Code`]: what applications see
//! - [`Endpoint`]: the state machine; [`Output`]: its effects
//! - [`Allowance`]: how much a second
//! - [`link`]: link format; [`directory`]: the resource directory
#![forbid(unsafe_code)]

mod allowance;
pub mod block;
pub mod directory;
mod endpoint;
mod error;
mod fresh;
mod hash;
pub mod link;
pub mod message;
mod method;
pub mod option;
mod request;
mod response;
mod settings;

pub use allowance::Allowance;
pub use endpoint::{Endpoint, ExchangeId, ObservationId, Output, Peer, RequestId};
pub use error::{Error, Failure};
pub use method::Method;
pub use option::Options;
pub use request::Request;
pub use response::Response;
pub use settings::Settings;
pub use sluicegate_protocol::coap::Code;

/// Content-Format numbers that the gateway speaks (IANA CoAP Content-Formats).
pub mod format {
    /// `text/plain; charset=utf-8`
    pub const TEXT: u16 = 0;
    /// `application/link-format`
    pub const LINK_FORMAT: u16 = 40;
    /// `application/octet-stream`
    pub const OCTETS: u16 = 42;
    /// `application/json`
    pub const JSON: u16 = 50;
    /// `application/cbor`
    pub const CBOR: u16 = 60;
    /// `application/senml+json`
    pub const SENML_JSON: u16 = 110;
    /// `application/senml+cbor`
    pub const SENML_CBOR: u16 = 112;
}
