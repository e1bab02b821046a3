//! Bytes that go-perun v0.15.0 printed with the program beside them, and the two of the specification (§9).

use sluicegate_channels::{
    Error,
    wire::{Codec, Message, Refusal, Subject},
};
use sluicegate_protocol::channel::{Allocation, Asset, Rule, SigningKey, SubAlloc};

use super::{CODECS, whole};

const GO_PERUN: &str = include_str!("../vectors/go-perun.txt");

/// ChannelUpdate v1 by A, from "alice" to "bob", in perunio; the signature follows.
const PERUNIO: &str = "010000000100000007000005616c696365010000000100000005000003626f620b342f9fe1510e78c67c17284df8bb880e5d3faa2bc9290db23708f298621486880100000000000000010002000000010000001e0002000539010000001400aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa01000200080c7d713b49da0000081d24b2dfac520000000000000000";
/// The same in protobuf.
const PROTOBUF: &str = "00d20a110a0f0a040000000112070005616c696365120f0a0d0a040000000112050003626f6272ab010a660a640a20342f9fe1510e78c67c17284df8bb880e5d3faa2bc9290db23708f298621486881001223e0a0400000001121e02000539010000001400aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1a160a140a080c7d713b49da00000a081d24b2dfac5200001241";
const SIGNATURE: &str = "cd63db9f8f91b8c6e988dcdc6b6ce98d734e4a15914ee76b527ca5db2caf88197a505ed0a5ea1481c124428ee971e96845451e83f171a3a9a4c247f98cd09ac31b";

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Name, codec and bytes of each line.
fn go_perun() -> impl Iterator<Item = (&'static str, Codec, Vec<u8>)> {
    GO_PERUN.lines().map(|line| {
        let [name, codec, bytes] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let (_, codec) = CODECS.iter().find(|(name, _)| *name == codec).unwrap();
        (name, *codec, unhex(bytes))
    })
}

fn vector(name: &str, codec: Codec) -> Vec<u8> {
    let mut vectors = go_perun();
    vectors.find(|vector| vector.0 == name && vector.1 == codec).unwrap().2
}

/// Whether go-perun's message holds what this crate refuses.
fn refused(name: &str) -> bool {
    name.starts_with("wide_") || name == "sync_none"
}

fn proposal_id() -> [u8; 32] {
    std::array::from_fn(|place| 0x40 + u8::try_from(place).unwrap())
}

#[test]
fn the_specification_s_update_is_written_byte_for_byte() {
    for (codec, bytes) in [(Codec::Perunio, PERUNIO), (Codec::Protobuf, PROTOBUF)] {
        let bytes = unhex(&[bytes, SIGNATURE].concat());
        let envelope = whole(codec, &bytes).unwrap();
        assert_eq!(codec.encode(&envelope).unwrap(), bytes);
        assert_eq!(vector("update", codec), bytes, "go-perun writes the same");
        let Message::ChannelUpdate(update) = envelope.message else { panic!("no update") };
        let signer = SigningKey::from_bytes(&[0x11; 32]).unwrap().address();
        assert_eq!(update.signature.verify_state(&update.state, &signer), Ok(()));
    }
}

#[test]
fn what_go_perun_writes_is_written_the_same() {
    for (name, codec, bytes) in go_perun().filter(|(name, ..)| !refused(name)) {
        let envelope = whole(codec, &bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expanded = (name, codec) == ("update_locked", Codec::Perunio);
        assert_eq!(codec.encode(&envelope).unwrap() == bytes, !expanded, "{name} {codec:?}");
    }
}

#[test]
fn both_encodings_say_the_same() {
    for (name, codec, bytes) in go_perun() {
        if codec == Codec::Protobuf || refused(name) {
            continue;
        }
        let envelope = whole(Codec::Perunio, &bytes).unwrap();
        let other = whole(Codec::Protobuf, &vector(name, Codec::Protobuf)).unwrap();
        // go-perun forgets locked funds in protobuf.
        assert_eq!(envelope == other, name != "update_locked", "{name}");
    }
}

#[test]
fn an_index_map_that_go_perun_leaves_out_is_written_in_full() {
    let envelope = whole(Codec::Perunio, &vector("update_locked", Codec::Perunio)).unwrap();
    let Message::ChannelUpdate(update) = &envelope.message else { panic!("no update") };
    let maps = update.state.outcome.locked.iter().map(|locked| locked.index_map);
    assert_eq!(maps.collect::<Vec<_>>(), [SubAlloc::IDENTITY, [1, 0]]);
    for (_, codec) in CODECS {
        let bytes = codec.encode(&envelope).unwrap();
        assert_eq!(whole(codec, &bytes), Ok(envelope.clone()));
    }
}

#[test]
fn what_is_too_wide_can_be_refused() {
    let proposal = Some(Subject::Proposal(proposal_id()));
    let capacity = Refusal::Rule(Rule::Capacity { what: "assets", limit: 4 });
    let three = Refusal::Each { what: "balances of an asset", found: 3 };
    let cases = [
        ("wide_assets", capacity, proposal),
        ("wide_participants", three, proposal),
        ("wide_amount", Refusal::Rule(Rule::AmountTooLarge), proposal),
        ("wide_address", Refusal::Participant, proposal),
    ];
    for (name, refusal, subject) in cases {
        for (_, codec) in CODECS {
            let mut bytes = vector(name, codec);
            let length = bytes.len();
            bytes.extend(vector("ping", codec));
            let Err(Error::Unsupported(error)) = codec.decode(&bytes) else { panic!("{name}") };
            assert_eq!((error.refusal, error.subject), (refusal, subject), "{name} {codec:?}");
            assert_eq!(error.length, length, "{name}: the next message is found");
            assert!(whole(codec, &bytes[length..]).is_ok());
        }
    }
}

#[test]
fn a_state_of_three_can_be_passed_over() {
    for (_, codec) in CODECS {
        let bytes = vector("wide_sync", codec);
        let Err(Error::Unsupported(error)) = codec.decode(&bytes) else { panic!("{codec:?}") };
        assert_eq!(error.length, bytes.len());
        assert_eq!(error.subject, None, "nothing answers a sync but a sync");
    }
}

#[test]
fn a_sync_without_a_state_is_passed_over() {
    let bytes = vector("sync_none", Codec::Perunio);
    let Err(Error::Unsupported(error)) = Codec::Perunio.decode(&bytes) else { panic!("a sync") };
    assert_eq!((error.refusal, error.subject), (Refusal::NoState, None));
    assert_eq!(error.length, bytes.len());
}

#[test]
fn an_unsupported_message_waits_for_its_end() {
    for (_, codec) in CODECS {
        let bytes = vector("wide_participants", codec);
        for end in 0..bytes.len() {
            assert_eq!(codec.decode(&bytes[..end]), Ok(None), "{codec:?} {end}");
        }
    }
}

/// The place of the last occurrence of these bytes.
fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).rposition(|window| window == part).unwrap()
}

#[test]
fn a_signature_of_nobody_is_refused_and_the_connection_stays() {
    for (_, codec) in CODECS {
        let mut bytes = vector("update", codec);
        *bytes.last_mut().unwrap() = 29;
        let Err(Error::Unsupported(error)) = codec.decode(&bytes) else { panic!("{codec:?}") };
        assert_eq!(error.refusal, Refusal::Rule(Rule::RecoveryByte));
        assert!(matches!(error.subject, Some(Subject::Update { version: 1, .. })));
        *bytes.last_mut().unwrap() = 0;
        let envelope = whole(codec, &bytes).unwrap();
        assert_eq!(codec.encode(&envelope).unwrap(), vector("update", codec));
    }
}

#[test]
fn second_encodings_are_malformed() {
    // Behind the balances: no final state, no app.
    let tail = [0xac, 0x52, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00];
    let bytes = vector("update", Codec::Perunio);
    let at = find(&bytes, &tail) + 4;
    for (place, byte) in [(at, 2), (at + 1, 2)] {
        let mut bytes = bytes.clone();
        bytes[place] = byte;
        assert!(matches!(Codec::Perunio.decode(&bytes), Err(Error::Malformed(_))), "{place}");
    }
    // A leading zero in a balance.
    let mut zero = bytes.clone();
    let at = find(&bytes, &[0x08, 0x0c, 0x7d]);
    zero[at + 1] = 0;
    assert!(matches!(Codec::Perunio.decode(&zero), Err(Error::Malformed(_))));
}

#[test]
fn a_count_is_bounded_before_its_items() {
    let update = vector("update", Codec::Perunio);
    // The counts of assets, participants and locked funds.
    let counts = find(&update, &[1, 0, 2, 0, 0, 0]);
    for (count, bounded) in [(1024_u16, true), (1025, false), (65_535, false)] {
        for place in 0..3 {
            let mut bytes = update[..counts + 6].to_vec();
            bytes[counts + 2 * place..][..2].copy_from_slice(&count.to_le_bytes());
            let result = Codec::Perunio.decode(&bytes);
            assert_eq!(result == Ok(None), bounded, "{count} at {place}");
        }
    }
}

/// Where the sender and the recipient stand in these vectors in protobuf.
const ADDRESSES: std::ops::Range<usize> = 2..38;

/// An envelope in protobuf with these bytes behind the addresses.
fn behind_addresses(bytes: &[u8]) -> Vec<u8> {
    let body = [&vector("ping", Codec::Protobuf)[ADDRESSES], bytes].concat();
    [&u16::try_from(body.len()).unwrap().to_be_bytes(), body.as_slice()].concat()
}

/// A ping whose message has these bytes, in protobuf.
fn ping(message: &[u8], behind: &[u8]) -> Vec<u8> {
    let length = [u8::try_from(message.len()).unwrap()];
    behind_addresses(&[&[0x1a], &length, message, behind].concat())
}

#[test]
fn protobuf_has_one_order_and_one_length_of_a_number() {
    let decode = |message: &[u8], behind: &[u8]| whole(Codec::Protobuf, &ping(message, behind));
    let one = Ok(Message::Ping { created: 1 });
    assert_eq!(decode(&[8, 1], &[]).map(|envelope| envelope.message), one);
    // Fields that this version doesn't know are passed over, in the message and behind it.
    assert_eq!(decode(&[8, 1, 0x12, 1, 0], &[]).map(|envelope| envelope.message), one);
    assert_eq!(decode(&[8, 1], &[0xa2, 1, 1, 0]).map(|envelope| envelope.message), one);
    let malformed: [(&[u8], &[u8]); 9] = [
        (&[8, 0x81, 0], &[]),
        (&[8, 0], &[]),
        (&[8, 1, 8, 1], &[]),
        (&[9, 0, 0, 0, 0, 0, 0, 0, 0], &[]),
        (&[8], &[]),
        (&[0x0b], &[]),
        (&[8, 1], &[0x22, 2, 8, 1]),
        (&[8, 1], &[0x0a, 0]),
        (&[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], &[]),
    ];
    for (message, behind) in malformed {
        let result = decode(message, behind);
        assert!(matches!(result, Err(Error::Malformed(_))), "{message:x?} {behind:x?}");
    }
}

#[test]
fn a_message_of_a_newer_peer_is_passed_over() {
    let newer = behind_addresses(&[0xa2, 1, 1, 0]);
    let Err(Error::Unsupported(error)) = Codec::Protobuf.decode(&newer) else { panic!() };
    assert_eq!((error.refusal, error.subject), (Refusal::Message, None));
}

#[test]
fn aux_of_an_older_peer_is_zeros() {
    let bytes = vector("sub_proposal", Codec::Protobuf);
    let Message::SubChannelProposal(newer) = whole(Codec::Protobuf, &bytes).unwrap().message else {
        panic!("no proposal")
    };
    assert_eq!(&newer.base.aux[..4], b"aux\0");
    let at = find(&bytes, &[0x42, 0x80, 0x02]);
    let older = [&bytes[..at], &bytes[at + 3 + 256..]].concat();
    let Message::SubChannelProposal(older) =
        whole(Codec::Protobuf, &shortened(&older, 3 + 256)).unwrap().message
    else {
        panic!("no proposal")
    };
    assert_eq!(*older.base.aux, [0; 256]);
    assert_eq!(older.base.funding, newer.base.funding);
}

/// The frame, the message and its first part with lengths that are shorter by so much; all have two bytes.
fn shortened(bytes: &[u8], by: u16) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let frame = u16::from_be_bytes([bytes[0], bytes[1]]) - by;
    bytes[..2].copy_from_slice(&frame.to_be_bytes());
    for at in [ADDRESSES.end + 1, ADDRESSES.end + 4] {
        let length = u16::from(bytes[at] & 0x7f) + (u16::from(bytes[at + 1]) << 7) - by;
        let [high, low] = [length >> 7, length & 0x7f].map(|bits| u8::try_from(bits).unwrap());
        bytes[at] = low | 0x80;
        bytes[at + 1] = high;
    }
    bytes
}

#[test]
fn a_message_beyond_one_tls_record_is_not_written_in_protobuf() {
    let mut envelope = whole(Codec::Perunio, &vector("ping", Codec::Perunio)).unwrap();
    let overhead = 2 + ADDRESSES.len() + 3 + 3;
    for (length, fits) in [(16_384 - overhead, true), (16_385 - overhead, false)] {
        envelope.message = Message::Shutdown { reason: "x".repeat(length) };
        assert!(Codec::Perunio.encode(&envelope).is_ok());
        let bytes = Codec::Protobuf.encode(&envelope);
        assert_eq!(bytes.is_ok(), fits, "{length}");
        assert!(bytes.map_or(true, |bytes| bytes.len() == 16_384));
    }
}

#[test]
fn what_would_stop_go_perun_is_not_written() {
    let bytes = vector("update", Codec::Perunio);
    let refused = |change: fn(&mut Allocation)| {
        let mut envelope = whole(Codec::Perunio, &bytes).unwrap();
        let Message::ChannelUpdate(update) = &mut envelope.message else { panic!("no update") };
        change(&mut update.state.outcome);
        CODECS.iter().all(|(_, codec)| {
            let result = codec.encode(&envelope);
            matches!(result, Err(Error::Unsendable(_)))
        })
    };
    assert!(refused(|outcome| outcome.assets.clear()));
    assert!(refused(|outcome| outcome.balances.clear()));
    assert!(refused(|outcome| outcome.assets[0] = other_asset(1, &[1])));
    assert!(refused(|outcome| outcome.assets[0] = other_asset(2, &[])));
    assert!(refused(|outcome| outcome.assets[0] = other_asset(1 << 31, &[1])));
    assert!(!refused(|outcome| outcome.assets[0] = other_asset(2, &[1])));
}

fn other_asset(backend: u32, id: &[u8]) -> Asset {
    Asset::Other { backend, id: heapless::Vec::from_slice(id).unwrap() }
}
