//! DTLS sessions with devices, without sockets and without waiting: a simulated network, `dimpl`
//! as the client, and every way in which a stranger or a bad line can disturb them; then software
//! that we did not write, over the loopback.
//!
//! Guarantees: the same run for the same seed, but for the keys. Does not: start the daemon; the
//! scenarios do.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no public interface")]

#[path = "../devices/dtls.rs"]
mod client;
mod handshake;
mod hostile;
mod interop;
mod many;
mod newer;
mod world;
