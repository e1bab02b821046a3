//! The options that the endpoint itself handles, taken out of a message.
//!
//! Guarantees: what is left is for the application. Does not: check whether they belong together.

use crate::{Options, block::Block, option};

/// Their values.
#[derive(Debug, Default)]
pub(super) struct Extras {
    pub(super) observe: Option<u32>,
    pub(super) block1: Option<u32>,
    pub(super) block2: Option<u32>,
    pub(super) size1: Option<u32>,
    pub(super) size2: Option<u32>,
    pub(super) no_response: u32,
    pub(super) echo: Option<Vec<u8>>,
    /// The message is for a proxy.
    pub(super) proxy: bool,
}

impl Extras {
    pub(super) fn take(options: &mut Options) -> Self {
        let mut extras = Self::default();
        let mut found = false;
        for (number, value) in options.iter() {
            let integer = option::uint(value);
            match number {
                option::OBSERVE => extras.observe = integer,
                option::BLOCK1 => extras.block1 = integer,
                option::BLOCK2 => extras.block2 = integer,
                option::SIZE1 => extras.size1 = integer,
                option::SIZE2 => extras.size2 = integer,
                option::NO_RESPONSE => extras.no_response = integer.unwrap_or(0),
                option::ECHO => extras.echo = Some(value.to_vec()),
                option::PROXY_URI | option::PROXY_SCHEME => extras.proxy = true,
                _ => continue,
            }
            found = true;
        }
        if found {
            options.retain(|number, _| !is_extra(number));
        }
        extras
    }

    /// Block1 and Block2; none if one has the reserved size.
    pub(super) fn blocks(&self) -> Option<(Option<Block>, Option<Block>)> {
        let decode = |value: Option<u32>| match value.map(Block::decode) {
            Some(None) => None,
            block => Some(block.flatten()),
        };
        Some((decode(self.block1)?, decode(self.block2)?))
    }
}

const fn is_extra(number: u16) -> bool {
    matches!(
        number,
        option::OBSERVE
            | option::BLOCK1
            | option::BLOCK2
            | option::SIZE1
            | option::SIZE2
            | option::NO_RESPONSE
            | option::ECHO
    )
}
