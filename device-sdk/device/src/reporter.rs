//! Readings from their measurement until the gateway has logged or refused them.
//!
//! Guarantees: readings go out one at a time and in their order, each with the sequence number that
//! it got when it was queued, however often it is sent (I6); one leaves the queue only with the
//! gateway's word: logged, or refused for what it is. Does not: send, or survive a power cut: the
//! caller persists [`Reporter::next_seq`] before it queues the first reading after a start, and the
//! readings themselves if they must not be lost.
//!
//! Over CoAP [`crate::Device`] drives it. Over MQTT the caller publishes what [`Reporter::due`]
//! gives, says so with [`Reporter::sent`], and passes what comes on the topic of acknowledgements
//! to [`Reporter::handle_ack`].

use core::{fmt::Write, time::Duration};

use crate::{
    Bytes, Error,
    coap::{Code, Event, Request, Response},
    mqtt::Ack,
    senml::Format,
};

/// Pause after a failure; it doubles up to the last.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LAST_PAUSE: Duration = Duration::from_secs(60);

/// What became of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report<'d> {
    /// The gateway can't take readings now: the reading stays and goes out again.
    Delayed {
        /// Its sequence number.
        seq: u64,
        /// The response; [`Code::EMPTY`] if there was none.
        code: Code,
        /// How long nothing is sent.
        pause: Duration,
    },
    /// It is in the gateway's log.
    Logged {
        /// Its sequence number.
        seq: u64,
        /// Its place in the log, if the gateway says it.
        index: Option<u64>,
    },
    /// The gateway will never take it: it has left the queue.
    Refused {
        /// Its sequence number.
        seq: u64,
        /// Why.
        code: Code,
        /// Why in words: UTF-8 if the gateway keeps to RFC 7252 §5.5.2. May be empty.
        diagnostic: &'d [u8],
    },
}

/// A reading in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued<'a> {
    /// Its sequence number.
    pub seq: u64,
    /// How its pack is encoded.
    pub format: Format,
    /// Its pack.
    pub pack: &'a [u8],
}

/// A queue of up to `SLOTS` readings of up to `SIZE` bytes.
#[derive(Debug)]
pub struct Reporter<const SLOTS: usize, const SIZE: usize> {
    slots: [Slot<SIZE>; SLOTS],
    first: usize,
    len: usize,
    next_seq: u64,
    /// Nothing is sent before this.
    not_before: Duration,
    pause: Duration,
    query: Bytes<24>,
}

#[derive(Debug, Clone, Copy)]
struct Slot<const SIZE: usize> {
    seq: u64,
    format: Format,
    pack: Bytes<SIZE>,
}

impl<const SLOTS: usize, const SIZE: usize> Reporter<SLOTS, SIZE> {
    /// An empty queue; `next_seq` is one that no reading of this device ever had.
    pub const fn new(next_seq: u64) -> Self {
        let empty = Slot { seq: 0, format: Format::Cbor, pack: Bytes::EMPTY };
        Self {
            slots: [empty; SLOTS],
            first: 0,
            len: 0,
            next_seq,
            not_before: Duration::ZERO,
            pause: FIRST_PAUSE,
            query: Bytes::EMPTY,
        }
    }

    /// The sequence number of the next reading.
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// How many readings wait.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queues a reading and gives its sequence number.
    ///
    /// Errors: [`Error::QueueFull`], [`Error::TooLong`]; the number is not used up then.
    pub fn push(&mut self, format: Format, pack: &[u8]) -> Result<u64, Error> {
        let pack = Bytes::new(pack).ok_or(Error::TooLong("the reading"))?;
        self.push_slot(Slot { seq: self.next_seq, format, pack })?;
        let seq = self.next_seq;
        self.next_seq = seq.wrapping_add(1);
        Ok(seq)
    }

    /// Queues a reading that already had its sequence number before a restart.
    pub fn restore(&mut self, seq: u64, format: Format, pack: &[u8]) -> Result<(), Error> {
        let pack = Bytes::new(pack).ok_or(Error::TooLong("the reading"))?;
        self.push_slot(Slot { seq, format, pack })
    }

    /// The reading that is to go out, if nothing speaks against it now.
    pub fn due(&self, now: Duration) -> Option<Queued<'_>> {
        self.first().filter(|_| now >= self.not_before)
    }

    /// The oldest reading.
    pub fn first(&self) -> Option<Queued<'_>> {
        let slot = self.slots.get(self.first).filter(|_| self.len > 0)?;
        Some(Queued { seq: slot.seq, format: slot.format, pack: slot.pack.as_slice() })
    }

    /// When [`Reporter::due`] gives a reading.
    pub fn next_deadline(&self) -> Option<Duration> {
        (self.len > 0).then_some(self.not_before)
    }

    /// The request that sends the oldest reading; its body is the pack.
    pub fn request(&mut self) -> Option<Request<'_>> {
        let Queued { seq, format, pack } = self.first()?;
        let (format, size) = (format.content_format(), pack.len());
        self.query = Bytes::EMPTY;
        write!(self.query, "seq={seq}").ok()?;
        Some(Request { query: self.query.as_str(), ..Request::post("readings", format, size) })
    }

    /// Takes the last event of that request.
    pub fn handle<'d>(&mut self, now: Duration, event: &Event<'d>) -> Option<Report<'d>> {
        let seq = self.first()?.seq;
        match event {
            Event::Response(response) if response.code.class() == 2 => {
                let index = core::str::from_utf8(response.payload).ok();
                self.logged(seq, index.and_then(|index| index.parse().ok()))
            }
            Event::Response(response) if is_final(response.code) => {
                self.refused(seq, response.code, response.payload)
            }
            Event::Response(response) => {
                let pause = self.pause_after(response);
                Some(self.delay(now, seq, response.code, pause))
            }
            Event::Failed(_) | Event::Pong => {
                let pause = self.next_pause();
                Some(self.delay(now, seq, Code::EMPTY, pause))
            }
        }
    }

    /// The oldest reading was published: [`Reporter::due`] gives it again after `patience`.
    pub const fn sent(&mut self, now: Duration, patience: Duration) {
        self.not_before = now.saturating_add(patience);
    }

    /// Takes an acknowledgement that came over MQTT; `None` if it is not for the oldest reading.
    pub fn handle_ack<'d>(&mut self, now: Duration, ack: &Ack<'d>) -> Option<Report<'d>> {
        match *ack {
            Ack::Logged { seq, index } => {
                let report = self.logged(seq, Some(index))?;
                self.not_before = now;
                Some(report)
            }
            Ack::Refused { seq, code, reason } if is_final(code) => {
                let reason = reason.and_then(|reason| reason.as_str()).unwrap_or_default();
                let report = self.refused(seq, code, reason.as_bytes())?;
                self.not_before = now;
                Some(report)
            }
            Ack::Refused { seq, code, .. } => {
                self.first().filter(|first| first.seq == seq)?;
                let pause = self.next_pause();
                Some(self.delay(now, seq, code, pause))
            }
        }
    }

    /// The gateway has logged a reading. `None` if it is not the oldest, as a repeated word is not.
    fn logged(&mut self, seq: u64, index: Option<u64>) -> Option<Report<'static>> {
        self.drop_first(seq)?;
        Some(Report::Logged { seq, index })
    }

    /// The gateway will not take a reading. `None` if it is not the oldest.
    fn refused<'d>(&mut self, seq: u64, code: Code, diagnostic: &'d [u8]) -> Option<Report<'d>> {
        self.drop_first(seq)?;
        Some(Report::Refused { seq, code, diagnostic })
    }

    /// A new connection: there is no reason to wait any longer.
    pub const fn reconnected(&mut self) {
        (self.not_before, self.pause) = (Duration::ZERO, FIRST_PAUSE);
    }

    fn push_slot(&mut self, slot: Slot<SIZE>) -> Result<(), Error> {
        if self.len >= SLOTS {
            return Err(Error::QueueFull);
        }
        let place = (self.first + self.len) % SLOTS;
        *self.slots.get_mut(place).ok_or(Error::QueueFull)? = slot;
        self.len += 1;
        Ok(())
    }

    fn drop_first(&mut self, seq: u64) -> Option<()> {
        self.first().filter(|first| first.seq == seq)?;
        self.first = (self.first + 1) % SLOTS;
        self.len -= 1;
        self.pause = FIRST_PAUSE;
        Some(())
    }

    fn delay(&mut self, now: Duration, seq: u64, code: Code, pause: Duration) -> Report<'static> {
        self.not_before = now.saturating_add(pause);
        Report::Delayed { seq, code, pause }
    }

    /// What the gateway asks for, if it does.
    fn pause_after(&mut self, response: &Response<'_>) -> Duration {
        match response.code {
            Code::TOO_MANY_REQUESTS | Code::SERVICE_UNAVAILABLE => response.max_age(),
            _ => self.next_pause(),
        }
    }

    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).min(LAST_PAUSE);
        pause
    }
}

/// Whether a response says that this reading is wrong, whoever sends it and whenever.
///
/// 4.01 and 4.03 say it of the device, which may be enrolled later; 4.08 of the transfer; 4.29 and
/// 5.xx of the moment.
pub(crate) fn is_final(code: Code) -> bool {
    let others = [
        Code::UNAUTHORIZED,
        Code::FORBIDDEN,
        Code::REQUEST_ENTITY_INCOMPLETE,
        Code::TOO_MANY_REQUESTS,
    ];
    code.class() == 4 && !others.contains(&code)
}
