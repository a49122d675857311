//! Crates depend downwards only, and know no more than their task needs.

use std::collections::BTreeMap;

use crate::{files, report};

/// Every crate with the crates that it may know, from the bottom of the house up.
///
/// `http` carries requests without knowing what they ask for, so it knows neither `registry` nor `storage` nor
/// `access`; it knows `client` for the requests that it makes itself (traces).
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("wharf-oci", &[]),
    ("wharf-document", &[]),
    ("wharf-watched", &[]),
    ("wharf-workers", &[]),
    ("wharf-budget", &[]),
    ("wharf-layers", &[]),
    ("wharf-message", &[]),
    ("wharf-pages", &["wharf-message"]),
    ("wharf-pattern", &["wharf-oci"]),
    ("wharf-storage", &["wharf-oci", "wharf-budget"]),
    (
        "wharf-access",
        &[
            "wharf-oci",
            "wharf-pattern",
            "wharf-document",
            "wharf-watched",
            "wharf-workers",
            "wharf-budget",
            "wharf-storage",
        ],
    ),
    ("wharf-client", &["wharf-oci"]),
    (
        "wharf-registry",
        &[
            "wharf-oci",
            "wharf-pattern",
            "wharf-message",
            "wharf-workers",
            "wharf-budget",
            "wharf-storage",
        ],
    ),
    (
        "wharf-registry-tests",
        &[
            "wharf-oci",
            "wharf-pattern",
            "wharf-message",
            "wharf-workers",
            "wharf-budget",
            "wharf-storage",
            "wharf-registry",
        ],
    ),
    (
        "wharf-activity",
        &[
            "wharf-oci",
            "wharf-workers",
            "wharf-budget",
            "wharf-storage",
            "wharf-registry",
        ],
    ),
    (
        "wharf-http",
        &["wharf-watched", "wharf-workers", "wharf-budget", "wharf-client"],
    ),
    (
        "wharf-mirror",
        &[
            "wharf-oci",
            "wharf-pattern",
            "wharf-message",
            "wharf-workers",
            "wharf-budget",
            "wharf-storage",
            "wharf-client",
            "wharf-registry",
        ],
    ),
    (
        "wharf-server",
        &[
            "wharf-oci",
            "wharf-document",
            "wharf-layers",
            "wharf-pattern",
            "wharf-message",
            "wharf-workers",
            "wharf-budget",
            "wharf-storage",
            "wharf-access",
            "wharf-client",
            "wharf-registry",
            "wharf-mirror",
            "wharf-activity",
            "wharf-http",
            "wharf-pages",
        ],
    ),
    (
        "wharf",
        &[
            "wharf-oci",
            "wharf-layers",
            "wharf-pattern",
            "wharf-document",
            "wharf-message",
            "wharf-workers",
            "wharf-budget",
            "wharf-storage",
            "wharf-access",
            "wharf-client",
            "wharf-registry",
            "wharf-mirror",
            "wharf-activity",
            "wharf-http",
            "wharf-server",
        ],
    ),
];

/// Crates that stand apart: they know no crate of the server, and are known to tests only.
const APART: &[&str] = &["wharf-testkit", "xtask"];

#[test]
fn crates_depend_downwards_only() {
    let may_know: BTreeMap<&str, &[&str]> = MAY_KNOW.iter().copied().collect();
    let mut problems = Vec::new();
    for (path, text) in files(&["Cargo.toml"]) {
        if !path.starts_with("crates/") && path != "xtask/Cargo.toml" {
            continue;
        }
        let (name, dependencies) = read(&text);
        let known = may_know.get(name).copied();
        if known.is_none() && !APART.contains(&name) {
            problems.push(format!("{path}: {name} has no line in tests/tidy/arrows.rs"));
        }
        for (section, dependency) in dependencies {
            let is_test_help =
                section == "dev-dependencies" && (APART.contains(&dependency) || dependency == name);
            if !is_test_help && !known.unwrap_or_default().contains(&dependency) {
                problems.push(format!("{path}: [{section}] {name} may not know {dependency}"));
            }
        }
    }
    report(&problems);
}

/// A crate knows only crates above it in the table, so that the table itself has no circle.
#[test]
fn the_table_of_crates_has_no_circle() {
    let mut problems = Vec::new();
    for (place, (name, known)) in MAY_KNOW.iter().enumerate() {
        let below: Vec<&str> = MAY_KNOW[..place].iter().map(|(name, _)| *name).collect();
        for other in known.iter().filter(|other| !below.contains(other)) {
            problems.push(format!("{name}: {other} does not stand before it"));
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
