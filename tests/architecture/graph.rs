//! What depends on what: the checks on `cargo metadata`, `cargo tree` and `Cargo.lock`.
//!
//! Each check takes text or JSON and gives findings, one sentence each; none means all is well. So
//! the tests at the end can show that a check fails when it has to, with made-up input.

use serde_json::Value;

use crate::table::{self, BANNED, DAEMON, IO_PACKAGES, LEDGER_FEATURES};

/// A package of ours, as `cargo metadata --no-deps` tells it.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) folder: String,
    /// Folders of our own crates that it depends on, for any purpose, target or feature.
    uses: Vec<String>,
    features: Vec<String>,
}

/// Our packages, in the order of the workspace.
pub(crate) fn packages(metadata: &Value) -> Vec<Package> {
    let root = text(&metadata["workspace_root"]);
    let folder = |path: &str| path.strip_prefix(root).unwrap_or(path).trim_matches('/').to_owned();
    let package = |package: &Value| Package {
        name: text(&package["name"]).to_owned(),
        folder: folder(text(&package["manifest_path"]).trim_end_matches("Cargo.toml")),
        uses: list(&package["dependencies"])
            .filter_map(|dependency| dependency["path"].as_str())
            .map(folder)
            .collect(),
        features: package["features"].as_object().into_iter().flatten().map(key).collect(),
    };
    list(&metadata["packages"]).map(package).collect()
}

/// Dependencies among our crates that the table does not allow.
pub(crate) fn forbidden_edges(packages: &[Package]) -> Vec<String> {
    let product = packages.iter().filter(|package| !table::is_test(&package.folder));
    let edges = product.flat_map(|package| package.uses.iter().map(move |used| (package, used)));
    edges
        .filter(|(package, used)| {
            !table::row(&package.folder).is_some_and(|row| row.may_use.contains(&used.as_str()))
        })
        .map(|(package, used)| format!("{} may not use {used}", package.folder))
        .collect()
}

/// Crates that sit where the layout knows none, or whose name does not follow from the folder.
pub(crate) fn misplaced(packages: &[Package]) -> Vec<String> {
    let mut findings = Vec::new();
    for Package { name, folder, .. } in packages {
        if table::row(folder).is_none() && !table::is_test(folder) {
            findings.push(format!("{folder} is not in the layout"));
        }
        let last = folder.rsplit('/').next().unwrap_or(folder);
        if *name != format!("sluicegate-{last}") {
            findings.push(format!("{folder} holds {name}, not sluicegate-{last}"));
        }
    }
    findings
}

/// Ledger features on a crate other than the daemon.
pub(crate) fn stray_features(packages: &[Package]) -> Vec<String> {
    let others = packages.iter().filter(|package| package.folder != DAEMON);
    let features = others.flat_map(|package| package.features.iter().map(move |f| (package, f)));
    features
        .filter(|(_, feature)| LEDGER_FEATURES.contains(&feature.as_str()))
        .map(|(package, feature)| format!("{} has the feature {feature}", package.folder))
        .collect()
}

/// Executors and I/O among the lines of `cargo tree --prefix none`, one package on each.
pub(crate) fn io_in_tree(folder: &str, tree: &str) -> Vec<String> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let mut found: Vec<_> = names.filter(|name| IO_PACKAGES.contains(name)).collect();
    found.sort_unstable();
    found.dedup();
    found.iter().map(|name| format!("{folder} is sans-io and depends on {name}")).collect()
}

/// Banned packages, and packages that are not from crates.io, in `Cargo.lock`.
pub(crate) fn banned_in_lock(lock: &str) -> Vec<String> {
    const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
    let value = |line: &str, key| quoted(line, key).map(str::to_owned);
    let names = lock.lines().filter_map(|line| value(line, "name"));
    let banned = names.filter(|name| BANNED.contains(&name.as_str()));
    let sources = lock.lines().filter_map(|line| value(line, "source"));
    let foreign = sources.filter(|source| source != CRATES_IO);
    let banned = banned.map(|name| format!("{name} is banned"));
    banned.chain(foreign.map(|source| format!("a package is from {source}"))).collect()
}

fn quoted<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn key((key, _): (&String, &Value)) -> String {
    key.clone()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A workspace of one package that uses the crates in these folders.
    fn workspace(folder: &str, name: &str, uses: &[&str]) -> Vec<Package> {
        let dependency = |used: &&str| json!({ "name": "x", "path": format!("/top/{used}") });
        let mut dependencies: Vec<_> = uses.iter().map(dependency).collect();
        dependencies.push(json!({ "name": "foreign", "path": null }));
        packages(&json!({
            "workspace_root": "/top",
            "packages": [{
                "name": name,
                "manifest_path": format!("/top/{folder}/Cargo.toml"),
                "dependencies": dependencies,
                "features": { "stellar": [] },
            }],
        }))
    }

    fn edges(folder: &str, uses: &[&str]) -> Vec<String> {
        forbidden_edges(&workspace(folder, "x", uses))
    }

    #[test]
    fn an_edge_upwards_or_sideways_is_found() {
        assert_eq!(edges("gateway/notary", &["device-sdk/protocol"]), Vec::<String>::new());
        assert_eq!(
            edges("gateway/notary", &["device-sdk/protocol", "gateway/daemon"]),
            ["gateway/notary may not use gateway/daemon"]
        );
        assert_eq!(
            edges("backends/stellar", &["backends/ledger", "backends/embedded"]),
            ["backends/stellar may not use backends/embedded"]
        );
        assert_eq!(edges("device-sdk/protocol", &["backends/ledger"]).len(), 1);
        assert_eq!(edges("gateway/daemon", &["tests"]).len(), 1);
        assert_eq!(edges("gateway/ctl", &["backends/contracts"]).len(), 1);
        assert_eq!(edges("tests/fuzz", &["gateway/daemon"]), Vec::<String>::new());
    }

    #[test]
    fn the_table_itself_points_downwards() {
        for row in table::CRATES {
            for used in row.may_use {
                let used = table::row(used).unwrap();
                assert!(!used.may_use.contains(&row.folder), "{} and back", used.folder);
                assert!(!row.sans_io || used.sans_io, "{} uses I/O", row.folder);
            }
        }
    }

    #[test]
    fn unknown_folders_and_wrong_names_are_found() {
        assert!(misplaced(&workspace("gateway/notary", "sluicegate-notary", &[])).is_empty());
        assert!(misplaced(&workspace("tests/fuzz", "sluicegate-fuzz", &[])).is_empty());
        assert_eq!(misplaced(&workspace("gateway/notary", "sluicegate-log", &[])).len(), 1);
        assert_eq!(misplaced(&workspace("gateway/util", "sluicegate-util", &[])).len(), 1);
    }

    #[test]
    fn a_ledger_feature_outside_of_the_daemon_is_found() {
        let features = |folder| stray_features(&workspace(folder, "x", &[]));
        assert_eq!(features("gateway/notary"), ["gateway/notary has the feature stellar"]);
        assert!(features("gateway/daemon").is_empty());
    }

    #[test]
    fn an_executor_in_a_tree_is_found_once() {
        let tree =
            "sluicegate-notary v0.1.0 (/top)\nsha2 v0.10.9\ntokio v1.54.0\ntokio v1.54.0 (*)";
        let finding = "gateway/notary is sans-io and depends on tokio";
        assert_eq!(io_in_tree("gateway/notary", tree), [finding]);
    }

    #[test]
    fn banned_names_and_git_sources_are_found() {
        let source = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        let lock = |name: &str, source: &str| format!("[[package]]\nname = \"{name}\"\n{source}\n");
        assert!(banned_in_lock(&lock("ring", source)).is_empty());
        assert_eq!(banned_in_lock(&lock("aws-lc-rs", source)), ["aws-lc-rs is banned"]);
        assert_eq!(banned_in_lock(&lock("x", "source = \"git+https://a.example/x\"")).len(), 1);
    }
}
