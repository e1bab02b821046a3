//! Scenarios: the real binary as processes, killed, starved and lied to, as an administrator and a
//! verifier see it.
//!
//! Guarantees: every scenario runs in a folder of its own with sockets inside it, waits for what it
//! waits for with a limit, and leaves no process behind. Does not: fake a clock or a disk; the
//! crash tests of the daemon do, and retention, which only a synchronised clock drives, is shown
//! there.
//!
//! Order of calls in a scenario: [`place::Place::new`], its processes, commands, and what they must
//! have done.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(missing_docs, unreachable_pub, reason = "a test binary has no public interface")]

mod chain;
mod channels;
mod client;
mod damage;
mod day;
mod effects;
mod hostile;
mod killed;
mod ledger;
mod logged;
mod meters;
mod own_key;
mod place;
mod process;
mod restore;
mod retention;
mod stop;
mod verdicts;
