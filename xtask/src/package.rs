//! The Debian package: manual pages and completions from the definitions of the command line, the second name of the
//! binary, and cargo-deb.

use std::{fs, io::ErrorKind, os::unix::fs::symlink, path::Path, process::Command};

use anyhow::{Context as _, ensure};

use crate::project::{self, succeed};

/// Directory of the pages, completions and links, from the root of the project; the package's list of files names them.
const MADE: &str = "target/package";

/// The name under which the binary is a credential helper of docker.
const HELPER: &str = "docker-credential-wharf";

/// Builds the package of the release binary.
pub(crate) fn run() -> anyhow::Result<()> {
    succeed(project::cargo().args(["build", "--release", "--locked", "--package", "wharf"]))?;
    let binary = project::target().join("release/wharf");
    let made = project::root().join(MADE);
    make_pages(&binary, &made)?;
    link_helper(&binary, &made.join("bin"))?;
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

/// Lays the link beside the binary, as in `/usr/bin`: it is packed as it is, but must lead to a file here as well.
fn link_helper(binary: &Path, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)?;
    let binary = fs::canonicalize(binary).with_context(|| format!("there is no `{}`", binary.display()))?;
    for (name, target) in [("wharf", binary.as_path()), (HELPER, Path::new("wharf"))] {
        let link = directory.join(name);
        match fs::remove_file(&link) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        symlink(target, &link).with_context(|| format!("cannot make `{}`", link.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_helper_is_a_link_to_the_binary_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let (binary, made) = (directory.path().join("built"), directory.path().join("bin"));
        fs::write(&binary, "a program").unwrap();
        for _ in 0..2 {
            link_helper(&binary, &made).unwrap();
            let link = made.join(HELPER);
            assert_eq!(fs::read_link(&link).unwrap(), Path::new("wharf"));
            assert_eq!(fs::read_to_string(&link).unwrap(), "a program");
        }
        let manifest = fs::read_to_string(project::root().join("crates/wharf/Cargo.toml")).unwrap();
        for line in [
            "    [\"target/release/wharf\", \"usr/bin/\", \"755\"],\n".to_owned(),
            format!("    [\"../../{MADE}/bin/{HELPER}\", \"usr/bin/\", \"777\"],\n"),
            "preserve-symlinks = true\n".to_owned(),
        ] {
            assert!(manifest.contains(&line), "{line}");
        }
    }
}
