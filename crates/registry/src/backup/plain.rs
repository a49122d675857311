//! A tar of a data directory, such as `tar` makes beside a running server: what of it is a registry, and whole, is restored.
//!
//! `tar` reads a directory in no order that a registry could rely on. So an image that was pushed meanwhile may be there with some of
//! its links and bytes and without others. A link that is missing is written again where the bytes are there, because a registry
//! takes no manifest whose layers the repository does not have. An image whose bytes are not there is left out, and named.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use wharf_budget::{HEAVY, Share};
use wharf_oci::{Digest, ManifestView};
use wharf_storage::layout as tree;

use super::{
    archive::{OpenFile, Reader},
    destination::Destination,
    document::{Link, Past, Tag, Time},
    error::{Error, Result},
    listing::Pointers,
    pruned::{Loss, Losses},
    selection::{Selection, no_repository},
};
use crate::{
    collect::digests::DigestSet,
    tree::{
        manifest::{INLINE, Manifests},
        parallel::in_background,
        scan,
    },
};

/// The place of a registry in a data directory.
const TREE: [&str; 3] = ["docker", "registry", "v2"];

/// Where an entry lies in a registry.
struct Located {
    /// The directories above the registry
    prefix: String,
    /// The path in the registry
    path: String,
}

/// Where the entry at `path` lies in a registry. `None`: it is in none, or would be outside of the directory that is unpacked.
fn locate(path: &str) -> Option<Located> {
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") || path.starts_with('/') {
        return None;
    }
    let at = parts.windows(TREE.len()).position(|window| window == TREE)?;
    let rest = &parts[at + TREE.len()..];
    matches!(rest.first(), Some(&"blobs" | &"repositories")).then(|| Located {
        prefix: parts[..at].join("/"),
        path: rest.join("/"),
    })
}

/// What an object of a registry is.
#[derive(Debug, PartialEq, Eq)]
enum Object<'a> {
    Blob(Digest),
    Layer(&'a str, &'a str),
    Revision(&'a str, &'a str),
    Tag(&'a str, &'a str),
    Past(&'a str, &'a str, Digest),
}

impl<'a> Object<'a> {
    /// What has the path; `None`: an upload, or what is no part of a registry.
    fn of(path: &'a str) -> Option<Self> {
        if let Some(path) = path.strip_prefix("blobs/") {
            let mut parts = path.split('/');
            let (algorithm, _, hex) = (parts.next()?, parts.next()?, parts.next()?);
            let digest: Digest = format!("{algorithm}:{hex}").parse().ok()?;
            return tree::blob(&digest)
                .as_str()
                .ends_with(path)
                .then_some(Self::Blob(digest));
        }
        let path = path.strip_prefix("repositories/")?;
        let (name, rest) = path.split_at(path.find("/_")?);
        let rest = &rest[1..];
        if let Some(link) = rest.strip_prefix("_layers/") {
            return scan::is_link(link).then_some(Self::Layer(name, link));
        }
        let rest = rest.strip_prefix("_manifests/")?;
        if let Some(link) = rest.strip_prefix("revisions/") {
            return scan::is_link(link).then_some(Self::Revision(name, link));
        }
        let (tag, rest) = rest.strip_prefix("tags/")?.split_once('/')?;
        match rest.strip_prefix("index/") {
            Some(link) => scan::named(link).map(|digest| Self::Past(name, tag, digest)),
            None => (rest == "current/link").then_some(Self::Tag(name, tag)),
        }
    }
}

/// Whether a file is a tar of a data directory.
///
/// # Errors
///
/// When it cannot be read.
pub(super) async fn looks_like(file: &OpenFile) -> Result<bool> {
    let mut reader = Reader::open(file, |_| false);
    while let Some(entry) = reader.next().await? {
        if locate(&entry.path).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The registry in a tar: all of its links, and which blobs there are.
#[derive(Default)]
struct Tree {
    prefix: Option<String>,
    repositories: BTreeMap<String, Pointers>,
    histories: HashMap<(String, String), Vec<Past>>,
    blobs: DigestSet,
}

/// Restores the registry in a tar.
///
/// # Errors
///
/// When the file cannot be read to its end, or the store cannot be written.
pub(super) async fn restore(file: &OpenFile, destination: &Destination, selection: &Selection) -> Result<()> {
    if destination.dry_run {
        return Err(Error::refused(
            "what would be restored of a tar of a data directory is not known before its bytes are read; restore it to another \
             directory with `--to`",
        ));
    }
    let mut tree = Tree::read(file, destination, selection).await?;
    if let (Selection::One(name, _), true) = (selection, tree.repositories.is_empty()) {
        return Err(no_repository(name));
    }
    let manifests = Manifests::new(Arc::clone(&destination.storage), Share::new("large_reads", HEAVY));
    let mut lost = Losses::new();
    let mut wanted: HashSet<Digest> = HashSet::new();
    for pointers in tree.repositories.values() {
        wanted.extend(pointers.bytes());
        wanted.extend(pointers.without_link());
    }
    while !wanted.is_empty() {
        tree.restore_blobs(file, destination, &wanted, &mut lost).await?;
        for digest in &wanted {
            if !lost.contains_key(digest) && !destination.has(digest).await? {
                lost.insert(*digest, Loss::Missing);
            }
        }
        wanted.clear();
        for pointers in tree.repositories.values_mut() {
            wanted.extend(complete(pointers, &manifests, &tree.blobs, &lost).await?);
        }
        wanted.retain(|digest| !lost.contains_key(digest));
    }
    for (name, mut pointers) in tree.repositories {
        for damaged in std::mem::take(&mut pointers.damaged) {
            destination.progress.failed(damaged);
        }
        let (document, gone) = pointers.describe(&name, &manifests, &lost).await?;
        let mut lost = lost.clone();
        lost.extend(gone.into_iter().map(|digest| (digest, Loss::Missing)));
        destination.repository(selection.renamed(document), &lost).await?;
    }
    Ok(())
}

/// Adds the links that a repository should have, as far as the bytes are there. Returns digests that it points at since.
async fn complete(
    pointers: &mut Pointers,
    manifests: &Manifests,
    in_tar: &DigestSet,
    lost: &Losses,
) -> Result<HashSet<Digest>> {
    let mut added = HashSet::new();
    for digest in pointers.without_link() {
        if lost.contains_key(&digest) {
            continue;
        }
        let time = pointers
            .tags
            .iter()
            .find(|tag| tag.digest == digest)
            .map(|tag| tag.time);
        if let Some(time) = time {
            pointers.manifests.push(Link::own(digest, time));
            added.insert(digest);
        }
    }
    let layers = pointers.layers.iter().chain(&pointers.manifests);
    let mut known: HashSet<Digest> = layers.filter_map(Link::name).collect();
    let mut at = 0;
    while let Some(link) = pointers.manifests.get(at) {
        let (digest, time) = (link.digest, link.time);
        at += 1;
        if lost.contains_key(&digest) {
            continue;
        }
        let Some(stored) = manifests.load(&digest).await? else {
            continue;
        };
        let bytes = stored.bytes.clone();
        let parsed = match bytes.len() {
            ..=INLINE => ManifestView::parse_stored(&bytes),
            _ => in_background(move || ManifestView::parse_stored(&bytes)).await?,
        };
        let Ok(view) = parsed else { continue };
        let entries = view.manifests.iter().filter(|entry| entry.is_blob());
        let blobs = view.config.iter().chain(&view.layers).chain(entries);
        for blob in blobs.filter(|blob| !blob.is_foreign()) {
            // One that is nowhere is found to be lost, and the image with it.
            if known.insert(blob.digest) {
                pointers.layers.push(Link::own(blob.digest, time));
                added.insert(blob.digest);
            }
        }
        for child in view.children() {
            // An index may name images that its registry does not have.
            if in_tar.contains(&child.digest) && known.insert(child.digest) {
                pointers.manifests.push(Link::own(child.digest, time));
                added.insert(child.digest);
            }
        }
    }
    Ok(added)
}

impl Link {
    fn own(digest: Digest, time: Time) -> Self {
        Self {
            digest,
            path: None,
            time,
        }
    }
}

impl Tree {
    async fn read(file: &OpenFile, destination: &Destination, selection: &Selection) -> Result<Self> {
        let mut tree = Self::default();
        let (mut links, mut others) = (0_u64, 0_u64);
        let mut reader = Reader::open(file, |path| path.ends_with("/link") && locate(path).is_some());
        while let Some(entry) = reader.next().await? {
            let Some(located) = locate(&entry.path) else {
                continue;
            };
            let prefix = tree.prefix.get_or_insert_with(|| located.prefix.clone());
            if *prefix != located.prefix {
                others += 1;
                continue;
            }
            let Some(object) = Object::of(&located.path) else {
                continue;
            };
            if entry.is_link {
                links += 1;
                continue;
            }
            tree.add(object, &mut reader, Time(entry.modified), selection)
                .await?;
        }
        if links > 0 {
            destination.progress.warned(format!(
                "{links} entries of the file are links to other files, which are not followed; make the tar with `--dereference --hard-dereference`"
            ));
        }
        if others > 0 {
            let prefix = tree.prefix.clone().unwrap_or_default();
            destination.progress.failed(format!(
                "the file has several registries; that in `{prefix}` is restored, and {others} entries of others are left out: make a tar of each"
            ));
        }
        for ((name, tag), history) in std::mem::take(&mut tree.histories) {
            let pointers = tree.repositories.get_mut(&name);
            let tag = pointers.and_then(|pointers| pointers.tags.iter_mut().find(|one| one.name == tag));
            if let Some(tag) = tag {
                tag.history = history;
            }
        }
        tree.repositories.retain(|_, pointers| !pointers.is_empty());
        Ok(tree)
    }

    async fn add(
        &mut self,
        object: Object<'_>,
        reader: &mut Reader,
        time: Time,
        selection: &Selection,
    ) -> Result<()> {
        let name = match &object {
            Object::Blob(digest) => {
                self.blobs.insert(digest);
                return Ok(());
            }
            Object::Layer(name, _)
            | Object::Revision(name, _)
            | Object::Tag(name, _)
            | Object::Past(name, _, _) => *name,
        };
        if !selection.has(name) {
            return Ok(());
        }
        let content = reader.bytes(tree::LINK_LIMIT).await?;
        let pointers = self.repositories.entry(name.to_owned()).or_default();
        let digest = match (&object, tree::parse_link(&content)) {
            (Object::Past(_, tag, digest), _) => {
                let history = self
                    .histories
                    .entry((name.to_owned(), (*tag).to_owned()))
                    .or_default();
                history.push(Past {
                    digest: *digest,
                    time,
                });
                return Ok(());
            }
            (_, Ok(digest)) => digest,
            (Object::Tag(name, tag), Err(error)) => {
                let what =
                    format!("the tag `{name}:{tag}` is not restored: its link holds no digest ({error})");
                pointers.damaged.push(what);
                return Ok(());
            }
            (_, Err(error)) => {
                pointers.damaged.push(format!(
                    "a link of `{name}` is not restored: it holds no digest ({error})"
                ));
                return Ok(());
            }
        };
        match object {
            Object::Layer(_, path) => pointers.layers.push(Link::at(path, digest, time)),
            Object::Revision(_, path) => pointers.manifests.push(Link::at(path, digest, time)),
            Object::Tag(_, tag) => pointers.tags.push(Tag {
                name: tag.to_owned(),
                digest,
                time,
                history: Vec::new(),
            }),
            Object::Blob(_) | Object::Past(..) => {}
        }
        Ok(())
    }

    /// Restores the blobs that are wanted, unless they are there.
    async fn restore_blobs(
        &self,
        file: &OpenFile,
        destination: &Destination,
        wanted: &HashSet<Digest>,
        lost: &mut Losses,
    ) -> Result<()> {
        let mut missing: HashSet<Digest> = HashSet::new();
        for digest in wanted.iter().filter(|digest| self.blobs.contains(digest)) {
            if !destination.has(digest).await? {
                missing.insert(*digest);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let prefix = self.prefix.clone().unwrap_or_default();
        let mut reader = Reader::open(file, |path| path.ends_with("/data"));
        while let Some(entry) = reader.next().await? {
            let Some(located) = locate(&entry.path).filter(|located| located.prefix == prefix) else {
                continue;
            };
            let Some(Object::Blob(digest)) = Object::of(&located.path) else {
                continue;
            };
            if !entry.is_link && missing.contains(&digest) {
                destination.entry(&digest, entry.size, &mut reader, lost).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_found_below_any_prefix_and_nothing_outside() {
        for (path, prefix) in [
            ("docker/registry/v2/blobs/x", ""),
            ("./docker/registry/v2/blobs/x", ""),
            (
                "registry/data/docker/registry/v2/repositories/a/_layers/x",
                "registry/data",
            ),
            ("registry/docker/registry/v2/blobs/x", "registry"),
        ] {
            assert_eq!(
                locate(path).map(|located| located.prefix).as_deref(),
                Some(prefix),
                "{path}"
            );
        }
        for path in [
            "/docker/registry/v2/blobs/x",
            "a/../docker/registry/v2/blobs/x",
            "docker/registry/v2/blobs/../../../../etc/passwd",
            "docker/registry/v2",
            "docker/registry/v2/other/x",
            "wharf/lock",
            "registry/v2/blobs/x",
        ] {
            assert!(locate(path).is_none(), "{path}");
        }
    }

    #[test]
    fn each_path_of_a_registry_says_what_it_is() {
        let digest = Digest::sha256_of(b"a");
        let hex = digest.hex();
        let hex = hex.as_str();
        assert_eq!(
            Object::of(&format!("blobs/sha256/{}/{hex}/data", &hex[..2])),
            Some(Object::Blob(digest))
        );
        let link = format!("sha256/{hex}/link");
        assert_eq!(
            Object::of(&format!("repositories/a/b/_layers/{link}")),
            Some(Object::Layer("a/b", &link))
        );
        assert_eq!(
            Object::of(&format!("repositories/a/_manifests/revisions/{link}")),
            Some(Object::Revision("a", &link))
        );
        assert_eq!(
            Object::of("repositories/a/_manifests/tags/1.0/current/link"),
            Some(Object::Tag("a", "1.0"))
        );
        assert_eq!(
            Object::of(&format!("repositories/a/_manifests/tags/1.0/index/{link}")),
            Some(Object::Past("a", "1.0", digest))
        );
        for other in [
            format!("blobs/sha256/00/{hex}/data"),
            format!("blobs/sha256/{}/{hex}/other", &hex[..2]),
            "repositories/a/_uploads/1/data".to_owned(),
            "repositories/a/_layers/x".to_owned(),
            "repositories/_layers/x".to_owned(),
        ] {
            assert_eq!(Object::of(&other), None, "{other}");
        }
    }
}
