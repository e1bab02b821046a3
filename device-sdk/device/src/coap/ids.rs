//! Message ids, tokens and the random factor of time-outs, from seeds of the caller.

use core::time::Duration;

use super::{ACK_TIMEOUT, Token};

/// Where ids and tokens begin: random, and new after each start.
///
/// Without DTLS a token is what keeps strangers from answering, so it has to be a good random
/// number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed {
    /// The first message id.
    pub message_id: u16,
    /// Of tokens and time-outs.
    pub token: u64,
}

#[derive(Debug)]
pub(super) struct Ids {
    message_id: u16,
    state: u64,
}

impl Ids {
    pub(super) const fn new(seed: Seed) -> Self {
        Self { message_id: seed.message_id, state: seed.token }
    }

    /// The next message id; one comes back after 65,536 messages.
    pub(super) const fn message_id(&mut self) -> u16 {
        let id = self.message_id;
        self.message_id = id.wrapping_add(1);
        id
    }

    /// A token of 8 bytes that was not used before.
    pub(super) fn token(&mut self) -> Token {
        Token::new(&self.random().to_be_bytes()).unwrap_or_default()
    }

    /// `ACK_TIMEOUT` times a random factor between 1 and 1.5 (RFC 7252 §4.2).
    pub(super) fn timeout(&mut self) -> Duration {
        ACK_TIMEOUT + Duration::from_millis(self.random() % 1001)
    }

    /// SplitMix64: every state gives another number.
    const fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}
