//! Perun channels as a gateway runs them: the peer protocol, the life of each channel, both wire codecs.
//!
//! Guarantees: no executor, socket, file, clock or randomness of its own: messages, commands, ledger events and `now`
//! in; records and ordered effects out. Memory is bounded per peer and in total. Does not: perform effects; the daemon
//! does, and makes every record durable before it performs what follows it.
//!
//! - [`step()`]: the table of `README.md`: what a checked input does to a channel
//! - [`classify`]: which input a message, a command or an event is
//! - [`node`]: all channels of a gateway, with its peers and timers
//! - [`policy`]: what a channel may be
//! - [`funder`]: what the ledger is asked to do
//! - [`key`]: what a device's key may sign, limits included
//! - [`device`]: what a device that signs for itself is asked and told
//! - [`meter`]: what a device's readings pay, or what was paid for them
//! - [`record`]: what is durable of a channel
//! - [`watcher`]: which input a ledger event is
//! - [`wire`]: go-perun's messages in both of its encodings
#![forbid(unsafe_code)]

pub mod classify;
pub mod device;
pub mod effect;
mod error;
pub mod funder;
pub mod input;
pub mod key;
pub mod meter;
pub mod node;
mod opening;
mod phase;
pub mod policy;
pub mod record;
mod step;
pub mod watcher;
pub mod wire;

pub use effect::Effect;
pub use error::Error;
pub use input::Input;
pub use opening::Opening;
pub use phase::Phase;
pub use record::Record;
pub use step::{Channel, Step, step};
