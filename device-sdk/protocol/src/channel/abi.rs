//! Ethereum's ABI encoding, streamed: heads and tails of tuples and arrays without the bytes in memory.
//!
//! Guarantees: `size` is what `write` writes. Does not: decode; know selectors.
//!
//! A [`Value`] is written into a [`Sink`]. [`Params`](super::Params), [`State`](super::State) and
//! [`WithdrawalAuth`](super::WithdrawalAuth) are values; calldata is a selector, and then one [`Tuple`] of the arguments
//! without an offset in front. See the Solidity documentation, "Contract ABI Specification", and [`encode`].

use sha3::{Digest as _, Keccak256};

use super::{Address, Amount, ChannelId, FundingId, Nonce, StateHash};
use crate::Error;

const WORD: usize = 32;

/// Where bytes go.
pub trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

/// A Keccak-256 hash of all that was put.
#[derive(Default)]
pub struct Keccak(Keccak256);

impl Sink for Keccak {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// The number of bytes that were put.
#[derive(Debug, Default)]
pub struct Counter(
    /// The number so far.
    pub usize,
);

impl Sink for Counter {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// A buffer that takes as many bytes as it has; [`Buffer::finish`] says whether that was enough.
pub struct Buffer<'a> {
    bytes: &'a mut [u8],
    length: usize,
    full: bool,
}

impl<'a> Buffer<'a> {
    /// Begins at the start of `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, length: 0, full: false }
    }

    /// What was put, if all of it fitted.
    pub fn finish(self) -> Result<&'a [u8], Error> {
        let written = self.bytes.get(..self.length);
        written.filter(|_| !self.full).ok_or(Error::BufferFull)
    }
}

impl Sink for Buffer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let free = self.bytes.get_mut(self.length..).unwrap_or_default();
        match free.get_mut(..bytes.len()) {
            Some(place) if !self.full => {
                place.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            _ => self.full = true,
        }
    }
}

/// A value of a type of the ABI.
pub trait Value {
    /// Whether a tuple or an array holds an offset in its place.
    fn is_dynamic(&self) -> bool;

    /// Bytes of the encoding, a multiple of 32.
    fn size(&self) -> usize;

    /// Writes the encoding.
    fn write(&self, sink: &mut dyn Sink);
}

/// A struct of Solidity that has a dynamic field.
pub trait Struct {
    /// Gives the fields in their order to `then`.
    fn fields(&self, then: &mut dyn FnMut(&[&dyn Value]));
}

/// `abi.encode` of one value: a dynamic one stands behind its offset.
pub fn encode(value: &dyn Value, sink: &mut dyn Sink) {
    Tuple(&[value]).write(sink);
}

/// `keccak256(abi.encode(value))`.
pub fn hash(value: &dyn Value) -> [u8; 32] {
    keccak(|sink| encode(value, sink))
}

/// The Keccak-256 hash of what is put.
pub fn keccak(put: impl FnOnce(&mut dyn Sink)) -> [u8; 32] {
    let mut sink = Keccak::default();
    put(&mut sink);
    sink.0.finalize().into()
}

/// The type `bytes`.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(
    /// The content.
    pub &'a [u8],
);

impl Value for Bytes<'_> {
    fn is_dynamic(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        WORD + self.0.len().next_multiple_of(WORD)
    }

    fn write(&self, sink: &mut dyn Sink) {
        put_length(self.0.len(), sink);
        sink.put(self.0);
        let padding = self.0.len().next_multiple_of(WORD) - self.0.len();
        sink.put(&[0; WORD][..padding]);
    }
}

/// An array of as many items as there are.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a, T>(
    /// The items.
    pub &'a [T],
);

impl<T: Value> Value for Array<'_, T> {
    fn is_dynamic(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        WORD + sequence_size(self.0.iter().map(as_value))
    }

    fn write(&self, sink: &mut dyn Sink) {
        put_length(self.0.len(), sink);
        write_sequence(self.0.iter().map(as_value), sink);
    }
}

/// A tuple, such as the arguments of a function.
#[derive(Clone, Copy)]
pub struct Tuple<'a>(
    /// The fields.
    pub &'a [&'a dyn Value],
);

impl Value for Tuple<'_> {
    fn is_dynamic(&self) -> bool {
        self.0.iter().any(|field| field.is_dynamic())
    }

    fn size(&self) -> usize {
        sequence_size(self.0.iter().copied())
    }

    fn write(&self, sink: &mut dyn Sink) {
        write_sequence(self.0.iter().copied(), sink);
    }
}

impl<T: Struct> Value for T {
    fn is_dynamic(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        let mut length = 0;
        self.fields(&mut |fields| length = Tuple(fields).size());
        length
    }

    fn write(&self, sink: &mut dyn Sink) {
        self.fields(&mut |fields| Tuple(fields).write(sink));
    }
}

/// Implements [`Value`] for what fills one word.
macro_rules! word {
    ($($kind:ty: $value:ident => $word:expr),+ $(,)?) => {$(
        impl Value for $kind {
            fn is_dynamic(&self) -> bool {
                false
            }

            fn size(&self) -> usize {
                WORD
            }

            fn write(&self, sink: &mut dyn Sink) {
                let $value = self;
                sink.put(&$word);
            }
        }
    )+};
}

word! {
    Address: address => right(address.as_bytes()),
    Amount: amount => amount.to_be_bytes(),
    ChannelId: id => *id.as_bytes(),
    FundingId: id => *id.as_bytes(),
    Nonce: nonce => *nonce.as_bytes(),
    StateHash: hash => *hash.as_bytes(),
    bool: flag => right(&[u8::from(*flag)]),
    u16: number => right(&number.to_be_bytes()),
    u32: number => right(&number.to_be_bytes()),
    u64: number => right(&number.to_be_bytes()),
}

fn as_value<T: Value>(item: &T) -> &dyn Value {
    item
}

fn sequence_size<'a>(values: impl Iterator<Item = &'a dyn Value>) -> usize {
    values.map(|value| value.size() + if value.is_dynamic() { WORD } else { 0 }).sum()
}

/// Heads, and behind them the tails that the heads point to.
fn write_sequence<'a>(values: impl Iterator<Item = &'a dyn Value> + Clone, sink: &mut dyn Sink) {
    let head = |value: &dyn Value| if value.is_dynamic() { WORD } else { value.size() };
    let mut offset = values.clone().map(head).sum();
    for value in values.clone() {
        if value.is_dynamic() {
            put_length(offset, sink);
            offset += value.size();
        } else {
            value.write(sink);
        }
    }
    values.filter(|value| value.is_dynamic()).for_each(|value| value.write(sink));
}

fn put_length(length: usize, sink: &mut dyn Sink) {
    sink.put(&right(&length.to_be_bytes()));
}

/// A word that ends with these bytes.
fn right(bytes: &[u8]) -> [u8; WORD] {
    let mut word = [0; WORD];
    word[WORD - bytes.len()..].copy_from_slice(bytes);
    word
}
