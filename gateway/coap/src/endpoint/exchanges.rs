//! Exchanges: what every request became, so that a repetition gets the same (RFC 7252 §4.5).
//!
//! Guarantees: a message with the ID and token of a known one, from the same peer, is a repetition
//! for as long as the exchange is remembered. Does not: remember longer than a lifetime, or
//! more than the settings allow; the oldest finished exchange goes first.

use std::collections::HashMap;

use super::{slab::Slab, timers::Fifo};
use crate::{
    block::Block,
    hash::Keyed,
    message::{Kind, Token},
};

/// What the answer needs to know of the request.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) block1: Option<Block>,
    pub(super) block2: Option<Block>,
    /// The request asks for the size of the answer.
    pub(super) size2: bool,
    pub(super) no_response: u32,
    pub(super) observation: Option<u64>,
    /// Hash of what the answer depends on.
    pub(super) key: u64,
}

/// What was sent back at once, to be sent again.
#[derive(Debug)]
pub(super) enum Reply {
    Ack,
    Bytes(Box<[u8]>),
    Nothing,
}

/// How far the exchange is.
#[derive(Debug)]
pub(super) enum Stage {
    /// The application was asked; the request is not acknowledged.
    Asked(Box<Pending>),
    /// The application was asked; an empty acknowledgement is sent.
    Acknowledged(Box<Pending>),
    /// Answered.
    Done(Reply),
}

/// One message of a peer that is not to be processed twice.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) peer: u64,
    pub(super) kind: Kind,
    pub(super) id: u16,
    pub(super) token: Token,
    pub(super) stage: Stage,
}

impl Exchange {
    /// Bytes held for it, beside its own size.
    pub(super) const fn bytes(&self) -> usize {
        match &self.stage {
            Stage::Done(Reply::Bytes(bytes)) => bytes.len(),
            _ => 0,
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }
}

/// All exchanges.
#[derive(Debug)]
pub(super) struct Exchanges {
    all: Slab<Exchange>,
    by_id: HashMap<(u64, u16), u64, Keyed>,
    confirmable: Fifo,
    non_confirmable: Fifo,
    unacknowledged: Fifo,
    /// Those whose answer is kept, of peers that are not verified and of those that are.
    replies: [Fifo; 2],
}

impl Exchanges {
    pub(super) fn new(hash: Keyed) -> Self {
        Self {
            all: Slab::new(),
            by_id: HashMap::with_hasher(hash),
            confirmable: Fifo::default(),
            non_confirmable: Fifo::default(),
            unacknowledged: Fifo::default(),
            replies: [Fifo::default(), Fifo::default()],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Exchange> {
        self.all.get(id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Exchange> {
        self.all.get_mut(id)
    }

    /// The exchange of a peer with this message ID.
    pub(super) fn find(&self, peer: u64, id: u16) -> Option<u64> {
        self.by_id.get(&(peer, id)).copied()
    }

    /// Adds an exchange that ends at `deadline`, and is acknowledged at `acknowledge`.
    pub(super) fn insert(&mut self, exchange: Exchange, deadline: u64, acknowledge: u64) -> u64 {
        let (key, kind) = ((exchange.peer, exchange.id), exchange.kind);
        let waits = kind == Kind::Con && !exchange.is_done();
        let id = self.all.insert(exchange);
        self.by_id.insert(key, id);
        let all = &self.all;
        let lifetime =
            if kind == Kind::Con { &mut self.confirmable } else { &mut self.non_confirmable };
        lifetime.push(deadline, id, |id| all.get(id).is_some());
        if waits {
            let asked = |id| matches!(all.get(id), Some(Exchange { stage: Stage::Asked(_), .. }));
            self.unacknowledged.push(acknowledge, id, asked);
        }
        id
    }

    /// Removes an exchange; the caller takes it out of its peer.
    pub(super) fn remove(&mut self, id: u64) -> Option<Exchange> {
        let exchange = self.all.remove(id)?;
        self.by_id.remove(&(exchange.peer, exchange.id));
        Some(exchange)
    }

    pub(super) fn next(&self) -> Option<u64> {
        let queues = [&self.confirmable, &self.non_confirmable, &self.unacknowledged];
        queues.into_iter().filter_map(Fifo::next).min()
    }

    /// An exchange whose time is over.
    pub(super) fn ended(&mut self, now: u64) -> Option<u64> {
        self.confirmable.due(now).or_else(|| self.non_confirmable.due(now))
    }

    /// An exchange that may have to be acknowledged.
    pub(super) fn unacknowledged(&mut self, now: u64) -> Option<u64> {
        self.unacknowledged.due(now)
    }

    /// The answer to this one is kept.
    pub(super) fn reply_kept(&mut self, id: u64, verified: bool) {
        let all = &self.all;
        let live = |id| all.get(id).is_some();
        self.replies[usize::from(verified)].push(0, id, live);
    }

    /// The exchange with the oldest answer that is kept.
    pub(super) fn oldest_reply(&mut self, verified: bool) -> Option<u64> {
        let queue = &mut self.replies[usize::from(verified)];
        let holds = |id: &u64| self.all.get(*id).is_some_and(|exchange| exchange.bytes() > 0);
        std::iter::from_fn(|| queue.due(u64::MAX)).find(holds)
    }

    /// The oldest exchange that is finished, or the oldest one if none is; gives nothing when there is none.
    pub(super) fn oldest(&mut self) -> Option<u64> {
        let all = &self.all;
        let finished = |id| all.get(id).is_none_or(Exchange::is_done);
        let queues = [&mut self.confirmable, &mut self.non_confirmable];
        let first = queues.into_iter().filter_map(|queue| Some((queue.find(finished)?, queue)));
        match first.min_by_key(|((deadline, _), _)| *deadline) {
            Some(((_, place), queue)) => queue.take(place),
            None => self.confirmable.due(u64::MAX).or_else(|| self.non_confirmable.due(u64::MAX)),
        }
    }
}
