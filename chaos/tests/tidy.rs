//! The rules of the house that no other tool checks: arrows between crates and between modules, heads and
//! lengths of files, plain ASCII, metrics on dashboards that exist, promises that name the test that holds them, and
//! no trace of anybody's machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each crate and the crates of this workspace that it may use.
const ARROWS: [(&str, &[&str]); 5] = [
    ("codec", &[]),
    ("log", &[]),
    ("cluster", &["log"]),
    ("node", &["codec", "log", "cluster"]),
    ("chaos", &["node", "codec"]),
];
/// Crates of others that only some of ours may use.
const STRANGERS: [(&str, &[&str]); 3] =
    [("rocksdb", &["log"]), ("raft", &["log"]), ("tokio", &["cluster", "node", "chaos"])];
/// Lines of a file without its tests.
const LINES_MAX: usize = 500;

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The text above the first inline test module.
    fn shipped(&self) -> &str {
        match self.text.find("#[cfg(test)]\nmod tests {") {
            Some(at) => &self.text[..at],
            None => &self.text,
        }
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("tests.rs") || self.path.contains("/benches/")
    }
}

/// The workspace that the test runs in, which need not be the one that it was built in.
fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&own).parent().expect("the crate lies in the workspace").to_owned()
}

/// All text files below a folder of the workspace, without what is built or fetched.
fn files(below: &Path, found: &mut Vec<Source>) {
    const SKIPPED: [&str; 6] = ["target", ".git", ".venv", ".tools", "__pycache__", "node_modules"];
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if SKIPPED.contains(&name.as_str()) || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root()).expect("the walk began at the root");
            found.push(Source { path: path.display().to_string(), text });
        }
    }
}

fn tree() -> Vec<Source> {
    let mut found = Vec::new();
    files(&root(), &mut found);
    assert!(found.len() > 20, "the tree was not found");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn rust() -> Vec<Source> {
    tree().into_iter().filter(|source| source.path.ends_with(".rs")).collect()
}

#[track_caller]
fn none(faults: Vec<String>) {
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn arrows_between_crates_point_down() {
    let mut faults = Vec::new();
    for (own, allowed) in ARROWS {
        let manifest =
            fs::read_to_string(root().join(own).join("Cargo.toml")).expect("each crate has a manifest");
        let mut in_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                in_dependencies = line.contains("dependencies");
                continue;
            }
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            if !in_dependencies || name.is_empty() {
                continue;
            }
            let ours = name.strip_prefix("holdfast-");
            // A test may link its own crate again; everything else must be an arrow of the drawing.
            if ours.is_some_and(|ours| ours != own && !allowed.contains(&ours)) {
                faults.push(format!("{own} may not use {name}"));
            }
            let stranger = STRANGERS.iter().find(|(stranger, _)| *stranger == name);
            if stranger.is_some_and(|(_, users)| !users.contains(&own)) {
                faults.push(format!("{own} may not use {name}"));
            }
        }
    }
    none(faults);
}

#[test]
fn every_rust_file_says_what_it_is() {
    let faults = rust().into_iter().filter(|source| !source.text.starts_with("//!"));
    none(faults.map(|source| format!("{} does not begin with //!", source.path)).collect());
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let shipped = rust().into_iter().filter(|source| !source.is_test());
    let long =
        shipped.map(|source| (source.shipped().lines().count(), source.path)).filter(|(n, _)| *n > LINES_MAX);
    none(long.map(|(lines, path)| format!("{path} has {lines} lines without its tests")).collect());
}

#[test]
fn text_is_ascii() {
    let texts = [".rs", ".toml", ".md", ".json", ".py", ".html", ".css", ".js", ".yml", ".yaml", ".sh"];
    let mut faults = Vec::new();
    for source in tree().iter().filter(|source| texts.iter().any(|end| source.path.ends_with(end))) {
        for (number, line) in (1..).zip(source.text.lines()) {
            if let Some(strange) = line.chars().find(|c| !c.is_ascii()) {
                faults.push(format!("{}:{number} holds U+{:04X}", source.path, u32::from(strange)));
            }
        }
    }
    none(faults);
}

/// The modules of a `lib.rs` in their order, and what it re-exports from which of them.
fn drawing(lib: &str) -> (Vec<String>, BTreeMap<String, String>) {
    let mut modules = Vec::new();
    let mut faces = BTreeMap::new();
    let flat =
        lib.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join(" ");
    for statement in flat.split(';').map(str::trim) {
        let statement = statement.rsplit("] ").next().unwrap_or(statement);
        let statement = statement.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        if let Some(name) = statement.strip_prefix("mod ") {
            modules.push(name.trim().to_owned());
        } else if let Some(path) = statement.strip_prefix("use ") {
            let (module, names) = path.split_once("::").unwrap_or((path, ""));
            for name in names.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|n| !n.is_empty()) {
                faces.insert(name.to_owned(), module.to_owned());
            }
        }
    }
    (modules, faces)
}

/// The first names after `crate::` in a text, its comments left out.
fn uses(text: &str) -> BTreeSet<String> {
    let code =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    let word =
        |text: &str| -> String { text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect() };
    for part in code.split("crate::").skip(1) {
        let Some(group) = part.strip_prefix('{') else {
            names.insert(word(part));
            continue;
        };
        let mut depth = 0;
        let mut at_name = true;
        for (at, c) in group.char_indices() {
            match c {
                '}' if depth == 0 => break,
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => at_name = true,
                c if at_name && !c.is_whitespace() => {
                    names.insert(word(&group[at..]));
                    at_name = false;
                }
                _ => {}
            }
        }
    }
    names
}

#[test]
fn a_module_uses_only_modules_that_are_listed_below_it() {
    let sources = rust();
    let mut faults = Vec::new();
    for (own, _) in ARROWS {
        let lib = sources.iter().find(|source| source.path == format!("{own}/src/lib.rs"));
        let (modules, faces) = drawing(&lib.expect("each crate has a lib.rs").text);
        for source in sources.iter().filter(|source| !source.is_test()) {
            let Some(inside) = source.path.strip_prefix(&format!("{own}/src/")) else { continue };
            let module = inside.split(['/', '.']).next().unwrap_or_default();
            let Some(place) = modules.iter().position(|name| name == module) else { continue };
            for name in uses(source.shipped()) {
                let target = faces.get(&name).unwrap_or(&name);
                match modules.iter().position(|module| module == target) {
                    Some(below) if below >= place => {}
                    Some(_) => {
                        faults.push(format!("{}: crate::{name} is listed above {module}", source.path))
                    }
                    None => faults.push(format!("{}: crate::{name} is no module of lib.rs", source.path)),
                }
            }
        }
    }
    none(faults);
}

#[test]
fn the_reader_of_drawings_sees_what_is_there() {
    let (modules, faces) =
        drawing("//! x\n\npub mod face;\n#[cfg(x)]\nmod ground;\npub use ground::{A, b::C};\n");
    assert_eq!(modules, ["face", "ground"]);
    assert_eq!(faces.get("C").map(String::as_str), Some("ground"));
    let found = uses("use crate::{one, two::{x, y},\n three};\nlet a = crate::four::B; // crate::five\n");
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["four", "one", "three", "two"]);
}

/// Every string under a key of this name, anywhere in a JSON document.
fn strings_under(key: &str, value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (own, value) in map {
                match value.as_str() {
                    Some(text) if own == key => found.push(text.to_owned()),
                    _ => strings_under(key, value, found),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| strings_under(key, value, found)),
        _ => {}
    }
}

/// The metric names of a PromQL expression.
fn metrics_of(expression: &str) -> BTreeSet<String> {
    const WORDS: [&str; 14] = [
        "by",
        "without",
        "on",
        "ignoring",
        "group_left",
        "group_right",
        "and",
        "or",
        "unless",
        "bool",
        "offset",
        "atan2",
        "inf",
        "nan",
    ];
    let mut names = BTreeSet::new();
    let bytes = expression.as_bytes();
    let mut at = 0;
    let skip = |from: usize, close: u8| {
        bytes[from..].iter().position(|b| *b == close).map_or(bytes.len(), |n| from + n + 1)
    };
    while at < bytes.len() {
        match bytes[at] {
            b'{' => at = skip(at, b'}'),
            b'[' => at = skip(at, b']'),
            b'"' => at = skip(at + 1, b'"'),
            b'$' | b'0'..=b'9' => {
                at += bytes[at + 1..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count()
                    + 1
            }
            b if b.is_ascii_alphabetic() || b == b'_' || b == b':' => {
                let length = bytes[at..]
                    .iter()
                    .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
                    .count();
                let name = &expression[at..at + length];
                at += length;
                let rest = expression[at..].trim_start();
                let grouping =
                    ["by", "without", "on", "ignoring", "group_left", "group_right"].contains(&name);
                if grouping && rest.starts_with('(') {
                    at = skip(at, b')');
                } else if !rest.starts_with('(')
                    && !WORDS.contains(&name.to_lowercase().as_str())
                    && !grouping_follows(rest)
                {
                    names.insert(name.to_owned());
                }
            }
            _ => at += 1,
        }
    }
    names
}

/// An aggregation may name its labels before its argument: `sum by (x) (y)`.
fn grouping_follows(rest: &str) -> bool {
    ["by", "without"]
        .iter()
        .any(|word| rest.strip_prefix(word).is_some_and(|rest| rest.trim_start().starts_with('(')))
}

#[test]
fn dashboards_show_only_metrics_that_are_served() {
    let sources = tree();
    let served: String = sources
        .iter()
        .filter(|source| source.path.contains("/src/metrics") && source.path.ends_with(".rs"))
        .map(|source| source.text.as_str())
        .collect();
    let mut faults = Vec::new();
    let mut shown = 0;
    for source in sources.iter().filter(|source| source.path.starts_with("grafana/")) {
        let mut expressions = Vec::new();
        if source.path.ends_with(".json") {
            let dashboard = serde_json::from_str(&source.text).expect("a dashboard is JSON");
            strings_under("expr", &dashboard, &mut expressions);
        } else {
            let rules = source.text.lines().filter_map(|line| line.trim().strip_prefix("expr: "));
            expressions.extend(rules.map(str::to_owned));
        }
        for name in expressions.iter().flat_map(|expression| metrics_of(expression)) {
            shown += 1;
            let base =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            let known = [&name, base].iter().any(|name| served.contains(&format!("\"{name}\"")));
            // Prometheus makes one series itself.
            if name != "up" && (!name.starts_with("holdfast_") || !known) {
                faults.push(format!("{} shows {name}, which no metrics.rs has", source.path));
            }
        }
    }
    assert!(shown > 0, "no dashboard shows anything");
    none(faults);
}

#[test]
fn metric_names_are_found_in_expressions() {
    let found = metrics_of(
        "sum by (type) (rate(holdfast_a_total{node=\"x_y\"}[$__rate_interval])) / on(le) holdfast_b > bool 1e3",
    );
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["holdfast_a_total", "holdfast_b"]);
}

/// What stands between single backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The names of all tests, Rust and Python. `test_` is how pytest finds them and no part of the name.
fn tests(sources: &[Source]) -> BTreeSet<String> {
    let word = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut names = BTreeSet::new();
    for source in sources {
        if source.path.starts_with("node/tests/clients/") {
            names.extend(source.text.lines().filter_map(|line| line.strip_prefix("def test_")).map(word));
        }
        // Other attributes may stand between the one of a test and its name.
        for part in source.text.split("#[test]").skip(1).filter(|_| source.path.ends_with(".rs")) {
            let mut lines = part.lines().map(str::trim_start);
            names.extend(lines.find_map(|line| line.strip_prefix("fn ")).map(word));
        }
    }
    names
}

/// Lines of a text that promise a test and name none that exists.
fn unproved(
    path: &str,
    text: &str,
    tests: &BTreeSet<String>,
    promises: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| promises(line)) {
        // What follows the last colon or column is the list of tests.
        let list = line.trim_end_matches(['|', ' ']).rsplit(['|', ':']).next().unwrap_or_default();
        let mut named = 0;
        for name in quoted(list) {
            named += 1;
            if !tests.contains(name) {
                faults.push(format!("{path}:{number} names the test {name}, which does not exist"));
            }
        }
        if named == 0 && list.trim() != "open" {
            faults.push(format!("{path}:{number} names no test"));
        }
    }
    faults
}

#[test]
fn promises_name_tests_that_exist() {
    let sources = tree();
    let tests = tests(&sources);
    let text = |path: &str| {
        let found = sources.iter().find(|source| source.path == path);
        found.unwrap_or_else(|| panic!("{path} is missing")).text.as_str()
    };
    let invariant = |line: &str| line.starts_with("**Invariant**");
    let shown = |line: &str| line.starts_with("Shown by:");
    // A row of the table begins with its number.
    let failure =
        |line: &str| line.strip_prefix("| ").is_some_and(|row| row.starts_with(|c: char| c.is_ascii_digit()));
    let mut faults = unproved("ARCHITECTURE.md", text("ARCHITECTURE.md"), &tests, invariant);
    faults.extend(unproved("docs/guarantees.md", text("docs/guarantees.md"), &tests, shown));
    faults.extend(unproved("docs/failures.md", text("docs/failures.md"), &tests, failure));
    none(faults);
}

#[test]
fn a_promise_without_its_test_is_seen() {
    let tests = BTreeSet::from(["it_holds".to_owned()]);
    let check = |line: &str| unproved("x", line, &tests, |_| true).len();
    assert_eq!(check("**Invariant** Holds: `it_holds`."), 0);
    assert_eq!(check("**Invariant** Holds: `it_held`."), 1);
    assert_eq!(check("**Invariant** `holds`, they say: trust us."), 1);
    assert_eq!(check("| 3 | crash | X #1 | open |"), 0);
    assert_eq!(check("| 3 | crash | X #1 | `it_holds`, `it_held` |"), 1);
    assert_eq!(check("| 3 | crash | X #1 | |"), 1);
}

#[test]
fn the_map_is_of_this_house() {
    const LINES_MAX: usize = 500;
    let sources = tree();
    let map = sources.iter().find(|source| source.path == "ARCHITECTURE.md").expect("there is a map");
    let mut faults = Vec::new();
    if map.text.lines().count() > LINES_MAX {
        faults.push(format!("ARCHITECTURE.md is longer than {LINES_MAX} lines"));
    }
    for (number, line) in (1..).zip(map.text.lines()) {
        let files = quoted(line).filter(|name| name.ends_with(".rs") && name.contains('/'));
        let missing = files.filter(|name| !sources.iter().any(|source| source.path == *name));
        faults
            .extend(missing.map(|name| format!("ARCHITECTURE.md:{number} shows {name}, which is not there")));
    }
    none(faults);
}

#[test]
fn nothing_tells_whose_machine_it_was_written_on() {
    // In two parts, so that this file does not find itself.
    let traces = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("index", "-url"),
        concat!("replace", "-with"),
        concat!("[sour", "ce."),
        concat!("[regis", "tries"),
    ];
    let mut faults = Vec::new();
    for source in tree() {
        for (number, line) in (1..).zip(source.text.lines()) {
            let found = traces.iter().filter(|trace| {
                let before = line.find(**trace).and_then(|at| line[..at].chars().next_back());
                line.contains(**trace) && !before.is_some_and(|c| c.is_alphanumeric() || c == '}' || c == '.')
            });
            faults.extend(found.map(|trace| format!("{}:{number} says {trace}", source.path)));
        }
        if source.path == "Cargo.lock" {
            let sources = source.text.lines().filter(|line| line.starts_with("source ="));
            // One source for all, and it is a registry: nothing comes from a folder or a repository.
            let first = sources.clone().next().unwrap_or_default();
            let strange = sources.filter(|line| *line != first || !line.contains("\"registry+"));
            faults.extend(strange.map(|line| format!("Cargo.lock: {line}")));
        }
    }
    none(faults);
}
