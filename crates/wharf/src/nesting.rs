//! Registries that lie a few directories below the data directory, where a backup that was unpacked in the wrong place puts them.

use std::path::{Path, PathBuf};

/// The place of a registry below the data directory.
pub(crate) const TREE: &str = "docker/registry/v2";

/// Most entries of a directory that are looked at.
const MOST: usize = 1000;

/// Most directories between the data directory and a registry that is looked for.
const DEPTH: usize = 4;

/// Whether a directory has the repositories or the blobs of a registry. What a start makes for itself does not count.
pub(crate) fn holds_registry(tree: &Path) -> bool {
    ["repositories", "blobs"].iter().any(|name| {
        let directories = directories(&tree.join(name));
        directories
            .iter()
            .any(|path| path.file_name().is_some_and(|name| name != "_wharf"))
    })
}

/// The directories below `root`, at most four levels down, that hold a registry of their own.
pub(crate) fn nested(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut level = vec![root.to_owned()];
    for _ in 0..DEPTH {
        let below: Vec<PathBuf> = level
            .iter()
            .flat_map(|directory| directories(directory))
            // The registry itself, which may have a million directories, and the files of this program.
            .filter(|path| *path != root.join("docker") && *path != root.join("wharf"))
            .take(MOST)
            .collect();
        level = Vec::new();
        for directory in below {
            match holds_registry(&directory.join(TREE)) {
                true => found.push(directory),
                false => level.push(directory),
            }
        }
    }
    let twice = root.join(TREE);
    if holds_registry(&twice.join(TREE)) {
        found.push(twice);
    }
    found
}

/// The registry that is meant, if `root` has none and another one lies below it: what is wrong, and what to do.
pub(crate) fn warning(root: &Path) -> Option<String> {
    if holds_registry(&root.join(TREE)) {
        return None;
    }
    let found = nested(root).into_iter().next()?;
    Some(format!(
        "there is no registry in `{}`, and one in `{}`: a backup was unpacked a directory too deep, and its images are not served; stop the \
         server, and `wharf restore --fix-nesting --to {}` moves them to their place",
        root.display(),
        found.display(),
        root.display()
    ))
}

pub(crate) fn directories(directory: &Path) -> Vec<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "looks for a registry beside the store")]
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .take(MOST)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "makes registries to look for")]
mod tests {
    use super::*;

    #[test]
    fn registries_are_found_wherever_a_backup_put_them() {
        for (place, found) in [
            ("data", "data"),
            ("registry", "registry"),
            ("var/lib/registry", "var/lib/registry"),
            ("a/b/c/d/e", ""),
            (TREE, TREE),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let root = directory.path();
            std::fs::create_dir_all(root.join(place).join(TREE).join("blobs/sha256")).unwrap();
            let expected: Vec<PathBuf> = match found {
                "" => Vec::new(),
                found => vec![root.join(found)],
            };
            assert_eq!(nested(root), expected, "{place}");
            assert!(!holds_registry(&root.join(TREE)), "{place}");
            assert_eq!(warning(root).is_some(), !expected.is_empty(), "{place}");
        }
    }

    #[test]
    fn a_registry_in_its_place_needs_no_warning() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        assert_eq!(warning(root), None);
        for place in ["", "data"] {
            std::fs::create_dir_all(root.join(place).join(TREE).join("blobs/sha256")).unwrap();
        }
        assert_eq!(warning(root), None);
    }
}
