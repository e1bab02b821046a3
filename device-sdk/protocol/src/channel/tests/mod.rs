//! Tests of channels: vectors and known answers, the rules, the records, the messages.

#![allow(clippy::cast_possible_truncation, reason = "the numbers are small")]

mod known;
mod messages;
mod record;
mod rules;
mod vectors;

use std::vec::Vec;

use super::{abi::*, *};

/// Bytes of hexadecimal digits, with or without `0x`.
fn bytes(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    assert!(digits.len().is_multiple_of(2));
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

/// `abi.encode` of a value; its size is what was announced.
fn encoded(value: &dyn Value) -> Vec<u8> {
    let mut counter = Counter::default();
    encode(value, &mut counter);
    assert_eq!(counter.0, Tuple(&[value]).size());
    let mut buffer = std::vec![0; counter.0];
    let mut sink = Buffer::new(&mut buffer);
    encode(value, &mut sink);
    assert_eq!(sink.finish().unwrap().len(), counter.0);
    buffer
}

fn key(byte: u8) -> SigningKey {
    SigningKey::from_bytes(&[byte; 32]).unwrap()
}

fn address(byte: u8) -> Address {
    Address::new([byte; 20])
}

fn amounts<const N: usize>(numbers: [u64; N]) -> [Amount; N] {
    numbers.map(Amount::from)
}

/// The channel of the known answers.
fn params() -> Params {
    let shares = [0, 32].map(|first: u8| {
        let mut next = first..;
        [(); 32].map(|()| next.next().unwrap())
    });
    Params {
        challenge_duration: 60,
        nonce: Nonce::from_shares(&shares[0], &shares[1]),
        participants: [key(0x11), key(0x22)].map(|key| Participant::new(key.address())),
        app: Address::ZERO,
        kind: ChannelKind::Ledger,
    }
}

/// A state of it with one asset.
fn state(version: u64, balances: [u64; 2]) -> State {
    let asset = Asset::ethereum(1337_u64, address(0xaa));
    let outcome = Allocation::new(&[(asset, amounts(balances))]).unwrap();
    State { version, ..State::initial(params().id(), outcome) }
}

/// The same with five locked.
fn locked_state() -> State {
    let mut state = state(3, [10, 20]);
    let balances = heapless::Vec::from_slice(&amounts([5])).unwrap();
    let id = ChannelId::new([0xcc; 32]);
    let locked = SubAlloc { id, balances, index_map: SubAlloc::IDENTITY };
    state.outcome.locked.push(locked).unwrap();
    state
}
