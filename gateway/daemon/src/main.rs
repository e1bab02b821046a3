//! The command `sluicegate`.
fn main() {}
