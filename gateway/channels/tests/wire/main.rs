//! go-perun's messages in both encodings: what go-perun itself wrote, and what may be said of every message.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod generate;
mod properties;
mod vectors;

use sluicegate_channels::{
    Error,
    wire::{Codec, Envelope},
};

const CODECS: [(&str, Codec); 2] = [("perunio", Codec::Perunio), ("protobuf", Codec::Protobuf)];

/// A message that has nothing behind it.
fn whole(codec: Codec, bytes: &[u8]) -> Result<Envelope, Error> {
    let (envelope, length) = codec.decode(bytes)?.expect("the message is whole");
    assert_eq!(length, bytes.len());
    Ok(envelope)
}
