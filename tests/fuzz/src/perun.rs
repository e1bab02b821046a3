//! Targets for `sluicegate-channels`: what peers send, in both encodings.

use sluicegate_channels::{
    Error,
    wire::{Codec, MAX_MESSAGE},
};

/// A stream of messages in go-perun's own encoding.
pub fn perunio(data: &[u8]) -> bool {
    stream(Codec::Perunio, data)
}

/// A stream of messages in protobuf.
pub fn perun_protobuf(data: &[u8]) -> bool {
    stream(Codec::Protobuf, data)
}

/// Every message ends within the bytes and the bound, and what is written of it is read the same; what is too wide is
/// passed over. A beginning waits for the rest.
fn stream(codec: Codec, data: &[u8]) -> bool {
    let (mut rest, mut accepted) = (data, false);
    loop {
        let length = match codec.decode(rest) {
            Ok(Some((envelope, length))) => {
                assert_eq!(codec.decode(&rest[..length - 1]), Ok(None), "it doesn't wait");
                if let Ok(again) = codec.encode(&envelope) {
                    assert_eq!(codec.decode(&again), Ok(Some((envelope, again.len()))));
                }
                accepted = true;
                length
            }
            Err(Error::Unsupported(message)) => message.length,
            Ok(None) | Err(_) => return accepted,
        };
        assert!((1..=MAX_MESSAGE).contains(&length), "{length} bytes");
        rest = &rest[length..];
    }
}
