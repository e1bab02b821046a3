//! The whole report: on the terminal, and between two marks in `tests/bench/README.md`.

use std::{fmt, fs, path::Path, time::Duration};

use crate::{
    Result,
    append::Appends,
    large::Large,
    proofs::Proofs,
    site::PAYLOAD,
    stats::{grouped, rate, time, whole},
    table::Table,
};

/// Between these lines the README holds the last full run.
const BEGIN: &str = "<!-- begin of the last full run -->\n";
const END: &str = "<!-- end of the last full run -->\n";

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) machine: String,
    pub(crate) appends: Appends,
    pub(crate) large: Large,
    pub(crate) proofs: Proofs,
}

impl Report {
    /// Puts the report into the README of this folder.
    pub(crate) fn write_readme(&self) -> Result<()> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/README.md");
        let text = fs::read_to_string(&file)?;
        let (before, rest) = text.split_once(BEGIN).ok_or("the README has no begin mark")?;
        let (_, after) = rest.split_once(END).ok_or("the README has no end mark")?;
        Ok(fs::write(&file, format!("{before}{BEGIN}\n{self}\n{END}{after}"))?)
    }

    fn disk(&self) -> Table {
        let Large { readings, leaves, days, took, written, database, files, .. } = &self.large;
        let mut table = Table::new("Space on the disk", &["per reading", "bytes", "ratio"]);
        let mut row = |what: &str, bytes: u64| {
            let bytes = bytes as f64 / *readings as f64;
            let ratio = format!("{:.1}", bytes / PAYLOAD as f64);
            table.row([what, &whole(bytes), &ratio]);
        };
        row("payload", readings * PAYLOAD as u64);
        row("database", *database);
        row("files of the log", *files);
        row("written while the log was built", *written);
        table.note(&format!(
            "{} readings on {days} days: {} leaves. Built through the recorder in {}, {} \
             readings/s, 4 000 per\ncommit, without syncs of the log's files.",
            grouped(*readings),
            grouped(*leaves),
            time(*took),
            whole(rate(*readings, *took)),
        ));
        table
    }

    fn budgets(&self) -> Table {
        let head = ["what", "budget", "measured", "holds"];
        let mut table = Table::new("Budgets of the design (§11)", &head);
        let mut row = |what: &str, budget: &str, measured: String, holds: bool| {
            table.row([what, budget, &measured, if holds { "yes" } else { "NO" }]);
        };
        let best = self.appends.best;
        let per_second = format!("{}/s", whole(best));
        row(
            "durable readings, as many waiting as a commit takes",
            "≥ 20 000/s",
            per_second,
            best >= 2e4,
        );
        let mut proof = |what: &str, (took, bytes): (Duration, usize)| {
            let (fast, short) = (took < Duration::from_millis(1), bytes <= 1_500);
            row(&format!("{what}, built"), "< 1 ms", time(took), fast);
            row(
                &format!("{what}, size"),
                "≤ 1 500 B",
                format!("{} B", grouped(bytes as u64)),
                short,
            );
        };
        proof("inclusion path", self.proofs.path);
        proof("bundle of one reading", self.proofs.bundle);
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Machine: {}.\n", self.machine)?;
        writeln!(f, "{}", self.budgets())?;
        writeln!(f, "{}", self.appends.table)?;
        writeln!(f, "{}", self.disk())?;
        write!(f, "{}", self.proofs.table)
    }
}
