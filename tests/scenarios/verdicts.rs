//! Every exit code of `verify`, and those of commands that can't even begin.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sluicegate_protocol::{
    SigningKey,
    note::{KeyKind, VerifierKey},
};

use crate::{
    place::{Place, rows},
    process::Process,
};

const NAME: &str = "ledger.scenario.example";

/// A place with one anchored reading, its bundle and its policy.
struct Proved {
    place: Place,
    bundle: PathBuf,
    policy: PathBuf,
    _processes: [Process; 2],
}

impl Proved {
    fn new() -> Self {
        let place = Place::new();
        let _processes = [place.ledger(), place.gateway()];
        place.feed(&rows("meter-1", 0..3));
        place.wait_anchored();
        let bundle = place.prove(&["meter-1", "--seq", "1"], "one.sgp");
        let policy = place.policy();
        Self { place, bundle, policy, _processes }
    }

    /// Another policy: this one without the lines that start with `without`, with a text behind.
    fn policy_but(&self, name: &str, without: &str, with: &str) -> PathBuf {
        let policy = fs::read_to_string(&self.policy).unwrap();
        let kept = policy.lines().filter(|line| !line.starts_with(without));
        let text: String = kept.map(|line| format!("{line}\n")).collect();
        let file = self.place.path(name);
        fs::write(&file, text + with).unwrap();
        file
    }

    fn code(&self, file: &Path, policy: &Path, more: &[&str]) -> i32 {
        self.place.verify(file, policy, more).0
    }
}

#[test]
fn an_anchor_counts_when_the_policy_or_the_asked_ledger_vouches_for_it() {
    let proved = Proved::new();
    let (bundle, policy) = (&proved.bundle, &proved.policy);
    assert_eq!(proved.code(bundle, policy, &[]), 0);
    let no_ledger = proved.policy_but("no-ledger", "ledger ", "");
    assert_eq!(proved.code(bundle, &no_ledger, &[]), 2);
    let live = format!("unix:{}", proved.place.path("ledger.sock").display());
    assert_eq!(proved.code(bundle, policy, &["--rpc", &live]), 0);
    assert_eq!(proved.code(bundle, &no_ledger, &["--rpc", &format!("{live}#{NAME}")]), 0);
    let bare = proved.place.prove(&["meter-1", "--seq", "1", "--format", "tlog-proof"], "bare");
    assert_eq!(proved.code(&bare, policy, &[]), 2, "it carries no evidence");
    assert_eq!(proved.code(&bare, policy, &["--rpc", &live]), 0);
    assert_eq!(proved.code(bundle, policy, &["--rpc", "unix:nobody.sock"]), 4);
    assert_eq!(proved.code(&bare, policy, &["--rpc", "unix:nobody.sock"]), 4);
}

#[test]
fn a_bundle_without_anchor_yet_says_so() {
    let place = Place::new();
    let ledger = place.ledger();
    let _gateway = place.gateway();
    // Before the ledger answered once, no checkpoint is shown.
    place.wait_anchored();
    drop(ledger);
    place.feed(&rows("meter-1", 0..3));
    let bundle = place.prove(&["meter-1"], "all.sgp");
    let policy = place.policy();
    assert_eq!(place.verify(&bundle, &policy, &[]).0, 2);
    // A ledger that is there and does not have it is another thing than one that is away.
    let _ledger = place.ledger();
    place.wait_anchored();
    let live = format!("unix:{}", place.path("ledger.sock").display());
    let (code, report) = place.verify(&bundle, &policy, &["--rpc", &live]);
    assert_eq!(code, 2, "{report}");
}

#[test]
fn tampered_and_forged_bundles_and_unknown_signers_are_invalid() {
    let (proved, forger) = (Proved::new(), Proved::new());
    let bytes = fs::read(&proved.bundle).unwrap();
    let tampered = proved.place.path("tampered.sgp");
    for position in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
        let mut changed = bytes.clone();
        changed[position] ^= 1;
        fs::write(&tampered, changed).unwrap();
        assert_eq!(proved.code(&tampered, &proved.policy, &[]), 1, "byte {position}");
    }
    // The same names, another key; also when a ledger vouches for the anchor.
    assert_eq!(forger.code(&forger.bundle, &forger.policy, &[]), 0, "a perfect forgery");
    let live = format!("unix:{}", forger.place.path("ledger.sock").display());
    for more in [&[][..], &["--rpc", &live]] {
        assert_eq!(proved.code(&forger.bundle, &proved.policy, more), 1);
        assert_eq!(proved.code(&proved.bundle, &forger.policy, more), 1);
    }
    // Only the ledger is forged: the log's signature holds, the anchor says nothing.
    let theirs = fs::read_to_string(&forger.policy).unwrap();
    let ledger = theirs.lines().find(|line| line.starts_with("ledger ")).unwrap();
    let other_ledger = proved.policy_but("other-ledger", "ledger ", &format!("{ledger}\n"));
    let code = proved.code(&proved.bundle, &other_ledger, &[]);
    assert!([1, 2].contains(&code), "{code}");
}

#[test]
fn each_of_several_files_gets_its_verdict_and_the_worst_counts() {
    let proved = Proved::new();
    let bare = proved.place.prove(&["meter-1", "--seq", "1", "--format", "tlog-proof"], "bare");
    let bad = proved.place.path("bad");
    fs::write(&bad, "no proof").unwrap();
    let [good, bare, bad] = [&proved.bundle, &bare, &bad].map(|file| file.to_str().unwrap());
    let policy = proved.policy.to_str().unwrap();
    for (files, worst) in [
        (&[good, good][..], 0),
        (&[good, bare, good], 2),
        (&["nowhere", bare, good], 64),
        (&["nowhere", good, bad, bare], 1),
    ] {
        let all = proved.place.run(&[&["verify", "--policy", policy], files].concat());
        assert_eq!(all.code, Some(worst), "{files:?}: {}{}", all.out, all.err);
        for file in files {
            let told = if *file == "nowhere" { &all.err } else { &all.out };
            assert!(told.contains(file), "{file} of {files:?}: {}{}", all.out, all.err);
        }
        let all = proved.place.run(&[&["verify", "--json", "--policy", policy], files].concat());
        assert_eq!((all.code, all.out.lines().count()), (Some(worst), files.len()), "{}", all.out);
        for (line, file) in all.out.lines().zip(files) {
            let told: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(told["file"], *file);
            assert_eq!(told["error"].is_string(), *file == "nowhere", "{told}");
        }
    }
}

#[test]
fn a_policy_that_asks_for_a_witness_gets_three() {
    let proved = Proved::new();
    let key = SigningKey::from_bytes(&[9; 32]).verifying_key();
    let key = VerifierKey::new("witness.example", KeyKind::Cosignature, key).unwrap();
    let asks = format!("witness w {key}\nquorum w\n");
    let policy = proved.policy_but("witnessed", "quorum ", &asks);
    let (code, report) = proved.place.verify(&proved.bundle, &policy, &[]);
    assert_eq!(code, 3, "{report}");
}

#[test]
fn usage_errors_end_with_64_and_touch_nothing() {
    let place = Place::new();
    fs::write(place.path("policy"), "neither log nor quorum\n").unwrap();
    fs::write(place.path("one.sgp"), "x").unwrap();
    for arguments in [
        &[][..],
        &["verify", "one.sgp"],
        &["verify", "--policy", "policy"],
        &["verify", "--policy", "nowhere", "one.sgp"],
        &["verify", "--policy", "policy", "one.sgp"],
        &["prove", "--config", "sluicegate.toml"],
        &["prove", "--device", "meter-1", "--seq", "1", "--day", "2026-11-20"],
        &["prove", "--device", "meter-1", "--from", "yesterday"],
        &["feed", "--rate", "0", "-"],
        &["sell"],
    ] {
        let ended = place.run(arguments);
        assert_eq!(ended.code, Some(64), "{arguments:?}: {}", ended.err);
        assert!(!ended.err.is_empty(), "{arguments:?} without a word");
    }
    assert!(!place.path("state").exists());
}

#[test]
fn a_wrong_configuration_or_credential_ends_with_78() {
    let place = Place::new();
    place.configure("commit_delay", "comit_delay");
    assert_wrong(&place, "comit_delay");
    place.configure("comit_delay", "commit_delay");
    let key = place.path("credentials/log-key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    assert_wrong(&place, "chmod 600");
    fs::remove_file(&key).unwrap();
    assert_wrong(&place, "log-key");
    let nowhere = place.run(&["run", "--config", "nowhere.toml"]);
    assert_eq!(nowhere.code, Some(78), "{}", nowhere.err);
    assert!(nowhere.err.contains("nowhere.toml"), "{}", nowhere.err);
}

fn assert_wrong(place: &Place, named: &str) {
    for command in ["run", "policy"] {
        let ended = place.run(&[command, "--config", "sluicegate.toml"]);
        assert_eq!(ended.code, Some(78), "{command}: {}", ended.err);
        assert!(ended.err.contains(named), "{command}: {}", ended.err);
    }
}
