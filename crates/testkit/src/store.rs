//! The store verifier: checks what must be true of every tree that a server leaves, crashed or not.
//!
//! Written from the description of registry:2's layout (see `wharf_storage::layout`), without its
//! code:
//!
//! - the bytes under `blobs/<alg>/xx/<hex>/data` hash to `<hex>`;
//! - a link holds a digest and nothing else, and what it names is there;
//! - a tag points at a revision of its repository, and that digest is in its history;
//! - what a manifest refers to is linked in its repository;
//! - nothing else lies in the tree.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{digest, image};

/// Path of registry:2's tree below the root.
pub const TREE: &str = "docker/registry/v2";

/// The deviations that a test allows in the store.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Manifests may refer to missing content: the test pushed such ones, or deleted the content.
    pub dangling_references: bool,
}

/// The findings of a verification.
#[derive(Debug, Default)]
pub struct Report {
    /// One line for each violation.
    pub problems: Vec<String>,
    /// How many blobs were hashed.
    pub blobs: usize,
    /// How many manifest links were followed.
    pub revisions: usize,
    /// How many tags were followed.
    pub tags: usize,
    /// How many uploads are unfinished.
    pub uploads: usize,
}

/// Checks the whole tree below `root`. No server may write to it meanwhile.
pub fn check(root: &Path, rules: Rules) -> Report {
    let mut checker = Checker {
        tree: root.join(TREE),
        rules,
        report: Report::default(),
    };
    checker.blobs();
    let repositories = checker.tree.join("repositories");
    checker.repositories(&repositories);
    let known = BTreeSet::from(["blobs", "repositories"].map(str::to_owned));
    checker.only(&checker.tree.clone(), &known);
    checker.report
}

/// Path of a blob's bytes.
pub fn blob_path(root: &Path, digest: &str) -> PathBuf {
    let (algorithm, hex) = digest.split_once(':').unwrap();
    root.join(TREE)
        .join("blobs")
        .join(algorithm)
        .join(&hex[..2])
        .join(hex)
        .join("data")
}

/// Writes a blob the way registry:2 does.
pub fn write_blob(root: &Path, bytes: &[u8]) -> String {
    let digest = digest::sha256(bytes);
    write(&blob_path(root, &digest), bytes);
    digest
}

/// Writes a link: `link` is its path below `repositories`, without the final `/link`.
pub fn write_link(root: &Path, link: &str, digest: &str) {
    write(
        &root.join(TREE).join("repositories").join(link).join("link"),
        digest.as_bytes(),
    );
}

/// Writes a manifest and, if given, a tag the way registry:2 does.
pub fn write_manifest(root: &Path, repository: &str, tag: Option<&str>, bytes: &[u8]) -> String {
    let digest = write_blob(root, bytes);
    let below = digest.replace(':', "/");
    write_link(
        root,
        &format!("{repository}/_manifests/revisions/{below}"),
        &digest,
    );
    if let Some(tag) = tag {
        write_link(
            root,
            &format!("{repository}/_manifests/tags/{tag}/index/{below}"),
            &digest,
        );
        write_link(
            root,
            &format!("{repository}/_manifests/tags/{tag}/current"),
            &digest,
        );
    }
    digest
}

/// Writes a layer or config and its link the way registry:2 does.
pub fn write_layer(root: &Path, repository: &str, bytes: &[u8]) -> String {
    let digest = write_blob(root, bytes);
    write_link(
        root,
        &format!("{repository}/_layers/{}", digest.replace(':', "/")),
        &digest,
    );
    digest
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

struct Checker {
    tree: PathBuf,
    rules: Rules,
    report: Report,
}

impl Checker {
    fn problem(&mut self, path: &Path, what: impl AsRef<str>) {
        let path = path.strip_prefix(&self.tree).unwrap_or(path);
        self.report
            .problems
            .push(format!("{}: {}", path.display(), what.as_ref()));
    }

    fn blobs(&mut self) {
        for (digest, directory) in self.by_digest(&self.tree.join("blobs"), true) {
            self.only(&directory, &BTreeSet::from(["data".to_owned()]));
            match std::fs::read(directory.join("data")) {
                Ok(bytes) => {
                    self.report.blobs += 1;
                    let actual = digest::same_algorithm(&digest, &bytes);
                    if actual != digest {
                        self.problem(&directory, format!("its {} bytes hash to {actual}", bytes.len()));
                    }
                }
                // A blob's directory may outlive a crash between its creation and the rename.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => self.problem(&directory, e.to_string()),
            }
        }
    }

    /// Repositories may lie below repositories.
    fn repositories(&mut self, directory: &Path) {
        for name in names(directory) {
            let path = directory.join(&name);
            match name.as_str() {
                "_layers" => self.layers(&path),
                "_manifests" => self.manifests(directory, &path),
                "_uploads" => self.uploads(&path),
                _ if name.starts_with('_') || !path.is_dir() => self.problem(&path, "not part of the layout"),
                _ => self.repositories(&path),
            }
        }
    }

    fn layers(&mut self, layers: &Path) {
        for (digest, directory) in self.by_digest(layers, false) {
            if let Some((target, bytes)) = self.link(&directory) {
                let actual = digest::same_algorithm(&digest, &bytes);
                if actual != digest {
                    self.problem(&directory, format!("links to {target}, which hashes to {actual}"));
                }
            }
        }
    }

    fn manifests(&mut self, repository: &Path, manifests: &Path) {
        self.only(
            manifests,
            &BTreeSet::from(["revisions", "tags"].map(str::to_owned)),
        );
        for (digest, directory) in self.by_digest(&manifests.join("revisions"), false) {
            if let Some((target, bytes)) = self.link(&directory) {
                self.report.revisions += 1;
                let actual = digest::same_algorithm(&digest, &bytes);
                if actual != digest {
                    self.problem(&directory, format!("links to {target}, which hashes to {actual}"));
                }
                if !self.rules.dangling_references {
                    self.references(repository, &directory, &bytes);
                }
            }
        }
        for tag in names(&manifests.join("tags")) {
            self.tag(manifests, &tag);
        }
    }

    fn tag(&mut self, manifests: &Path, tag: &str) {
        let directory = manifests.join("tags").join(tag);
        self.only(
            &directory,
            &BTreeSet::from(["current", "index"].map(str::to_owned)),
        );
        for (digest, history) in self.by_digest(&directory.join("index"), false) {
            if let Some(target) = self.link_target(&history)
                && target != digest
            {
                self.problem(&history, format!("holds {target}"));
            }
        }
        // A history without a current link is what a crash leaves before the first push of a tag
        // is acknowledged; such a tag does not exist for any reader.
        if !directory.join("current/link").exists() {
            return;
        }
        self.report.tags += 1;
        let Some(target) = self.link_target(&directory.join("current")) else {
            return;
        };
        let below = target.replace(':', "/");
        if !manifests.join("revisions").join(&below).join("link").exists() {
            self.problem(
                &directory,
                format!("points at {target}, which is not in the repository"),
            );
        }
        if !directory.join("index").join(&below).join("link").exists() {
            self.problem(
                &directory,
                format!("points at {target}, which is not in its history"),
            );
        }
    }

    fn references(&mut self, repository: &Path, revision: &Path, manifest: &[u8]) {
        let Ok(manifest) = serde_json::from_slice::<Value>(manifest) else {
            return self.problem(revision, "is not JSON");
        };
        let list = |name: &str| manifest[name].as_array().cloned().unwrap_or_default();
        let blobs = list("layers")
            .into_iter()
            .chain(manifest.get("config").cloned())
            .chain(list("blobs"));
        for descriptor in blobs.filter(|descriptor| descriptor["urls"].is_null()) {
            self.reference(revision, &repository.join("_layers"), &descriptor);
        }
        for descriptor in list("manifests") {
            // BuildKit's cache is an index of layers: the media type says what an entry is.
            let links = match descriptor["mediaType"].as_str() {
                Some(known) if image::MANIFESTS.contains(&known) => "_manifests/revisions",
                _ if self.is_linked(&repository.join("_layers"), &descriptor) => "_layers",
                _ => "_manifests/revisions",
            };
            self.reference(revision, &repository.join(links), &descriptor);
        }
    }

    fn reference(&mut self, revision: &Path, links: &Path, descriptor: &Value) {
        if !self.is_linked(links, descriptor) {
            self.problem(
                revision,
                format!(
                    "needs {}, which is not in the repository",
                    descriptor["digest"].as_str().unwrap_or_default()
                ),
            );
        }
    }

    fn is_linked(&self, links: &Path, descriptor: &Value) -> bool {
        let digest = descriptor["digest"].as_str();
        digest.is_none_or(|digest| links.join(digest.replace(':', "/")).join("link").exists())
    }

    fn uploads(&mut self, uploads: &Path) {
        for id in names(uploads) {
            self.report.uploads += 1;
            let known =
                BTreeSet::from(["data", "startedat", "hashstates", "before", "hashed"].map(str::to_owned));
            self.only(&uploads.join(id), &known);
        }
    }

    /// The digest that a link holds and the bytes that it leads to. A directory without its link
    /// is what a deletion or a crash leaves, and is ignored.
    fn link(&mut self, directory: &Path) -> Option<(String, Vec<u8>)> {
        let target = self.link_target(directory)?;
        let (algorithm, hex) = target.split_once(':')?;
        let blob = self
            .tree
            .join("blobs")
            .join(algorithm)
            .join(&hex[..2])
            .join(hex)
            .join("data");
        match std::fs::read(&blob) {
            Ok(bytes) => Some((target, bytes)),
            Err(e) => {
                self.problem(
                    directory,
                    format!("links to {target}, whose bytes are not there: {e}"),
                );
                None
            }
        }
    }

    fn link_target(&mut self, directory: &Path) -> Option<String> {
        self.only(directory, &BTreeSet::from(["link".to_owned()]));
        let text = match std::fs::read(directory.join("link")) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            Err(e) if e.kind() == ErrorKind::NotFound => return None,
            Err(e) => {
                self.problem(directory, e.to_string());
                return None;
            }
        };
        if is_digest(&text) {
            return Some(text);
        }
        self.problem(directory, format!("its link holds {text:?}"));
        None
    }

    /// The leaves of `<alg>/<hex>`, or of `<alg>/<hex[0:2]>/<hex>`, with the digest that they name.
    fn by_digest(&mut self, directory: &Path, split: bool) -> Vec<(String, PathBuf)> {
        let mut found = Vec::new();
        for algorithm in names(directory) {
            let below = directory.join(&algorithm);
            if !matches!(algorithm.as_str(), "sha256" | "sha512") {
                self.problem(&below, "not part of the layout");
                continue;
            }
            let parents: Vec<PathBuf> = if split {
                names(&below).iter().map(|name| below.join(name)).collect()
            } else {
                vec![below]
            };
            for parent in parents {
                for hex in names(&parent) {
                    let digest = format!("{algorithm}:{hex}");
                    let fits = !split || parent.ends_with(&hex[..hex.len().min(2)]);
                    if is_digest(&digest) && fits {
                        found.push((digest, parent.join(hex)));
                    } else {
                        self.problem(&parent.join(hex), "not part of the layout");
                    }
                }
            }
        }
        found
    }

    fn only(&mut self, directory: &Path, known: &BTreeSet<String>) {
        for name in names(directory) {
            if !known.contains(&name) {
                self.problem(&directory.join(name), "not part of the layout");
            }
        }
    }
}

fn is_digest(text: &str) -> bool {
    let hex = match text.split_once(':') {
        Some(("sha256", hex)) if hex.len() == 64 => hex,
        Some(("sha512", hex)) if hex.len() == 128 => hex,
        _ => return false,
    };
    hex.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The names in a directory; none when there is no such directory.
fn names(directory: &Path) -> Vec<String> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Vec::new(),
        Err(e) => panic!("list {}: {e}", directory.display()),
    };
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image;

    fn sound() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let image = image::oci(1);
        for blob in &image.blobs {
            write_layer(root.path(), "a/b", &blob.bytes);
        }
        write_manifest(root.path(), "a/b", Some("v1"), &image.manifest.bytes);
        root
    }

    /// Breaks a sound tree and checks that `complaint` is the one problem found.
    fn check_broken(break_it: impl FnOnce(&Path), complaint: &str) {
        let root = sound();
        break_it(root.path());
        let problems = check(root.path(), Rules::default()).problems;
        assert!(
            problems.iter().any(|problem| problem.contains(complaint)),
            "{complaint}: {problems:#?}"
        );
    }

    #[test]
    fn a_sound_tree_has_no_problems() {
        let report = check(sound().path(), Rules::default());
        assert_eq!(report.problems, Vec::<String>::new());
        assert_eq!((report.blobs, report.revisions, report.tags), (4, 1, 1));
    }

    #[test]
    fn finds_what_is_broken() {
        let image = image::oci(1);
        let tree = |root: &Path| root.join(TREE);
        let tag = |root: &Path| tree(root).join("repositories/a/b/_manifests/tags/v1");
        check_broken(
            |root| std::fs::write(blob_path(root, &image.blobs[1].digest), "x").unwrap(),
            "hash to",
        );
        check_broken(
            |root| std::fs::remove_file(blob_path(root, &image.blobs[1].digest)).unwrap(),
            "not there",
        );
        check_broken(
            |root| std::fs::write(tag(root).join("current/link"), "").unwrap(),
            "its link holds \"\"",
        );
        check_broken(
            |root| write_link(root, "a/b/_manifests/tags/v1/current", &digest::unknown(1)),
            "not in the rep",
        );
        check_broken(
            |root| std::fs::remove_dir_all(tag(root).join("index")).unwrap(),
            "not in its history",
        );
        check_broken(
            |root| write(&tree(root).join("repositories/a/b/_layers/x.tmp"), b""),
            "not part",
        );
        check_broken(
            |root| std::fs::remove_dir_all(tree(root).join("repositories/a/b/_layers")).unwrap(),
            "which is not in the repository",
        );
    }
}
