//! C2SP signed notes (signed-note v1.0.0) with Ed25519, and timestamped witness cosignatures (tlog-cosignature v1).
//!
//! Guarantees: base64 is canonical, signatures are checked strictly (no small-order keys, no second encoding), a key
//! signs a note once. Does not: know which keys to trust; that is the policy of the verifier.
//!
//! Order of use: [`sign`] writes text and signature line; a reader calls [`Note::parse`], then [`Note::verify`] with a
//! key that it already trusts, and only then believes [`Note::text`].

use core::fmt::{self, Write};

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::{Error, checkpoint::decimal, sha256};

/// Most signature lines that a note may carry.
pub const MAX_SIGNATURES: usize = 32;

/// Identifier, time stamp and Ed25519 signature.
const MAX_SIGNATURE: usize = 4 + 8 + 64;

/// What a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Type 0x04: the checkpoint together with a time (a witness).
    Cosignature,
    /// Type 0x01: the note text (a log or a ledger).
    Note,
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Note => 1,
            Self::Cosignature => 4,
        }
    }
}

/// A trusted key: name, kind, public key; the identifier follows from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifierKey<'a> {
    name: &'a str,
    kind: KeyKind,
    id: u32,
    key: VerifyingKey,
}

impl<'a> VerifierKey<'a> {
    /// The key of a log or ledger with this name.
    pub fn new(name: &'a str, kind: KeyKind, key: VerifyingKey) -> Result<Self, Error> {
        if !valid_name(name) {
            return Err(Error::VerifierKey("the name is empty or holds a space, plus or control"));
        }
        Ok(Self { name, kind, id: key_id(name, kind, &key), key })
    }

    /// Reads `name+id+base64(type ‖ key)`; the identifier must be the one that follows from the rest.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().ok_or(Error::VerifierKey("it has fewer than three parts"));
        let (name, id, encoded) = (part()?, part()?, part()?);
        let mut buffer = [0; 34];
        let (kind, key) = match Base64::decode(encoded, &mut buffer) {
            Ok([1, key @ ..]) => (KeyKind::Note, key),
            Ok([4, key @ ..]) => (KeyKind::Cosignature, key),
            _ => return Err(Error::VerifierKey("the key is not an Ed25519 key in base64")),
        };
        let key = key.try_into().ok().and_then(|key| VerifyingKey::from_bytes(key).ok());
        let key = key.ok_or(Error::VerifierKey("the key is not a point of Ed25519"))?;
        let parsed = Self::new(name, kind, key)?;
        let plain = id.len() == 8 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let written = plain.then(|| u32::from_str_radix(id, 16));
        match written {
            Some(Ok(written)) if written == parsed.id => Ok(parsed),
            _ => Err(Error::VerifierKey("the identifier does not follow from name and key")),
        }
    }

    /// The key's name; for a log it is the origin of its checkpoints.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// What the key signs.
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The public key itself.
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

/// The text form `name+id+base64(type ‖ key)`.
impl fmt::Display for VerifierKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [self.kind.byte(); 33];
        bytes[1..].copy_from_slice(self.key.as_bytes());
        let mut buffer = [0; 44];
        let encoded = Base64::encode(&bytes, &mut buffer).map_err(|_| fmt::Error)?;
        write!(f, "{}+{:08x}+{encoded}", self.name, self.id)
    }
}

/// A parsed note, not yet believed.
#[derive(Debug, Clone, Copy)]
pub struct Note<'a> {
    text: &'a str,
    lines: &'a str,
}

impl<'a> Note<'a> {
    /// Splits a note at its last empty line and checks the form of every signature line.
    pub fn parse(note: &'a str) -> Result<Self, Error> {
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(Error::Note("it holds control characters"));
        }
        let split = note.rfind("\n\n").ok_or(Error::Note("no empty line before signatures"))?;
        let (text, lines) = (&note[..split + 1], &note[split + 2..]);
        if !lines.ends_with('\n') {
            return Err(Error::Note("no signature line, or the last one is cut off"));
        }
        let note = Self { text, lines };
        let mut count = 0;
        for line in note.raw_lines() {
            SignatureLine::parse(line)?;
            count += 1;
        }
        if count > MAX_SIGNATURES {
            return Err(Error::Note("too many signature lines"));
        }
        Ok(note)
    }

    /// The signed text with its final newline.
    pub const fn text(&self) -> &'a str {
        self.text
    }

    /// The signature lines, in order.
    pub fn signatures(&self) -> impl Iterator<Item = SignatureLine<'a>> {
        self.raw_lines().filter_map(|line| SignatureLine::parse(line).ok())
    }

    /// Checks that a log or ledger key signed the text.
    pub fn verify(&self, key: &VerifierKey<'_>) -> Result<(), Error> {
        let line = self.line_of(key)?;
        let signature = line.bytes().try_into().map_err(|_| Error::BadSignature)?;
        verify_strict(key, self.text.as_bytes(), &signature)
    }

    /// Checks that a witness cosigned the text and gives its POSIX time in seconds.
    pub fn verify_cosignature(&self, key: &VerifierKey<'_>) -> Result<u64, Error> {
        let line = self.line_of(key)?;
        let (time, signature) = line.bytes().split_at_checked(8).ok_or(Error::BadSignature)?;
        let time = u64::from_be_bytes(time.try_into().map_err(|_| Error::BadSignature)?);
        let signature = signature.try_into().map_err(|_| Error::BadSignature)?;
        let mut message = CosignedMessage::new();
        message.fill(time, self.text)?;
        verify_strict(key, message.as_bytes(), &signature)?;
        Ok(time)
    }

    fn raw_lines(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.lines.trim_end_matches('\n').split('\n')
    }

    /// The only line of this key.
    fn line_of(&self, key: &VerifierKey<'_>) -> Result<SignatureLine<'a>, Error> {
        let mut lines =
            self.signatures().filter(|line| line.name == key.name && line.id() == key.id);
        let line = lines.next().ok_or(Error::NotSigned)?;
        if lines.next().is_some() {
            return Err(Error::Note("a key signs twice"));
        }
        Ok(line)
    }
}

/// One signature line: who claims to have signed, and the bytes.
#[derive(Debug, Clone, Copy)]
pub struct SignatureLine<'a> {
    name: &'a str,
    buffer: [u8; MAX_SIGNATURE],
    length: usize,
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Result<Self, Error> {
        let rest = line.strip_prefix("— ").ok_or(Error::Note("a signature line lacks its dash"))?;
        let (name, encoded) =
            rest.split_once(' ').ok_or(Error::Note("a signature lacks a name"))?;
        if !valid_name(name) {
            return Err(Error::Note("a signature has no valid name"));
        }
        let mut buffer = [0; MAX_SIGNATURE];
        let length = match Base64::decode(encoded, &mut buffer) {
            Ok(bytes) if bytes.len() > 4 => bytes.len(),
            _ => return Err(Error::Note("a signature is not an Ed25519 signature in base64")),
        };
        Ok(Self { name, buffer, length })
    }

    /// The name of the key.
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The identifier of the key.
    pub fn id(&self) -> u32 {
        u32::from_be_bytes([self.buffer[0], self.buffer[1], self.buffer[2], self.buffer[3]])
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[4..self.length]
    }
}

/// Writes `text`, an empty line and the signature line of a log or ledger key. `text` ends with a newline.
pub fn sign(text: &str, name: &str, key: &SigningKey, out: &mut impl Write) -> fmt::Result {
    let id = key_id(name, KeyKind::Note, &key.verifying_key());
    writeln!(out, "{text}")?;
    write_line(name, id, &[], &key.sign(text.as_bytes()), out)
}

/// Writes the signature line of a witness that saw the checkpoint `text` at POSIX time `time`, in seconds.
pub fn cosign(
    text: &str,
    name: &str,
    key: &SigningKey,
    time: u64,
    out: &mut impl Write,
) -> fmt::Result {
    let id = key_id(name, KeyKind::Cosignature, &key.verifying_key());
    let mut message = CosignedMessage::new();
    message.fill(time, text).map_err(|_| fmt::Error)?;
    write_line(name, id, &time.to_be_bytes(), &key.sign(message.as_bytes()), out)
}

fn write_line(
    name: &str,
    id: u32,
    time: &[u8],
    signature: &Signature,
    out: &mut impl Write,
) -> fmt::Result {
    let mut bytes = [0; MAX_SIGNATURE];
    let end = 4 + time.len() + 64;
    bytes[..4].copy_from_slice(&id.to_be_bytes());
    bytes[4..4 + time.len()].copy_from_slice(time);
    bytes[4 + time.len()..end].copy_from_slice(&signature.to_bytes());
    let mut buffer = [0; 104];
    let encoded = Base64::encode(&bytes[..end], &mut buffer).map_err(|_| fmt::Error)?;
    writeln!(out, "— {name} {encoded}")
}

fn key_id(name: &str, kind: KeyKind, key: &VerifyingKey) -> u32 {
    let digest = sha256(&[name.as_bytes(), b"\n", &[kind.byte()], key.as_bytes()]);
    let bytes = digest.as_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn verify_strict(key: &VerifierKey<'_>, message: &[u8], bytes: &[u8; 64]) -> Result<(), Error> {
    let signature = Signature::from_bytes(bytes);
    key.key.verify_strict(message, &signature).map_err(|_| Error::BadSignature)
}

fn valid_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// What a witness signs: a header, the time, and the checkpoint body.
struct CosignedMessage {
    buffer: [u8; Self::MAX],
    length: usize,
}

impl CosignedMessage {
    /// Header and time take at most 46 bytes; a checkpoint body is origin, size and root.
    const MAX: usize = 512;

    const fn new() -> Self {
        Self { buffer: [0; Self::MAX], length: 0 }
    }

    fn fill(&mut self, time: u64, text: &str) -> Result<(), Error> {
        write!(self, "cosignature/v1\ntime {time}\n{text}")
            .map_err(|_| Error::Note("the cosigned text is too long"))
    }

    fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Write for CosignedMessage {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let space = self.buffer.get_mut(self.length..end).ok_or(fmt::Error)?;
        space.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

/// Reads a POSIX time or another decimal number of the C2SP formats.
pub fn parse_decimal(text: &str) -> Result<u64, Error> {
    decimal(text)
}

#[cfg(test)]
mod tests {
    use std::{
        format,
        string::{String, ToString},
    };

    use super::*;

    // golang.org/x/mod/sumdb/note, TestVerify and the C2SP signed-note example use this key.
    const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const PETER_NOTE: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_bytes(&[byte; 32])
    }

    #[test]
    fn note_of_the_go_implementation_verifies() {
        let key = VerifierKey::parse(PETER).unwrap();
        let note = Note::parse(PETER_NOTE).unwrap();
        assert_eq!(note.verify(&key), Ok(()));
        assert_eq!(key.to_string(), PETER);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = VerifierKey::parse(PETER).unwrap();
        let bytes = PETER_NOTE.as_bytes();
        for position in 0..bytes.len() {
            let mut changed = bytes.to_vec();
            changed[position] ^= 1;
            let Ok(text) = String::from_utf8(changed) else { continue };
            let verdict = Note::parse(&text).and_then(|note| note.verify(&key));
            assert!(verdict.is_err(), "byte {position}");
        }
    }

    #[test]
    fn signing_and_cosigning_round_trip() {
        let text = "example.com/log\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let mut note = String::new();
        sign(text, "example.com/log", &key(1), &mut note).unwrap();
        cosign(text, "witness.example", &key(2), 1_679_315_147, &mut note).unwrap();
        let note = Note::parse(&note).unwrap();
        let log = (key(1).verifying_key(), key(2).verifying_key());
        let log_key = VerifierKey::new("example.com/log", KeyKind::Note, log.0).unwrap();
        let witness = VerifierKey::new("witness.example", KeyKind::Cosignature, log.1).unwrap();
        assert_eq!(note.text(), text);
        assert_eq!(note.verify(&log_key), Ok(()));
        assert_eq!(note.verify_cosignature(&witness), Ok(1_679_315_147));
        let stranger = VerifierKey::new("example.com/log", KeyKind::Note, log.1).unwrap();
        assert_eq!(note.verify(&stranger), Err(Error::NotSigned));
        assert_eq!(note.signatures().count(), 2);
    }

    #[test]
    fn malformed_notes_and_keys_are_refused() {
        for note in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n— name AAAA\n",
            "text\n\n— name AAAAAAA=",
            "a\tb\n\n— n AAAAAAA=\n",
        ] {
            assert!(Note::parse(note).is_err(), "{note:?}");
        }
        for wrong in [
            PETER.replace("c74f", "c74e"),
            PETER.replace("c74f", "C74f"),
            PETER.replace("PeterN", "peterN"),
            "a+b".to_string(),
        ] {
            assert!(VerifierKey::parse(&wrong).is_err(), "{wrong}");
        }
        let twice = format!("{PETER_NOTE}{}\n", PETER_NOTE.lines().last().unwrap());
        let key = VerifierKey::parse(PETER).unwrap();
        assert!(Note::parse(&twice).unwrap().verify(&key).is_err());
    }
}
