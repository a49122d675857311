//! House rules that a program can check.

#![expect(clippy::disallowed_methods, reason = "reads the sources")]

mod arrows;
mod circles;
mod errors;
mod source;
mod words;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The longest a source file may be; past it, it is two files.
const LINES: usize = 800;

/// Files that may be longer, each with its reason.
const LONG: &[(&str, &str)] = &[
    (
        "crates/oci/tests/manifest.rs",
        "one table of manifests, good and bad",
    ),
    (
        "crates/storage/src/fs/simulated.rs",
        "one fault model, read as a whole",
    ),
];

/// What would tie the sources to one machine. Spelled in two parts so that this file passes its own test.
const OF_ONE_MACHINE: &[(&str, &str)] = &[
    ("/ho", "me/"),
    ("/ro", "ot/"),
    ("/Us", "ers/"),
    ("/work", "/"),
    ("/tmp/", "wt"),
    ("/tmp/", "lab"),
];

/// Crates that must not be linked in: see `deny.toml`.
const UNWANTED: &[&str] = &["ring", "openssl", "openssl-sys", "native-tls", "serde_yaml"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is there")
}

/// Every file of the project, as a path below the root, with its text.
fn files(extensions: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut files = Vec::new();
    let mut left = vec![root.clone()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).expect("the directory can be read") {
            let path = entry.expect("the directory can be read").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default()
                .to_owned();
            if path.is_dir() {
                // Directories that git ignores, and git's own.
                if !matches!(
                    name.as_str(),
                    "target" | ".git" | "data" | "results" | "corpus" | "artifacts"
                ) {
                    left.push(path);
                }
            } else if extensions.iter().any(|extension| name.ends_with(extension)) {
                let text = std::fs::read_to_string(&path).expect("sources are UTF-8");
                let below = path
                    .strip_prefix(&root)
                    .expect("below the root")
                    .display()
                    .to_string();
                files.push((below, text));
            }
        }
    }
    assert!(!files.is_empty(), "nothing was looked at");
    files
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_source_file_says_what_lives_there() {
    let silent = files(&[".rs"])
        .into_iter()
        // A crate whose document is its README includes that instead.
        .filter(|(_, text)| !text.starts_with("//! ") && !text.starts_with("#![doc = include_str!"));
    report(
        &silent
            .map(|(path, _)| format!("{path}: opens without a `//!` sentence"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn no_source_file_is_too_long() {
    let long = files(&[".rs"]).into_iter().filter_map(|(path, text)| {
        let lines = text.lines().count();
        let excused = LONG.iter().any(|(excused, _)| *excused == path);
        (lines > LINES && !excused).then(|| format!("{path}: {lines} lines, more than {LINES}"))
    });
    report(&long.collect::<Vec<_>>());
}

#[test]
fn nothing_names_one_machine() {
    let mut problems = Vec::new();
    for (path, text) in files(&[".rs", ".md", ".toml", ".sh", ".py", ".yml", "run"]) {
        for (number, line) in text.lines().enumerate() {
            let found = OF_ONE_MACHINE.iter().map(|(start, end)| format!("{start}{end}"));
            for found in found.filter(|found| line.contains(found.as_str())) {
                problems.push(format!(
                    "{path}:{}: `{found}` is a path of one machine",
                    number + 1
                ));
            }
        }
    }
    report(&problems);
}

#[test]
fn no_file_is_named_mod() {
    let modules = files(&[".rs"])
        .into_iter()
        .filter(|(path, _)| path.ends_with("/mod.rs"));
    report(
        &modules
            .map(|(path, _)| format!("{path}: use `name.rs` beside `name/`"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_test_directory_is_wired() {
    let manifest = std::fs::read_to_string(root().join("crates/wharf/Cargo.toml")).expect("the manifest");
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(root().join("tests")).expect("there are tests") {
        let directory = entry.expect("the directory can be read").path();
        let name = directory
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if directory.join("main.rs").is_file() && !manifest.contains(&format!("../../tests/{name}/main.rs")) {
            problems.push(format!(
                "tests/{name}/main.rs: no `[[test]]` in crates/wharf/Cargo.toml runs it"
            ));
        }
    }
    report(&problems);
}

#[test]
fn the_map_names_every_crate_and_every_test_directory() {
    let map = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the map");
    let mut problems = Vec::new();
    for (parent, prefix) in [("crates", "crates/"), ("tests", "")] {
        for entry in std::fs::read_dir(root().join(parent)).expect("the directory can be read") {
            let entry = entry.expect("the directory can be read");
            let named = format!("`{prefix}{}`", entry.file_name().to_string_lossy());
            if entry.path().is_dir() && !map.contains(&named) {
                problems.push(format!("ARCHITECTURE.md does not name {named}"));
            }
        }
    }
    report(&problems);
}

#[test]
fn nothing_unwanted_is_linked_in() {
    // Not the lock file: it also names what an optional feature of a dependency would bring.
    let tree = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--locked", "--offline", "--edges", "all"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(
        names.contains("rustls"),
        "the tree is not what it was taken for:\n{tree}"
    );
    let unwanted = names.iter().filter(|name| UNWANTED.contains(name));
    report(
        &unwanted
            .map(|name| format!("`{name}` is linked in; deny.toml says why not"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_crate_obeys_the_shared_lints() {
    let manifests = files(&["Cargo.toml"])
        .into_iter()
        .filter(|(path, _)| path.starts_with("crates/") || path.starts_with("xtask/"));
    let lax = manifests.filter(|(_, text)| !text.contains("[lints]\nworkspace = true"));
    report(
        &lax.map(|(path, _)| format!("{path}: has no `[lints] workspace = true`"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut problems = Vec::new();
    for (path, text) in files(&[".md"]) {
        let from = root().join(&path);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap_or(target);
            if !from.parent().expect("a file has a directory").join(file).exists() {
                problems.push(format!("{path}: `{target}` leads nowhere"));
            }
        }
    }
    report(&problems);
}
