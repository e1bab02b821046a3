//! Strings and octets inside of a pack, without a buffer to unpack them into.
//!
//! Guarantees: what a [`Text`] or [`Data`] gives was checked when the pack was read. Does not:
//! allocate; JSON escapes and base64 are undone while iterating.

use core::fmt::{self, Write};

use super::MAX_NAME;

/// A string of a pack: compare it, display it, or go through its [`Text::chars`].
#[derive(Clone, Copy, Default)]
pub struct Text<'a> {
    raw: &'a str,
    /// `raw` may hold JSON escapes.
    escaped: bool,
}

impl<'a> Text<'a> {
    pub(super) const fn plain(raw: &'a str) -> Self {
        Self { raw, escaped: false }
    }

    /// What stands between the quotes of a JSON string, its escapes checked.
    pub(crate) fn json(raw: &'a str) -> Result<Self, &'static str> {
        let mut chars = raw.chars();
        while let Some(char) = chars.next() {
            if char == '\\' {
                unescape(&mut chars).ok_or("a string has a wrong escape")?;
            } else if char < ' ' {
                return Err("a string has a control character");
            }
        }
        Ok(Self { raw, escaped: raw.contains('\\') })
    }

    /// The string itself, if it was sent without escapes.
    pub const fn as_str(&self) -> Option<&'a str> {
        if self.escaped { None } else { Some(self.raw) }
    }

    /// Its characters, unescaped.
    pub fn chars(&self) -> Chars<'a> {
        Chars { raw: self.raw.chars(), escaped: self.escaped }
    }

    /// Whether it has no characters.
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for Text<'_> {}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|char| f.write_char(char))
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The characters of a [`Text`].
#[derive(Debug, Clone)]
pub struct Chars<'a> {
    raw: core::str::Chars<'a>,
    escaped: bool,
}

impl Iterator for Chars<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self.raw.next()? {
            '\\' if self.escaped => unescape(&mut self.raw),
            char => Some(char),
        }
    }
}

/// The name of a resolved record: base name and name, concatenated (RFC 8428 §4.5.1).
#[derive(Clone, Copy)]
pub struct Name<'a> {
    base: Text<'a>,
    name: Text<'a>,
}

impl<'a> Name<'a> {
    pub(super) fn new(base: Text<'a>, name: Text<'a>) -> Result<Self, &'static str> {
        let name = Self { base, name };
        check_name(name.chars())?;
        Ok(name)
    }

    /// Its characters, all ASCII.
    pub fn chars(&self) -> impl Iterator<Item = char> + use<'a> {
        self.base.chars().chain(self.name.chars())
    }

    /// Its length in characters, which are bytes; at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.chars().count()
    }
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.chars().eq(other.chars())
    }
}

impl Eq for Name<'_> {}

impl PartialEq<str> for Name<'_> {
    fn eq(&self, other: &str) -> bool {
        self.chars().eq(other.chars())
    }
}

impl PartialEq<&str> for Name<'_> {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chars().try_for_each(|char| f.write_char(char))
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// The octets of a Data Value.
#[derive(Clone, Copy)]
pub struct Data<'a>(Octets<'a>);

#[derive(Clone, Copy)]
enum Octets<'a> {
    Base64(Text<'a>),
    Raw(&'a [u8]),
}

impl<'a> Data<'a> {
    pub(super) const fn raw(bytes: &'a [u8]) -> Self {
        Self(Octets::Raw(bytes))
    }

    /// Base64 with the URL-safe alphabet and without padding (RFC 8428 §5).
    pub(super) fn base64(text: Text<'a>) -> Result<Self, &'static str> {
        let (mut length, mut last) = (0_usize, 0);
        for char in text.chars() {
            last = sextet(char).ok_or("not base64url without padding")?;
            length = length.wrapping_add(1);
        }
        let unused = match length % 4 {
            0 => 0,
            1 => return Err("base64url of an impossible length"),
            2 => 0b1111,
            _ => 0b11,
        };
        if last & unused != 0 {
            return Err("base64url with bits set behind its end");
        }
        Ok(Self(Octets::Base64(text)))
    }

    /// The octets, decoded.
    pub fn bytes(&self) -> Bytes<'a> {
        Bytes(match self.0 {
            Octets::Base64(text) => Source::Base64 { chars: text.chars(), bits: 0, held: 0 },
            Octets::Raw(bytes) => Source::Raw(bytes.iter()),
        })
    }
}

impl PartialEq for Data<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl Eq for Data<'_> {}

impl PartialEq<[u8]> for Data<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.bytes().eq(other.iter().copied())
    }
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.bytes()).finish()
    }
}

/// The octets of a [`Data`].
#[derive(Debug, Clone)]
pub struct Bytes<'a>(Source<'a>);

#[derive(Debug, Clone)]
enum Source<'a> {
    /// The lowest `held` bits of `bits` are read and not yet given.
    Base64 {
        chars: Chars<'a>,
        bits: u16,
        held: u8,
    },
    Raw(core::slice::Iter<'a, u8>),
}

impl Iterator for Bytes<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        match &mut self.0 {
            Source::Base64 { chars, bits, held } => {
                while *held < 8 {
                    *bits = *bits << 6 | u16::from(sextet(chars.next()?)?);
                    *held += 6;
                }
                *held -= 8;
                u8::try_from(*bits >> *held & 0xff).ok()
            }
            Source::Raw(bytes) => bytes.next().copied(),
        }
    }
}

/// The characters of a full name, and what it begins with (RFC 8428 §4.5.1).
///
/// The limit is ours: a long base name would be read again for each of many short records.
pub(super) fn check_name(chars: impl Iterator<Item = char>) -> Result<(), &'static str> {
    let mut chars = chars.take(MAX_NAME + 1);
    match chars.next() {
        None => return Err("no name"),
        Some(first) if !first.is_ascii_alphanumeric() => {
            return Err("the name begins with neither letter nor digit");
        }
        Some(_) => {}
    }
    let mut length = 1;
    for char in chars {
        length += 1;
        if !(char.is_ascii_alphanumeric() || "-:./_".contains(char)) {
            return Err("a character of the name is not allowed");
        }
    }
    if length > MAX_NAME { Err("the name is too long") } else { Ok(()) }
}

/// The character that an escape stands for; the backslash has been read (RFC 8259 §7).
fn unescape(chars: &mut core::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        char @ ('"' | '\\' | '/') => char,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => match hex(chars)? {
            high @ 0xd800..0xdc00 => {
                if (chars.next()?, chars.next()?) != ('\\', 'u') {
                    return None;
                }
                let low = hex(chars)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                char::from_u32(0x1_0000 + ((high - 0xd800) << 10 | low))?
            }
            // A low surrogate alone is no character.
            code => char::from_u32(code)?,
        },
        _ => return None,
    })
}

fn hex(chars: &mut core::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |code, _| Some(code << 4 | chars.next()?.to_digit(16)?))
}

/// The six bits of a base64url character.
fn sextet(char: char) -> Option<u8> {
    let byte = u8::try_from(char).ok()?;
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    }
}
