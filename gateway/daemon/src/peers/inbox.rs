//! Messages out of a stream of bytes, at a bounded pace and with bounded memory.
//!
//! Guarantees: at most one largest message is held; a peer that sends faster than it may is read slower, which TCP
//! tells it; a message that was begun is whole in time or the connection ends. Does not: answer or judge a message.

use std::time::Duration;

use sluicegate_channels::{
    Error,
    wire::{Codec, Envelope, MAX_MESSAGE, Unsupported},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, sleep_until, timeout},
};

use super::{Limits, fault::Fault};

/// Bytes that are read at once: a TLS record.
const CHUNK: usize = 16 << 10;

/// What a message costs besides its bytes, in bytes.
const EACH: usize = 512;

/// A message of the peer.
#[derive(Debug)]
pub(super) enum Arrived {
    /// One that this gateway knows.
    Envelope(Envelope),
    /// One that it has to refuse.
    Unsupported(Box<Unsupported>),
}

/// What has arrived and is not read yet.
#[derive(Debug)]
pub(super) struct Inbox {
    codec: Codec,
    buffer: Vec<u8>,
    whole: Duration,
    pace: Pace,
}

impl Inbox {
    /// An empty one.
    pub(super) fn new(codec: Codec, limits: &Limits) -> Self {
        let pace = Pace { per_second: limits.bytes_per_second.max(1), next: Instant::now() };
        Self { codec, buffer: Vec::new(), whole: limits.whole, pace }
    }

    /// The next message.
    pub(super) async fn next(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> Result<Arrived, Fault> {
        let mut due = None;
        loop {
            if let Some(arrived) = self.decode().await? {
                return Ok(arrived);
            }
            if self.buffer.is_empty() {
                self.read(from).await?;
                continue;
            }
            let due = *due.get_or_insert_with(|| Instant::now() + self.whole);
            let left = due.saturating_duration_since(Instant::now());
            timeout(left, self.read(from)).await.map_err(|_| Fault::Late("end of a message"))??;
        }
    }

    async fn decode(&mut self) -> Result<Option<Arrived>, Fault> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let (arrived, length) = match self.codec.decode(&self.buffer) {
            Ok(Some((envelope, length))) => (Some(Arrived::Envelope(envelope)), length),
            Ok(None) if self.buffer.len() >= MAX_MESSAGE => {
                return Err(Fault::Message(Error::Malformed("a message is too long")));
            }
            Ok(None) => (None, 0),
            Err(Error::Unsupported(wide)) => {
                let length = wide.length;
                (Some(Arrived::Unsupported(wide)), length)
            }
            Err(error) => return Err(Fault::Message(error)),
        };
        // An attempt that came to nothing has looked at everything.
        let looked_at = if arrived.is_some() { length } else { self.buffer.len() };
        self.buffer.drain(..length.min(self.buffer.len()));
        self.pace.spend(looked_at + EACH).await;
        Ok(arrived)
    }

    async fn read(&mut self, from: &mut (impl AsyncRead + Unpin)) -> Result<(), Fault> {
        let room = MAX_MESSAGE.saturating_sub(self.buffer.len()).min(CHUNK);
        self.buffer.reserve(room);
        let mut limited = (&mut *from).take(room as u64);
        match limited.read_buf(&mut self.buffer).await? {
            0 => Err(Fault::Closed),
            _ => Ok(()),
        }
    }
}

/// So many bytes a second on average, and a second's worth at once.
#[derive(Debug)]
struct Pace {
    per_second: u64,
    next: Instant,
}

impl Pace {
    async fn spend(&mut self, bytes: usize) {
        let now = Instant::now();
        let cost = (bytes as u64).saturating_mul(1_000_000) / self.per_second;
        self.next = self.next.max(now) + Duration::from_micros(cost);
        let until = self.next.checked_sub(Duration::from_secs(1)).unwrap_or(now);
        if until > now {
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use sluicegate_channels::wire::{AddressMap, Message, WireAddress};

    use super::*;

    fn ping(codec: Codec, created: i64) -> Vec<u8> {
        let address = WireAddress::new("a", None).unwrap();
        let map = AddressMap::single(1, address).unwrap();
        let message = Message::Ping { created };
        codec.encode(&Envelope { sender: map.clone(), recipient: map, message }).unwrap()
    }

    fn created(arrived: &Arrived) -> i64 {
        match arrived {
            Arrived::Envelope(Envelope { message: Message::Ping { created }, .. }) => *created,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn messages_come_out_of_any_fragments() {
        for codec in [Codec::Perunio, Codec::Protobuf] {
            let bytes: Vec<u8> = (0..3).flat_map(|n| ping(codec, n)).collect();
            let mut from = fragments(&bytes, 7);
            let mut inbox = Inbox::new(codec, &Limits::default());
            for n in 0..3 {
                assert_eq!(created(&inbox.next(&mut from).await.unwrap()), n);
            }
            assert!(matches!(inbox.next(&mut from).await, Err(Fault::Closed)));
        }
    }

    #[tokio::test]
    async fn a_message_that_never_ends_is_late() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let mut inbox = Inbox::new(
            Codec::Perunio,
            &Limits { whole: Duration::from_millis(50), ..Limits::default() },
        );
        let bytes = ping(Codec::Perunio, 1);
        tokio::io::AsyncWriteExt::write_all(&mut far, &bytes[..9]).await.unwrap();
        assert!(matches!(inbox.next(&mut near).await, Err(Fault::Late(_))));
    }

    #[tokio::test]
    async fn whoever_sends_too_fast_is_read_slower() {
        let limits = Limits { bytes_per_second: 8_000, ..Limits::default() };
        let bytes = ping(Codec::Perunio, 1).repeat(20);
        let mut inbox = Inbox::new(Codec::Perunio, &limits);
        let begun = Instant::now();
        let mut from = &bytes[..];
        for _ in 0..20 {
            inbox.next(&mut from).await.unwrap();
        }
        assert!(begun.elapsed() > Duration::from_millis(300), "{:?}", begun.elapsed());
    }

    /// A stream that gives so many bytes at a time.
    fn fragments(bytes: &[u8], each: usize) -> impl AsyncRead + Unpin + use<> {
        let (near, mut far) = tokio::io::duplex(each);
        let bytes = bytes.to_vec();
        tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut far, &bytes).await.unwrap();
        });
        near
    }
}
