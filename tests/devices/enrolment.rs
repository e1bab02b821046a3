//! A device's secret, as `sluicegate device add` printed it.

use std::fs;

/// Name and key of a device.
pub(crate) struct Enrolment {
    /// The endpoint name.
    pub(crate) name: String,
    /// The PSK of DTLS.
    pub(crate) key: [u8; 16],
    /// The PSK in hexadecimal: the password of a device behind a broker.
    pub(crate) hex: String,
}

impl Enrolment {
    /// Reads the lines `endpoint name  …` and `PSK  …` of a file.
    pub(crate) fn read(file: &str) -> Result<Self, String> {
        let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        let field = |label: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(label));
            let value = line.map(|value| value.trim().to_owned());
            value.ok_or_else(|| format!("{file}: no line begins with {label:?}"))
        };
        let (name, hex) = (field("endpoint name ")?, field("PSK ")?);
        let key = key(&hex).ok_or_else(|| format!("{file}: the PSK is not 16 bytes"))?;
        Ok(Self { name, key, hex })
    }
}

fn key(hex: &str) -> Option<[u8; 16]> {
    let byte = |at: usize| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Option<Vec<u8>> = (0..hex.len().div_ceil(2)).map(byte).collect();
    bytes?.try_into().ok()
}
