//! Every bound and every time of the endpoint, with defaults (RFC 7252 §4.8; RFC 7641 §4.5).
//!
//! Guarantees: what the endpoint holds is bounded by these values, for each peer and in total; the
//! defaults suit a gateway with 1,000 devices and about 16 MiB for CoAP. Does not: check that
//! the values make sense together; a bound of 0 turns the feature off.

/// Bounds and times. Sizes are bytes, times milliseconds, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Largest datagram that is read or written.
    pub datagram: usize,
    /// Largest body of a request or response, put together from blocks.
    pub body: usize,
    /// Largest block, as its exponent: 2^(4 + n) bytes, 0 to 6 (16 to 1024 bytes).
    pub block: u8,
    /// Peers whose state is held. A new peer takes the place of the one that was silent longest;
    /// a verified one is replaced only by a verified one.
    pub peers: usize,
    /// Bytes of bodies, stored answers and waiting messages, for all peers together.
    pub bytes: usize,
    /// Those of them that peers may hold that are not verified; they are also the first to go.
    pub unverified_bytes: usize,
    /// Bytes of each peer.
    pub bytes_per_peer: usize,
    /// Exchanges whose repetitions are recognised, for all peers together: each for its lifetime,
    /// or until so many newer ones.
    pub exchanges: usize,
    /// The same for each peer.
    pub exchanges_per_peer: usize,
    /// Requests of one peer that wait for the application at the same time; one more gets 5.03.
    pub pending_per_peer: usize,
    /// Block1 transfers of one peer at the same time; one more takes the place of the oldest.
    pub uploads_per_peer: usize,
    /// Large responses of one peer that are kept for its next blocks; one more takes the place of
    /// the oldest, and a later block is answered by asking the application again.
    pub representations_per_peer: usize,
    /// A block-wise transfer is dropped when nothing moved for so long.
    pub transfer_timeout: u64,
    /// Observations by one peer; one more is answered like a plain GET.
    pub observations_per_peer: usize,
    /// Observations by all peers together.
    pub observations: usize,
    /// Requests of ours to one peer that are not answered yet, with our observations at it.
    pub requests_per_peer: usize,
    /// The same for all peers together.
    pub requests: usize,
    /// Messages to one peer that wait for their turn (NSTART).
    pub waiting_per_peer: usize,
    /// Requests that one peer may make per second on average; 0 is without limit. The blocks of a
    /// transfer that goes on, and repetitions, don't count.
    pub rate: u32,
    /// Requests that one peer may make at once after a pause.
    pub burst: u32,
    /// Unverified peers: whether requests that change something need a fresh Echo (RFC 9175).
    /// Answers of more than three times the bytes received, observations and transfers always do.
    pub echo_for_changes: bool,
    /// How long an Echo value is fresh.
    pub echo_lifetime: u64,
    /// A confirmable request is acknowledged after so long if there is no answer yet.
    pub ack_delay: u64,
    /// ACK_TIMEOUT: the first repetition comes after this times 1 to 1.5.
    pub ack_timeout: u64,
    /// MAX_RETRANSMIT
    pub max_retransmit: u32,
    /// NSTART: confirmable messages in flight to one peer.
    pub nstart: usize,
    /// PROBING_RATE in bytes per second, to a peer that does not answer.
    pub probing_rate: u32,
    /// EXCHANGE_LIFETIME: how long a confirmable request is recognised.
    pub exchange_lifetime: u64,
    /// NON_LIFETIME: how long a non-confirmable request is recognised.
    pub non_lifetime: u64,
    /// How long we wait for an answer that comes after the acknowledgement, or to a
    /// non-confirmable request.
    pub response_timeout: u64,
    /// A notification is confirmable when the last confirmed one is so long ago (RFC 7641 §4.5).
    pub confirm_observer: u64,
    /// An observation by a peer that is not verified ends when the peer neither asked again nor acknowledged for so long
    /// and is silent.
    pub observer_timeout: u64,
    /// A peer without observations and requests is dropped after so long in silence, with its
    /// exchanges; so not before EXCHANGE_LIFETIME.
    pub peer_timeout: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            datagram: 1472,
            body: 256 * 1024,
            block: 6,
            peers: 4096,
            bytes: 8 * 1024 * 1024,
            unverified_bytes: 2 * 1024 * 1024,
            bytes_per_peer: 512 * 1024,
            exchanges: 65_536,
            exchanges_per_peer: 64,
            pending_per_peer: 16,
            uploads_per_peer: 2,
            representations_per_peer: 2,
            transfer_timeout: 60_000,
            observations_per_peer: 16,
            observations: 4096,
            requests_per_peer: 8,
            requests: 8192,
            waiting_per_peer: 16,
            rate: 50,
            burst: 200,
            echo_for_changes: true,
            echo_lifetime: 60_000,
            ack_delay: 500,
            ack_timeout: 2_000,
            max_retransmit: 4,
            nstart: 1,
            probing_rate: 1,
            exchange_lifetime: 247_000,
            non_lifetime: 145_000,
            response_timeout: 93_000,
            confirm_observer: 24 * 3600 * 1000,
            observer_timeout: 3_600_000,
            peer_timeout: 300_000,
        }
    }
}
