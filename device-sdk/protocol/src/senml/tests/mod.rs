//! Tests of the packs: the RFC's examples, what is refused, and round trips.
