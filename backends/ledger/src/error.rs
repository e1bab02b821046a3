//! The one error type of this crate and of every backend's answers: what happened, and what the caller can do.
//!
//! Guarantees: each variant has exactly one [`Remedy`]; [`Error::ResultUnknown`] is a case of its own, because only
//! the same signed bytes may follow it.

use alloc::string::String;

use sluicegate_protocol as protocol;

/// What went wrong, and with whom.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Administrator: the daily ceiling of the routine budget leaves too little for this fee.
    #[error("a fee of {fee} does not fit today's ceiling, {left} is left")]
    CeilingPerDay {
        /// The fee that was asked.
        fee: u128,
        /// What the day still allows.
        left: u128,
    },
    /// Administrator: the fee is above the ceiling of one transaction.
    #[error("a fee of {fee} is above the ceiling of {ceiling} per transaction")]
    CeilingPerTransaction {
        /// The fee that was asked.
        fee: u128,
        /// The ceiling.
        ceiling: u128,
    },
    /// Caller: this cursor does not come from this ledger.
    #[error("the event cursor does not belong to this ledger")]
    CursorUnknown,
    /// Ledger: the fee is below what the ledger asks now.
    #[error("the fee is too low, the ledger asks for {needed}")]
    FeeTooLow {
        /// The lowest fee that would be accepted.
        needed: u128,
    },
    /// Whoever made the value: it is not the one encoding of its kind.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// Bug or hostile backend: an answer that does not belong to the question.
    #[error("the backend's answer does not fit the question: {0}")]
    Mismatch(&'static str),
    /// Ledger: another transaction took this nonce.
    #[error("the nonce is used, the next one is {next}")]
    NonceUsed {
        /// The account's next free nonce.
        next: u64,
    },
    /// Ledger: what was asked for is not final yet.
    #[error("not final yet")]
    NotFinal,
    /// Ledger: what was asked for is not there.
    #[error("not on the ledger")]
    NotFound,
    /// Caller: the outbox holds as many intents as it may.
    #[error("the outbox is full with {0} intents")]
    OutboxFull(usize),
    /// Whoever made the evidence: a hash, a path or a signature that does not hold.
    #[error(transparent)]
    Proof(#[from] protocol::Error),
    /// Ledger: it refuses the transaction for good.
    #[error("the ledger refuses the transaction: {0}")]
    Rejected(String),
    /// Administrator: the reserve for disputes leaves too little for this fee.
    #[error("a dispute fee of {fee} exceeds the {left} that may be spent on it")]
    ReserveExhausted {
        /// The fee that was asked.
        fee: u128,
        /// What reserve and stake allow.
        left: u128,
    },
    /// Ledger: it may or may not have taken the transaction; nobody knows until it is looked up.
    #[error("the result is unknown: {0}")]
    ResultUnknown(String),
    /// Ledger: it answered that it can't serve this now.
    #[error("the ledger is not able to answer now: {0}")]
    Unavailable(String),
    /// Administrator: the account can't pay.
    #[error("the account holds {balance}, {needed} is needed")]
    Unfunded {
        /// Fee plus what is set aside.
        needed: u128,
        /// What the account holds.
        balance: u128,
    },
    /// Network: the ledger did not answer; nothing was sent to it.
    #[error("the ledger is unreachable: {0}")]
    Unreachable(String),
    /// Whoever wrote it: signed by the ledger's key, but it contradicts what the same key signed before.
    #[error("the ledger contradicts itself: {0}")]
    Contradiction(&'static str),
}

/// What the caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Send money to the account.
    FundAccount,
    /// Nothing: the same request fails again.
    Never,
    /// Raise a fee ceiling or set more aside; or wait for the next day.
    RaiseCeiling,
    /// Wait and try again; after [`Error::ResultUnknown`] only with the same signed bytes.
    RetryLater,
}

impl Error {
    /// What the caller can do.
    pub const fn remedy(&self) -> Remedy {
        match self {
            Self::CeilingPerDay { .. }
            | Self::CeilingPerTransaction { .. }
            | Self::ReserveExhausted { .. } => Remedy::RaiseCeiling,
            Self::Unfunded { .. } => Remedy::FundAccount,
            Self::FeeTooLow { .. }
            | Self::NonceUsed { .. }
            | Self::NotFinal
            | Self::OutboxFull(_)
            | Self::ResultUnknown(_)
            | Self::Unavailable(_)
            | Self::Unreachable(_) => Remedy::RetryLater,
            Self::Contradiction(_)
            | Self::CursorUnknown
            | Self::Malformed(_)
            | Self::Mismatch(_)
            | Self::NotFound
            | Self::Proof(_)
            | Self::Rejected(_) => Remedy::Never,
        }
    }
}
