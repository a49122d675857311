//! Tells the program which commit it was built from, and how: `WHARF_COMMIT` and `WHARF_BUILD` at compile time.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-env-changed=WHARF_COMMIT");
    // Changes with every commit and checkout. Where it is missing, as in an archive of the sources, nothing changes.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let given = env::var("WHARF_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!(
        "cargo::rustc-env=WHARF_COMMIT={}",
        commit.as_deref().unwrap_or("unknown")
    );
    let variable = |name| env::var(name).unwrap_or_default();
    println!(
        "cargo::rustc-env=WHARF_BUILD={} {}",
        variable("PROFILE"),
        variable("TARGET")
    );
}

/// A line that git prints; `None` without git, or outside of a checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let line = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
