//! The device's resources: requests of the gateway, each executed once.
//!
//! Guarantees: a repeated request gets the stored response and has no second effect; an option that
//! is critical and not understood is refused; a representation of any length goes out in blocks,
//! tied together by an ETag. Does not: take requests in blocks (4.13 says so).

use core::{fmt, time::Duration};

use super::{
    Code, EXCHANGE_LIFETIME, Kind, Message, Token, Writer,
    block::{Block, BlockSize},
    body::{Body, Window},
    ids::Ids,
    observe::Observers,
    option,
    register::write_links,
};
use crate::Bytes;

/// How many requests are remembered, with their responses.
pub const REMEMBERED: usize = 4;

/// The blocks in which representations go out.
const BLOCK: BlockSize = BlockSize::B256;

/// Room for a response: a block, and header, token and options.
pub(super) const REPLY: usize = BLOCK.bytes() + 40;

/// A resource of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// Its path without a slash before it.
    pub path: &'a str,
    /// Its attributes in link format (RFC 6690): `rt="valve";if="core.a"`. May be empty.
    pub attributes: &'a str,
    /// Whether it can be observed.
    pub observable: Observable,
}

/// Whether a resource can be observed (RFC 7641).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observable {
    /// Notifications are confirmable.
    Confirmable,
    /// Not at all.
    No,
    /// Notifications are not confirmable, except one a day (RFC 7641 §4.5).
    NonConfirmable,
}

/// What the caller is: its resources, and the payloads of its requests.
pub trait Application {
    /// The resources. `/.well-known/core` is made from them.
    fn links(&self) -> &[Link<'_>];

    /// Executes a request for the resource with this place in [`Application::links`].
    ///
    /// A GET is also called for notifications and for each block of a representation.
    fn serve(&mut self, resource: usize, request: &Incoming<'_>, reply: &mut Reply<'_>) -> Code;

    /// The payload of the caller's request that is under way.
    fn body(&self) -> &dyn Body {
        const NOTHING: &[u8] = &[];
        &NOTHING
    }
}

/// A request of the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// The method.
    pub method: Code,
    /// The payload.
    pub payload: &'a [u8],
    message: Option<Message<'a>>,
}

impl<'a> Incoming<'a> {
    /// A GET for a notification.
    pub(super) const NOTIFICATION: Self = Self { method: Code::GET, payload: &[], message: None };

    /// The format of the payload.
    pub fn content_format(&self) -> Option<u32> {
        self.message.and_then(|message| message.uint(option::CONTENT_FORMAT))
    }

    /// The value of `key=value` in the query.
    pub fn query(&self, key: &str) -> Option<&'a str> {
        let options = self.message?.options().filter(|(found, _)| *found == option::URI_QUERY);
        let mut parts = options.filter_map(|(_, value)| core::str::from_utf8(value).ok());
        parts.find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
    }
}

/// The response to a request: write the payload into it.
pub struct Reply<'b> {
    window: Window<'b>,
    content_format: Option<u16>,
}

impl Reply<'_> {
    /// Says what the payload is.
    pub fn content_format(&mut self, format: u16) {
        self.content_format = Some(format);
    }

    /// Appends to the payload. There is no limit; blocks are cut out of it.
    pub fn push(&mut self, bytes: &[u8]) {
        self.window.push(bytes);
    }
}

impl fmt::Write for Reply<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.window.write_str(text)
    }
}

/// Requests that were executed, and who observes.
pub(super) struct Server {
    remembered: [Remembered; REMEMBERED],
    next: usize,
    pub(super) observers: Observers,
}

#[derive(Clone, Copy)]
struct Remembered {
    id: u16,
    /// Until when a message with this id is the same.
    until: Duration,
    confirmable: bool,
    /// The response is to be sent.
    due: bool,
    datagram: Bytes<REPLY>,
}

impl Server {
    pub(super) const fn new() -> Self {
        const NONE: Remembered = Remembered {
            id: 0,
            until: Duration::ZERO,
            confirmable: false,
            due: false,
            datagram: Bytes::EMPTY,
        };
        Self { remembered: [NONE; REMEMBERED], next: 0, observers: Observers::new() }
    }

    /// The response that is to be sent now, once.
    pub(super) fn poll(&mut self) -> Option<usize> {
        let place = self.remembered.iter().position(|remembered| remembered.due)?;
        self.remembered.get_mut(place)?.due = false;
        Some(place)
    }

    pub(super) fn is_due(&self) -> bool {
        self.remembered.iter().any(|remembered| remembered.due)
    }

    pub(super) fn datagram(&self, place: usize) -> &[u8] {
        self.remembered.get(place).map_or(&[], |remembered| remembered.datagram.as_slice())
    }

    /// Executes a request, or repeats its response.
    pub(super) fn handle(
        &mut self,
        now: Duration,
        ids: &mut Ids,
        message: &Message<'_>,
        application: &mut dyn Application,
    ) {
        let same = |known: &&mut Remembered| known.id == message.id && now < known.until;
        if let Some(known) = self.remembered.iter_mut().find(same) {
            known.due = known.confirmable;
            return;
        }
        let confirmable = message.kind == Kind::Con;
        let (kind, id) =
            if confirmable { (Kind::Ack, message.id) } else { (Kind::Non, ids.message_id()) };
        let head = Head { kind, id, token: message.token };
        let mut datagram = Bytes::EMPTY;
        self.answer(now, &mut datagram, head, message, application);
        if let Some(place) = self.remembered.get_mut(self.next) {
            let until = now.saturating_add(EXCHANGE_LIFETIME);
            *place = Remembered { id: message.id, until, confirmable, due: true, datagram };
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    fn answer(
        &mut self,
        now: Duration,
        datagram: &mut Bytes<REPLY>,
        head: Head,
        message: &Message<'_>,
        application: &mut dyn Application,
    ) {
        let (resource, block) = match target(message, application.links()) {
            Ok(found) => found,
            Err(code) => return head.write_code(datagram, code),
        };
        let incoming =
            Incoming { method: message.code, payload: message.payload, message: Some(*message) };
        let mut room = [0; BLOCK.bytes()];
        let mut answer = Answer::new(&mut room, block);
        let code = answer.run(application, resource, &incoming);
        let accept = message.uint(option::ACCEPT);
        let format = answer.reply.content_format.map(u32::from);
        if code == Code::CONTENT && accept.is_some() && format.is_some() && accept != format {
            return head.write_code(datagram, Code::NOT_ACCEPTABLE);
        }
        let sequence = self.observers.registered(now, message, resource, code, application.links());
        answer.write(datagram, head, code, sequence);
    }
}

/// How a response begins.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) id: u16,
    pub(super) token: Token,
}

impl Head {
    fn write_code(self, datagram: &mut Bytes<REPLY>, code: Code) {
        let writer = Writer::new(datagram.room(), self.kind, code, self.id, self.token);
        let length = writer.finish().unwrap_or_default();
        datagram.set_len(length);
    }
}

/// A response on its way: one block of what the resource says.
pub(super) struct Answer<'b> {
    reply: Reply<'b>,
    block: Option<Block>,
    offset: usize,
    size: BlockSize,
}

/// The place of a resource; the one behind the last is `/.well-known/core`.
pub(super) type Resource = Option<usize>;

impl<'b> Answer<'b> {
    pub(super) fn new(room: &'b mut [u8; BLOCK.bytes()], block: Option<Block>) -> Self {
        let size = block.map_or(BLOCK, |block| block.size.min(BLOCK));
        let offset = block.map_or(0, Block::offset);
        let room = room.get_mut(..size.bytes()).unwrap_or_default();
        let reply = Reply { window: Window::new(room, offset), content_format: None };
        Self { reply, block, offset, size }
    }

    /// Lets the resource speak.
    pub(super) fn run(
        &mut self,
        application: &mut dyn Application,
        resource: Resource,
        incoming: &Incoming<'_>,
    ) -> Code {
        match resource {
            Some(resource) => application.serve(resource, incoming, &mut self.reply),
            None if incoming.method == Code::GET => {
                self.reply.content_format(super::content_format::LINK_FORMAT);
                let _ = write_links(application.links(), &mut self.reply);
                Code::CONTENT
            }
            None => Code::METHOD_NOT_ALLOWED,
        }
    }

    pub(super) fn write(
        self,
        datagram: &mut Bytes<REPLY>,
        head: Head,
        code: Code,
        sequence: Option<u32>,
    ) {
        let window = &self.reply.window;
        let more = window.total() > self.offset.saturating_add(self.size.bytes());
        let blocks = more || self.block.is_some() && code.class() == 2;
        if self.offset > 0 && self.offset >= window.total() {
            return head.write_code(datagram, Code::BAD_OPTION);
        }
        let length = window.kept();
        let mut writer = Writer::new(datagram.room(), head.kind, code, head.id, head.token);
        if blocks {
            writer.option(option::ETAG, &window.hash().to_be_bytes());
        }
        if let Some(sequence) = sequence {
            writer.uint(option::OBSERVE, sequence);
        }
        if let Some(format) = self.reply.content_format {
            writer.uint(option::CONTENT_FORMAT, format.into());
        }
        if let Some(block) = Block::at(self.offset, self.size, more).filter(|_| blocks) {
            block.write(&mut writer, option::BLOCK2);
        }
        writer.payload(window.bytes(length));
        let length = writer.finish().unwrap_or_default();
        datagram.set_len(length);
    }
}

/// The resource that a request is for, and the block that it asks for.
fn target(message: &Message<'_>, links: &[Link<'_>]) -> Result<(Resource, Option<Block>), Code> {
    const UNDERSTOOD: [u16; 7] = [
        option::URI_HOST,
        option::URI_PORT,
        option::URI_PATH,
        option::URI_QUERY,
        option::ACCEPT,
        option::BLOCK2,
        option::BLOCK1,
    ];
    let mut options = message.options();
    if options.any(|(number, _)| option::is_critical(number) && !UNDERSTOOD.contains(&number)) {
        return Err(Code::BAD_OPTION);
    }
    let block = |number| Block::read(message, number).map_err(|()| Code::BAD_OPTION);
    if block(option::BLOCK1)?.is_some_and(|block| block.more || block.number > 0) {
        return Err(Code::REQUEST_ENTITY_TOO_LARGE);
    }
    let path = || message.options().filter(|(found, _)| *found == option::URI_PATH);
    let is_at = |at: &str| {
        let segments = at.split('/').map(str::as_bytes);
        path().map(|(_, segment)| segment).eq(segments)
    };
    if is_at(".well-known/core") {
        return Ok((None, block(option::BLOCK2)?));
    }
    let resource = links.iter().position(|link| is_at(link.path)).ok_or(Code::NOT_FOUND)?;
    Ok((Some(resource), block(option::BLOCK2)?))
}
