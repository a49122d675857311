//! Crates depend on crates of lower floors only.

use std::collections::BTreeMap;

use crate::{files, report};

/// The floor of each crate. A crate sees the floors below its own; crates of one floor do not see each other.
///
/// `http` carries requests without knowing their meaning, so it stands beside `storage`, `access` and `client`, not
/// above them.
const FLOORS: &[(&str, u8)] = &[
    ("wharf-oci", 0),
    ("wharf-workers", 0),
    ("wharf-storage", 1),
    ("wharf-access", 1),
    ("wharf-client", 1),
    ("wharf-http", 1),
    ("wharf-registry", 2),
    ("wharf-server", 3),
    ("wharf", 4),
];

/// Crates that stand apart: they know no crate of the server, and are known to tests only.
const APART: &[&str] = &["wharf-testkit", "xtask"];

#[test]
fn crates_depend_downwards_only() {
    let floors: BTreeMap<&str, u8> = FLOORS.iter().copied().collect();
    let mut problems = Vec::new();
    for (path, text) in files(&["Cargo.toml"]) {
        if !path.starts_with("crates/") && path != "xtask/Cargo.toml" {
            continue;
        }
        let (name, dependencies) = read(&text);
        for (section, dependency) in dependencies {
            let is_test_help = section == "dev-dependencies" && APART.contains(&dependency);
            let is_below = match (floors.get(name), floors.get(dependency)) {
                (Some(own), Some(other)) => other < own,
                _ => false,
            };
            if !is_test_help && !is_below {
                problems.push(format!("{path}: [{section}] {dependency} is not below {name}"));
            }
        }
        if !floors.contains_key(name) && !APART.contains(&name) {
            problems.push(format!("{path}: {name} has no floor in tests/tidy/arrows.rs"));
        }
    }
    report(&problems);
}

/// The name of a package, and its dependencies on other crates of the project with their sections.
fn read(manifest: &str) -> (&str, Vec<(&str, &str)>) {
    let (mut name, mut section) = ("", "");
    let mut dependencies = Vec::new();
    for line in manifest.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().trim_end_matches(".workspace");
            if section == "package" && key == "name" {
                name = value.trim().trim_matches('"');
            } else if section.ends_with("dependencies") && (key.starts_with("wharf") || key == "xtask") {
                dependencies.push((section, key));
            }
        }
    }
    (name, dependencies)
}
