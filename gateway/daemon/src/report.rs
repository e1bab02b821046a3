//! How a command ends: exit codes and the words on stderr, in one place.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; `verify`: valid, and its anchor checked against the policy |
//! | 1 | failed; `verify`: invalid, or an unknown signer |
//! | 2 | `verify`: valid, but without an anchor that the policy trusts |
//! | 3 | `verify`: witnesses are missing |
//! | 4 | `verify`: the ledger could not be reached |
//! | 64 | the command line is wrong; `verify`: a file can't be read |
//! | 78 | the configuration or a credential is wrong |
//!
//! Of several files that are verified the worst counts: 1 before 64, and then the higher code.

use std::process::ExitCode;

use crate::Error;

/// The command line is wrong (EX_USAGE).
pub const USAGE: u8 = 64;

/// The configuration is wrong (EX_CONFIG); systemd does not restart on it.
pub const CONFIG: u8 = 78;

/// The exit code of an error.
pub const fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Configuration { .. } | Error::Credential { .. } => CONFIG,
        Error::Usage(_) => USAGE,
        _ => 1,
    }
}

/// The exit code of several files that were verified: the worst of theirs.
pub fn worst(codes: impl Iterator<Item = u8>) -> u8 {
    codes.max_by_key(|code| if *code == 1 { u8::MAX } else { *code }).unwrap_or(0)
}

/// Prints an error and gives its exit code.
pub fn fail(error: &Error) -> ExitCode {
    eprintln!("sluicegate: {error}");
    if let Some(remedy) = remedy(error) {
        eprintln!("            {remedy}");
    }
    ExitCode::from(exit_code(error))
}

/// What to do next, where the error does not say it itself.
const fn remedy(error: &Error) -> Option<&'static str> {
    match error {
        Error::InUse(_) => {
            Some("stop the other process, or give this one another folder or socket")
        }
        Error::Gateway { .. } => Some("is the gateway running? start it with: sluicegate run"),
        Error::Damaged(_) => Some("keep a copy of the state folder before you change anything"),
        _ => None,
    }
}
