//! MQTT: the real gateway with a real mosquitto and its clients, with crashes and losses in between.
//!
//! Guarantees: every test has a broker of its own on a free port and leaves no process behind. Does
//! not: need the network, or touch a broker that runs on this machine.
//!
//! Order of calls in a test: [`site::Site::new`], what it changes, [`site::Site::gateway`], devices.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no public interface")]
#![allow(dead_code, reason = "the scenarios use the rest of the shared modules")]

mod access;
mod broker;
#[path = "../scenarios/client.rs"]
mod client;
mod commands;
mod crashes;
#[path = "../scenarios/logged.rs"]
mod logged;
#[path = "../scenarios/place.rs"]
mod place;
#[path = "../scenarios/process.rs"]
mod process;
mod readings;
mod site;
mod tap;
