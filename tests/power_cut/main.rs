//! Crash tests: the real recorder, its files and the real SQLite on a disk in memory that fails or loses power at every
//! write and every sync, all of them.
//!
//! - [`memory`], [`vfs`]: the disk, for the log and for SQLite; [`survival`]: what is left of it
//! - [`scenario`]: what happens; [`check`]: what must hold afterwards
//! - [`cuts`]: power cuts, failing and full disks, killed processes, at every step
//! - [`again`]: the same while the readings of a closed log are logged again
//! - [`tiles`]: the same where a tile of the second level fills
//! - [`damage`], [`damage_tiles`], [`damage_kept`]: flipped bits, lost ends, lost files
//! - [`outbox`]: anchors on their way to a ledger
//!
//! Guarantees that what is written down as tested is tested at each step, not at a sample; only of the cuts that are
//! followed by a second cut, in the restart, the first ones are a sample. Does not: test the anchorer or the keeper, which
//! sit above; `tests/scenarios` kills the whole process.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod again;
mod check;
mod cuts;
mod damage;
mod damage_kept;
mod damage_tiles;
mod memory;
mod outbox;
mod scenario;
mod survival;
mod tiles;
mod vfs;
