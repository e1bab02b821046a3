//! Parameters and states as the store and devices hold them: deterministic CBOR (RFC 8949 §4.2.1), integer keys.
//!
//! Guarantees: one encoding of a value; what is read passes its `check`. Does not: say which channel a state is of
//! beyond its id; [`State::check`] compares it with the parameters.
