//! Directories of the tree: all names in one, and all digests in one that keeps them as `<algorithm>/<hex>`.

use wharf_oci::{Algorithm, Digest};
use wharf_storage::{Entry, Error, ErrorKind, Key, KeyError, Storage};

use crate::error::Result;

/// How many names are asked of the store at once when all are wanted.
const PAGE: usize = 10_000;

/// How many entries are named that are no part of the layout.
const NAMED: usize = 100;

/// All names in a directory, in ascending order of their bytes. A directory that does not exist has none.
///
/// # Errors
///
/// Errors of the store.
pub(crate) async fn names(storage: &dyn Storage, directory: &Key) -> Result<Vec<Entry>> {
    let mut names: Vec<Entry> = Vec::new();
    loop {
        let after = names.last().map(|entry| entry.name.clone());
        let page = storage.list(directory, after.as_deref(), PAGE).await?;
        names.extend(page.entries);
        if !page.more {
            return Ok(names);
        }
    }
}

/// Whether there is anything at or below `directory`.
///
/// # Errors
///
/// Errors of the store.
pub(crate) async fn exists(storage: &dyn Storage, directory: &Key) -> Result<bool> {
    let page = storage.list(directory, None, 0).await?;
    Ok(page.more)
}

/// The content of a directory that keeps digests as `<algorithm>/<hex>`.
#[derive(Debug, Default)]
pub(crate) struct ByDigest {
    /// The digests, in ascending order. One whose link is gone may be among them, because registry:2 leaves the
    /// directories of deleted links behind.
    pub(crate) digests: Vec<Digest>,
    /// Names of algorithms that are not supported.
    pub(crate) unknown_algorithms: Vec<Box<str>>,
    /// Whether the directory has other entries.
    pub(crate) has_unknown_entries: bool,
    /// Paths below the directory of the first [`NAMED`] of them.
    pub(crate) unknown_entries: Vec<Box<str>>,
}

impl ByDigest {
    fn note(&mut self, path: Box<str>) {
        self.has_unknown_entries = true;
        if self.unknown_entries.len() < NAMED {
            self.unknown_entries.push(path);
        }
    }
}

/// Lists a directory that keeps digests as `<algorithm>/<hex>`.
///
/// # Errors
///
/// Errors of the store.
pub(crate) async fn by_digest(storage: &dyn Storage, directory: &Key) -> Result<ByDigest> {
    let mut found = ByDigest::default();
    for algorithm in names(storage, directory).await? {
        let Ok(known) = algorithm.name.parse::<Algorithm>() else {
            found.note(algorithm.name.clone());
            found
                .unknown_algorithms
                .extend(algorithm.is_dir.then_some(algorithm.name));
            continue;
        };
        let below = directory.join(&algorithm.name).map_err(no_key)?;
        let mut digests = std::mem::take(&mut found.digests);
        let noted = |name: &str| found.note(format!("{known}/{name}").into());
        each_digest_of(storage, &below, known, &mut digests, noted).await?;
        found.digests = digests;
    }
    Ok(found)
}

/// Adds the digests of `algorithm` whose hex digits are the names in `directory`. Returns whether there are other
/// names.
///
/// # Errors
///
/// Errors of the store.
pub(crate) async fn digests_of(
    storage: &dyn Storage,
    directory: &Key,
    algorithm: Algorithm,
    digests: &mut Vec<Digest>,
) -> Result<bool> {
    let mut has_unknown_entries = false;
    each_digest_of(storage, directory, algorithm, digests, |_| {
        has_unknown_entries = true;
    })
    .await?;
    Ok(has_unknown_entries)
}

/// As [`digests_of`], with a call of `unknown` for each other name.
async fn each_digest_of(
    storage: &dyn Storage,
    directory: &Key,
    algorithm: Algorithm,
    digests: &mut Vec<Digest>,
    mut unknown: impl FnMut(&str) + Send,
) -> Result<()> {
    let mut after: Option<Box<str>> = None;
    loop {
        let page = storage.list(directory, after.as_deref(), PAGE).await?;
        for entry in &page.entries {
            match Digest::from_hex(algorithm, &entry.name) {
                Some(digest) => digests.push(digest),
                None => unknown(&entry.name),
            }
        }
        match page.entries.last() {
            Some(last) if page.more => after = Some(last.name.clone()),
            _ => return Ok(()),
        }
    }
}

/// The error of a name that was listed and that no key can have, which no engine lists.
pub(crate) fn no_key(error: KeyError) -> Error {
    Error::with_source(ErrorKind::Other, "go through a directory", error)
}
