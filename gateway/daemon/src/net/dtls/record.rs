//! What can be told of a datagram without a key: its records, and a ClientHello (RFC 6347 §4.1, §4.2).
//!
//! Guarantees: what passes [`kind`] has whole records and none that a session must not see: plaintext application data,
//! which nobody wrote who holds a key, and plaintext alerts, which anybody could send to end a handshake. Does not:
//! reassemble a ClientHello that came in fragments, which would take memory before the address is known to be real.

/// Bytes before a record's content: type, version, epoch, sequence number, length.
const RECORD_HEADER: usize = 13;

/// Bytes before a handshake message's content: type, length, number, offset and length of the fragment.
const HANDSHAKE_HEADER: usize = 12;

/// Most records of one datagram; a whole flight of a handshake has four.
const MAX_RECORDS: usize = 8;

/// Most ClientHellos before the one with a good cookie; only a gateway that began anew meanwhile makes it more than one.
const MAX_EARLIER_HELLOS: u16 = 3;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

const CLIENT_HELLO: u8 = 1;
const HELLO_VERIFY_REQUEST: u8 = 3;

const DTLS_1_0: [u8; 2] = [0xFE, 0xFF];
const DTLS_1_2: [u8; 2] = [0xFE, 0xFD];

/// Bytes of a cookie.
pub(super) const COOKIE_BYTES: usize = 32;

/// Bytes of the number that a client makes for one handshake.
pub(super) const RANDOM_BYTES: usize = 32;

/// What a datagram begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A ClientHello.
    Hello,
    /// Another plaintext message of a handshake.
    Handshake,
    /// A record under a key.
    Protected,
}

/// What a datagram begins with; `None` if no session may see it.
pub(super) fn kind(datagram: &[u8]) -> Option<Kind> {
    let mut first = None;
    let mut rest = datagram;
    for _ in 0..MAX_RECORDS {
        let (record, after) = Record::split(rest)?;
        let kind = record.kind()?;
        first.get_or_insert(kind);
        rest = after;
        if rest.is_empty() {
            return first;
        }
    }
    None
}

struct Record<'a> {
    content_type: u8,
    epoch: u16,
    /// 48 bits.
    sequence: u64,
    content: &'a [u8],
    /// Header and content.
    whole: &'a [u8],
}

impl<'a> Record<'a> {
    fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER>()?;
        let [content_type, _, _, epoch @ .., high, low] = header;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (content, after) = rest.split_at_checked(length)?;
        let [e0, e1, sequence @ ..] = epoch;
        let record = Self {
            content_type: *content_type,
            epoch: u16::from_be_bytes([*e0, *e1]),
            sequence: sequence.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
            content,
            whole: bytes.get(..RECORD_HEADER + length)?,
        };
        Some((record, after))
    }

    fn kind(&self) -> Option<Kind> {
        match (self.epoch, self.content_type) {
            (0, HANDSHAKE) if self.content.first() == Some(&CLIENT_HELLO) => Some(Kind::Hello),
            (0, HANDSHAKE | CHANGE_CIPHER_SPEC) => Some(Kind::Handshake),
            (1, ALERT | HANDSHAKE | APPLICATION_DATA) => Some(Kind::Protected),
            _ => None,
        }
    }
}

/// A whole ClientHello.
pub(super) struct Hello<'a> {
    /// Its record.
    pub(super) record: &'a [u8],
    /// The record's sequence number: 48 bits.
    pub(super) sequence: u64,
    /// How many messages the client sent before it in this handshake, all of them ClientHellos.
    pub(super) message: u16,
    /// The number that names the handshake.
    pub(super) random: [u8; RANDOM_BYTES],
    /// What it returns; empty in the first one.
    pub(super) cookie: &'a [u8],
    before_cookie: &'a [u8],
    after_cookie: &'a [u8],
}

impl<'a> Hello<'a> {
    /// Reads the first record of a datagram.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (record, _) = Record::split(datagram)?;
        if record.kind() != Some(Kind::Hello) {
            return None;
        }
        let (header, body) = record.content.split_first_chunk::<HANDSHAKE_HEADER>()?;
        let [_, l0, l1, l2, m0, m1, offset @ .., f0, f1, f2] = header;
        let whole = [l0, l1, l2] == [f0, f1, f2] && offset == &[0; 3];
        let length = usize::from(*l0) << 16 | usize::from(*l1) << 8 | usize::from(*l2);
        let message = u16::from_be_bytes([*m0, *m1]);
        if !whole || length != body.len() || message > MAX_EARLIER_HELLOS {
            return None;
        }
        let (version, rest) = body.split_first_chunk::<2>()?;
        let (random, rest) = rest.split_first_chunk::<RANDOM_BYTES>()?;
        let (session_length, rest) = rest.split_first()?;
        let (_, rest) = rest.split_at_checked(usize::from(*session_length))?;
        let before_cookie = &body[..body.len() - rest.len()];
        let (cookie_length, rest) = rest.split_first()?;
        let (cookie, after_cookie) = rest.split_at_checked(usize::from(*cookie_length))?;
        (version == &DTLS_1_2 && !after_cookie.is_empty()).then_some(Self {
            record: record.whole,
            sequence: record.sequence,
            message,
            random: *random,
            cookie,
            before_cookie,
            after_cookie,
        })
    }

    /// The answer that asks for the same ClientHello with a cookie. It carries the ClientHello's own numbers, so nothing
    /// has to be remembered (RFC 6347 §4.2.1).
    pub(super) fn verify_request(&self, cookie: &[u8; COOKIE_BYTES]) -> Vec<u8> {
        let body = [&DTLS_1_0[..], &[0x20], cookie].concat();
        let header = handshake_header(HELLO_VERIFY_REQUEST, body.len(), self.message);
        let content = [&header[..], &body].concat();
        [&record_header(HANDSHAKE, DTLS_1_0, self.sequence, content.len())[..], &content].concat()
    }

    /// The ClientHello as it was before a cookie was asked for, as the client's message `message`.
    pub(super) fn without_cookie(&self, message: u16) -> Vec<u8> {
        let body = [self.before_cookie, &[0], self.after_cookie].concat();
        let content = [&handshake_header(CLIENT_HELLO, body.len(), message)[..], &body].concat();
        let header = record_header(HANDSHAKE, DTLS_1_0, u64::from(message), content.len());
        [&header[..], &content].concat()
    }
}

/// A plaintext fatal alert `handshake_failure` (40), for a handshake that failed.
pub(super) fn handshake_failure(sequence: u64) -> Vec<u8> {
    [&record_header(ALERT, DTLS_1_2, sequence, 2)[..], &[2, 40]].concat()
}

/// Adds `shift` to the sequence numbers of a datagram's plaintext records and returns the last of them.
pub(super) fn renumber(datagram: &mut [u8], shift: u64) -> Option<u64> {
    let mut last = None;
    let mut rest = datagram;
    while let Some((header, after)) = rest.split_first_chunk_mut::<RECORD_HEADER>() {
        let [_, _, _, e0, e1, sequence @ .., high, low] = header;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if [*e0, *e1] == [0; 2] {
            let number = sequence.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
            let shifted = number.wrapping_add(shift);
            let [_, _, bytes @ ..] = shifted.to_be_bytes();
            *sequence = bytes;
            last = Some(shifted);
        }
        let Some((_, next)) = after.split_at_mut_checked(length) else { break };
        rest = next;
    }
    last
}

fn record_header(
    content_type: u8,
    version: [u8; 2],
    sequence: u64,
    length: usize,
) -> [u8; RECORD_HEADER] {
    let [_, _, s0, s1, s2, s3, s4, s5] = sequence.to_be_bytes();
    let [.., high, low] = length.to_be_bytes();
    let [v0, v1] = version;
    [content_type, v0, v1, 0, 0, s0, s1, s2, s3, s4, s5, high, low]
}

/// Of a message in one fragment.
fn handshake_header(message_type: u8, length: usize, number: u16) -> [u8; HANDSHAKE_HEADER] {
    let [.., l0, l1, l2] = length.to_be_bytes();
    let [n0, n1] = number.to_be_bytes();
    [message_type, l0, l1, l2, n0, n1, 0, 0, 0, l0, l1, l2]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(cookie: &[u8], message: u16, sequence: u64) -> Vec<u8> {
        let length = [u8::try_from(cookie.len()).unwrap()];
        let body =
            [&DTLS_1_2[..], &[7; 32], &[0], &length, cookie, &[0, 2, 0xC0, 0xA8, 1, 0]].concat();
        let content = [&handshake_header(CLIENT_HELLO, body.len(), message)[..], &body].concat();
        [&record_header(HANDSHAKE, DTLS_1_0, sequence, content.len())[..], &content].concat()
    }

    #[test]
    fn a_hello_is_read_and_its_cookie_can_be_taken_out() {
        let (with, without) = (hello(&[9; 32], 1, 5), hello(&[], 0, 0));
        let parsed = Hello::parse(&with).unwrap();
        assert_eq!((parsed.message, parsed.sequence, parsed.cookie), (1, 5, &[9; 32][..]));
        assert_eq!((parsed.random, parsed.record), ([7; 32], &with[..]));
        assert_eq!(parsed.without_cookie(0), without);
    }

    #[test]
    fn a_request_for_a_cookie_repeats_the_numbers_and_is_shorter_than_the_hello() {
        let datagram = hello(&[], 0, 0x0102_0304_0506);
        let request = Hello::parse(&datagram).unwrap().verify_request(&[3; 32]);
        assert_eq!(request[..11], [22, 0xFE, 0xFF, 0, 0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(request[13..25], [3, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 35]);
        assert_eq!(request[25..28], [0xFE, 0xFF, 32]);
        assert_eq!(request[28..], [3; 32]);
        assert!(request.len() < datagram.len());
    }

    #[test]
    fn a_hello_that_is_cut_short_or_in_fragments_is_none() {
        let whole = hello(&[9; 32], 1, 5);
        for length in 0..whole.len() {
            assert!(Hello::parse(&whole[..length]).is_none(), "{length} bytes");
            assert!(kind(&whole[..length]).is_none(), "{length} bytes");
        }
        let mut fragment = whole.clone();
        fragment[RECORD_HEADER + 3] += 1;
        assert!(Hello::parse(&fragment).is_none());
        assert!(Hello::parse(&hello(&[], MAX_EARLIER_HELLOS + 1, 0)).is_none());
    }

    #[test]
    fn plaintext_data_and_alerts_reach_no_session_alone_or_behind_a_handshake() {
        let record = |content_type, epoch: u8| {
            let mut header = record_header(content_type, DTLS_1_2, 1, 1);
            header[4] = epoch;
            [&header[..], &[16]].concat()
        };
        assert_eq!(kind(&record(HANDSHAKE, 0)), Some(Kind::Handshake));
        assert_eq!(kind(&record(APPLICATION_DATA, 1)), Some(Kind::Protected));
        let last = [record(HANDSHAKE, 0), record(CHANGE_CIPHER_SPEC, 0), record(HANDSHAKE, 1)];
        assert_eq!(kind(&last.concat()), Some(Kind::Handshake));
        for (content_type, epoch) in
            [(APPLICATION_DATA, 0), (ALERT, 0), (HANDSHAKE, 2), (CHANGE_CIPHER_SPEC, 1), (25, 1)]
        {
            let forbidden = record(content_type, epoch);
            assert_eq!(kind(&forbidden), None, "{content_type} in {epoch}");
            assert_eq!(kind(&[record(HANDSHAKE, 0), forbidden].concat()), None);
        }
        assert_eq!(kind(&record(HANDSHAKE, 0).repeat(MAX_RECORDS)), Some(Kind::Handshake));
        assert_eq!(kind(&record(HANDSHAKE, 0).repeat(MAX_RECORDS + 1)), None);
    }

    #[test]
    fn only_plaintext_records_are_renumbered() {
        let plain = record_header(HANDSHAKE, DTLS_1_2, 1, 0).to_vec();
        let mut protected = plain.clone();
        protected[4] = 1;
        let mut datagram = [plain.clone(), plain, protected.clone()].concat();
        assert_eq!(renumber(&mut datagram, 6), Some(7));
        assert_eq!((datagram[10], datagram[23]), (7, 7));
        assert_eq!(datagram[26..], protected);
        assert_eq!(renumber(&mut datagram, u64::MAX), Some(6), "shifts wrap");
    }
}
