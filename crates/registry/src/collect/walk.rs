//! Ways through the tree: all repositories, all names of a directory, many small jobs on several threads.

use std::{collections::VecDeque, sync::Arc};

use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use tokio::task::JoinError;
use wharf_oci::{Algorithm, Digest};
use wharf_storage::{Entry, Error, ErrorKind, Key, Storage, layout, layout::RepositoryDirectory};

use super::PARALLEL;
use crate::Result;

/// How many names are asked of the store at once.
const PAGE: usize = 10_000;

/// How many small things one job does. They are read from the page cache as a rule, some microseconds each.
const CHUNK: usize = 64;

/// The longest name that a repository has had in any registry. What lies deeper is none, or a loop of symbolic links.
const LONGEST_NAME: usize = 255;

/// Every directory below `repositories` that holds manifests or layers, each before those below it.
pub(super) fn repositories(
    storage: Arc<dyn Storage>,
) -> impl Stream<Item = Result<RepositoryDirectory>> + Send {
    struct Walk {
        storage: Arc<dyn Storage>,
        /// `None` is the directory of all repositories.
        ahead: Vec<Option<RepositoryDirectory>>,
    }

    let walk = Walk {
        storage,
        ahead: vec![None],
    };
    stream::try_unfold(walk, |mut walk| async move {
        while let Some(directory) = walk.ahead.pop() {
            let key = directory
                .as_ref()
                .map_or_else(layout::repositories, |directory| directory.key().clone());
            let entries = reachable_names(&*walk.storage, &key).await?;
            for entry in entries.iter().rev().filter(|entry| entry.is_dir) {
                if entry.name.starts_with('_') {
                    continue;
                }
                let below = RepositoryDirectory::find(directory.as_ref(), &entry.name)
                    .map_err(|_| out_of_reach(&key, &entry.name))?;
                if below.name().len() <= LONGEST_NAME {
                    walk.ahead.push(Some(below));
                }
            }
            let holds_something = entries
                .iter()
                .any(|entry| matches!(&*entry.name, "_manifests" | "_layers"));
            if let (Some(directory), true) = (directory, holds_something) {
                return Ok(Some((directory, walk)));
            }
        }
        Ok(None)
    })
}

/// All names in a directory, in ascending order.
pub(super) async fn names(storage: &dyn Storage, directory: &Key) -> Result<Vec<Entry>> {
    let (names, _) = all_names(storage, directory).await?;
    Ok(names)
}

/// The same, provided that no directory is hidden from us: somebody may have copied a repository to a name that none can
/// have, and what is in there may need blobs.
async fn reachable_names(storage: &dyn Storage, directory: &Key) -> Result<Vec<Entry>> {
    match all_names(storage, directory).await? {
        (names, None) => Ok(names),
        (_, Some(hidden)) => Err(out_of_reach(directory, &hidden).into()),
    }
}

fn out_of_reach(directory: &Key, name: &str) -> Error {
    Error::with_source(
        ErrorKind::Other,
        format!("look into `{name}` in `{directory}`"),
        "no repository can have that name, and nobody knows what it needs, so nothing is removed; move it elsewhere",
    )
}

async fn all_names(storage: &dyn Storage, directory: &Key) -> Result<(Vec<Entry>, Option<Box<str>>)> {
    let mut names: Vec<Entry> = Vec::new();
    loop {
        let after = names.last().map(|entry| entry.name.clone());
        let page = storage.list(directory, after.as_deref(), PAGE).await?;
        names.extend(page.entries);
        if !page.more {
            return Ok((names, page.unreachable));
        }
    }
}

/// What lies in a directory as `<algorithm>/<hex>`.
#[derive(Debug, Default)]
pub(super) struct ByDigest {
    /// In ascending order.
    pub(super) digests: Vec<Digest>,
    /// Names of algorithms that we cannot compute.
    pub(super) unknown_algorithms: Vec<Box<str>>,
    /// Whether there is anything else.
    pub(super) has_strangers: bool,
}

/// Reads such a directory.
pub(super) async fn by_digest(storage: &dyn Storage, directory: &Key) -> Result<ByDigest> {
    let mut found = ByDigest::default();
    for algorithm in names(storage, directory).await? {
        let Ok(known) = algorithm.name.parse::<Algorithm>() else {
            found.has_strangers = true;
            found
                .unknown_algorithms
                .extend(algorithm.is_dir.then_some(algorithm.name));
            continue;
        };
        let mut after: Option<Box<str>> = None;
        let below = directory.join(&algorithm.name).map_err(no_key)?;
        loop {
            let page = storage.list(&below, after.as_deref(), PAGE).await?;
            for entry in &page.entries {
                match digest(known, &entry.name) {
                    Some(digest) => found.digests.push(digest),
                    None => found.has_strangers = true,
                }
            }
            match page.entries.last() {
                Some(last) if page.more => after = Some(last.name.clone()),
                _ => break,
            }
        }
    }
    Ok(found)
}

/// The digest of `algorithm` with these digits.
pub(super) fn digest(algorithm: Algorithm, hex: &str) -> Option<Digest> {
    format!("{algorithm}:{hex}").parse().ok()
}

/// What a link says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// There is none.
    Absent,
    /// A digest.
    Points(Digest),
    /// It cannot be read, or holds no digest; why.
    Damaged(String),
}

/// Reads a link. One that cannot be read is as good as one without a digest.
pub(super) async fn link(storage: &dyn Storage, key: &Key) -> Link {
    match storage.read(key, layout::LINK_LIMIT).await {
        Ok(object) if object.bytes.is_empty() => Link::Damaged("it is empty".to_owned()),
        Ok(object) => match layout::parse_link(&object.bytes) {
            Ok(digest) => Link::Points(digest),
            Err(error) => Link::Damaged(error.to_string()),
        },
        Err(error) if error.is_not_found() => Link::Absent,
        Err(error) => Link::Damaged(error.to_string()),
    }
}

/// Does `work` for all of `items`, some at a time in one job, several jobs at once. The results come in the order of the
/// items.
pub(super) async fn in_chunks<T, R, F>(items: Vec<T>, work: impl Fn(Vec<T>) -> F) -> Result<Vec<R>>
where
    R: Send + 'static,
    F: Future<Output = Result<Vec<R>>> + Send + 'static,
{
    if items.len() <= CHUNK {
        return work(items).await;
    }
    let mut items = VecDeque::from(items);
    let chunks = std::iter::from_fn(|| {
        let chunk: Vec<T> = items.drain(..CHUNK.min(items.len())).collect();
        (!chunk.is_empty()).then_some(chunk)
    });
    let chunks: Vec<Vec<T>> = chunks.collect();
    let mut results: Vec<R> = Vec::new();
    let mut jobs = stream::iter(chunks)
        .map(|chunk| tokio::spawn(work(chunk)))
        .buffered(PARALLEL)
        .map(|job| job.map_err(failed_job)?);
    while let Some(done) = jobs.try_next().await? {
        results.extend(done);
    }
    Ok(results)
}

/// A job that panicked, or that the end of the process overtook.
pub(super) fn failed_job(error: JoinError) -> Error {
    Error::with_source(ErrorKind::Other, "a job of the collection did not end", error)
}

/// A name that was listed and is none, which no engine does.
pub(super) fn no_key(error: wharf_storage::KeyError) -> Error {
    Error::with_source(ErrorKind::Other, "go through a directory", error)
}
