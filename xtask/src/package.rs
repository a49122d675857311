//! The Debian package: manual pages and completions from the definitions of the command line, and cargo-deb.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, ensure};

/// Where the pages and completions go, from the root of the project; the package's list of files names them.
const MADE: &str = "target/package";

/// Builds the package of the release binary.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    succeed(Command::new(&cargo).current_dir(&root).args([
        "build",
        "--release",
        "--locked",
        "--package",
        "wharf",
    ]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), Into::into);
    make_pages(&target.join("release/wharf"), &root.join(MADE))?;
    succeed(
        Command::new(&cargo)
            .current_dir(&root)
            .args(["deb", "--no-build", "--package", "wharf"]),
    )
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

fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}
