//! The checkpoint of a log: origin, size and root (C2SP tlog-checkpoint v1.0.0), without extension lines.
//!
//! Guarantees: exactly one text for each checkpoint, so its digest identifies it on a ledger.
//! Does not: sign or verify; see [`crate::note`].

use core::fmt::{self, Write};

use base64ct::{Base64, Encoding};
use sha2::{Digest as _, Sha256};

use crate::{Error, digest::Digest};

/// The head of a log at one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint<'a> {
    /// The log's identity: a schema-less URL.
    pub origin: &'a str,
    /// Number of leaves.
    pub size: u64,
    /// RFC 6962 root hash of these leaves.
    pub root: Digest,
}

impl<'a> Checkpoint<'a> {
    /// Reads a checkpoint body: three lines, each ended by a newline.
    pub fn parse(body: &'a str) -> Result<Self, Error> {
        let mut lines = body.split('\n');
        let mut line = || lines.next().ok_or(Error::Checkpoint("fewer than three lines"));
        let (origin, size, root) = (line()?, line()?, line()?);
        if !line()?.is_empty() || lines.next().is_some() {
            return Err(Error::Checkpoint("more than three lines"));
        }
        if origin.is_empty() {
            return Err(Error::Checkpoint("the origin is empty"));
        }
        Ok(Self { origin, size: decimal(size)?, root: base64_digest(root)? })
    }

    /// SHA-256 of the body: the 32 bytes that an anchor puts on a ledger.
    pub fn digest(&self) -> Digest {
        struct Hasher(Sha256);
        impl Write for Hasher {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                self.0.update(text.as_bytes());
                Ok(())
            }
        }
        let mut hasher = Hasher(Sha256::new());
        // Writing into a hash can't fail.
        let _ = write!(hasher, "{self}");
        Digest::new(hasher.0.finalize().into())
    }
}

/// The body of the note, as it is signed.
impl fmt::Display for Checkpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 44];
        let root = Base64::encode(self.root.as_bytes(), &mut buffer).map_err(|_| fmt::Error)?;
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)
    }
}

/// A number in its only decimal form: digits without a leading zero.
pub(crate) fn decimal(text: &str) -> Result<u64, Error> {
    let canonical = text == "0" || !text.starts_with('0');
    if !canonical || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Checkpoint("the size is not a decimal number"));
    }
    text.parse().map_err(|_| Error::Checkpoint("the size is out of range"))
}

fn base64_digest(text: &str) -> Result<Digest, Error> {
    let mut buffer = [0; 33];
    let bytes = Base64::decode(text, &mut buffer).ok().and_then(Digest::from_slice);
    bytes.ok_or(Error::Checkpoint("the root is not 32 bytes of base64"))
}

#[cfg(test)]
mod tests {
    use std::{format, string::ToString};

    use super::*;
    use crate::sha256;

    const BODY: &str =
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    #[test]
    fn specification_example_round_trips() {
        let checkpoint = Checkpoint::parse(BODY).unwrap();
        assert_eq!((checkpoint.origin, checkpoint.size), ("example.com/behind-the-sofa", 20852163));
        assert_eq!(checkpoint.to_string(), BODY);
        assert_eq!(checkpoint.digest(), sha256(&[BODY.as_bytes()]));
    }

    #[test]
    fn only_the_canonical_text_is_accepted() {
        for (from, to) in
            [("20852163", "020852163"), ("20852163", "+2"), ("2I=", "2J="), ("2I=\n", "2I=")]
        {
            assert!(Checkpoint::parse(&BODY.replace(from, to)).is_err(), "{to}");
        }
        assert!(Checkpoint::parse(&format!("{BODY}extension\n")).is_err());
        assert!(Checkpoint::parse("").is_err());
    }
}
