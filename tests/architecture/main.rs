//! The architecture test: the layout, the dependency table and the form of the sources.
//!
//! Guarantees: a dependency that design §3 does not allow, an executor, socket, file or clock in a
//! sans-io crate, a banned package, a file that is too long or undocumented fails `make check` and
//! `make test`. Does not: need the network; `cargo` answers from `Cargo.lock` and what the build of
//! these tests has fetched. [`table`] says what is allowed, [`graph`] and [`source`] check it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod graph;
mod source;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use graph::Package;

#[test]
fn dependencies_follow_the_table() {
    none(graph::forbidden_edges(&packages()));
}

#[test]
fn crates_sit_where_the_layout_says() {
    none(graph::misplaced(&packages()));
}

#[test]
fn only_the_daemon_has_ledger_features() {
    none(graph::stray_features(&packages()));
}

#[test]
fn sans_io_crates_depend_on_no_io() {
    none(sans_io().iter().flat_map(|package| {
        let arguments = ["tree", "--edges", "normal", "--prefix", "none", "--package"];
        let tree = cargo(&[&arguments[..], &[package.name.as_str()]].concat());
        graph::io_in_tree(&package.folder, &tree)
    }));
}

#[test]
fn sans_io_sources_use_no_io() {
    let folders: Vec<_> =
        sans_io().iter().map(|package| format!("{}/src/", package.folder)).collect();
    let files = sources().filter(|(path, _)| folders.iter().any(|folder| path.starts_with(folder)));
    let product = files.filter(|(path, _)| !path.split('/').any(is_tests));
    none(product.flat_map(|(path, text)| located(&path, source::io_uses(&text))));
}

#[test]
fn nothing_banned_is_in_the_lock_file() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    none(graph::banned_in_lock(&lock));
}

#[test]
fn sources_are_documented_and_short() {
    none(sources().flat_map(|(path, text)| located(&path, source::form(&text))));
}

#[test]
fn no_file_mentions_a_machine() {
    none(files().flat_map(|(path, text)| located(&path, source::machine_paths(&text))));
}

fn none(findings: impl IntoIterator<Item = String>) {
    let findings: Vec<_> = findings.into_iter().collect();
    assert!(findings.is_empty(), "\n  {}\n", findings.join("\n  "));
}

fn located(path: &str, findings: Vec<String>) -> Vec<String> {
    findings.into_iter().map(|finding| format!("{path}:{finding}")).collect()
}

fn packages() -> Vec<Package> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    graph::packages(&serde_json::from_str(&metadata).expect("cargo writes JSON"))
}

fn sans_io() -> Vec<Package> {
    let is_sans_io = |folder: &str| table::row(folder).is_some_and(|row| row.sans_io);
    packages().into_iter().filter(|package| is_sans_io(&package.folder)).collect()
}

/// A file or folder of tests inside of a crate's sources.
fn is_tests(part: &str) -> bool {
    part == "tests" || part == "tests.rs"
}

fn sources() -> impl Iterator<Item = (String, String)> {
    files().filter(|(path, _)| path.ends_with(".rs"))
}

/// Every text file that is committed or would be: path from the top of the repository, and text.
fn files() -> impl Iterator<Item = (String, String)> {
    // The checkout may belong to someone else, in a container say.
    let arguments = ["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"];
    let list = run(Command::new("git").args(arguments).arg("--exclude-standard"));
    let paths: Vec<_> = list.split_terminator('\0').map(str::to_owned).collect();
    assert!(!paths.is_empty(), "git lists no files");
    // What is no text, and what is deleted but not yet committed, is left out.
    paths.into_iter().filter_map(|path| {
        let text = fs::read_to_string(root().join(&path)).ok()?;
        Some((path, text))
    })
}

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    run(Command::new(cargo).args(arguments).args(["--offline", "--locked"]))
}

fn run(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().expect("the program is in PATH");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("paths and names are UTF-8")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
