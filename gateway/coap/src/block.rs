//! The value of Block1 and Block2 (RFC 7959 §2.2).
//!
//! Guarantees: a number has all its 20 bits, a size exponent of 7 is refused. Does not: put blocks
//! together.

/// The largest number of a block.
pub const MAX_NUMBER: u32 = (1 << 20) - 1;

/// A block's number, whether more follow, and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number, up to [`MAX_NUMBER`].
    pub number: u32,
    /// Whether more blocks follow.
    pub more: bool,
    /// The exponent of its size, 0 to 6.
    pub exponent: u8,
}

impl Block {
    /// Reads the value of an option; none for the reserved exponent 7.
    pub fn decode(value: u32) -> Option<Self> {
        let exponent = value.to_be_bytes()[3] & 7;
        let block = Self { number: value >> 4, more: value & 8 != 0, exponent };
        (exponent < 7 && block.number <= MAX_NUMBER).then_some(block)
    }

    /// The value of an option.
    pub fn encode(self) -> u32 {
        self.number.min(MAX_NUMBER) << 4 | u32::from(self.more) << 3 | u32::from(self.exponent & 7)
    }

    /// Bytes of a full block.
    pub fn size(self) -> usize {
        16 << self.exponent.min(6)
    }

    /// Where its bytes begin in the whole body.
    pub fn offset(self) -> usize {
        usize::try_from(self.number).map_or(usize::MAX, |number| number.saturating_mul(self.size()))
    }

    /// The block of at most this exponent that begins where this one does.
    #[must_use]
    pub fn at_most(self, exponent: u8) -> Self {
        let exponent = exponent.min(self.exponent);
        let number = self.number.checked_shl(u32::from(self.exponent - exponent));
        Self { number: number.unwrap_or(u32::MAX), exponent, ..self }
    }

    /// The bytes of this block in a body, with `more` set accordingly; none if it begins behind the
    /// end. The first block of an empty body is empty.
    pub fn slice(self, body: &[u8]) -> Option<(Self, &[u8])> {
        let offset = self.offset();
        let rest = body.get(offset..).filter(|rest| !rest.is_empty() || offset == 0)?;
        let length = rest.len().min(self.size());
        Some((Self { more: rest.len() > length, ..self }, &rest[..length]))
    }

    /// Whether a payload has the length that a block must have: full if more follow.
    pub fn fits(self, payload: usize) -> bool {
        if self.more { payload == self.size() } else { payload <= self.size() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_twenty_bits_of_a_number_are_read() {
        let block = Block::decode(0xff_fffe).unwrap();
        assert_eq!(block, Block { number: MAX_NUMBER, more: true, exponent: 6 });
        assert_eq!(block.encode(), 0xff_fffe);
        assert_eq!(Block::decode(0x01_0000).unwrap().number, 4096);
        assert_eq!(Block::decode(0x17), None);
    }

    #[test]
    fn a_smaller_block_begins_at_the_same_byte() {
        let block = Block { number: 3, more: true, exponent: 6 };
        let smaller = block.at_most(2);
        assert_eq!((smaller.number, smaller.offset()), (48, block.offset()));
        assert_eq!(block.at_most(9), block);
    }

    #[test]
    fn a_slice_knows_whether_more_follows() {
        let block = |number| Block { number, more: false, exponent: 0 };
        let body = [7; 32];
        assert!(block(0).slice(&body).unwrap().0.more);
        assert!(!block(1).slice(&body).unwrap().0.more);
        assert_eq!(block(2).slice(&body), None);
        assert_eq!(block(0).slice(&[]).unwrap().1, []);
    }
}
