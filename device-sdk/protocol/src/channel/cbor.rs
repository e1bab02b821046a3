//! CBOR.
