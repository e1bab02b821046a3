//! Fuzz targets: one function for every decoder that reads bytes of someone else.
//!
//! Guarantees: a target returns whether its decoder accepted the bytes, and panics only if the
//! decoder breaks a promise (panics itself, accepts a second encoding, or gives back other bytes).
//! Does not: know libFuzzer; `fuzz_targets/` calls these functions from it.
//!
//! `make fuzz` runs [`TARGETS`] under libFuzzer, `cargo test` replays `corpus/<target>/` through
//! them. A new decoder takes a function here, a row in [`TARGETS`], a file in `fuzz_targets/`, a
//! `[[bin]]` and a seed (`examples/seeds/`); a finding is kept as `corpus/<target>/<name>`.

#![allow(clippy::expect_used, reason = "a broken promise is a finding")]

// The simulated devices' client, so that there is one.
mod channel;
#[path = "../../devices/dtls.rs"]
#[allow(dead_code, unreachable_pub)]
mod client;
mod coap;
mod daemon;
mod device;
mod device_channel;
mod dtls;
mod embedded;
mod history;
mod ledger;
mod notary;
mod perun;
mod protocol;
mod senml;

pub use channel::channel_state;
pub use coap::{coap_endpoint, coap_message, link_format};
pub use daemon::{configuration, feed_rows, log_tail, mqtt_topic, socket_line};
pub use device::{CONFIG as DEVICE, Steps, device, device_mqtt};
pub use device_channel::device_channel;
pub use dtls::{dtls_place, dtls_sessions, dtls_table};
pub use embedded::{
    ledger_answer, ledger_file, ledger_question, ledger_record, open_ledger, records_of,
    transaction,
};
pub use history::{channel_history, channel_record};
pub use ledger::{LEDGER, anchor_evidence, fee_budgets, outbox_record};
pub use notary::{bundle, entry, multi_inclusion, policy, tile_entries, tile_path, tlog_proof};
pub use perun::{perun_protobuf, perunio};
pub use protocol::{checkpoint, consistency, inclusion, note, verifier_key};
pub use senml::senml;

/// A target: whether its decoder accepts the bytes.
pub type Target = fn(&[u8]) -> bool;

/// Every target by name, in alphabetical order.
pub const TARGETS: &[(&str, Target)] = &[
    ("anchor_evidence", anchor_evidence),
    ("bundle", bundle),
    ("channel_history", channel_history),
    ("channel_record", channel_record),
    ("channel_state", channel_state),
    ("checkpoint", checkpoint),
    ("coap_endpoint", coap_endpoint),
    ("coap_message", coap_message),
    ("configuration", configuration),
    ("consistency", consistency),
    ("device", device),
    ("device_channel", device_channel),
    ("device_mqtt", device_mqtt),
    ("dtls_sessions", dtls_sessions),
    ("entry", entry),
    ("fee_budgets", fee_budgets),
    ("feed_rows", feed_rows),
    ("inclusion", inclusion),
    ("ledger_answer", ledger_answer),
    ("ledger_file", ledger_file),
    ("ledger_question", ledger_question),
    ("ledger_record", ledger_record),
    ("link_format", link_format),
    ("log_tail", log_tail),
    ("mqtt_topic", mqtt_topic),
    ("multi_inclusion", multi_inclusion),
    ("note", note),
    ("outbox_record", outbox_record),
    ("perun_protobuf", perun_protobuf),
    ("perunio", perunio),
    ("policy", policy),
    ("senml", senml),
    ("socket_line", socket_line),
    ("tile_entries", tile_entries),
    ("tile_path", tile_path),
    ("tlog_proof", tlog_proof),
    ("transaction", transaction),
    ("verifier_key", verifier_key),
];

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    fn listing(folder: &str) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    fn names(folder: &str) -> Vec<String> {
        let stem = |path: PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
        listing(folder).into_iter().map(stem).collect()
    }

    #[test]
    fn every_corpus_replays() {
        for (name, target) in TARGETS {
            let files = listing(&format!("corpus/{name}"));
            let accepted = files.iter().filter(|file| target(&fs::read(file).unwrap())).count();
            assert!(accepted > 0, "{name}: no seed is accepted, so the corpus tests little");
        }
    }

    #[test]
    fn every_target_has_a_corpus_and_an_entry_for_libfuzzer() {
        let targets: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names("corpus"), targets);
        assert_eq!(names("fuzz_targets"), targets);
    }
}
