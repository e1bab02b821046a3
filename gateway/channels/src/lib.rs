//! Perun channels as a gateway runs them: the peer protocol, the life of each channel, both wire codecs.
//!
//! Guarantees: no executor, socket, file, clock or randomness of its own: messages, commands, ledger events and `now`
//! in; records and ordered effects out. Memory is bounded per peer and in total. Does not: perform effects; the daemon
//! does, and makes every record durable before it performs what follows it.
//!
//! - [`wire`]: go-perun's messages in both of its encodings
#![forbid(unsafe_code)]

mod error;
pub mod wire;

pub use error::Error;
