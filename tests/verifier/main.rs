//! The verifier as a black box: what is accepted, what is refused, and with which words and exit code.
//!
//! Guarantees: every single-byte change and every cut of a bundle is refused, a perfect forgery is refused, and the
//! committed wasm says byte for byte what the native verifier says.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no public interface")]

mod changes;
mod claims;
mod fixture;
mod trust;
mod wasm;

use sluicegate_notary::{
    policy::Policy,
    verify::{Report, Verdict, verify},
};

/// The report on a file under a policy.
fn judge(file: &[u8], policy: &str) -> Report {
    verify(file, &Policy::parse(policy.as_bytes()).unwrap())
}

/// The verdict on a file under a policy.
fn verdict(file: &[u8], policy: &str) -> Verdict {
    judge(file, policy).verdict
}
