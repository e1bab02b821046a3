//! What a meter tells the owner, in plain words.
//!
//! Guarantees: each says what to do, where there is something to do. Does not: decide who hears it.

use core::fmt;

use sluicegate_protocol::channel::{Amount, ChannelId};

/// What the owner should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// The counter went back.
    Back,
    /// A session begins in this channel.
    Begun(ChannelId),
    /// The session ends with its channel.
    Ended(ChannelId),
    /// The balance is below what is due.
    Exhausted {
        /// The payee.
        peer: String,
        /// What is left.
        left: Amount,
    },
    /// More steps are due than one reading may pay.
    Jump {
        /// The payee.
        peer: String,
        /// How many may.
        max_steps: u32,
    },
    /// The balance is below one step.
    Low {
        /// The payee.
        peer: String,
        /// What is left.
        left: Amount,
    },
    /// Others are paid, and this payee has no open channel.
    Missing(String),
    /// A payment was refused.
    Refused {
        /// The payee.
        peer: String,
        /// Why.
        reason: String,
    },
    /// What was counted, or its price, has more digits than can be counted.
    TooLong,
}

impl Word {
    /// Whether somebody has to look at it.
    pub const fn is_alarm(&self) -> bool {
        !matches!(self, Self::Begun(_) | Self::Ended(_))
    }
}

impl Word {
    /// Whether it says the same, apart from the numbers in it: what is told with each reading is told once.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let without = |word: &Self| word.to_string().replace(|c: char| c.is_ascii_digit(), "");
        without(self) == without(other)
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Back => f.write_str(
                "the counter went back; it counts from its new value on, and nothing was paid for \
                 the difference. If the device was not replaced, check it",
            ),
            Self::Begun(channel) => write!(
                f,
                "a session begins in channel {channel}; the next reading is where it counts from"
            ),
            Self::Ended(channel) => write!(f, "the session ends with channel {channel}"),
            Self::Exhausted { peer, left } => write!(
                f,
                "{left} is left in the channel with {peer}, less than what is due; nothing more \
                 is paid to it. Close the channel and open a new one"
            ),
            Self::Jump { peer, max_steps } => write!(
                f,
                "more than {max_steps} steps are due to {peer} at once; with each reading no more \
                 than that is paid. If the counter is right, raise max_steps or pay the rest by \
                 hand; if it is wrong, close the channel"
            ),
            Self::Low { peer, left } => write!(
                f,
                "{left} is left in the channel with {peer}, less than one step costs. Close it \
                 and open a new one"
            ),
            Self::Missing(peer) => write!(
                f,
                "there is no open channel with {peer}, so it is not paid, while others are. Open \
                 one with `sluicegate channel open`"
            ),
            Self::Refused { peer, reason } => write!(
                f,
                "a payment to {peer} was refused: {reason}. The next reading tries again; if a \
                 limit forbids it, raise the limit or wait for its next period"
            ),
            Self::TooLong => f.write_str(
                "the counter shows more digits than can be counted; the difference is left out. \
                 Check the device",
            ),
        }
    }
}
