//! The whole report: on the terminal, and between two marks in `tests/bench/README.md`.

use std::{fmt, fs, path::Path, time::Duration};

use crate::{
    Result,
    append::Appends,
    field::Field,
    large::Large,
    payments::Payments,
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
    pub(crate) field: Field,
    pub(crate) payments: Payments,
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

    /// Those of CoAP; rates are per second of the server's processor time.
    fn field_budgets(&self, table: &mut Table) {
        let Field { libcoap, get, post, secure_post, handshakes, memory_kib, .. } = &self.field;
        let mut row = |what: &str, budget: String, measured: String, holds: bool| {
            table.row([what, &budget, &measured, if holds { "yes" } else { "NO" }]);
        };
        let per_second = |rate: f64| format!("{}/s", whole(rate));
        let (least, half) = (format!("≥ {}", per_second(*libcoap)), libcoap / 2.0);
        row("CoAP GET, as libcoap's", least, per_second(*get), get >= libcoap);
        let least = format!("≥ {}", per_second(half));
        row("CoAP POST, durable, as half of that", least, per_second(*post), *post >= half);
        let least = "≥ 10 000/s".to_owned();
        row("DTLS POST, durable", least, per_second(*secure_post), *secure_post >= 1e4);
        let memory = format!("{} MB", whole(*memory_kib as f64 * 1024.0 / 1e6));
        row("memory with 1 000 DTLS devices", "≤ 30 MB".to_owned(), memory, *memory_kib <= 29_297);
        let back = time(*handshakes);
        let soon = *handshakes < Duration::from_secs(10);
        row("1 000 DTLS devices are back", "< 10 s".to_owned(), back, soon);
    }

    fn payment_budgets(&self, table: &mut Table) {
        let Payments { per_processor_second, serial, sync, .. } = &self.payments;
        let mut row = |what: &str, budget: String, measured: String, holds: bool| {
            table.row([what, &budget, &measured, if holds { "yes" } else { "NO" }]);
        };
        let (rate, holds) =
            (format!("{}/s", whole(*per_processor_second)), *per_processor_second >= 5e3);
        row(
            "payments over many channels, per core of the payer",
            "≥ 5 000/s".to_owned(),
            rate,
            holds,
        );
        let most = *sync * 2;
        row(
            "one payment in one channel, as two syncs",
            format!("≈ {}", time(most)),
            time(*serial),
            *serial <= most * 2,
        );
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
        self.field_budgets(&mut table);
        self.payment_budgets(&mut table);
        table
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Machine: {}.\n", self.machine)?;
        writeln!(f, "{}", self.budgets())?;
        writeln!(f, "{}", self.field.table)?;
        writeln!(f, "{}", self.payments.table)?;
        writeln!(f, "{}", self.appends.table)?;
        writeln!(f, "{}", self.disk())?;
        write!(f, "{}", self.proofs.table)
    }
}
