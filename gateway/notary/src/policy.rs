//! Whom a verifier trusts: a C2SP tlog-policy file, with one line of our own for ledgers.
//!
//! ```text
//! log <vkey> [<url>]                     a log whose checkpoints count
//! ledger <vkey> [<url>]                  an embedded ledger whose heads count (our extension)
//! witness <name> <vkey> [<url>]          a witness, named for groups and the quorum
//! group <name> <k|any|all> <name>...     counts when k, one or all of these do
//! quorum <name|none>                     what a checkpoint needs, exactly once
//! ```
//!
//! Guarantees: a policy is read as the specification says or not at all; every refusal names its line. Names are
//! opaque bytes. Does not: fetch anything; the URLs are for people and other tools.
//! Tools that know only the specification refuse a policy with a `ledger` line; keep it in a file of its own for them.
//! Specification: <https://c2sp.org/tlog-policy>.

use alloc::{string::String, vec::Vec};

use sluicegate_protocol::note::{KeyKind, VerifierKey, parse_decimal};

use crate::Error;

/// Longest policy, in bytes.
pub const MAX_POLICY: usize = 1 << 20;

/// Most logs, witnesses, groups and ledgers, each.
pub const MAX_DEFINITIONS: usize = 256;

/// A policy; it borrows names and keys from its text.
#[derive(Debug, Clone, Default)]
pub struct Policy<'a> {
    logs: Vec<VerifierKey<'a>>,
    ledgers: Vec<VerifierKey<'a>>,
    witnesses: Vec<Witness<'a>>,
    groups: Vec<Group>,
    quorum: Option<Member>,
}

/// A witness of the policy.
#[derive(Debug, Clone, Copy)]
pub struct Witness<'a> {
    name: &'a [u8],
    /// Its key.
    pub key: VerifierKey<'a>,
}

impl Witness<'_> {
    /// The name that the policy gives it.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }
}

#[derive(Debug, Clone)]
struct Group {
    needed: usize,
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy)]
enum Member {
    Group(usize),
    Witness(usize),
}

impl<'a> Policy<'a> {
    /// Reads the text of a policy file.
    pub fn parse(text: &'a [u8]) -> Result<Self, Error> {
        let (what, found, limit) = ("policy", text.len(), MAX_POLICY);
        if found > limit {
            return Err(Error::TooLong { what, found, limit });
        }
        let mut reader = Reader::default();
        let mut last = 0;
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            last = number + 1;
            reader.line(line).map_err(|problem| Error::Policy { line: last, problem })?;
        }
        if !reader.quorum_seen {
            return Err(Error::Policy { line: last, problem: "there is no quorum line" });
        }
        Ok(reader.policy)
    }

    /// The keys of logs of this name.
    pub fn logs(&self, origin: &str) -> impl Iterator<Item = &VerifierKey<'a>> {
        self.logs.iter().filter(move |key| key.name() == origin)
    }

    /// The keys of embedded ledgers of this name.
    pub fn ledgers(&self, name: &str) -> impl Iterator<Item = &VerifierKey<'a>> {
        self.ledgers.iter().filter(move |key| key.name() == name)
    }

    /// The keys of all embedded ledgers, in order.
    pub fn all_ledgers(&self) -> &[VerifierKey<'a>] {
        &self.ledgers
    }

    /// Its witnesses, in order.
    pub fn witnesses(&self) -> &[Witness<'a>] {
        &self.witnesses
    }

    /// Whether any cosignature is asked for.
    pub const fn has_quorum(&self) -> bool {
        self.quorum.is_some()
    }

    /// Whether the quorum is met when `cosigned(i)` tells if the witness `i` of [`Policy::witnesses`] cosigned.
    pub fn quorum_met(&self, cosigned: impl Fn(usize) -> bool) -> bool {
        let mut met = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let count = group.members.iter().filter(|m| counts(**m, &met, &cosigned)).count();
            met.push(count >= group.needed);
        }
        self.quorum.is_none_or(|member| counts(member, &met, &cosigned))
    }
}

fn counts(member: Member, groups: &[bool], cosigned: &impl Fn(usize) -> bool) -> bool {
    match member {
        Member::Group(index) => groups.get(index).copied().unwrap_or(false),
        Member::Witness(index) => cosigned(index),
    }
}

type Problem = &'static str;

/// A policy under construction.
#[derive(Default)]
struct Reader<'a> {
    policy: Policy<'a>,
    names: Vec<Name<'a>>,
    quorum_seen: bool,
}

struct Name<'a> {
    name: &'a [u8],
    member: Member,
    in_group: bool,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a [u8]) -> Result<(), Problem> {
        if line.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err("a control character other than tab and newline (a Windows line ending?)");
        }
        let mut items = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|i| !i.is_empty());
        let Some(keyword) = items.next().filter(|first| first[0] != b'#') else { return Ok(()) };
        let items: Vec<&[u8]> = items.collect();
        match (keyword, items.as_slice()) {
            (b"log", [key] | [key, _]) => add_key(&mut self.policy.logs, key),
            (b"ledger", [key] | [key, _]) => add_key(&mut self.policy.ledgers, key),
            (b"witness", [name, key] | [name, key, _]) => self.witness(name, key),
            (b"group", [name, needed, members @ ..]) => self.group(name, needed, members),
            (b"quorum", [name]) => self.quorum(name),
            (b"log" | b"ledger", _) => Err("expected a key, and at most a URL after it"),
            (b"witness", _) => Err("expected a name, a key, and at most a URL after them"),
            (b"group", _) => Err("expected a name, a number or any or all, and members"),
            (b"quorum", _) => Err("expected exactly one name, or none"),
            _ => Err("expected log, ledger, witness, group, quorum or a comment"),
        }
    }

    fn witness(&mut self, name: &'a [u8], key: &'a [u8]) -> Result<(), Problem> {
        let key = parse_key(key, KeyKind::Cosignature)?;
        let mut known = self.policy.witnesses.iter();
        if known.any(|witness| witness.key.key() == key.key()) {
            return Err("this key stands in the policy already");
        }
        bounded(self.policy.witnesses.len())?;
        self.define(name, Member::Witness(self.policy.witnesses.len()))?;
        self.policy.witnesses.push(Witness { name, key });
        Ok(())
    }

    fn group(
        &mut self,
        name: &'a [u8],
        needed: &[u8],
        members: &[&'a [u8]],
    ) -> Result<(), Problem> {
        if members.is_empty() {
            return Err("a group needs at least one member");
        }
        let needed = threshold(needed, members.len())?;
        let members = members.iter().map(|member| self.use_in_group(member));
        let members = members.collect::<Result<_, _>>()?;
        bounded(self.policy.groups.len())?;
        self.define(name, Member::Group(self.policy.groups.len()))?;
        self.policy.groups.push(Group { needed, members });
        Ok(())
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), Problem> {
        if core::mem::replace(&mut self.quorum_seen, true) {
            return Err("there is a second quorum line");
        }
        if name != b"none" {
            let found = self.names.iter().find(|known| known.name == name);
            self.policy.quorum = Some(found.ok_or(UNDEFINED)?.member);
        }
        Ok(())
    }

    fn define(&mut self, name: &'a [u8], member: Member) -> Result<(), Problem> {
        if name == b"none" {
            return Err("the name none is taken");
        }
        if self.names.iter().any(|known| known.name == name) {
            return Err("this name is defined already");
        }
        self.names.push(Name { name, member, in_group: false });
        Ok(())
    }

    fn use_in_group(&mut self, name: &[u8]) -> Result<Member, Problem> {
        let found = self.names.iter_mut().find(|known| known.name == name).ok_or(UNDEFINED)?;
        if core::mem::replace(&mut found.in_group, true) {
            return Err("this name is a group's member already");
        }
        Ok(found.member)
    }
}

const UNDEFINED: Problem = "this name is not defined on an earlier line";

fn add_key<'a>(keys: &mut Vec<VerifierKey<'a>>, text: &'a [u8]) -> Result<(), Problem> {
    let key = parse_key(text, KeyKind::Note)?;
    if keys.iter().any(|known| known.key() == key.key()) {
        return Err("this key stands in the policy already");
    }
    bounded(keys.len())?;
    keys.push(key);
    Ok(())
}

fn parse_key(text: &[u8], kind: KeyKind) -> Result<VerifierKey<'_>, Problem> {
    let text = core::str::from_utf8(text).ok();
    let key = text.and_then(|text| VerifierKey::parse(text).ok());
    let key = key.ok_or("not an Ed25519 key of the form name+id+base64")?;
    match (key.kind() == kind, kind) {
        (true, _) => Ok(key),
        (false, KeyKind::Note) => Err("this is a witness's key, not that of a log or ledger"),
        (false, KeyKind::Cosignature) => Err("this is a log's key, not that of a witness"),
    }
}

fn threshold(text: &[u8], members: usize) -> Result<usize, Problem> {
    match text {
        b"any" => return Ok(1),
        b"all" => return Ok(members),
        _ => {}
    }
    let number = core::str::from_utf8(text).ok().and_then(|text| parse_decimal(text).ok());
    let number = number.and_then(|number| usize::try_from(number).ok());
    let number = number.ok_or("expected a number, any or all")?;
    if (1..=members).contains(&number) {
        Ok(number)
    } else {
        Err("a group can't need less than one or more than all of its members")
    }
}

const fn bounded(count: usize) -> Result<(), Problem> {
    if count < MAX_DEFINITIONS { Ok(()) } else { Err("more than 256 of these") }
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString, vec};

    use sluicegate_protocol::SigningKey;

    use super::*;

    fn key(byte: u8, kind: KeyKind) -> String {
        let public = SigningKey::from_bytes(&[byte; 32]).verifying_key();
        VerifierKey::new("example.com/k", kind, public).unwrap().to_string()
    }

    fn log(byte: u8) -> String {
        key(byte, KeyKind::Note)
    }

    fn witness(byte: u8) -> String {
        key(byte, KeyKind::Cosignature)
    }

    /// The example of the specification.
    fn example() -> String {
        let mut text = format!("# two organisations\n\nlog {}\tsome.example\n", log(1));
        for (place, name) in (10..).zip(["X1", "X2", "X3", "Y1", "Y2", "Y3"]) {
            text.push_str(&format!(" witness {name} {}\n", witness(place)));
        }
        text + "group X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\n\
            group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
    }

    fn problem(text: &str) -> (usize, Problem) {
        match Policy::parse(text.as_bytes()) {
            Err(Error::Policy { line, problem }) => (line, problem),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn groups_and_quorum_of_the_specification() {
        let text = example();
        let policy = Policy::parse(text.as_bytes()).unwrap();
        let met = |set: &[usize]| policy.quorum_met(|index| set.contains(&index));
        assert!(met(&[0, 2, 5]) && met(&[0, 1, 2, 3, 4, 5]));
        assert!(!met(&[]) && !met(&[0, 1]) && !met(&[0, 3, 4, 5]));
        assert_eq!(policy.logs("example.com/k").count(), 1);
        assert_eq!(policy.logs("example.com/other").count(), 0);
        assert_eq!(policy.witnesses()[3].name(), "Y1");
        assert!(policy.has_quorum());
    }

    #[test]
    fn a_policy_without_witnesses() {
        let text = format!("quorum none\nlog {}\nledger {} url", log(1), log(1));
        let policy = Policy::parse(text.as_bytes()).unwrap();
        assert!(policy.quorum_met(|_| false) && !policy.has_quorum());
        assert_eq!(policy.ledgers("example.com/k").count(), 1);
    }

    #[test]
    fn names_are_opaque_bytes() {
        let key = witness(1);
        let text = [b"witness \xe2\x84 ", key.as_bytes(), b"\nquorum \xe2\x84\n"].concat();
        let policy = Policy::parse(&text).unwrap();
        assert!(policy.quorum_met(|_| true) && !policy.quorum_met(|_| false));
        let lossy = [b"witness \xe2\x84 ", key.as_bytes(), b"\nquorum \xe2\n"].concat();
        assert!(Policy::parse(&lossy).is_err());
    }

    #[test]
    fn each_broken_rule_is_named_with_its_line() {
        let (l, w, v) = (log(1), witness(2), witness(3));
        for (text, line) in [
            (String::new(), 1),
            ("log".to_string(), 1),
            (format!("log {w}\nquorum none"), 1),
            (format!("witness a {l}"), 1),
            (format!("log {l}\nlog {l}\nquorum none"), 2),
            (format!("witness a {w}\nwitness b {w}"), 2),
            (format!("witness a {w}\nwitness a {v}"), 2),
            (format!("witness none {w}"), 1),
            (format!("witness a {w} url more"), 1),
            ("quorum a".to_string(), 1),
            ("quorum none\nquorum none".to_string(), 2),
            (format!("quorum a\nwitness a {w}"), 1),
            (format!("witness a {w}\ngroup g 1 a a"), 2),
            (format!("witness a {w}\ngroup g 1 a\ngroup h any a"), 3),
            (format!("witness a {w}\ngroup g any none"), 2),
            (format!("witness a {w}\ngroup g any g"), 2),
            (format!("witness a {w}\ngroup g 0 a"), 2),
            (format!("witness a {w}\ngroup g 2 a"), 2),
            (format!("witness a {w}\ngroup g 01 a"), 2),
            (format!("witness a {w}\ngroup g any"), 2),
            ("quorum none\r\n".to_string(), 1),
            ("# \u{1}\nquorum none".to_string(), 1),
            ("quorum none\ntrust me".to_string(), 2),
            (format!("log {}\nquorum none", l.replace("+", "-")), 1),
        ] {
            assert_eq!(problem(&text).0, line, "{text}");
        }
    }

    #[test]
    fn size_is_bounded() {
        let comment = vec![b'#'; MAX_POLICY + 1];
        assert!(matches!(Policy::parse(&comment), Err(Error::TooLong { .. })));
        let mut text = String::new();
        for byte in 0..32 {
            text.push_str(&format!("log {}\nwitness w{byte} {}\n", log(byte), witness(byte)));
            text.push_str(&format!("group g{byte} all w{byte}\n"));
        }
        assert!(Policy::parse((text + "quorum g31\n").as_bytes()).is_ok());
    }
}
