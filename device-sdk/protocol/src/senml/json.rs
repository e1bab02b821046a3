//! SenML JSON (RFC 8428 §5) as a stream of keys and values, strict RFC 8259.
//!
//! Guarantees: everything between the brackets is checked, also what is not understood; nesting and
//! work are bounded. Does not: know what a field means.

use super::{
    Item, MAX_DEPTH, Number,
    decimal::Literal,
    label::{Key, Label},
    text::Text,
};

/// Where the reader is in the text of a pack.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a str,
    /// Nothing has been read of the array or object that is open.
    first: bool,
}

impl<'a> Reader<'a> {
    /// Goes to the first record.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let text = core::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        let mut reader = Self { rest: text, first: true };
        reader.space();
        if reader.take('[') { Ok(reader) } else { Err("not a JSON array") }
    }

    /// Goes into the next record; `false` at the end of the pack.
    pub(super) fn next_record(&mut self) -> Result<bool, &'static str> {
        if !self.next_element(']', "no comma or ] between or after records")? {
            return if self.rest.is_empty() { Ok(false) } else { Err("bytes behind the pack") };
        }
        self.first = true;
        if self.take('{') { Ok(true) } else { Err("a record is not a JSON object") }
    }

    /// Reads the next field; `None` at the end of the record.
    pub(super) fn next_field(&mut self) -> Result<Option<(Key<'a>, Item<'a>)>, &'static str> {
        if !self.next_element('}', "no comma or } between or after fields")? {
            self.first = false;
            return Ok(None);
        }
        let label = self.key()?;
        let key = Label::from_name(label).map_or(Key::Text(label), Key::Known);
        Ok(Some((key, self.value(0)?)))
    }

    /// Goes to the next element of an array or object, or past its end.
    fn next_element(&mut self, end: char, fault: &'static str) -> Result<bool, &'static str> {
        self.space();
        let first = core::mem::take(&mut self.first);
        if self.take(end) {
            self.space();
            return Ok(false);
        }
        if !first && !self.take(',') {
            return Err(fault);
        }
        self.space();
        Ok(true)
    }

    /// The name of a member, and the colon behind it.
    fn key(&mut self) -> Result<Text<'a>, &'static str> {
        let key = self.string()?;
        self.space();
        if !self.take(':') {
            return Err("no colon behind a label");
        }
        self.space();
        Ok(key)
    }

    fn value(&mut self, depth: u8) -> Result<Item<'a>, &'static str> {
        match self.rest.bytes().next().ok_or("the pack ends too early")? {
            b'"' => Ok(Item::Text(self.string()?)),
            b'-' | b'0'..=b'9' => self.number().map(Item::Number),
            b't' if self.take_word("true") => Ok(Item::Bool(true)),
            b'f' if self.take_word("false") => Ok(Item::Bool(false)),
            b'n' if self.take_word("null") => Ok(Item::Other),
            b'[' | b'{' if depth >= MAX_DEPTH => Err("a value is nested too deep"),
            b'[' => self.container(']', depth),
            b'{' => self.container('}', depth),
            _ => Err("not a JSON value"),
        }
    }

    /// Passes an array or object of a field that is not understood.
    fn container(&mut self, end: char, depth: u8) -> Result<Item<'a>, &'static str> {
        self.rest = self.rest.get(1..).unwrap_or_default();
        self.first = true;
        while self.next_element(end, "no comma or end in a nested value")? {
            if end == '}' {
                self.key()?;
            }
            self.value(depth + 1)?;
        }
        self.first = false;
        Ok(Item::Other)
    }

    fn string(&mut self) -> Result<Text<'a>, &'static str> {
        if !self.take('"') {
            return Err("a label or string does not begin with a quote");
        }
        let mut backslash = false;
        let is_end = |byte| {
            let end = byte == b'"' && !backslash;
            backslash = byte == b'\\' && !backslash;
            end
        };
        let length = self.rest.bytes().position(is_end).ok_or("a string has no end")?;
        let (raw, rest) = self.rest.split_at(length);
        self.rest = rest.get(1..).unwrap_or_default();
        Text::json(raw)
    }

    fn number(&mut self) -> Result<Number, &'static str> {
        let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        let length = self.rest.bytes().take_while(|byte| is_part(*byte)).count();
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        // The grammar has to hold for every number, the range only for one that is understood.
        Ok(Literal::parse(text).ok_or("not a JSON number")?.decimal())
    }

    fn take(&mut self, char: char) -> bool {
        let rest = self.rest.strip_prefix(char);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take_word(&mut self, word: &str) -> bool {
        let rest = self.rest.strip_prefix(word);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}
