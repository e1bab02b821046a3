//! Software that others wrote, against the gateway on its default configuration: libcoap's clients over DTLS and without,
//! aiocoap as a device.
//!
//! What they need is installed by `tests/setup/install.sh`; a test fails, and says so, where it is missing.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no public interface")]

#[path = "../scenarios/client.rs"]
#[allow(dead_code, reason = "shared with other test programs")]
mod client;
#[path = "../scenarios/place.rs"]
#[allow(dead_code, reason = "shared with other test programs")]
mod place;
#[path = "../scenarios/process.rs"]
#[allow(dead_code, reason = "shared with other test programs")]
mod process;

mod aiocoap;
mod libcoap;
mod site;
