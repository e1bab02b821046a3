//! The one error type of this crate: which rule a foreign input broke.
//!
//! Every variant blames the input, or a buffer that the caller made too small; nothing here fails
//! for a reason of its own.

/// The rule that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A checkpoint body that is not exactly origin, size and root (C2SP tlog-checkpoint).
    #[error("checkpoint body is malformed: {0}")]
    Checkpoint(&'static str),
    /// A Merkle path that does not lead from the leaf to the root, or the old root to the new one.
    #[error("the Merkle path does not lead to the root")]
    RootMismatch,
    /// A Merkle path with a number of hashes that no tree of this size has.
    #[error("the Merkle path has {found} hashes, a tree of this size needs {needed}")]
    PathLength {
        /// Hashes that the tree size and index ask for.
        needed: usize,
        /// Hashes that were given.
        found: usize,
    },
    /// An index outside the tree, or an old tree larger than the new one.
    #[error("index {index} is outside a tree of {size} leaves")]
    OutsideTree {
        /// The leaf index or old size.
        index: u64,
        /// The tree size.
        size: u64,
    },
    /// A signed note that does not have the form of C2SP signed-note.
    #[error("signed note is malformed: {0}")]
    Note(&'static str),
    /// A verifier key that does not have the form `name+id+key`.
    #[error("verifier key is malformed: {0}")]
    VerifierKey(&'static str),
    /// The note carries no signature line of this key.
    #[error("the note is not signed by this key")]
    NotSigned,
    /// A signature line names this key, but the signature is wrong.
    #[error("the signature does not verify")]
    BadSignature,
    /// A datagram that is no CoAP message (RFC 7252 §3).
    #[error("CoAP message is malformed: {0}")]
    Coap(&'static str),
    /// A number that is none, or that is not exact in 64 bits.
    #[error("{0}")]
    Decimal(&'static str),
    /// A text that is not one object of strict JSON (RFC 8259).
    #[error("JSON: {0}")]
    Json(&'static str),
    /// A SenML pack that is not an array of records, or holds no measurement (RFC 8428).
    #[error("SenML pack: {0}")]
    SenmlPack(&'static str),
    /// A SenML record that breaks a rule of RFC 8428, or of JSON or CBOR.
    #[error("record {record}: {rule}")]
    SenmlRecord {
        /// Its place in the pack, from 0.
        record: usize,
        /// The rule.
        rule: &'static str,
    },
    /// A field of a SenML record that is not what RFC 8428 says.
    #[error("record {record}, {field}: {rule}")]
    SenmlField {
        /// The record's place in the pack, from 0.
        record: usize,
        /// The label of the field, as in JSON.
        field: &'static str,
        /// The rule.
        rule: &'static str,
    },
    /// A channel, a state, a step between states or a signature that breaks a rule of Perun.
    #[error("channel: {0}")]
    Channel(#[from] crate::channel::Rule),
    /// A record that is not the one encoding of what it says.
    #[error("record is malformed: {0}")]
    Record(&'static str),
    /// A message that does not fit into the buffer that is to take it.
    #[error("the message does not fit into its buffer")]
    BufferFull,
}
