//! Tests of the endpoint through its interface: bytes and times in, effects out.
#![allow(clippy::cast_possible_truncation, clippy::panic, clippy::unwrap_used)]

mod bench;
mod blocks;
mod client;
mod defects;
mod interoperability;
mod limits;
mod messages;
mod observe;
mod rfc;
mod simulator;
