//! Software that others wrote, against the gateway on its default configuration: libcoap's clients over DTLS and without,
//! aiocoap as a device.
//!
//! What they need is installed by `tests/setup/install.sh`; a test fails, and says so, where it is missing.

#[path = "../scenarios/client.rs"]
#[allow(dead_code, unreachable_pub)]
mod client;
#[path = "../scenarios/place.rs"]
#[allow(dead_code, unreachable_pub)]
mod place;
#[path = "../scenarios/process.rs"]
#[allow(dead_code, unreachable_pub)]
mod process;

mod aiocoap;
mod libcoap;
mod site;
