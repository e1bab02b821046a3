//! The one error type of this crate: which rule was broken, and by whose input.
//!
//! A verifier shows these texts to a person, so they name the thing and the rule, not the code.

use alloc::string::String;

use sluicegate_protocol::Error as ProtocolError;

/// The rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The log has as many waiting readings as it may; the device sends again later.
    #[error("{pending} readings are waiting to be logged, try again later")]
    Busy {
        /// Waiting readings.
        pending: usize,
    },
    /// A device used one sequence number for two different readings.
    #[error("sequence number {seq} of {device} was already used for another reading")]
    SequenceReused {
        /// The device.
        device: String,
        /// The sequence number.
        seq: u64,
    },
    /// Foreign bytes that are not the one deterministic encoding of what they should be.
    #[error("{what} is not in its one valid encoding")]
    Encoding {
        /// What should have been there: "log entry", "bundle".
        what: &'static str,
    },
    /// Things that are not in ascending order, or of which there are none.
    #[error("{what} are not in ascending order, or there are none")]
    Order {
        /// What should be in order.
        what: &'static str,
    },
    /// A text or byte string longer than its bound.
    #[error("{what} is {found} bytes long, at most {limit} are allowed")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The bound.
        limit: usize,
    },
    /// A hash, path, note or key that breaks a rule of the shared formats.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
}
