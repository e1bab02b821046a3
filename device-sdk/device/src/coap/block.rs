//! Block options (RFC 7959).

use super::{Message, Writer, option};

/// The size of the blocks of an upload or download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockSize {
    /// 16 bytes.
    B16,
    /// 32 bytes.
    B32,
    /// 64 bytes.
    B64,
    /// 128 bytes.
    B128,
    /// 256 bytes.
    B256,
    /// 512 bytes.
    B512,
    /// 1024 bytes.
    B1024,
}

impl BlockSize {
    const ALL: [Self; 7] =
        [Self::B16, Self::B32, Self::B64, Self::B128, Self::B256, Self::B512, Self::B1024];

    /// Bytes in a block.
    pub const fn bytes(self) -> usize {
        16 << self.exponent()
    }

    const fn exponent(self) -> u8 {
        match self {
            Self::B16 => 0,
            Self::B32 => 1,
            Self::B64 => 2,
            Self::B128 => 3,
            Self::B256 => 4,
            Self::B512 => 5,
            Self::B1024 => 6,
        }
    }
}

/// The value of a Block1 or Block2 option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u32,
    pub(super) more: bool,
    pub(super) size: BlockSize,
}

/// Numbers have 20 bits.
const MAX_NUMBER: u32 = 0xf_ffff;

impl Block {
    /// The block that begins at this byte; `None` if its number is too large.
    pub(super) fn at(offset: usize, size: BlockSize, more: bool) -> Option<Self> {
        let number = u32::try_from(offset / size.bytes()).ok()?;
        (number <= MAX_NUMBER).then_some(Self { number, more, size })
    }

    /// The option with this number: `None` if it is not there, an error if it has more than three
    /// bytes or the reserved size.
    pub(super) fn read(message: &Message<'_>, number: u16) -> Result<Option<Self>, ()> {
        let Some(value) = message.option(number) else { return Ok(None) };
        let value = option::uint(value).filter(|_| value.len() <= 3).ok_or(())?;
        let exponent = usize::try_from(value & 7).map_err(|_| ())?;
        let size = *BlockSize::ALL.get(exponent).ok_or(())?;
        Ok(Some(Self { number: value >> 4, more: value & 8 != 0, size }))
    }

    pub(super) fn write(self, writer: &mut Writer<'_>, number: u16) {
        let more = u32::from(self.more) << 3;
        writer.uint(number, self.number << 4 | more | u32::from(self.size.exponent()));
    }

    /// Where it begins.
    pub(super) fn offset(self) -> usize {
        usize::try_from(self.number).unwrap_or(usize::MAX).saturating_mul(self.size.bytes())
    }
}
