//! go-perun's messages in both of its encodings.
