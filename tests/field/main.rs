//! The field side of the gateway as processes: devices in the test speak CoAP over DTLS to the real binary, which is
//! killed, flooded and configured anew.
//!
//! Guarantees: every test has a folder and ports of its own and leaves no process behind. Does not: run software that
//! others wrote; `tests/interop` does.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no public interface")]

#[path = "../scenarios/client.rs"]
#[allow(dead_code, reason = "shared with other test programs")]
mod client;
#[path = "../devices/dtls.rs"]
#[allow(dead_code, reason = "shared with other test programs")]
mod dtls;
#[path = "../scenarios/place.rs"]
#[allow(dead_code, reason = "shared with other test programs")]
mod place;
#[path = "../scenarios/process.rs"]
#[allow(dead_code, reason = "shared with other test programs")]
mod process;

mod commands;
mod device;
mod enrolment;
mod flood;
mod many;
mod ports;
mod readings;
mod site;
