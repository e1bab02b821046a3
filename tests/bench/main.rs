//! `make bench`: what the log, CoAP and payments cost on this machine, beside raw appends, reads, hashes,
//! signatures and libcoap's server in the same run, and whether the budgets of the design (§11) hold.
//!
//! Guarantees: everything measured goes through the daemon's own code on the real file system, and
//! its results are checked; nothing is left behind. Does not: fail because a budget is missed.
//!
//! Order: CoAP ([`field`]), payments ([`payments`]), durable appends ([`append`]), the large log ([`large`]), proofs from it
//! ([`proofs`]). `bench field` and `bench payments` measure only that and leave the committed table alone.
//! Variables: `BENCH_LEAVES` (10 000 000) makes a smaller log and leaves the committed table alone;
//! `BENCH_FOLDER` (beside the program) says on which disk.

#![allow(
    // Measurements are rates and ratios; nothing here is money, time or state of the product.
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::float_arithmetic
)]

mod append;
mod chain;
mod disk;
#[path = "../devices/dtls.rs"]
#[allow(dead_code, unreachable_pub)]
mod dtls;
mod field;
mod large;
mod machine;
mod payments;
mod process;
mod proofs;
mod report;
mod site;
mod stats;
mod table;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use self::{append::Appends, chain::Chain, proofs::Proofs, report::Report};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Leaves of the large log, as the budget says.
const LEAVES: u64 = 10_000_000;

/// A log of fewer has too few full tiles to tell anything.
const FEWEST: u64 = 200_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let leaves = env::var("BENCH_LEAVES").map_or(Ok(LEAVES), |leaves| leaves.parse())?;
    if leaves < FEWEST {
        return Err(format!("BENCH_LEAVES is less than {FEWEST}").into());
    }
    let folder = Scratch::new()?;
    let machine = machine::describe(&folder.0);
    let only = env::args().nth(1);
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    let field = wanted("field").then(|| field::measure(&folder.0)).transpose()?;
    let payments = wanted("payments").then(|| payments::measure(&folder.0)).transpose()?;
    let (field, payments) = match (field, payments) {
        (Some(field), Some(payments)) => (field, payments),
        (field, payments) => {
            let tables = [field.map(|field| field.table), payments.map(|payments| payments.table)];
            tables.iter().flatten().for_each(|table| println!("{table}"));
            return Ok(());
        }
    };
    eprintln!("measuring durable appends");
    let appends: Appends = append::measure(&folder.0)?;
    let chain = Chain::new();
    let log = folder.0.join("large");
    let large = large::build(&log, leaves, &chain)?;
    eprintln!("measuring proofs");
    let proofs: Proofs = proofs::measure(&log, &large, chain)?;
    let report = Report { machine, field, payments, appends, large, proofs };
    println!("{report}");
    if leaves == LEAVES { report.write_readme() } else { Ok(()) }
}

/// A folder of our own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let program = env::current_exe()?;
        let beside = program.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        let parent = env::var_os("BENCH_FOLDER").map_or(beside.to_owned(), PathBuf::from);
        let folder = parent.join("sluicegate-bench");
        remove(&folder)?;
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            eprintln!("bench: {} could not be removed: {error}", self.0.display());
        }
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
