//! `wharf restore --fix-nesting`: moves a registry that was unpacked too deep to its place.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, open, renameat_with, unlinkat},
    io::Errno,
};
use wharf_storage::{ErrorKind, fs::FsStorage};

use super::super::backup::print;
use crate::{
    config::Engine,
    nesting::{self, TREE, directories, holds_registry},
};

/// The first directory of the path of a registry.
const DOCKER: &str = "docker";

/// Where a registry is on the way from a place that is itself in the way. A move that ended there is found as one that lies too
/// deep, and completed by the next.
const ASIDE: &str = ".wharf-nested";

/// What of the files of this program belongs to the registry, and is worth a move.
const OURS: [&str; 4] = ["access", "activity", "pulls", "trash"];

/// Moves the registry, or with `is_dry` says what would be moved.
pub(super) fn fix(engine: &Engine, is_dry: bool) -> anyhow::Result<ExitCode> {
    let Engine::Filesystem { root } = engine else {
        bail!(
            "only a data directory can have a registry too deep; the storage of this configuration is none"
        );
    };
    if is_dry {
        let found = find(root)?;
        print(&format!(
            "`{}` would be moved to `{}`\n",
            found.join(DOCKER).display(),
            root.display()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    find(root)?;
    // While this has the lock, no server can make anything in the way.
    let _lock = match FsStorage::open(root) {
        Err(error) if error.kind() == ErrorKind::Locked => {
            bail!("cannot move a registry while a server runs: {error}; start it again after this")
        }
        opened => opened.context("cannot move the registry")?,
    };
    let found = find(root)?;
    require_free(root, &found)?;
    relocate(root, &found)?;
    print(&format!(
        "moved the registry from `{}` to `{}`; `wharf serve` serves it now\n",
        found.display(),
        root.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The one directory below `root` that has a registry.
fn find(root: &Path) -> anyhow::Result<PathBuf> {
    let shown = root.display();
    if holds_registry(&root.join(TREE)) && !holds_registry(&root.join(TREE).join(TREE)) {
        bail!(
            "there is a registry in `{shown}` already, so nothing is moved; `wharf storage copy FROM {shown}` brings the images of another one over"
        );
    }
    let mut found = nesting::nested(root);
    match found.len() {
        0 => bail!("there is no registry below `{shown}`: no `{TREE}` within four directories"),
        1 => Ok(found.remove(0)),
        _ => {
            let names: Vec<String> = found.iter().map(|path| format!("`{}`", path.display())).collect();
            bail!(
                "there are several registries below `{shown}`: {}; move the right one by hand, or remove the others",
                names.join(", ")
            )
        }
    }
}

/// Fails when a file is where the registry is to be. Empty directories are no obstacle.
fn require_free(root: &Path, found: &Path) -> anyhow::Result<()> {
    let target = root.join(DOCKER);
    match first_file(&target, found) {
        None => Ok(()),
        Some(file) => bail!(
            "`{}` is in the way; move it elsewhere, and run this again",
            file.display()
        ),
    }
}

/// A file, or what is no directory, at or below `path`, and not at or below `except`.
fn first_file(path: &Path, except: &Path) -> Option<PathBuf> {
    if path == except {
        return None;
    }
    let kind = path.symlink_metadata().ok()?;
    if !kind.is_dir() {
        return Some(path.to_owned());
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "looks at what is in the way of a registry"
    )]
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .find_map(|path| first_file(&path, except))
}

fn relocate(root: &Path, found: &Path) -> anyhow::Result<()> {
    let target = root.join(DOCKER);
    // Once the registry is in its place, the next run finds none to move, so these come first.
    for name in OURS {
        let (ours, theirs) = (root.join("wharf").join(name), found.join("wharf").join(name));
        if theirs.exists() && !ours.exists() {
            rename(&theirs, &ours)?;
        }
    }
    sync(&root.join("wharf"))?;
    let mut from = found.to_owned();
    if found.starts_with(&target) {
        let aside = root.join(ASIDE);
        match rustix::fs::mkdir(&aside, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make `{}`", aside.display())),
        }
        rename(&found.join(DOCKER), &aside.join(DOCKER))?;
        sync(&aside)?;
        from = aside;
    }
    remove_empty(&target);
    rename(&from.join(DOCKER), &target)?;
    sync(root)?;
    // What is not empty stays: it is no part of the registry.
    for below in ["wharf/staging", "wharf"] {
        _ = remove_directory(&found.join(below));
    }
    for empty in [found, &from] {
        let above = empty
            .ancestors()
            .take_while(|path| *path != root && path.starts_with(root));
        for directory in above {
            if remove_directory(directory).is_err() {
                break;
            }
        }
    }
    Ok(())
}

fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system without such renames replaces nothing but an empty directory.
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::rename(from, to),
        renamed => renamed,
    };
    renamed.map_err(|error| {
        let hint = match error {
            Errno::XDEV => ": they lie on different file systems; copy it with `wharf storage copy`",
            _ => "",
        };
        anyhow::Error::from(io::Error::from(error)).context(format!(
            "cannot move `{}` to `{}`{hint}",
            from.display(),
            to.display()
        ))
    })
}

/// Removes a directory with the directories in it, as far as they are empty.
fn remove_empty(path: &Path) {
    for directory in directories(path) {
        remove_empty(&directory);
    }
    // What is not empty is found by the rename that follows.
    _ = remove_directory(path);
}

fn remove_directory(path: &Path) -> Result<(), Errno> {
    unlinkat(CWD, path, AtFlags::REMOVEDIR)
}

fn sync(directory: &Path) -> anyhow::Result<()> {
    open(
        directory,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .and_then(rustix::fs::fsync)
    .with_context(|| format!("cannot sync the directory `{}`", directory.display()))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "makes registries that lie too deep")]
mod tests {
    use super::*;

    fn registry(root: &Path, place: &str) {
        std::fs::create_dir_all(root.join(place).join(TREE).join("repositories/app/_layers")).unwrap();
    }

    fn engine(root: &Path) -> Engine {
        Engine::Filesystem {
            root: root.to_owned(),
        }
    }

    #[test]
    fn a_registry_is_moved_from_wherever_a_backup_put_it() {
        for place in ["data", "registry/data", "var/lib/registry", TREE, ASIDE] {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path();
            registry(root, place);
            // What a start in the meantime has made.
            std::fs::create_dir_all(root.join(TREE).join("repositories")).unwrap();
            let access = root.join(place).join("wharf/access");
            std::fs::create_dir_all(&access).unwrap();
            std::fs::write(access.join("robots"), "tokens").unwrap();
            fix(&engine(root), true).unwrap();
            assert!(!holds_registry(&root.join(TREE)), "{place}");
            fix(&engine(root), false).unwrap();
            assert!(
                root.join(TREE).join("repositories/app/_layers").is_dir(),
                "{place}"
            );
            assert_eq!(
                std::fs::read(root.join("wharf/access/robots")).unwrap(),
                b"tokens",
                "{place}"
            );
            assert!(nesting::nested(root).is_empty(), "{place}");
            let mut left: Vec<_> = root
                .read_dir()
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            left.sort();
            assert_eq!(left, ["docker", "wharf"], "{place}");
            let error = fix(&engine(root), false).unwrap_err().to_string();
            assert!(error.contains("there is a registry in"), "{error}");
        }
    }

    #[test]
    fn nothing_is_moved_where_something_is_in_the_way_or_unclear() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let fixed = || fix(&engine(root), false).unwrap_err().to_string();
        assert!(fixed().contains("there is no registry below"));
        registry(root, "data");
        let lock = FsStorage::open(root).unwrap();
        assert!(fixed().contains("while a server runs"));
        drop(lock);
        std::fs::create_dir_all(root.join("docker/other")).unwrap();
        std::fs::write(root.join("docker/other/file"), "").unwrap();
        let error = fixed();
        assert!(error.contains("docker/other/file` is in the way"), "{error}");
        registry(root, "old");
        assert!(fixed().contains("several registries"));
        assert!(root.join("data").join(TREE).is_dir());
    }
}
