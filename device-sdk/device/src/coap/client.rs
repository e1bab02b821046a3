//! One request at a time: repetitions, separate responses, Block1, Block2 and Echo.
//!
//! Guarantees: a request ends with one final [`Event`], a response or a failure; each block is a
//! message with an id and a token of its own, so an old answer can't be taken for a new one.
//! Does not: keep the payload (it is read again from its [`Body`] for each block).

use core::time::Duration;

use super::{
    Code, EXCHANGE_LIFETIME, Kind, MAX_DATAGRAM, MAX_RETRANSMIT, Message, Token, Writer,
    block::{Block, BlockSize},
    body::Body,
    ids::Ids,
    option,
    request::{Kept, Request},
};
use crate::{Bytes, Error};

/// How often a request is sent again with another Echo value, or begun again after 4.08.
const MAX_RESTARTS: u8 = 4;

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'d> {
    /// There will be no response.
    Failed(Failure),
    /// The peer is there: the answer to [`super::Endpoint::ping`].
    Pong,
    /// The response, or one block of it.
    Response(Response<'d>),
}

/// Why there will be no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// A block that was not asked for.
    Block,
    /// The representation changed between two blocks.
    Changed,
    /// The connection was made anew in the meantime.
    Reconnected,
    /// The peer does not understand the message.
    Reset,
    /// No acknowledgement after all repetitions, or no separate response.
    TimeOut,
    /// The message would be longer than [`MAX_DATAGRAM`], or the body than a Block1 can say.
    TooLong,
}

/// A response or one block of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'d> {
    /// The code.
    pub code: Code,
    /// The payload, or a piece of it.
    pub payload: &'d [u8],
    /// Where the piece begins.
    pub offset: usize,
    /// More pieces follow; the request is still under way.
    pub more: bool,
    /// The whole message, for its options.
    pub message: Message<'d>,
}

impl<'d> Response<'d> {
    fn new(message: &Message<'d>, offset: usize, more: bool) -> Self {
        let (code, payload) = (message.code, message.payload);
        Self { code, payload, offset, more, message: *message }
    }

    /// How long to wait after 4.29 and 5.03 (RFC 8516, RFC 7252 §5.9.3.4): 60 s if it says nothing.
    pub fn max_age(&self) -> Duration {
        Duration::from_secs(self.message.uint(option::MAX_AGE).unwrap_or(60).into())
    }
}

/// What to do about a message, besides the event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    Acknowledge,
    Nothing,
    Reject,
}

/// With this repetition it is known that nobody answers: 6 to 9 s after the request.
const UNANSWERED: u8 = 2;

#[derive(Debug)]
pub(super) struct Client {
    block: BlockSize,
    datagram: Bytes<MAX_DATAGRAM>,
    exchange: Option<Exchange>,
    /// The last separate response that was acknowledged.
    separate: Option<u16>,
}

#[derive(Debug)]
struct Exchange {
    request: Kept,
    state: State,
    id: u16,
    token: Token,
    echo: Bytes<40>,
    restarts: u8,
    /// Where the block of the upload begins.
    offset: usize,
    /// The size of the blocks of the upload.
    size: BlockSize,
    /// The block of the response that is asked for, from the second on.
    download: Option<Block>,
    etag: Bytes<8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The response will be separate.
    Acknowledged {
        deadline: Duration,
    },
    /// The next message is to be written.
    Ready,
    Sent {
        repeated: u8,
        timeout: Duration,
        deadline: Duration,
    },
}

impl Client {
    pub(super) const fn new(block: BlockSize) -> Self {
        Self { block, datagram: Bytes::EMPTY, exchange: None, separate: None }
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }

    pub(super) fn is_unanswered(&self) -> bool {
        let state = self.exchange.as_ref().map(|exchange| exchange.state);
        matches!(state, Some(State::Sent { repeated: UNANSWERED.., .. }))
    }

    pub(super) fn start(&mut self, request: &Request<'_>) -> Result<(), Error> {
        if self.is_busy() {
            return Err(Error::Busy);
        }
        self.exchange = Some(Exchange {
            request: Kept::new(request)?,
            state: State::Ready,
            id: 0,
            token: Token::default(),
            echo: Bytes::EMPTY,
            restarts: 0,
            offset: 0,
            size: self.block,
            download: None,
            etag: Bytes::EMPTY,
        });
        Ok(())
    }

    /// Forgets the request; whether there was one.
    pub(super) fn cancel(&mut self) -> bool {
        self.separate = None;
        self.exchange.take().is_some()
    }

    pub(super) fn next_deadline(&self) -> Option<Duration> {
        match self.exchange.as_ref()?.state {
            State::Acknowledged { deadline } | State::Sent { deadline, .. } => Some(deadline),
            State::Ready => Some(Duration::ZERO),
        }
    }

    /// The message under way.
    pub(super) fn datagram(&self) -> &[u8] {
        self.datagram.as_slice()
    }

    /// `Some(Ok(()))` if [`Client::datagram`] is to be sent now.
    pub(super) fn poll(
        &mut self,
        now: Duration,
        ids: &mut Ids,
        body: &dyn Body,
    ) -> Option<Result<(), Failure>> {
        let exchange = self.exchange.as_mut()?;
        exchange.state = match exchange.state {
            State::Ready => {
                if exchange.write(&mut self.datagram, ids, body, self.block).is_err() {
                    self.exchange = None;
                    return Some(Err(Failure::TooLong));
                }
                let timeout = ids.timeout();
                State::Sent { repeated: 0, timeout, deadline: now.saturating_add(timeout) }
            }
            State::Acknowledged { deadline } | State::Sent { deadline, .. } if now < deadline => {
                return None;
            }
            State::Sent { repeated, timeout, .. } if repeated < MAX_RETRANSMIT => {
                let timeout = timeout.saturating_mul(2);
                let deadline = now.saturating_add(timeout);
                State::Sent { repeated: repeated + 1, timeout, deadline }
            }
            _ => {
                self.exchange = None;
                return Some(Err(Failure::TimeOut));
            }
        };
        Some(Ok(()))
    }

    /// Takes anything but a request.
    pub(super) fn handle<'d>(
        &mut self,
        now: Duration,
        message: &Message<'d>,
    ) -> (Reaction, Option<Event<'d>>) {
        let open = self.exchange.as_mut().filter(|exchange| exchange.state != State::Ready);
        let is_response = message.code.is_response();
        match (message.kind, open) {
            (Kind::Ack | Kind::Rst, Some(exchange)) if exchange.id == message.id => {
                if exchange.request.method == Code::EMPTY {
                    self.exchange = None;
                    return (Reaction::Nothing, Some(Event::Pong));
                }
                if message.kind == Kind::Rst {
                    self.exchange = None;
                    return (Reaction::Nothing, Some(Event::Failed(Failure::Reset)));
                }
                if is_response {
                    let ours = exchange.token == message.token;
                    return (Reaction::Nothing, if ours { self.respond(message) } else { None });
                }
                if matches!(exchange.state, State::Sent { .. }) {
                    let deadline = now.saturating_add(EXCHANGE_LIFETIME);
                    exchange.state = State::Acknowledged { deadline };
                }
                (Reaction::Nothing, None)
            }
            (Kind::Con | Kind::Non, Some(exchange))
                if is_response && exchange.token == message.token =>
            {
                let confirmable = message.kind == Kind::Con;
                self.separate = confirmable.then_some(message.id).or(self.separate);
                let reaction = if confirmable { Reaction::Acknowledge } else { Reaction::Nothing };
                (reaction, self.respond(message))
            }
            // Our acknowledgement was lost.
            (Kind::Con, _) if is_response && self.separate == Some(message.id) => {
                (Reaction::Acknowledge, None)
            }
            (Kind::Con, _) => (Reaction::Reject, None),
            _ => (Reaction::Nothing, None),
        }
    }

    fn respond<'d>(&mut self, message: &Message<'d>) -> Option<Event<'d>> {
        let exchange = self.exchange.as_mut()?;
        let step = exchange.respond(message);
        if !matches!(step, Step::Continue | Step::Piece(_)) {
            self.exchange = None;
        }
        match step {
            Step::Continue => None,
            Step::Failed(failure) => Some(Event::Failed(failure)),
            Step::Last(offset) => Some(Event::Response(Response::new(message, offset, false))),
            Step::Piece(offset) => Some(Event::Response(Response::new(message, offset, true))),
        }
    }
}

/// How a request goes on after a response.
enum Step {
    Continue,
    Failed(Failure),
    /// The response is complete; its last piece begins here.
    Last(usize),
    Piece(usize),
}

impl Exchange {
    fn respond(&mut self, message: &Message<'_>) -> Step {
        let again = self.challenge(message) || self.upload(message);
        if again {
            self.state = State::Ready;
            return Step::Continue;
        }
        if message.code == Code::CONTINUE {
            return Step::Failed(Failure::Block);
        }
        let step = self.download(message);
        if matches!(step, Step::Piece(_)) {
            self.state = State::Ready;
        }
        step
    }

    /// Whether the message is to be sent again with an Echo value (RFC 9175 §2.3).
    fn challenge(&mut self, message: &Message<'_>) -> bool {
        let echo = message.option(option::ECHO).and_then(Bytes::new);
        match echo.filter(|_| message.code == Code::UNAUTHORIZED && self.may_restart()) {
            Some(echo) => {
                self.echo = echo;
                true
            }
            None => false,
        }
    }

    /// Whether the upload goes on, or begins again.
    fn upload(&mut self, message: &Message<'_>) -> bool {
        let Ok(Some(block)) = Block::read(message, option::BLOCK1) else {
            let again = message.code == Code::REQUEST_ENTITY_INCOMPLETE && self.is_block_wise();
            return again && self.may_restart_from(0);
        };
        match message.code {
            Code::CONTINUE => {
                let next = self.offset.saturating_add(self.size.bytes());
                let expected = self.is_block_wise() && next < self.request.size;
                if !expected || block.number != self.number() {
                    return false;
                }
                self.offset = next;
                self.size = self.size.min(block.size);
                true
            }
            Code::REQUEST_ENTITY_INCOMPLETE => self.is_block_wise() && self.may_restart_from(0),
            Code::REQUEST_ENTITY_TOO_LARGE if self.offset == 0 && block.size < self.size => {
                self.size = block.size;
                self.request.size > 0
            }
            _ => false,
        }
    }

    /// Which piece of a response this is (RFC 7959 §2.4).
    fn download(&mut self, message: &Message<'_>) -> Step {
        let asked = self.download.map_or(0, Block::offset);
        let block = match Block::read(message, option::BLOCK2) {
            Ok(Some(block)) if message.code.class() == 2 => block,
            Ok(None) if asked == 0 => return Step::Last(0),
            _ if message.code.class() != 2 => return Step::Last(0),
            _ => return Step::Failed(Failure::Block),
        };
        let short = message.payload.len() < block.size.bytes();
        if block.offset() != asked || message.payload.len() > block.size.bytes() {
            return Step::Failed(Failure::Block);
        }
        let etag = message.option(option::ETAG).and_then(Bytes::new).unwrap_or_default();
        if asked != 0 && etag != self.etag {
            return Step::Failed(Failure::Changed);
        }
        if !block.more {
            return Step::Last(asked);
        }
        match Block::at(asked.saturating_add(block.size.bytes()), block.size, false) {
            Some(next) if !short => {
                (self.etag, self.download) = (etag, Some(next));
                Step::Piece(asked)
            }
            _ => Step::Failed(Failure::Block),
        }
    }

    fn may_restart(&mut self) -> bool {
        self.restarts = self.restarts.saturating_add(1);
        self.restarts <= MAX_RESTARTS
    }

    fn may_restart_from(&mut self, offset: usize) -> bool {
        self.offset = offset;
        self.may_restart()
    }

    const fn is_block_wise(&self) -> bool {
        self.request.size > self.size.bytes()
    }

    fn number(&self) -> u32 {
        u32::try_from(self.offset / self.size.bytes()).unwrap_or(u32::MAX)
    }

    /// Writes the next message of the exchange.
    fn write(
        &mut self,
        datagram: &mut Bytes<MAX_DATAGRAM>,
        ids: &mut Ids,
        body: &dyn Body,
        preferred: BlockSize,
    ) -> Result<(), Error> {
        let (request, ping) = (&self.request, self.request.method == Code::EMPTY);
        (self.id, self.token) =
            (ids.message_id(), if ping { Token::default() } else { ids.token() });
        let mut writer =
            Writer::new(datagram.room(), Kind::Con, request.method, self.id, self.token);
        for segment in request.path() {
            writer.option(option::URI_PATH, segment.as_bytes());
        }
        let uploads = self.download.is_none() && request.size > 0;
        if let Some(format) = request.content_format.filter(|_| uploads) {
            writer.uint(option::CONTENT_FORMAT, format.into());
        }
        for part in request.query() {
            writer.option(option::URI_QUERY, part.as_bytes());
        }
        if let Some(format) = request.accept {
            writer.uint(option::ACCEPT, format.into());
        }
        match self.download {
            Some(block) => block.write(&mut writer, option::BLOCK2),
            None if request.method == Code::GET && preferred != BlockSize::B1024 => {
                let first = Block { number: 0, more: false, size: preferred };
                first.write(&mut writer, option::BLOCK2);
            }
            None => {}
        }
        let rest = request.size.saturating_sub(self.offset);
        let length = rest.min(self.size.bytes());
        if uploads && self.is_block_wise() {
            let block = Block::at(self.offset, self.size, rest > length);
            block.ok_or(Error::TooLong("the body"))?.write(&mut writer, option::BLOCK1);
            if self.offset == 0 {
                let size = u32::try_from(request.size).map_err(|_| Error::TooLong("the body"))?;
                writer.uint(option::SIZE1, size);
            }
        }
        if !self.echo.is_empty() {
            writer.option(option::ECHO, self.echo.as_slice());
        }
        if uploads {
            let mut read = 0;
            writer.payload_with(length, |room| {
                read = body.read(self.offset, room);
                read
            });
            // The body is not the one that was announced.
            if read != length {
                return Err(Error::TooLong("the announced size"));
            }
        }
        let length = writer.finish()?;
        datagram.set_len(length);
        Ok(())
    }
}
