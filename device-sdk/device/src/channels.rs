//! The resources below `/channels` of the gateway, for a device that signs for itself.
//!
//! Guarantees: one request at a time; an answer goes out before anything else, and answers and commands are sent
//! again until the gateway takes or refuses them: both are of a kind that a repeat does not do twice. A message of up
//! to 1 KiB goes and comes in as many blocks as the endpoint uses. Does not: send, decide, or store: what comes is put
//! to a [`Participant`](crate::participant::Participant), and its answers are given to [`ChannelClient::answer`].
//!
//! Order of calls: whenever the device has no request under way and at [`ChannelClient::next_deadline`], give
//! [`ChannelClient::request`] to [`Device::request`](crate::Device::request) and, if that took it, call
//! [`ChannelClient::begun`]; the client itself is the request's body, for
//! [`Application::body`](crate::coap::Application::body). What comes of it goes to [`ChannelClient::handle`].
//!
//! | path | what |
//! |---|---|
//! | `channels/key` | GET a challenge, POST the proof of the key |
//! | `channels` | GET the list, POST a request for a channel |
//! | `channels/<id>` | GET the summary |
//! | `channels/<id>/signatures` | POST an answer |
//! | `channels/<id>/payments` | POST a payment |
//! | `channels/<id>/close`, `…/dispute` | POST |

use core::{fmt::Write, time::Duration};

use crate::{
    Bytes, Error,
    channel::{
        ChannelId,
        exchange::{
            CONTENT_FORMAT, Channels, KeyChallenge, KeyProof, MAX_MESSAGE, Message, OpenRequest,
            PayRequest, SignAnswer, SignRequest, Summary,
        },
    },
    coap::{Body, Code, Event, Request, Response},
    reporter::is_final,
};

/// Bytes of the longest message that a device sends; only those of a gateway are longer.
const MAX_SENT: usize = 512;

/// Pause after a failure; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// What the application wants of the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// A challenge, to prove the key.
    Challenge,
    /// To take the address of the key.
    Prove,
    /// A channel.
    Open,
    /// A payment.
    Pay(ChannelId),
    /// To close a channel together with the peer.
    Close(ChannelId),
    /// To close a channel without the peer.
    Dispute(ChannelId),
}

/// What has come of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is no heap, and one of them at a time")]
pub enum News<'d> {
    /// The state to sign for a payment: put it to the participant.
    Asked(SignRequest),
    /// Prove the key with this.
    Challenge(KeyChallenge),
    /// The gateway can't now: it is tried again after the pause.
    Delayed {
        /// The response; [`Code::EMPTY`] if there was none.
        code: Code,
        /// How long nothing is sent.
        pause: Duration,
    },
    /// The gateway does what the command says.
    Done(Command),
    /// What the gateway sends is no message; it is asked again after a pause.
    Malformed(Error),
    /// The gateway will not do what the command says.
    Refused {
        /// The command.
        command: Command,
        /// Why.
        code: Code,
        /// Why in words; may be empty, or cut.
        diagnostic: &'d [u8],
    },
    /// How a channel stands: put what is pending to the participant.
    Summary(Summary),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Job {
    Answer(ChannelId),
    Command(Command),
    List,
    Look(ChannelId),
}

/// A message that waits for the gateway.
#[derive(Debug, Clone, Copy)]
struct Outgoing<T> {
    what: T,
    body: Bytes<MAX_SENT>,
}

#[derive(Debug, Clone, Copy)]
struct Followed {
    id: ChannelId,
    due: Duration,
}

/// The device's side of the resources, for up to `N` channels.
#[derive(Debug)]
pub struct ChannelClient<const N: usize> {
    every: Duration,
    list_due: Duration,
    followed: [Option<Followed>; N],
    answer: Option<Outgoing<ChannelId>>,
    command: Option<Outgoing<Command>>,
    proposed: Option<Job>,
    under_way: Option<Job>,
    path: Bytes<96>,
    inbox: Bytes<MAX_MESSAGE>,
    /// Nothing is sent before this.
    not_before: Duration,
    pause: Duration,
}

impl<const N: usize> ChannelClient<N> {
    /// A client that looks at the list and at each channel at least this often.
    pub const fn new(every: Duration) -> Self {
        Self {
            every,
            list_due: Duration::ZERO,
            followed: [None; N],
            answer: None,
            command: None,
            proposed: None,
            under_way: None,
            path: Bytes::EMPTY,
            inbox: Bytes::EMPTY,
            not_before: Duration::ZERO,
            pause: FIRST_PAUSE,
        }
    }

    /// Asks for a challenge; [`News::Challenge`] brings it.
    pub fn enrol(&mut self) -> Result<(), Error> {
        self.command(Command::Challenge, Bytes::EMPTY)
    }

    /// Shows that the device has its key.
    pub fn prove(&mut self, proof: &KeyProof) -> Result<(), Error> {
        self.command(Command::Prove, encoded(proof)?)
    }

    /// Asks for a channel, to which the participant has agreed.
    pub fn open(&mut self, request: &OpenRequest) -> Result<(), Error> {
        self.command(Command::Open, encoded(request)?)
    }

    /// Pays, if the participant has agreed; [`News::Asked`] brings the state to sign.
    pub fn pay(&mut self, channel: &ChannelId, request: &PayRequest) -> Result<(), Error> {
        self.command(Command::Pay(*channel), encoded(request)?)
    }

    /// Asks to close a channel together with the peer.
    pub fn close(&mut self, channel: &ChannelId) -> Result<(), Error> {
        self.command(Command::Close(*channel), Bytes::EMPTY)
    }

    /// Asks to close a channel without the peer.
    pub fn dispute(&mut self, channel: &ChannelId) -> Result<(), Error> {
        self.command(Command::Dispute(*channel), Bytes::EMPTY)
    }

    /// Sends what the participant answers; it replaces one that waits, which the gateway will ask for again.
    ///
    /// Errors: [`Error::Busy`] while an answer is on its way.
    pub fn answer(&mut self, channel: &ChannelId, answer: &SignAnswer) -> Result<(), Error> {
        if matches!(self.under_way, Some(Job::Answer(_))) {
            return Err(Error::Busy);
        }
        self.answer = Some(Outgoing { what: *channel, body: encoded(answer)? });
        Ok(())
    }

    /// Something of a channel has changed, as its observer is told: it is looked at now.
    pub fn changed(&mut self, now: Duration, channel: &ChannelId) {
        if !self.look_at(channel, now) {
            self.list_due = now;
        }
    }

    /// A new connection: there is no reason to wait, and what was under way is to be asked again.
    pub fn reconnected(&mut self, now: Duration) {
        (self.not_before, self.pause) = (Duration::ZERO, FIRST_PAUSE);
        (self.under_way, self.proposed) = (None, None);
        self.list_due = now;
        self.followed.iter_mut().flatten().for_each(|followed| followed.due = now);
    }

    /// The request that is due; if it goes out, [`ChannelClient::begun`] says so.
    pub fn request(&mut self, now: Duration) -> Option<Request<'_>> {
        if self.under_way.is_some() || now < self.not_before {
            return None;
        }
        let job = self.next(now)?;
        self.proposed = Some(job);
        self.path = Bytes::EMPTY;
        write_path(job, &mut self.path).ok()?;
        let size = self.content(job).len();
        let path = self.path.as_str();
        Some(match job {
            Job::List | Job::Look(_) | Job::Command(Command::Challenge) => {
                Request { accept: Some(CONTENT_FORMAT), ..Request::get(path) }
            }
            _ if size == 0 => Request { method: Code::POST, ..Request::get(path) },
            _ => Request::post(path, CONTENT_FORMAT, size),
        })
    }

    /// The request has begun.
    pub fn begun(&mut self) {
        self.under_way = self.proposed.take();
        self.inbox = Bytes::EMPTY;
    }

    /// When [`ChannelClient::request`] gives a request; `None` while one is under way.
    pub fn next_deadline(&self) -> Option<Duration> {
        if self.under_way.is_some() {
            return None;
        }
        let waits = self.answer.is_some() || self.command.is_some();
        let looks = self.followed.iter().flatten().map(|followed| followed.due);
        let due = looks.chain([self.list_due]).chain(waits.then_some(Duration::ZERO)).min()?;
        Some(due.max(self.not_before))
    }

    /// Takes what came of the request under way; `None` if it goes on, or there is nothing to say.
    pub fn handle<'d>(&mut self, now: Duration, event: &Event<'d>) -> Option<News<'d>> {
        let job = self.under_way?;
        let response = match event {
            Event::Response(response) => response,
            Event::Failed(_) | Event::Pong => {
                let pause = self.next_pause();
                return Some(self.delay(now, Code::EMPTY, pause));
            }
        };
        let is_success = response.code.class() == 2;
        let is_whole = !is_success || self.collect(response);
        if response.more {
            return None;
        }
        self.under_way = None;
        if !is_success {
            return self.refused(now, job, response);
        }
        self.pause = FIRST_PAUSE;
        // Before it is read, so that a channel that can't be read holds up no other.
        match job {
            Job::List => self.list_due = now.saturating_add(self.every),
            Job::Look(id) => _ = self.look_at(&id, now.saturating_add(self.every)),
            Job::Answer(_) | Job::Command(_) => {}
        }
        let news = if is_whole { self.done(now, job) } else { Err(Error::TooLong("the message")) };
        news.unwrap_or_else(|error| {
            let pause = self.next_pause();
            self.delay(now, response.code, pause);
            Some(News::Malformed(error))
        })
    }

    fn command(&mut self, what: Command, body: Bytes<MAX_SENT>) -> Result<(), Error> {
        if self.command.is_some() {
            return Err(Error::Busy);
        }
        self.command = Some(Outgoing { what, body });
        Ok(())
    }

    fn next(&self, now: Duration) -> Option<Job> {
        let answer = self.answer.map(|answer| Job::Answer(answer.what));
        let command = self.command.map(|command| Job::Command(command.what));
        let due = |followed: &&Followed| followed.due <= now;
        let look = self.followed.iter().flatten().filter(due).min_by_key(|followed| followed.due);
        let list = (self.list_due <= now).then_some(Job::List);
        answer.or(command).or(look.map(|followed| Job::Look(followed.id))).or(list)
    }

    /// The body of a request.
    fn content(&self, job: Job) -> &[u8] {
        match job {
            Job::Answer(_) => self.answer.as_ref().map_or(&[], |answer| answer.body.as_slice()),
            Job::Command(_) => self.command.as_ref().map_or(&[], |it| it.body.as_slice()),
            Job::List | Job::Look(_) => &[],
        }
    }

    /// Appends a piece of the response; whether all up to here is there.
    fn collect(&mut self, response: &Response<'_>) -> bool {
        if response.offset == 0 {
            self.inbox = Bytes::EMPTY;
        }
        let follows = response.offset == self.inbox.as_slice().len();
        follows && self.inbox.push(response.payload).is_ok()
    }

    /// What a response of success brings.
    fn done(&mut self, now: Duration, job: Job) -> Result<Option<News<'static>>, Error> {
        let message = self.inbox;
        let bytes = message.as_slice();
        match job {
            Job::Answer(id) => {
                self.answer = None;
                self.look_at(&id, now.saturating_add(FIRST_PAUSE));
                Ok(None)
            }
            Job::Command(command) => {
                let news = match command {
                    Command::Challenge => News::Challenge(KeyChallenge::decode(bytes)?),
                    Command::Pay(_) => News::Asked(SignRequest::decode(bytes)?),
                    _ => News::Done(command),
                };
                self.command = None;
                self.list_due = now;
                Ok(Some(news))
            }
            Job::List => {
                self.follow(now, &Channels::decode(bytes)?);
                Ok(None)
            }
            Job::Look(id) => {
                let summary = Summary::decode(bytes)?;
                if summary.id != id {
                    return Err(Error::UnknownChannel);
                }
                Ok(Some(News::Summary(summary)))
            }
        }
    }

    /// Follows what is in the list, as far as there is room, and nothing else.
    fn follow(&mut self, now: Duration, list: &Channels) {
        for place in &mut self.followed {
            place.take_if(|followed| !list.0.contains(&followed.id));
        }
        for id in &list.0 {
            let is_known = self.followed.iter().flatten().any(|followed| followed.id == *id);
            let free = self.followed.iter_mut().find(|place| place.is_none() && !is_known);
            free.into_iter().for_each(|place| *place = Some(Followed { id: *id, due: now }));
        }
    }

    /// Sets when a channel is looked at; whether it is followed.
    fn look_at(&mut self, channel: &ChannelId, due: Duration) -> bool {
        let is_it = |followed: &&mut Followed| followed.id == *channel;
        let followed = self.followed.iter_mut().flatten().find(is_it);
        followed.map(|followed| followed.due = due).is_some()
    }

    /// What a response of another kind means.
    fn refused<'d>(
        &mut self,
        now: Duration,
        job: Job,
        response: &Response<'d>,
    ) -> Option<News<'d>> {
        let code = response.code;
        if !is_final(code) {
            let hint = [Code::TOO_MANY_REQUESTS, Code::SERVICE_UNAVAILABLE].contains(&code);
            let pause = if hint { response.max_age() } else { self.next_pause() };
            return Some(self.delay(now, code, pause));
        }
        match job {
            // The gateway waits for this answer no longer; if it asks again all the same, then not at once.
            Job::Answer(id) => {
                self.answer = None;
                self.look_at(&id, now.saturating_add(LAST_PAUSE));
                None
            }
            Job::Command(command) => {
                self.command = None;
                Some(News::Refused { command, code, diagnostic: response.payload })
            }
            Job::List => {
                self.list_due = now.saturating_add(self.every.max(LAST_PAUSE));
                None
            }
            Job::Look(id) => {
                for place in &mut self.followed {
                    place.take_if(|followed| followed.id == id);
                }
                None
            }
        }
    }

    fn delay(&mut self, now: Duration, code: Code, pause: Duration) -> News<'static> {
        self.under_way = None;
        self.not_before = now.saturating_add(pause);
        News::Delayed { code, pause }
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(LAST_PAUSE);
        pause
    }
}

/// The body of the request under way.
impl<const N: usize> Body for ChannelClient<N> {
    fn size(&self) -> usize {
        self.under_way.map_or(0, |job| self.content(job).len())
    }

    fn read(&self, offset: usize, out: &mut [u8]) -> usize {
        self.under_way.map_or(0, |job| self.content(job).read(offset, out))
    }
}

fn encoded(message: &impl Message) -> Result<Bytes<MAX_SENT>, Error> {
    let mut body = Bytes::EMPTY;
    let length = message.encode(body.room())?.len();
    body.set_len(length);
    Ok(body)
}

fn write_path(job: Job, path: &mut Bytes<96>) -> core::fmt::Result {
    match job {
        Job::Command(Command::Challenge | Command::Prove) => path.write_str("channels/key"),
        Job::Command(Command::Open) | Job::List => path.write_str("channels"),
        Job::Look(id) => write!(path, "channels/{id}"),
        Job::Answer(id) => write!(path, "channels/{id}/signatures"),
        Job::Command(Command::Pay(id)) => write!(path, "channels/{id}/payments"),
        Job::Command(Command::Close(id)) => write!(path, "channels/{id}/close"),
        Job::Command(Command::Dispute(id)) => write!(path, "channels/{id}/dispute"),
    }
}
