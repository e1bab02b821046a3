//! Link format (RFC 6690 §2): strict parser and writer.
//!
//! Guarantees: what is written reads the same; nothing but one link after the other is accepted, with
//! blanks only behind `,` and `;` (RFC 5988), and every byte of the text is accounted for. Does
//! not: resolve references, or know what attributes mean.

use std::borrow::Cow;

use crate::Error;

/// Most attributes that a link may have.
pub const MAX_ATTRIBUTES: usize = 32;

/// A link: a target and what is said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link<'a> {
    /// The URI reference between `<` and `>`.
    pub target: Cow<'a, str>,
    /// Name and value of each attribute, in order; a name may come again.
    pub attributes: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

impl<'a> Link<'a> {
    /// The value of the first attribute with this name; empty if it has none.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(found, _)| *found == name);
        found.map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    /// Writes the link behind those that are there.
    pub fn write(&self, out: &mut String) {
        if !out.is_empty() {
            out.push(',');
        }
        out.extend(["<", &self.target, ">"]);
        for (name, value) in &self.attributes {
            out.extend([";", name]);
            if let Some(value) = value {
                out.push('=');
                write_value(out, value);
            }
        }
    }
}

/// Numbers stand as they are, everything else between quotation marks.
fn write_value(out: &mut String, value: &str) {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return out.push_str(value);
    }
    out.push('"');
    for character in value.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

/// Reads links.
pub fn parse(text: &str) -> Result<Vec<Link<'_>>, Error> {
    let mut reader = Reader { text, at: 0 };
    let mut links = Vec::new();
    if text.is_empty() {
        return Ok(links);
    }
    loop {
        links.push(reader.link()?);
        match reader.next() {
            None => return Ok(links),
            Some(b',') => reader.blanks(),
            Some(_) => return reader.wrong("a link ends with a comma or the end"),
        }
    }
}

/// A place in the text.
struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn link(&mut self) -> Result<Link<'a>, Error> {
        if self.next() != Some(b'<') {
            return self.wrong("a link begins with <");
        }
        let target = self.take(is_reference);
        if self.next() != Some(b'>') {
            return self.wrong("a target ends with >");
        }
        let mut attributes = Vec::new();
        while self.peek() == Some(b';') {
            self.next();
            self.blanks();
            if attributes.len() == MAX_ATTRIBUTES {
                return self.wrong("a link has too many attributes");
            }
            attributes.push(self.attribute()?);
        }
        Ok(Link { target: target.into(), attributes })
    }

    fn attribute(&mut self) -> Result<(&'a str, Option<Cow<'a, str>>), Error> {
        let start = self.at;
        self.take(is_name);
        if self.at > start && self.peek() == Some(b'*') {
            self.next();
        }
        let name = &self.text[start..self.at];
        if name.is_empty() {
            return self.wrong("an attribute has a name");
        }
        if self.peek() != Some(b'=') {
            return Ok((name, None));
        }
        self.next();
        let value = match self.peek() {
            Some(b'"') => self.quoted()?,
            _ => Cow::Borrowed(self.take(is_token)),
        };
        if value.is_empty() && !self.text[..self.at].ends_with('"') {
            return self.wrong("a value is not empty");
        }
        Ok((name, Some(value)))
    }

    fn quoted(&mut self) -> Result<Cow<'a, str>, Error> {
        self.next();
        let first = self.take(is_quotable);
        let mut value = Cow::Borrowed(first);
        loop {
            match self.next() {
                Some(b'"') => return Ok(value),
                Some(b'\\') => {
                    let Some(escaped) = self.text[self.at..].chars().next() else {
                        return self.wrong("a quotation ends");
                    };
                    if escaped.is_control() {
                        return self.wrong("a value has no control characters");
                    }
                    self.at += escaped.len_utf8();
                    let text = value.to_mut();
                    text.push(escaped);
                    text.push_str(self.take(is_quotable));
                }
                _ => return self.wrong("a quotation ends, and has no control characters"),
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte; only taken where it is ASCII, so that the place stays between characters.
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += usize::from(byte.is_ascii());
        Some(byte)
    }

    fn blanks(&mut self) {
        self.take(|character| matches!(character, ' ' | '\t'));
    }

    fn take(&mut self, is: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.find(|character| !is(character)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn wrong<T>(&self, problem: &'static str) -> Result<T, Error> {
        Err(Error::Link { at: self.at, problem })
    }
}

/// What a URI reference is made of (RFC 3986 §2).
fn is_reference(character: char) -> bool {
    character.is_ascii_graphic()
        && !matches!(character, '<' | '>' | '"' | '{' | '}' | '|' | '\\' | '^' | '`')
}

/// What the name of an attribute is made of (RFC 5987 §3.2.1).
fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$&+-.^_`|~".contains(character)
}

/// What a value without quotation marks is made of.
fn is_token(character: char) -> bool {
    character.is_ascii_graphic() && !matches!(character, '"' | ',' | ';' | '\\')
}

fn is_quotable(character: char) -> bool {
    !character.is_control() && !matches!(character, '"' | '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard_are_read() {
        let text = "</sensors>;ct=40;title=\"Sensor Index\",</sensors/temp>;rt=\"temperature-c\";\
                    if=\"sensor\",<http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\";\
                    rel=\"describedby\",</t>;anchor=\"/sensors/temp\";rel=\"alternate\";obs";
        let links = parse(text).unwrap();
        let targets: Vec<_> = links.iter().map(|link| &*link.target).collect();
        let other = "http://www.example.com/sensors/t123";
        assert_eq!(targets, ["/sensors", "/sensors/temp", other, "/t"]);
        assert_eq!(links[0].attribute("title"), Some("Sensor Index"));
        assert_eq!((links[3].attribute("obs"), links[3].attribute("if")), (Some(""), None));
        let mut out = String::new();
        links.iter().for_each(|link| link.write(&mut out));
        assert_eq!(out, text);
    }

    #[test]
    fn quoted_pairs_are_read_and_written() {
        let text = r#"</a>;title="say \"x\\y\" é";rev=a/b"#;
        let links = parse(text).unwrap();
        assert_eq!(links[0].attribute("title"), Some(r#"say "x\y" é"#));
        let mut out = String::new();
        links[0].write(&mut out);
        assert_eq!(parse(&out).unwrap(), links);
    }

    #[test]
    fn blanks_are_allowed_only_behind_separators() {
        assert_eq!(parse("</a>; ct=0, </b>").unwrap().len(), 2);
        for text in [" </a>", "</a> ", "</a >", "</a>;ct =0", "</a>;ct= 0", "</a> ,</b>"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_link_is_refused() {
        for text in [
            "a",
            "<",
            "<>,",
            "</a",
            "</a>b",
            "</a>;",
            "</a>;=1",
            "</a>;a=",
            "</a>;a=\"",
            ",",
            "</a>;a=\"\\",
            "</a>;a=\"\n\"",
            "</é>",
            "</a><",
            "</a>;a=b\"",
            "</a>;*=1",
            "é",
        ] {
            assert!(matches!(parse(text), Err(Error::Link { .. })), "{text}");
        }
        assert_eq!(parse("").unwrap(), []);
        let many = format!("</a>{}", ";x".repeat(33));
        assert!(parse(&many).is_err());
    }
}
