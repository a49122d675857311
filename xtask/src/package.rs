//! The Debian package: manual pages and completions from the definitions of the command line, and cargo-deb.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, ensure};

use crate::project::{self, succeed};

/// Directory of the pages and completions, from the root of the project; the package's list of files names them.
const MADE: &str = "target/package";

/// Builds the package of the release binary.
pub(crate) fn run() -> anyhow::Result<()> {
    succeed(project::cargo().args(["build", "--release", "--locked", "--package", "wharf"]))?;
    let binary = project::target().join("release/wharf");
    make_pages(&binary, &project::root().join(MADE))?;
    succeed(project::cargo().args(["deb", "--no-build", "--package", "wharf"]))
        .context("the package is made by cargo-deb: cargo install cargo-deb")
}

/// Asks the binary itself for its manual pages and completions.
fn make_pages(binary: &Path, directory: &Path) -> anyhow::Result<()> {
    let man = directory.join("man");
    fs::create_dir_all(&man)?;
    succeed(Command::new(binary).arg("man").arg(&man))?;
    for (shell, name) in [("bash", "wharf.bash"), ("zsh", "_wharf"), ("fish", "wharf.fish")] {
        let script = Command::new(binary).args(["completion", shell]).output()?;
        ensure!(script.status.success(), "`wharf completion {shell}` failed");
        fs::write(directory.join(name), script.stdout)?;
    }
    Ok(())
}
