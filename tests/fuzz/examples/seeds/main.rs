//! Writes the seeds of all corpora: `cargo run --package sluicegate-fuzz --example seeds`.
//!
//! Guarantees: the same files each time. Does not: remove files, so findings of the fuzzer stay.
//! Run it after a format has changed; `cargo test` says when a corpus has no accepted seed left.

#![allow(clippy::expect_used, reason = "a seed that can't be made is a bug here")]

mod channel;
mod coap;
mod daemon;
mod device;
mod dtls;
mod embedded;
// The gateway of the verifier's tests, so that there is one.
#[path = "../../../verifier/fixture.rs"]
#[allow(clippy::unwrap_used, dead_code, unreachable_pub)]
mod fixture;
mod ledger;
mod notary;
mod perun;
mod payments;
mod protocol;
mod senml;

use std::{fs, io, path::Path};

use sluicegate_protocol::{Checkpoint, Digest, SigningKey, note};

fn main() -> io::Result<()> {
    let seeds = [
        protocol::seeds(),
        channel::seeds(),
        senml::seeds(),
        ledger::seeds(),
        embedded::seeds(),
        payments::seeds(),
        notary::seeds(),
        perun::seeds(),
        daemon::seeds(),
        device::seeds(),
        dtls::seeds(),
        coap::seeds(),
    ];
    for (target, name, bytes) in seeds.into_iter().flatten() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// Target, file name, content.
type Seed = (&'static str, &'static str, Vec<u8>);

/// The key that the targets trust, whatever it signs.
fn key() -> SigningKey {
    SigningKey::from_bytes(&[1; 32])
}

/// A checkpoint body.
fn body(origin: &str, size: u64, root: Digest) -> String {
    Checkpoint { origin, size, root }.to_string()
}

/// A note with the signature of [`key`] under this name.
fn signed(text: &str, name: &str) -> String {
    let mut out = String::new();
    note::sign(text, name, &key(), &mut out).expect("a string takes all");
    out
}
