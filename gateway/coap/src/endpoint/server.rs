//! Requests of peers and their answers (RFC 7252 §4.5, §5.2, §5.3; RFC 7967; RFC 8516; RFC 9175).
//!
//! Guarantees: the application gets a request once; its answer goes out with the acknowledgement if it
//! is there in time, else in a message of its own. A peer that is too fast gets 4.29 with the time
//! to wait, one of unproven address 4.01 with an Echo value instead of what would be more than
//! three times its own bytes, and before anything is kept for it. Does not: know resources.

use std::ops::Range;

use super::{
    Endpoint, ExchangeId, ObservationId, Output, Peer,
    blocks::Arrived,
    exchanges::{Exchange, Pending, Reply, Stage},
    extras::Extras,
    transmit::{Outgoing, Owner},
};
use crate::{
    Code, Method, Options, Request, Response,
    block::Block,
    message::{self, Kind, Message, Token, Writer},
    option,
};

impl<P: Peer> Endpoint<P> {
    /// Answers a request, once; an observation that it offered does not begin, or ends. Nothing happens if the peer or the
    /// exchange is gone.
    pub fn respond(&mut self, now: u64, exchange: ExchangeId, response: Response) {
        self.answer(now, exchange, response, false);
    }

    /// Answers a request and, where it offered an observation and this is a 2.xx, promises to tell every change.
    pub fn accept(&mut self, now: u64, exchange: ExchangeId, response: Response) {
        self.answer(now, exchange, response, true);
    }

    fn answer(&mut self, now: u64, exchange: ExchangeId, mut response: Response, accepts: bool) {
        let ExchangeId(id) = exchange;
        let Some(found) = self.exchanges.get_mut(id) else { return };
        let (pending, acknowledged) =
            match std::mem::replace(&mut found.stage, Stage::Done(Reply::Nothing)) {
                Stage::Asked(pending) => (pending, false),
                Stage::Acknowledged(pending) => (pending, true),
                done @ Stage::Done(_) => {
                    found.stage = done;
                    return;
                }
            };
        let Exchange { peer, kind, id: message, token, .. } = *found;
        if let Some(state) = self.peers.get_mut(peer) {
            state.pending = state.pending.saturating_sub(1);
        }
        if response.payload.len() > self.settings.body {
            response = Response::new(Code::INTERNAL_SERVER_ERROR);
        }
        let (extra, range) = self.complete(now, peer, &pending, &mut response, accepts);
        let reply = if is_unwanted(pending.no_response, response.code) {
            self.acknowledge_only(peer, kind, message, acknowledged)
        } else if acknowledged {
            let datagram = Self::compose(Kind::Con, 0, token, &response, &extra, range);
            let datagram = self.affordable(now, peer, (Kind::Con, 0, token), datagram);
            let owner = Owner::Nobody;
            self.enqueue(now, peer, Outgoing { owner, kind: Kind::Con, datagram });
            Reply::Ack
        } else {
            let datagram = self.reply_datagram(now, peer, kind, message, token, |kind, id| {
                Self::compose(kind, id, token, &response, &extra, range)
            });
            self.send_reply(peer, kind, datagram)
        };
        self.settle(id, reply);
    }

    /// Adds what the endpoint itself says to an answer; gives the part of the body to send.
    fn complete(
        &mut self,
        now: u64,
        peer: u64,
        pending: &Pending,
        response: &mut Response,
        accepts: bool,
    ) -> (Vec<(u16, u32)>, Range<usize>) {
        let mut extra = Vec::new();
        if let Some(observation) = pending.observation {
            if accepts && response.code.is_success() {
                let sequence = self.observe_accepted(now, observation);
                extra.extend(sequence.map(|sequence| (option::OBSERVE, sequence)));
            } else {
                self.end_observation(observation);
            }
        }
        let size = u32::try_from(response.payload.len()).unwrap_or(u32::MAX);
        let (range, block) = self.cut(now, peer, pending.key, pending.block2, response);
        extra.extend(block.map(|block| (option::BLOCK2, block.encode())));
        let block1 = pending.block1.map(|block| Block { more: false, ..block });
        extra.extend(block1.map(|block| (option::BLOCK1, block.encode())));
        extra.extend(pending.size2.then_some((option::SIZE2, size)));
        (extra, range)
    }

    fn acknowledge_only(&mut self, peer: u64, kind: Kind, id: u16, acknowledged: bool) -> Reply {
        if kind != Kind::Con {
            return Reply::Nothing;
        }
        if !acknowledged {
            self.send(peer, Owner::Nobody, message::empty(Kind::Ack, id).to_vec());
        }
        Reply::Ack
    }

    /// Sends an answer; gives what to keep for repetitions.
    fn send_reply(&mut self, peer: u64, kind: Kind, datagram: Vec<u8>) -> Reply {
        let keep = kind == Kind::Con && self.reserve(peer, datagram.len());
        let kept = keep.then(|| datagram.as_slice().into());
        self.send(peer, Owner::Nobody, datagram);
        kept.map_or(Reply::Nothing, Reply::Bytes)
    }

    /// Keeps an answer, if the exchange is still there.
    fn settle(&mut self, id: u64, reply: Reply) {
        let Some(found) = self.exchanges.get_mut(id) else { return };
        found.stage = Stage::Done(reply);
        if found.bytes() > 0 {
            let peer = self.peers.get(found.peer);
            let verified = peer.is_some_and(|state| state.verified);
            self.exchanges.reply_kept(id, verified);
        }
    }

    /// A request came in.
    pub(super) fn request_arrived(&mut self, now: u64, peer: u64, message: &Message<'_>) {
        if self.is_repetition(peer, message) {
            return;
        }
        if let Err((refusal, no_response)) = self.take_request(now, peer, message) {
            if is_unwanted(no_response, refusal.code) {
                self.acknowledge_only(peer, message.kind, message.id, false);
            } else {
                let datagram = self.refusal(now, peer, message, &refusal, &[]);
                self.send(peer, Owner::Nobody, datagram);
            }
        }
    }

    fn take_request(
        &mut self,
        now: u64,
        peer: u64,
        message: &Message<'_>,
    ) -> Result<(), (Response, u32)> {
        let plain = |code| (Response::new(code), 0);
        let mut options =
            Options::accept(message.options().as_bytes()).map_err(|_| plain(Code::BAD_OPTION))?;
        let method = Method::from_code(message.code).ok_or(plain(Code::METHOD_NOT_ALLOWED))?;
        let extras = Extras::take(&mut options);
        if extras.proxy {
            return Err(plain(Code::PROXYING_NOT_SUPPORTED));
        }
        self.admit_request(now, peer, message, method, options, &extras)
            .map_err(|refusal| (refusal, extras.no_response))
    }

    fn admit_request(
        &mut self,
        now: u64,
        peer: u64,
        message: &Message<'_>,
        method: Method,
        options: Options,
        extras: &Extras,
    ) -> Result<(), Response> {
        let bad = || Response::new(Code::BAD_REQUEST);
        let (block1, block2) = extras.blocks().ok_or_else(bad)?;
        self.prove(now, peer, method, extras, block1)?;
        let key = self.cache_key(method, &options);
        if let Some(asked) = block2.filter(|block| block.number > 0) {
            if let Some((response, block)) = self.kept_block(now, peer, key, asked) {
                let extra = [(option::BLOCK2, block.encode())];
                let datagram = self.refusal(now, peer, message, &response, &extra);
                self.send(peer, Owner::Nobody, datagram);
                return Ok(());
            }
            if !method.is_safe() {
                return Err(Response::new(Code::REQUEST_ENTITY_INCOMPLETE));
            }
        }
        if !block1.is_some_and(|block| self.continues(peer, key, block)) {
            self.limit_rate(now, peer)?;
        }
        self.limit_pending(peer)?;
        let payload = match block1 {
            None if message.payload.len() > self.settings.body => {
                return Err(Response::new(Code::REQUEST_ENTITY_TOO_LARGE));
            }
            None => message.payload.to_vec(),
            Some(block) => {
                match self.block_arrived(now, peer, key, block, extras.size1, message.payload) {
                    Arrived::Whole(body) => body,
                    Arrived::Reply(response, extra) => {
                        self.remember_reply(now, peer, message, &response, &extra);
                        return Ok(());
                    }
                }
            }
        };
        let observation = match extras.observe {
            Some(0) if method.is_safe() => {
                self.observe_begins(now, peer, message.token, key, block2)
            }
            Some(1) => {
                self.observe_ends(peer, message.token, key);
                None
            }
            _ => None,
        };
        let (no_response, size2) = (extras.no_response, extras.size2.is_some());
        let pending = Pending { block1, block2, size2, no_response, observation, key };
        let stage = Stage::Asked(Box::new(pending));
        let id = self.remember(now, peer, message, stage);
        let request = Request { method, confirmable: message.kind == Kind::Con, options, payload };
        let Some(state) = self.peers.get_mut(peer) else { return Ok(()) };
        state.pending += 1;
        let (peer, exchange, observe) = (state.key, ExchangeId(id), observation.map(ObservationId));
        self.outputs.push_back(Output::Request { exchange, peer, request, observe });
        Ok(())
    }

    /// Takes note of an Echo value; refuses what needs one and has none.
    fn prove(
        &mut self,
        now: u64,
        peer: u64,
        method: Method,
        extras: &Extras,
        block1: Option<Block>,
    ) -> Result<(), Response> {
        let Some(state) = self.peers.get_mut(peer) else { return Ok(()) };
        if state.is_trusted() {
            return Ok(());
        }
        let print = self.fingerprint(peer);
        let lifetime = self.settings.echo_lifetime;
        let fresh = |echo: &Vec<u8>| self.fresh.is_fresh(now, print, echo, lifetime);
        if extras.echo.as_ref().is_some_and(fresh) {
            if let Some(state) = self.peers.get_mut(peer) {
                state.proven = true;
            }
            return Ok(());
        }
        let keeps =
            extras.observe == Some(0) || block1.is_some_and(|block| block.more || block.number > 0);
        if keeps || !method.is_safe() && self.settings.echo_for_changes {
            return Err(self.challenge(now, peer));
        }
        Ok(())
    }

    /// 4.01 with an Echo value.
    fn challenge(&self, now: u64, peer: u64) -> Response {
        let mut response = Response::new(Code::UNAUTHORIZED);
        let value = self.fresh.echo(now, self.fingerprint(peer));
        response.options.insert(option::ECHO, &value);
        response
    }

    fn limit_rate(&mut self, now: u64, peer: u64) -> Result<(), Response> {
        let Some(state) = self.peers.get_mut(peer) else { return Ok(()) };
        state.allowance.take(now).map_err(|wait| {
            let seconds = u32::try_from(wait.div_ceil(1000)).unwrap_or(u32::MAX);
            Response::new(Code::TOO_MANY_REQUESTS).with_max_age(seconds)
        })
    }

    fn limit_pending(&self, peer: u64) -> Result<(), Response> {
        let limit = self.settings.pending_per_peer;
        let full = self.peers.get(peer).is_none_or(|state| state.pending >= limit);
        let busy = || Response::new(Code::SERVICE_UNAVAILABLE).with_max_age(1);
        if full { Err(busy()) } else { Ok(()) }
    }

    /// Answers at once, and keeps the answer for repetitions.
    fn remember_reply(
        &mut self,
        now: u64,
        peer: u64,
        message: &Message<'_>,
        response: &Response,
        extra: &[(u16, u32)],
    ) {
        let id = self.remember(now, peer, message, Stage::Done(Reply::Nothing));
        let datagram = self.refusal(now, peer, message, response, extra);
        let reply = self.send_reply(peer, message.kind, datagram);
        self.settle(id, reply);
    }

    /// The answer to a message that nothing is kept for.
    fn refusal(
        &mut self,
        now: u64,
        peer: u64,
        message: &Message<'_>,
        response: &Response,
        extra: &[(u16, u32)],
    ) -> Vec<u8> {
        let (kind, token) = (message.kind, message.token);
        self.reply_datagram(now, peer, kind, message.id, token, |kind, id| {
            Self::compose(kind, id, token, response, extra, 0..response.payload.len())
        })
    }

    /// An answer with the acknowledgement of a confirmable request, or of its own; replaced by 4.01
    /// if the peer may not get so many bytes.
    fn reply_datagram(
        &mut self,
        now: u64,
        peer: u64,
        kind: Kind,
        id: u16,
        token: Token,
        compose: impl FnOnce(Kind, u16) -> Vec<u8>,
    ) -> Vec<u8> {
        let (kind, id) = match (kind, self.peers.get_mut(peer)) {
            (Kind::Non, Some(state)) => (Kind::Non, state.take_id()),
            _ => (Kind::Ack, id),
        };
        let datagram = compose(kind, id);
        self.affordable(now, peer, (kind, id, token), datagram)
    }

    /// The answer, or 4.01 if the peer may not get so many bytes.
    fn affordable(
        &self,
        now: u64,
        peer: u64,
        (kind, id, token): (Kind, u16, Token),
        datagram: Vec<u8>,
    ) -> Vec<u8> {
        let Some(state) = self.peers.get(peer) else { return datagram };
        if state.is_trusted() || datagram.len() <= state.credit {
            return datagram;
        }
        let echo = Self::compose(kind, id, token, &self.challenge(now, peer), &[], 0..0);
        if echo.len() <= state.credit {
            return echo;
        }
        Self::compose(kind, id, token, &Response::new(Code::UNAUTHORIZED), &[], 0..0)
    }

    /// A message with a response.
    pub(super) fn compose(
        kind: Kind,
        id: u16,
        token: Token,
        response: &Response,
        extra: &[(u16, u32)],
        range: Range<usize>,
    ) -> Vec<u8> {
        let payload = response.payload.get(range).unwrap_or_default();
        let capacity = response.options.size() + payload.len() + 6 * extra.len();
        let mut writer = Writer::new(kind, response.code, id, token, capacity);
        writer.merge(response.options.iter(), extra);
        writer.payload(payload)
    }
}

/// Whether the client asked not to get this class of responses (RFC 7967 §2.1).
const fn is_unwanted(no_response: u32, code: Code) -> bool {
    let class = code.class();
    class > 0 && no_response >> (class - 1) & 1 == 1
}
