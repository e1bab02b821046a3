//! Software that others wrote, against the gateway on its default configuration: libcoap's clients over DTLS and without,
//! aiocoap as a device.
//!
//! What they need is installed by `tests/setup/install.sh`; a test fails, and says so, where it is missing.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no public interface")]
#![allow(dead_code, reason = "the scenarios use the rest of the shared modules")]

#[path = "../scenarios/client.rs"]
mod client;
#[path = "../scenarios/place.rs"]
mod place;
#[path = "../scenarios/process.rs"]
mod process;

mod aiocoap;
mod libcoap;
mod site;
