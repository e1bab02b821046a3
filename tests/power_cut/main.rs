//! Crash tests: the real recorder, its files and the real SQLite on a disk in memory that fails or loses power at every
//! write and every sync, all of them.
//!
//! - [`memory`], [`vfs`]: the disk, for the log and for SQLite; [`survival`]: what is left of it
//! - [`scenario`]: what happens; [`check`]: what must hold afterwards
//! - [`cuts`]: power cuts, failing and full disks, killed processes, at every step
mod check;
mod cuts;
mod memory;
mod scenario;
mod survival;
mod vfs;
