//! The CoAP message format (RFC 7252 §3), as devices and gateways both read and write it.
//!
//! Guarantees: a message is checked as a whole before any part of it is given out, in one pass and
//! without copying its options or its payload. Does not: know what an option means, decide what is
//! sent back, or own a buffer: those who write have one of their own.

mod code;
mod message;
pub mod option;
#[cfg(test)]
mod tests;

pub use code::Code;
pub use message::{Kind, Message, Token};
