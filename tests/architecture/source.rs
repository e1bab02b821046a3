//! What the sources look like: the checks on the text of single files.
//!
//! The sources are formatted by rustfmt, so indentation shows where an item ends; no parser is
//! needed. Each check gives findings that begin with the line number, or the sentence alone.

use crate::table::IO_PATHS;

/// Lines that a file may have without its tests, and a function at all.
const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 80;

/// The rules for every Rust file: a module doc on top, not too long, no long function.
pub(crate) fn form(source: &str) -> Vec<String> {
    let mut findings = long_functions(source);
    if !source.starts_with("//!") {
        findings.push("1: no module doc".to_owned());
    }
    let lines = without_tests(source).len();
    if lines >= FILE_LINES {
        findings.push(format!("{lines} lines without tests, {FILE_LINES} are too many"));
    }
    findings
}

/// Uses of files, sockets, clocks, threads and the environment outside of tests and comments.
pub(crate) fn io_uses(source: &str) -> Vec<String> {
    let code = without_tests(source).into_iter().map(|(_, line)| line.trim());
    let code: Vec<_> = code.filter(|line| !line.starts_with("//")).collect();
    let mut used = std_paths(&squeezed(&code.join(" ")));
    let calls = IO_PATHS.iter().filter(|path| !path.starts_with("std::"));
    let called = calls.filter(|path| code.iter().any(|line| line.contains(**path)));
    used.extend(called.map(|path| (*path).to_owned()));
    used.retain(|path| IO_PATHS.iter().any(|banned| is_within(path, banned)));
    used.sort_unstable();
    used.dedup();
    used.iter().map(|path| format!("uses {path}")).collect()
}

/// Folders of a machine, without what would make them paths: this file mentions none.
const MACHINE_FOLDERS: [&str; 4] = ["work", "root", "home", "tmp"];

/// Mentions of folders that exist only on a developer's machine.
pub(crate) fn machine_paths(text: &str) -> Vec<String> {
    let folders = MACHINE_FOLDERS.map(|name| format!("/{name}/"));
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for folder in &folders {
            let mut starts = line.match_indices(folder.as_str()).map(|(start, _)| start);
            // `$HOME/x`, `a/b` and `https://x/y` are not absolute paths.
            if starts.any(|start| !line[..start].ends_with(is_path_character)) {
                findings.push(format!("{}: mentions {folder}", number + 1));
            }
        }
    }
    findings
}

fn is_path_character(character: char) -> bool {
    character.is_alphanumeric() || "_-./}".contains(character)
}

/// The lines outside of `#[cfg(test)]` items, with their numbers.
fn without_tests(source: &str) -> Vec<(usize, &str)> {
    let mut lines = source.lines().enumerate();
    let mut kept = Vec::new();
    while let Some((number, line)) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines, indentation(line));
        } else {
            kept.push((number + 1, line));
        }
    }
    kept
}

/// Passes an item: one line with a semicolon, or all lines up to its closing brace.
fn skip_item<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, indentation: &str) {
    let is_head = |line: &str| !line.trim_start().starts_with("#[");
    let Some((_, head)) = lines.find(|(_, line)| is_head(line)) else { return };
    if head.ends_with('{') {
        lines.find(|(_, line)| line.strip_prefix(indentation).is_some_and(|l| l.starts_with('}')));
    }
}

fn long_functions(source: &str) -> Vec<String> {
    let lines: Vec<_> = source.lines().collect();
    let starts = (0..lines.len()).filter(|&start| is_function(lines[start]));
    let lengths = starts.map(|start| (start, function_length(&lines[start..])));
    lengths
        .filter(|(_, length)| *length > FUNCTION_LINES)
        .map(|(start, length)| format!("{}: a function of {length} lines", start + 1))
        .collect()
}

fn is_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let modifier = |word: &&str| {
        word.starts_with("pub") || ["const", "async", "unsafe", "extern", "\"C\""].contains(word)
    };
    words.find(|word| !modifier(word)) == Some("fn")
}

/// Lines from the head of a function to its closing brace, or to the semicolon of a trait method.
fn function_length(lines: &[&str]) -> usize {
    let indentation = indentation(lines[0]);
    let ends = |line: &&str| {
        let Some(rest) = line.strip_prefix(indentation) else { return false };
        let closes = rest.starts_with('}') || rest.starts_with(')') && rest.ends_with(';');
        closes || is_function(line) && rest.ends_with(['}', ';'])
    };
    1 + lines.iter().position(ends).unwrap_or(lines.len() - 1)
}

fn indentation(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// Code on one line without spaces inside of paths and groups.
fn squeezed(code: &str) -> String {
    code.replace("{ ", "{").replace(" }", "}").replace(", ", ",").replace(",}", "}")
}

/// Every path that begins with `std`, with groups written out.
fn std_paths(code: &str) -> Vec<String> {
    let starts = code.match_indices("std::").map(|(start, _)| start);
    let whole = starts.filter(|&start| !code[..start].ends_with(is_name));
    whole.flat_map(|start| expand("", &code[start..]).0).collect()
}

/// Writes out the path or group of paths at the start of `code`; also gives what follows it.
fn expand<'a>(prefix: &str, code: &'a str) -> (Vec<String>, &'a str) {
    if let Some(mut rest) = code.strip_prefix('{') {
        let mut paths = Vec::new();
        while !rest.is_empty() && !rest.starts_with('}') {
            let (found, after) = expand(prefix, rest.trim_start_matches(','));
            // A group holds only paths; anything else was not a group of paths.
            if after.len() == rest.len() {
                break;
            }
            paths.extend(found);
            rest = after;
        }
        return (paths, rest.strip_prefix('}').unwrap_or(rest));
    }
    let end = code.find(|character| !is_name(character)).unwrap_or(code.len());
    let (name, rest) = code.split_at(end);
    let path = format!("{prefix}{name}");
    match rest.strip_prefix("::") {
        Some(rest) => expand(&format!("{path}::"), rest),
        None => (vec![path], rest),
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Whether `path` is `parent` or something in it.
fn is_within(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        let body = "        work();\n".repeat(lines - 2);
        format!("//! Doc.\nimpl X {{\n    pub(crate) fn long(&self) {{\n{body}    }}\n}}\n")
    }

    #[test]
    fn a_long_function_is_found_at_its_line() {
        assert_eq!(form(&function(80)), Vec::<String>::new());
        assert_eq!(form(&function(81)), ["3: a function of 81 lines"]);
        assert_eq!(
            form("//! Doc.\ntrait X {\n    fn a(\n        b: C,\n    ) -> D;\n}\n").len(),
            0
        );
    }

    #[test]
    fn a_file_without_doc_or_too_long_is_found() {
        assert_eq!(form("use x;\n"), ["1: no module doc"]);
        let long = format!("//! Doc.\n{}", "use x;\n".repeat(599));
        assert_eq!(form(&long).len(), 1);
        let tests =
            format!("//! Doc.\n#[cfg(test)]\nmod tests {{\n{}}}\n", "    x!();\n".repeat(700));
        assert_eq!(form(&tests), Vec::<String>::new());
    }

    #[test]
    fn clocks_and_files_are_found_in_every_spelling() {
        for (code, path) in [
            ("use std::fs;", "std::fs"),
            ("use std::fs::File;", "std::fs::File"),
            ("use std::{\n    fmt,\n    net::{SocketAddr, UdpSocket},\n};", "std::net::SocketAddr"),
            ("let now = std::time::Instant::now();", "std::time::Instant::now"),
            ("use std::time::{Duration, SystemTime};", "std::time::SystemTime"),
            ("    std::thread::sleep(x)", "std::thread::sleep"),
            ("let now = Instant::now();", "Instant::now"),
        ] {
            assert!(io_uses(code).contains(&format!("uses {path}")), "{code}: {:?}", io_uses(code));
        }
    }

    #[test]
    fn durations_comments_and_tests_are_allowed() {
        for code in [
            "use std::time::Duration;",
            "// std::fs is for the daemon",
            "#[cfg(test)]\nuse std::fs;\n",
            "#[cfg(test)]\nmod tests {\n    use std::{fs, thread};\n}\n",
            "use no_std::fs;",
            "use std::{fmt, format};",
        ] {
            assert_eq!(io_uses(code), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn machine_paths_are_found_and_others_are_not() {
        for folder in MACHINE_FOLDERS {
            let path = format!("/{folder}/x");
            assert_eq!(machine_paths(&format!("fine\nsee {path}")).len(), 1, "{path}");
            for before in ["https://a.example", "${FOLDER}", "net", "a."] {
                assert!(machine_paths(&format!("{before}{path}")).is_empty(), "{before}{path}");
            }
        }
    }
}
