//! The one error type of this crate, and why a request of ours gets no answer.

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller: more at once than [`crate::Settings`] allow.
    #[error("there are already {limit} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// The caller: a payload or message larger than [`crate::Settings`] allow.
    #[error("the {what} has {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The bound in bytes.
        limit: usize,
    },
    /// Whoever wrote the links: not link format (RFC 6690 §2).
    #[error("at byte {at} the links are not in link format: {problem}")]
    Link {
        /// Offset in bytes.
        at: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// Whoever registered: a parameter that is missing or wrong (RFC 9176 §5).
    #[error("the parameter {name} {problem}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Whoever registered: a name that is not that of the device that speaks.
    #[error("this device may not register under another name")]
    OtherName,
    /// There is no such registration.
    #[error("there is no such registration")]
    NoRegistration,
}

/// Why a request of ours has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The caller dropped the peer with [`crate::Endpoint::forget`].
    #[error("the session with the device ended")]
    Forgotten,
    /// The peer: blocks that don't fit together, or that never end.
    #[error("the device sent blocks that do not fit together")]
    Blocks,
    /// The peer answered with a reset: it can't or won't process the message.
    #[error("the device rejected the message")]
    Reset,
    /// The peer did not acknowledge, or did not answer in time.
    #[error("the device did not answer")]
    Timeout,
    /// The peer: the answer is larger than [`crate::Settings::body`], or memory is short.
    #[error("the answer of the device is too large")]
    TooLarge,
    /// The peer: a critical option of the answer is not understood.
    #[error("the device answered with an option that is not understood")]
    BadOption,
    /// This endpoint had to make room for other peers.
    #[error("the device was dropped to make room for others")]
    Evicted,
}
