//! JSON of a fixed shape without a heap: objects whose members are read one after the other.
//!
//! Guarantees: strict RFC 8259; everything is checked, also
//! what is not understood; nesting and work are bounded. Does not: notice members that are there
//! twice, or give the contents of nested values.

use crate::{
    Error,
    senml::{Literal, MAX_DEPTH, Text},
};

/// A value of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(&'a str),
    /// An array, an object or `null`.
    Other,
    /// A string.
    Text(Text<'a>),
}

/// One object that is a JSON text of its own.
pub struct Object<'a>(Reader<'a>);

impl<'a> Object<'a> {
    /// Begins to read an object.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let reader = Reader::open(bytes, '{').map_err(Error::Json)?;
        reader.map(Self).ok_or(Error::Json("not an object"))
    }

    /// Reads the next member; `None` when the object and the text end as they have to.
    pub fn next_member(&mut self) -> Result<Option<(Text<'a>, Value<'a>)>, Error> {
        let member = self.0.next_member().map_err(Error::Json)?;
        if member.is_none() && !self.0.rest.is_empty() {
            return Err(Error::Json("bytes behind the object"));
        }
        Ok(member)
    }
}

/// Where the reader is in a text.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a str,
    /// Nothing has been read of the array or object that is open.
    first: bool,
}

impl<'a> Reader<'a> {
    /// Goes into the array or object that the text is; `None` if it is something else.
    pub(crate) fn open(bytes: &'a [u8], begin: char) -> Result<Option<Self>, &'static str> {
        let text = core::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        let mut reader = Self { rest: text, first: true };
        reader.space();
        Ok(reader.take(begin).then_some(reader))
    }

    /// Goes into the next object of an array; `false` at its end, which is that of the text.
    pub(crate) fn next_object(&mut self) -> Result<bool, &'static str> {
        if !self.next_element(']', "no comma or ] between or after records")? {
            return if self.rest.is_empty() { Ok(false) } else { Err("bytes behind the pack") };
        }
        self.first = true;
        if self.take('{') { Ok(true) } else { Err("a record is not a JSON object") }
    }

    /// Reads the next member; `None` at the end of the object.
    pub(crate) fn next_member(&mut self) -> Result<Option<(Text<'a>, Value<'a>)>, &'static str> {
        if !self.next_element('}', "no comma or } between or after fields")? {
            self.first = false;
            return Ok(None);
        }
        let key = self.key()?;
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

    fn value(&mut self, depth: u8) -> Result<Value<'a>, &'static str> {
        match self.rest.bytes().next().ok_or("the pack ends too early")? {
            b'"' => Ok(Value::Text(self.string()?)),
            b'-' | b'0'..=b'9' => Ok(Value::Number(self.number()?)),
            b't' if self.take_word("true") => Ok(Value::Bool(true)),
            b'f' if self.take_word("false") => Ok(Value::Bool(false)),
            b'n' if self.take_word("null") => Ok(Value::Other),
            b'[' | b'{' if depth >= MAX_DEPTH => Err("a value is nested too deep"),
            b'[' => self.container(']', depth),
            b'{' => self.container('}', depth),
            _ => Err("not a JSON value"),
        }
    }

    /// Passes an array or object of a field that is not understood.
    fn container(&mut self, end: char, depth: u8) -> Result<Value<'a>, &'static str> {
        self.rest = self.rest.get(1..).unwrap_or_default();
        self.first = true;
        while self.next_element(end, "no comma or end in a nested value")? {
            if end == '}' {
                self.key()?;
            }
            self.value(depth + 1)?;
        }
        self.first = false;
        Ok(Value::Other)
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

    fn number(&mut self) -> Result<&'a str, &'static str> {
        let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
        let length = self.rest.bytes().take_while(|byte| is_part(*byte)).count();
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        Literal::parse(text).map(|_| text).ok_or("not a JSON number")
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

#[cfg(test)]
mod tests {
    use std::{string::String, vec::Vec};

    use super::*;

    fn members(text: &str) -> Result<Vec<String>, Error> {
        let mut object = Object::parse(text.as_bytes())?;
        let mut members = Vec::new();
        while let Some((key, value)) = object.next_member()? {
            members.push(std::format!("{key} {value:?}"));
        }
        Ok(members)
    }

    #[test]
    fn an_object_is_read_member_by_member() {
        let read = members(r#" { "seq" : 18446744073709551615, "\u0061":"b\n", "c":[1] } "#);
        assert_eq!(
            read.unwrap(),
            ["seq Number(\"18446744073709551615\")", "a Text(\"b\n\")", "c Other"]
        );
        assert_eq!(members("{}"), Ok(Vec::new()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "[]", "{", "{}x", "{}{}", r#"{"a"}"#, r#"{"a":1,}"#, r#"{"a":01}"#] {
            assert!(members(text).is_err(), "{text}");
        }
    }
}
