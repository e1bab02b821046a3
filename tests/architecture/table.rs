//! The layout and the dependency table of the design (§3), once, as data.
//!
//! Order: as in the design. Crates that do not exist yet stand here already; a crate that does not
//! stand here fails the test, so a new one starts with a decision about what it may use.

/// One crate: where it sits, what it may use of ours, and whether it is sans-io.
pub(crate) struct Crate {
    /// Folder from the top of the repository; the package is `sluicegate-<last part>`.
    pub(crate) folder: &'static str,
    /// Folders of the crates that it may use; never one that stands above it or beside it.
    pub(crate) may_use: &'static [&'static str],
    /// No executor, socket, file, clock or randomness, in its sources or in what it depends on.
    pub(crate) sans_io: bool,
}

const PROTOCOL: &str = "device-sdk/protocol";
const DEVICE: &str = "device-sdk/device";
const LEDGER: &str = "backends/ledger";
const CONTRACTS: &str = "backends/contracts";
const BUS: &str = "gateway/bus";

/// Every crate of the product. What lies in `tests` may use anything, and nothing may use it.
pub(crate) const CRATES: &[Crate] = &[
    sans_io(PROTOCOL, &[]),
    sans_io(DEVICE, &[PROTOCOL]),
    sans_io("gateway/coap", &[PROTOCOL]),
    sans_io("gateway/channels", &[PROTOCOL, LEDGER]),
    sans_io("gateway/notary", &[PROTOCOL, LEDGER]),
    sans_io("gateway/tabs", &[PROTOCOL, LEDGER]),
    other("device-sdk/c", &[DEVICE, PROTOCOL]),
    other("device-sdk/firmware", &[DEVICE, PROTOCOL]),
    sans_io(LEDGER, &[PROTOCOL]),
    other(CONTRACTS, &[]),
    other("backends/embedded", &[LEDGER, PROTOCOL]),
    other("backends/ethereum", &[LEDGER, PROTOCOL, CONTRACTS]),
    other("backends/polkadot", &[LEDGER, PROTOCOL, CONTRACTS]),
    other("backends/stellar", &[LEDGER, PROTOCOL]),
    other(BUS, &[]),
    other("gateway/ctl", &[BUS]),
    other(
        DAEMON,
        &[
            PROTOCOL,
            DEVICE,
            "gateway/coap",
            "gateway/channels",
            "gateway/notary",
            "gateway/tabs",
            LEDGER,
            CONTRACTS,
            "backends/embedded",
            "backends/ethereum",
            "backends/polkadot",
            "backends/stellar",
            BUS,
        ],
    ),
];

/// The only crate with the features [`LEDGER_FEATURES`].
pub(crate) const DAEMON: &str = "gateway/daemon";

/// Features that add a remote ledger.
pub(crate) const LEDGER_FEATURES: &[&str] = &["ethereum", "polkadot", "stellar"];

/// What may not be anywhere in `Cargo.lock`.
pub(crate) const BANNED: &[&str] =
    &["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "stellar-core"];

/// Executors, sockets, files, clocks, randomness: not in what a sans-io crate depends on.
pub(crate) const IO_PACKAGES: &[&str] = &[
    "async-executor",
    "async-io",
    "async-std",
    "chrono",
    "curl",
    "fastrand",
    "futures-executor",
    "getrandom",
    "hyper",
    "libsqlite3-sys",
    "memmap2",
    "mio",
    "native-tls",
    "nix",
    "notify",
    "polling",
    "quinn",
    "rand",
    "reqwest",
    "rusqlite",
    "rustix",
    "rustls",
    "signal-hook",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "ureq",
    "zbus",
];

/// The same in the standard library: not in the sources of a sans-io crate.
pub(crate) const IO_PATHS: &[&str] = &[
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::UNIX_EPOCH",
    "Instant::now",
    "SystemTime::now",
];

const fn sans_io(folder: &'static str, may_use: &'static [&'static str]) -> Crate {
    Crate { folder, may_use, sans_io: true }
}

const fn other(folder: &'static str, may_use: &'static [&'static str]) -> Crate {
    Crate { folder, may_use, sans_io: false }
}

/// The row of a folder.
pub(crate) fn row(folder: &str) -> Option<&'static Crate> {
    CRATES.iter().find(|row| row.folder == folder)
}

/// Whether a folder belongs to the tests, which may use anything.
pub(crate) fn is_test(folder: &str) -> bool {
    folder == "tests" || folder.starts_with("tests/")
}
