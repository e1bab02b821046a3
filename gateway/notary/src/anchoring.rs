//! When the log is anchored, and how well that goes.
//!
//! Guarantees: an anchor counts only once it is final; a tree that did not grow is not anchored again before the
//! heartbeat; one anchor is under way at a time. Intervals run on the monotonic clock, so that a wall-clock step
//! neither floods nor starves the ledger (design §3).
//! Does not: talk to a ledger or pay; the outbox of `sluicegate-ledger` does, with its fee ceilings.
//!
//! Order of calls: [`Anchoring::appended`] for each leaf, [`Anchoring::due`] at [`Anchoring::next_deadline`], then
//! beacon, checkpoint, [`Anchoring::started`], and [`Anchoring::finalised`] or [`Anchoring::failed`].
//! Specification: `specs/notary.md` §2, anchoring cadence policy.

use sluicegate_protocol::Digest;

use crate::entry::Timestamp;

/// The limits that make an anchor due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cadence {
    /// At most one anchor in this time, in milliseconds, if the tree grew.
    pub interval_ms: u64,
    /// One anchor in this time even if it did not grow.
    pub heartbeat_ms: u64,
    /// So many unanchored leaves are anchored without waiting for the interval; 0 for no such limit.
    pub max_leaves: u64,
    /// Pause after a failed attempt.
    pub retry_ms: u64,
}

/// An anchor that was asked for and is not final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay {
    /// Digest of the checkpoint.
    pub digest: Digest,
    /// Leaves under the checkpoint.
    pub size: u64,
}

/// The state of anchoring for one log.
#[derive(Debug)]
pub struct Anchoring {
    cadence: Cadence,
    under_way: Option<UnderWay>,
    anchored_size: u64,
    /// Readings and other leaves that ask for an anchor; beacons don't.
    grown: u64,
    oldest: Option<Timestamp>,
    /// Size of the log and time of its newest growth while no anchor was under way.
    newest: Option<(u64, Timestamp)>,
    /// The oldest leaf that the anchor under way does not cover.
    oldest_after: Option<Timestamp>,
    grown_after: u64,
    last_start_ms: Option<u64>,
    not_before_ms: u64,
    urgent: bool,
}

impl Anchoring {
    /// The state after a start: what is anchored finally, and the oldest leaf that is not, if any.
    ///
    /// What waits already is due at once. Where nothing waits, the heartbeat counts from `now_ms`, so that a gateway
    /// that starts again and again does not pay again and again.
    pub const fn new(
        cadence: Cadence,
        now_ms: u64,
        anchored_size: u64,
        oldest: Option<Timestamp>,
    ) -> Self {
        Self {
            cadence,
            under_way: None,
            anchored_size,
            grown: oldest.is_some() as u64,
            oldest,
            newest: None,
            oldest_after: None,
            grown_after: 0,
            last_start_ms: if anchored_size > 0 && oldest.is_none() { Some(now_ms) } else { None },
            not_before_ms: 0,
            urgent: false,
        }
    }

    /// So many `leaves` that should be anchored became durable, and the log has `size` leaves now.
    pub fn appended(&mut self, size: u64, leaves: u64, time: Timestamp) {
        if leaves == 0 {
            return;
        }
        if self.under_way.is_some() {
            self.grown_after = self.grown_after.saturating_add(leaves);
            self.oldest_after.get_or_insert(time);
        } else {
            self.grown = self.grown.saturating_add(leaves);
            self.oldest.get_or_insert(time);
            self.newest = Some((size, time));
        }
    }

    /// The next anchor shall not wait for the interval.
    pub const fn urgent(&mut self) {
        self.urgent = true;
    }

    /// Whether an anchor should begin now.
    pub fn due(&self, now_ms: u64) -> bool {
        self.next_deadline().is_some_and(|deadline| deadline <= now_ms)
    }

    /// When the next anchor should begin, in monotonic milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.under_way.is_some() {
            return None;
        }
        let since = |pause: u64| self.last_start_ms.map_or(0, |last| last.saturating_add(pause));
        let full = self.cadence.max_leaves > 0 && self.grown >= self.cadence.max_leaves;
        let wanted = match self.grown {
            _ if self.urgent || full => 0,
            0 => since(self.cadence.heartbeat_ms),
            _ => since(self.cadence.interval_ms),
        };
        Some(wanted.max(self.not_before_ms))
    }

    /// An anchor of this checkpoint was handed to the outbox.
    ///
    /// The checkpoint is a little older than this call: leaves that came since stay for the next anchor.
    pub fn started(&mut self, now_ms: u64, anchor: UnderWay) {
        let newer = self.newest.take().filter(|(size, _)| *size > anchor.size);
        self.resumed(anchor, newer.map(|(_, time)| time));
        self.last_start_ms = Some(now_ms);
        self.urgent = false;
    }

    /// An anchor that was under way before a restart still is; `later` is the oldest leaf that it does not cover.
    pub const fn resumed(&mut self, anchor: UnderWay, later: Option<Timestamp>) {
        self.under_way = Some(anchor);
        self.oldest_after = later;
        self.grown_after = later.is_some() as u64;
    }

    /// The anchor under way is final; gives the number of leaves that it covers.
    pub fn finalised(&mut self, digest: &Digest) -> Option<u64> {
        let anchor = self.under_way.take_if(|anchor| anchor.digest == *digest)?;
        self.anchored_size = self.anchored_size.max(anchor.size);
        self.oldest = self.oldest_after.take();
        self.grown = core::mem::take(&mut self.grown_after);
        Some(anchor.size)
    }

    /// The anchor under way will never be final; a new one is due after a pause.
    pub fn failed(&mut self, now_ms: u64, digest: &Digest) {
        if self.under_way.take_if(|anchor| anchor.digest == *digest).is_none() {
            return;
        }
        self.grown = self.grown.saturating_add(core::mem::take(&mut self.grown_after)).max(1);
        self.oldest = self.oldest.or(self.oldest_after.take());
        self.oldest_after = None;
        self.last_start_ms = None;
        self.not_before_ms = now_ms.saturating_add(self.cadence.retry_ms);
    }

    /// Time of the oldest leaf that no final anchor covers.
    pub fn oldest_unanchored(&self) -> Option<Timestamp> {
        self.oldest.or(self.oldest_after)
    }

    /// Leaves that a final anchor covers.
    pub const fn anchored_size(&self) -> u64 {
        self.anchored_size
    }

    /// The anchor that is not final yet.
    pub const fn under_way(&self) -> Option<UnderWay> {
        self.under_way
    }
}

/// Hours of measuring that [`Growth`] remembers.
const HOURS: usize = 24;

/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;

/// How fast the store grows, over the last day at most.
#[derive(Debug, Clone)]
pub struct Growth {
    /// Bytes of the hours since the start, by hour modulo [`HOURS`].
    buckets: [u64; HOURS],
    start_ms: u64,
    hour: u64,
}

impl Growth {
    /// Begins to measure.
    pub const fn new(now_ms: u64) -> Self {
        Self { buckets: [0; HOURS], start_ms: now_ms, hour: 0 }
    }

    /// So many bytes were added.
    pub fn add(&mut self, now_ms: u64, bytes: u64) {
        self.advance(now_ms);
        let bucket = &mut self.buckets[bucket_of(self.hour)];
        *bucket = bucket.saturating_add(bytes);
    }

    /// Hours until `free` bytes are used up at the present rate; `None` while nothing grows.
    pub fn hours_left(&mut self, now_ms: u64, free: u64) -> Option<u64> {
        self.advance(now_ms);
        let elapsed = now_ms.saturating_sub(self.start_ms);
        let in_hour = elapsed % HOUR_MS;
        let window =
            self.hour.min(HOURS as u64 - 1).saturating_mul(HOUR_MS).saturating_add(in_hour);
        let used = self.buckets.iter().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        // A minute at least, so that the first readings do not look like a flood.
        let window = u128::from(window.max(60_000));
        let hours = u128::from(free)
            .saturating_mul(window)
            .checked_div(u128::from(used).saturating_mul(u128::from(HOUR_MS)))?;
        Some(u64::try_from(hours).unwrap_or(u64::MAX))
    }

    fn advance(&mut self, now_ms: u64) {
        let hour = now_ms.saturating_sub(self.start_ms) / HOUR_MS;
        for passed in self.hour.saturating_add(1)..=hour.min(self.hour.saturating_add(HOURS as u64))
        {
            self.buckets[bucket_of(passed)] = 0;
        }
        self.hour = self.hour.max(hour);
    }
}

/// The bucket that an hour shares with those a day before and after it.
fn bucket_of(hour: u64) -> usize {
    usize::try_from(hour % HOURS as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CADENCE: Cadence =
        Cadence { interval_ms: 600, heartbeat_ms: 10_000, max_leaves: 5, retry_ms: 50 };

    fn leaf(ms: u64) -> Timestamp {
        Timestamp { ms, synchronised: true }
    }

    fn anchor(byte: u8, size: u64) -> UnderWay {
        UnderWay { digest: Digest::new([byte; 32]), size }
    }

    #[test]
    fn the_interval_holds_and_the_oldest_leaf_is_known() {
        let mut anchoring = Anchoring::new(CADENCE, 0, 0, None);
        anchoring.appended(2, 1, leaf(1));
        assert!(anchoring.due(0));
        anchoring.started(0, anchor(1, 2));
        anchoring.appended(3, 1, leaf(7));
        assert_eq!(
            (anchoring.next_deadline(), anchoring.oldest_unanchored()),
            (None, Some(leaf(1)))
        );
        assert_eq!(anchoring.finalised(&Digest::new([9; 32])), None);
        assert_eq!(anchoring.finalised(&Digest::new([1; 32])), Some(2));
        assert_eq!((anchoring.anchored_size(), anchoring.oldest_unanchored()), (2, Some(leaf(7))));
        assert_eq!(anchoring.next_deadline(), Some(600));
    }

    #[test]
    fn leaves_newer_than_the_checkpoint_are_anchored_next() {
        let mut anchoring = Anchoring::new(CADENCE, 0, 0, None);
        anchoring.appended(2, 1, leaf(1));
        anchoring.appended(3, 1, leaf(2));
        anchoring.started(0, anchor(1, 2));
        anchoring.finalised(&Digest::new([1; 32]));
        assert_eq!(
            (anchoring.next_deadline(), anchoring.oldest_unanchored()),
            (Some(600), Some(leaf(2)))
        );
        anchoring.started(600, anchor(2, 3));
        anchoring.finalised(&Digest::new([2; 32]));
        assert_eq!(
            (anchoring.next_deadline(), anchoring.oldest_unanchored()),
            (Some(10_600), None)
        );
    }

    #[test]
    fn leaves_newer_than_an_anchor_that_a_restart_interrupted_are_anchored_next() {
        let mut anchoring = Anchoring::new(CADENCE, 0, 0, Some(leaf(1)));
        anchoring.resumed(anchor(1, 2), Some(leaf(2)));
        assert_eq!(anchoring.oldest_unanchored(), Some(leaf(1)));
        anchoring.finalised(&Digest::new([1; 32]));
        assert_eq!(
            (anchoring.next_deadline(), anchoring.oldest_unanchored()),
            (Some(0), Some(leaf(2)))
        );
    }

    #[test]
    fn without_growth_only_the_heartbeat() {
        let mut anchoring = Anchoring::new(CADENCE, 0, 0, None);
        anchoring.started(5, anchor(1, 2));
        anchoring.finalised(&Digest::new([1; 32]));
        assert_eq!(anchoring.next_deadline(), Some(10_005));
        anchoring.urgent();
        assert!(anchoring.due(6));
    }

    #[test]
    fn a_restart_pays_only_for_what_waits() {
        let quiet = Anchoring::new(CADENCE, 7, 5, None);
        assert_eq!(quiet.next_deadline(), Some(10_007));
        let waiting = Anchoring::new(CADENCE, 7, 5, Some(leaf(3)));
        assert!(waiting.due(7));
        let first = Anchoring::new(CADENCE, 7, 0, None);
        assert!(first.due(7));
    }

    #[test]
    fn many_leaves_do_not_wait() {
        let mut anchoring = Anchoring::new(CADENCE, 0, 0, None);
        anchoring.started(0, anchor(1, 2));
        anchoring.finalised(&Digest::new([1; 32]));
        anchoring.appended(6, 4, leaf(0));
        assert!(!anchoring.due(10));
        anchoring.appended(7, 1, leaf(4));
        assert!(anchoring.due(10));
    }

    #[test]
    fn a_failure_is_retried_after_a_pause_and_loses_no_leaf() {
        let mut anchoring = Anchoring::new(CADENCE, 0, 0, Some(leaf(3)));
        anchoring.started(100, anchor(1, 2));
        anchoring.appended(3, 1, leaf(4));
        anchoring.failed(200, &Digest::new([1; 32]));
        assert_eq!(anchoring.next_deadline(), Some(250));
        assert_eq!((anchoring.oldest_unanchored(), anchoring.anchored_size()), (Some(leaf(3)), 0));
    }

    #[test]
    fn hours_left_follow_the_rate() {
        let mut growth = Growth::new(0);
        assert_eq!(growth.hours_left(HOUR_MS, 1000), None);
        growth.add(HOUR_MS + 1, 100);
        assert_eq!(growth.hours_left(2 * HOUR_MS, 1000), Some(20));
        assert_eq!(growth.hours_left(60 * HOUR_MS, 1000), None);
    }
}
