//! Names and memos: short texts that end up in logs and on screens.
//!
//! Guarantees: UTF-8 without control characters, bounded. Does not: know which names exist.

use heapless::String;

use super::{Reader, Writer};
use crate::{Error, channel::Rule};

/// Bytes of the longest name.
pub const MAX_NAME: usize = 64;

/// Bytes of the longest memo.
pub const MAX_MEMO: usize = 128;

pub(super) fn write<const N: usize>(
    text: &String<N>,
    writer: &mut Writer<'_>,
) -> Result<(), Error> {
    check(text)?;
    writer.text(text);
    Ok(())
}

pub(super) fn read<const N: usize>(
    what: &'static str,
    reader: &mut Reader<'_>,
) -> Result<String<N>, Error> {
    let text = reader.text()?;
    check(text)?;
    text.try_into().map_err(|_| Rule::Capacity { what, limit: N }.into())
}

fn check(text: &str) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::Record("a text is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::Record("a text has control characters"));
    }
    Ok(())
}
