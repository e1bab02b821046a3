//! Requests of ours and their answers (RFC 7252 §5.3.2; RFC 7641 §3; RFC 7959; RFC 9175 §2).
//!
//! Guarantees: an answer belongs to a request by peer and token, and with an acknowledgement also by
//! message ID; each request has one outcome. Bodies in both directions go block by block; an answer
//! that changes between its blocks is asked for again. An Echo that the peer demands is given
//! once. Notifications that are older than the last are dropped. Does not: cache.

use super::{
    Endpoint, Output, Peer, RequestId,
    extras::Extras,
    timers::Timer,
    transmit::{Outgoing, Owner},
};
use crate::{
    Code, Error, Failure, Method, Options, Request, Response,
    block::Block,
    message::{Kind, Token, Writer},
    option,
    response::DEFAULT_MAX_AGE,
};

/// How often a transfer begins again, because the answer changed or the peer lost its part.
const RESTARTS: u8 = 3;

/// Two notifications so many ms apart are in the order in which they came (RFC 7641 §3.4).
const REORDERING: u64 = 128_000;

/// A request of ours.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) peer: u64,
    request: Request,
    /// The token of its last message.
    token: Token,
    watch: Option<Watch>,
    /// Bytes of the body that the peer has.
    sent: usize,
    /// Exponent of the blocks of the body.
    exponent: u8,
    /// The beginning of an answer of several blocks.
    partial: Option<Partial>,
    /// The Echo value that the peer demands.
    echo: Option<Vec<u8>>,
    restarts: u8,
    /// Whether a message is under way or an answer is awaited.
    busy: bool,
    /// Message ID of its last message, for a reset.
    pub(super) last_id: Option<u16>,
}

/// An observation of ours.
#[derive(Debug)]
struct Watch {
    token: Token,
    /// The peer has accepted it.
    registered: bool,
    /// The first state was handed out.
    answered: bool,
    /// Sequence number and time of the last notification.
    last: (u32, u64),
}

/// The first blocks of an answer.
#[derive(Debug)]
struct Partial {
    response: Response,
    exponent: u8,
}

/// What a message with an answer says.
pub(super) struct Heard<'a> {
    pub(super) token: Token,
    pub(super) code: Code,
    pub(super) options: Options,
    pub(super) extras: Extras,
    pub(super) payload: &'a [u8],
}

/// What became of a block of an answer.
enum Collected {
    Failed(Failure),
    More,
    Restart,
    Whole(Response),
}

impl<P: Peer> Endpoint<P> {
    /// Sends a request. Fails if there are too many, or its payload is too large.
    pub fn request(&mut self, now: u64, peer: P, request: Request) -> Result<RequestId, Error> {
        self.call(now, peer, request, false)
    }

    /// Sends a GET or FETCH and goes on listening to changes until [`Endpoint::cancel`]; registers
    /// again when the state gets older than its Max-Age.
    pub fn observe(&mut self, now: u64, peer: P, request: Request) -> Result<RequestId, Error> {
        self.call(now, peer, request, true)
    }

    /// A peer that slept gave a sign of life: what it has not acknowledged is sent again at once, for it may not stay
    /// awake until the next repetition. Changes no count and no timer.
    pub fn awake(&mut self, now: u64, peer: P) {
        if let Some(peer) = self.peers.find(&peer) {
            self.repeat_unacknowledged(now, peer);
        }
    }

    /// Takes back a request, ends an observation; no output for it comes any more.
    pub fn cancel(&mut self, now: u64, id: RequestId) {
        let RequestId(id) = id;
        let Some(call) = self.remove_call(now, id) else { return };
        let Some(watch) = call.watch.filter(|watch| watch.registered) else { return };
        let mut writer = Writer::new(Kind::Con, call.request.method.code(), 0, watch.token, 32);
        writer.merge(call.request.options.iter(), &[(option::OBSERVE, 1)]);
        let datagram = writer.payload(&call.request.payload);
        let outgoing = Outgoing { owner: Owner::Nobody, kind: Kind::Con, datagram };
        self.enqueue(now, call.peer, outgoing);
    }

    fn call(
        &mut self,
        now: u64,
        peer: P,
        request: Request,
        watch: bool,
    ) -> Result<RequestId, Error> {
        let (size, limit) = (request.payload.len(), self.settings.body);
        if size > limit {
            return Err(Error::TooLarge { what: "request", size, limit });
        }
        let limit = self.settings.requests;
        let too_many = Error::TooMany { what: "requests", limit };
        if self.calls.len() >= limit {
            return Err(too_many);
        }
        let peer = match self.peers.find(&peer) {
            Some(id) => id,
            None => self.admit(now, peer, false).ok_or(too_many)?,
        };
        let limit = self.settings.requests_per_peer;
        let full = self.peers.get(peer).is_none_or(|state| state.calls.len() >= limit);
        if full || !self.reserve(peer, request.size()) {
            return Err(Error::TooMany { what: "requests to this peer", limit });
        }
        let id = self.new_call(peer, request, watch);
        self.send_call(now, id);
        Ok(RequestId(id))
    }

    fn new_call(&mut self, peer: u64, request: Request, watch: bool) -> u64 {
        let token = Token::new(&self.fresh.bytes()).unwrap_or_default();
        let watch =
            watch.then_some(Watch { token, registered: false, answered: false, last: (0, 0) });
        let id = self.calls.insert(Call {
            peer,
            request,
            token,
            watch,
            sent: 0,
            exponent: self.block,
            partial: None,
            echo: None,
            restarts: 0,
            busy: true,
            last_id: None,
        });
        self.tokens.insert((peer, token), id);
        if let Some(state) = self.peers.get_mut(peer) {
            state.calls.push(id);
        }
        id
    }

    /// Sends the message that comes next.
    fn send_call(&mut self, now: u64, id: u64) {
        let token = Token::new(&self.fresh.bytes()).unwrap_or_default();
        let Some(call) = self.calls.get_mut(id) else { return };
        let registers = call.watch.as_ref().filter(|_| call.partial.is_none());
        let watched = call.watch.as_ref().map(|watch| watch.token);
        let token = registers.map_or(token, |watch| watch.token);
        if Some(call.token) != watched {
            self.tokens.remove(&(call.peer, call.token));
        }
        self.tokens.insert((call.peer, token), id);
        (call.token, call.busy) = (token, true);
        let kind = if call.request.confirmable { Kind::Con } else { Kind::Non };
        let (peer, datagram) = (call.peer, call.datagram(kind));
        self.timers.clear(Timer::Call(id));
        if kind == Kind::Non {
            let deadline = now.saturating_add(self.settings.response_timeout);
            self.timers.set(Timer::Call(id), deadline);
        }
        if !self.enqueue(now, peer, Outgoing { owner: Owner::Call(id), kind, datagram }) {
            self.fail_call(now, id, Failure::Evicted);
        }
    }

    /// The request was acknowledged: now the answer has to come.
    pub(super) fn call_acknowledged(&mut self, now: u64, id: u64) {
        if self.calls.get(id).is_some_and(|call| call.busy) {
            let deadline = now.saturating_add(self.settings.response_timeout);
            self.timers.set(Timer::Call(id), deadline);
        }
    }

    /// No answer came in time, or a state is older than its Max-Age.
    pub(super) fn call_due(&mut self, now: u64, id: u64) {
        match self.calls.get(id).map(|call| call.busy) {
            Some(true) => self.fail_call(now, id, Failure::Timeout),
            Some(false) => self.send_call(now, id),
            None => {}
        }
    }

    /// The request of ours that a token belongs to.
    pub(super) fn call_of(&self, peer: u64, token: Token) -> Option<u64> {
        self.tokens.get(&(peer, token)).copied()
    }

    /// An answer came.
    pub(super) fn answered(&mut self, now: u64, id: u64, heard: Heard<'_>) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let peer = call.peer;
        let sequence = heard.extras.observe.filter(|_| heard.code.is_success());
        match &mut call.watch {
            Some(watch) if watch.token == heard.token => match sequence {
                Some(sequence) if !watch.is_newer(now, sequence) => {
                    let same = sequence == watch.last.0 && call.token == heard.token;
                    if same && call.busy {
                        self.withdraw(now, peer, Owner::Call(id));
                        self.rest(now, id, &heard.options);
                    }
                    return;
                }
                Some(sequence) => {
                    (watch.registered, watch.last) = (true, (sequence, now));
                    let dropped = call.partial.take().map_or(0, |partial| partial.size());
                    self.release(peer, dropped);
                }
                None => watch.registered = false,
            },
            _ if call.token != heard.token => return,
            _ => {}
        }
        // An answer says that the request came, so it is not repeated (RFC 7252 §5.2.2).
        self.withdraw(now, peer, Owner::Call(id));
        if !self.repeat_with_echo(now, id, &heard) && !self.uploaded(now, id, &heard) {
            self.downloaded(now, id, heard);
        }
    }

    /// Repeats a request with the Echo that the peer demands.
    fn repeat_with_echo(&mut self, now: u64, id: u64, heard: &Heard<'_>) -> bool {
        let Some(call) = self.calls.get_mut(id) else { return true };
        let Some(echo) = &heard.extras.echo else { return false };
        if heard.code != Code::UNAUTHORIZED || call.echo.is_some() {
            return false;
        }
        call.echo = Some(echo.clone());
        call.sent = 0;
        self.send_call(now, id);
        true
    }

    /// Goes on with the blocks of the body, if there are more or they have to be sent again.
    fn uploaded(&mut self, now: u64, id: u64, heard: &Heard<'_>) -> bool {
        let block1 = heard.extras.block1.and_then(Block::decode);
        let Some(call) = self.calls.get_mut(id) else { return true };
        let Some(block) = call.block1() else { return false };
        let exponent = block1.map_or(block.exponent, |theirs| theirs.exponent.min(block.exponent));
        match heard.code {
            Code::CONTINUE if block.more && block1.is_some_and(|it| it.number == block.number) => {
                call.sent += block.size();
                call.exponent = exponent;
            }
            Code::REQUEST_ENTITY_TOO_LARGE if call.sent == 0 && exponent < block.exponent => {
                call.exponent = exponent;
            }
            Code::REQUEST_ENTITY_INCOMPLETE if call.sent > 0 && call.restarts < RESTARTS => {
                (call.sent, call.restarts) = (0, call.restarts + 1);
            }
            Code::CONTINUE => {
                self.fail_call(now, id, Failure::Blocks);
                return true;
            }
            _ => return false,
        }
        self.send_call(now, id);
        true
    }

    /// Goes on with the blocks of the answer, or hands it out.
    fn downloaded(&mut self, now: u64, id: u64, heard: Heard<'_>) {
        match self.collect(id, heard) {
            Collected::Failed(failure) => self.fail_call(now, id, failure),
            Collected::More => self.send_call(now, id),
            Collected::Restart => {
                self.drop_partial(id);
                self.send_call(now, id);
            }
            Collected::Whole(response) => self.deliver(now, id, response),
        }
    }

    fn collect(&mut self, id: u64, heard: Heard<'_>) -> Collected {
        let Heard { code, options, extras, payload, .. } = heard;
        let block = match extras.block2.map(Block::decode) {
            Some(None) => return Collected::Failed(Failure::Blocks),
            block => block.flatten(),
        };
        let Some(call) = self.calls.get_mut(id) else { return Collected::More };
        let response = Response { code, options, payload: payload.to_vec() };
        let have = call.partial.as_ref().map_or(0, |partial| partial.response.payload.len());
        let Some(block) = block.filter(|block| code.is_success() && (block.more || have > 0))
        else {
            let begun = block.is_some_and(|block| block.number > 0);
            return if begun {
                Collected::Failed(Failure::Blocks)
            } else {
                Collected::Whole(response)
            };
        };
        let tag = call.partial.as_ref().and_then(|partial| partial.response.etag());
        if have > 0 && tag != response.etag() {
            (call.restarts, call.sent) = (call.restarts + 1, 0);
            let again = call.restarts <= RESTARTS && call.request.method.is_safe();
            return if again { Collected::Restart } else { Collected::Failed(Failure::Blocks) };
        }
        if block.offset() != have || !block.fits(payload.len()) {
            return Collected::Failed(Failure::Blocks);
        }
        let peer = call.peer;
        let fits = have + payload.len() <= self.settings.body;
        if !fits || !self.reserve(peer, response.size()) {
            return Collected::Failed(Failure::TooLarge);
        }
        self.append(id, response, block)
    }

    fn append(&mut self, id: u64, response: Response, block: Block) -> Collected {
        let Some(call) = self.calls.get_mut(id) else { return Collected::More };
        let options = response.options.size();
        let peer = call.peer;
        match &mut call.partial {
            Some(partial) => {
                partial.response.payload.extend_from_slice(&response.payload);
                partial.exponent = block.exponent;
                self.release(peer, options);
            }
            partial => *partial = Some(Partial { response, exponent: block.exponent }),
        }
        if block.more {
            return Collected::More;
        }
        self.drop_partial(id).map_or(Collected::Failed(Failure::Blocks), Collected::Whole)
    }

    fn drop_partial(&mut self, id: u64) -> Option<Response> {
        let call = self.calls.get_mut(id)?;
        let (peer, partial) = (call.peer, call.partial.take()?);
        self.release(peer, partial.size());
        Some(partial.response)
    }

    /// Hands out a whole answer.
    fn deliver(&mut self, now: u64, id: u64, response: Response) {
        self.drop_partial(id);
        let Some(call) = self.calls.get_mut(id) else { return };
        let Some(watch) = call.watch.as_mut().filter(|watch| watch.registered) else {
            self.remove_call(now, id);
            let result = Ok(response);
            return self.outputs.push_back(Output::Response { id: RequestId(id), result });
        };
        let first = !std::mem::replace(&mut watch.answered, true);
        self.rest(now, id, &response.options);
        let id = RequestId(id);
        self.outputs.push_back(if first {
            Output::Response { id, result: Ok(response) }
        } else {
            Output::Notification { id, response }
        });
    }

    /// The state is known: until it is older than its Max-Age, and 5 to 10 s more, there is nothing to
    /// ask (RFC 7641 §3.3.1).
    fn rest(&mut self, now: u64, id: u64, options: &Options) {
        let age = options.uint(option::MAX_AGE).unwrap_or(DEFAULT_MAX_AGE);
        let pause = u64::from(age) * 1000 + self.fresh.jitter(10_000) - 5_000;
        if let Some(call) = self.calls.get_mut(id) {
            (call.busy, call.restarts, call.echo, call.sent) = (false, 0, None, 0);
            self.timers.set(Timer::Call(id), now.saturating_add(pause));
        }
    }

    pub(super) fn fail_call(&mut self, now: u64, id: u64, failure: Failure) {
        if self.remove_call(now, id).is_some() {
            let result = Err(failure);
            self.outputs.push_back(Output::Response { id: RequestId(id), result });
        }
    }

    fn remove_call(&mut self, now: u64, id: u64) -> Option<Call> {
        let call = self.forget_call(id)?;
        if let Some(state) = self.peers.get_mut(call.peer) {
            state.calls.retain(|other| *other != id);
        }
        let held = call.partial.as_ref().map_or(0, Partial::size) + call.request.size();
        self.release(call.peer, held);
        self.withdraw(now, call.peer, Owner::Call(id));
        Some(call)
    }

    /// Takes a request out of all tables but its peer's.
    pub(super) fn forget_call(&mut self, id: u64) -> Option<Call> {
        let call = self.calls.remove(id)?;
        self.tokens.remove(&(call.peer, call.token));
        if let Some(watch) = &call.watch {
            self.tokens.remove(&(call.peer, watch.token));
        }
        self.timers.clear(Timer::Call(id));
        Some(call)
    }
}

impl Call {
    /// The block of the body that comes next; none if it fits into one message.
    fn block1(&self) -> Option<Block> {
        let (length, size) = (self.request.payload.len(), 16 << self.exponent);
        if self.partial.is_some() || length <= size && self.sent == 0 {
            return None;
        }
        let number = u32::try_from(self.sent / size).ok()?;
        let more = length > self.sent.saturating_add(size);
        Some(Block { number, more, exponent: self.exponent })
    }

    /// The next message.
    fn datagram(&self, kind: Kind) -> Vec<u8> {
        let Request { method, options, payload, .. } = &self.request;
        let with_echo = self.echo.as_ref().map(|echo| {
            let mut options = options.clone();
            options.insert(option::ECHO, echo);
            options
        });
        let options = with_echo.as_ref().unwrap_or(options);
        let mut extra = Vec::new();
        let mut body = payload.as_slice();
        if self.watch.is_some() && self.partial.is_none() {
            extra.push((option::OBSERVE, 0));
        }
        if let Some(partial) = &self.partial {
            let number = partial.response.payload.len() / (16 << partial.exponent);
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let block = Block { number, more: false, exponent: partial.exponent };
            extra.push((option::BLOCK2, block.encode()));
            body = if *method == Method::Fetch && body.len() <= block.size() { body } else { &[] };
        }
        if let Some(block) = self.block1() {
            extra.push((option::BLOCK1, block.encode()));
            if self.sent == 0 {
                let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
                extra.push((option::SIZE1, size));
            }
            body = block.slice(body).map_or(&[], |(_, part)| part);
        }
        let capacity = options.size() + body.len() + 6 * extra.len();
        let mut writer = Writer::new(kind, method.code(), 0, self.token, capacity);
        writer.merge(options.iter(), &extra);
        writer.payload(body)
    }
}

impl Watch {
    /// Whether a notification is newer than the last (RFC 7641 §3.4).
    const fn is_newer(&self, now: u64, sequence: u32) -> bool {
        let (last, at) = self.last;
        let ahead = sequence.wrapping_sub(last) & 0xff_ffff;
        !self.registered || (ahead != 0 && ahead < 1 << 23) || now > at.saturating_add(REORDERING)
    }
}

impl Partial {
    fn size(&self) -> usize {
        self.response.size()
    }
}
