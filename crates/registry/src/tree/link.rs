//! Links: small files that hold the digest that a repository, a tag or a history points at.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::SystemTime,
};

use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::Digest;
use wharf_storage::{ErrorKind, Fingerprint, Key, Object, Result, Storage, Version, layout};

use crate::cache::FEW;

/// How many links are remembered, about 300 bytes each.
const CAPACITY: u64 = 16 * 1024;

/// The content of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// There is no link.
    Absent,
    /// The link holds this digest.
    Points(Digest),
    /// The link holds no digest, or cannot be read; the text says why.
    Damaged(String),
}

impl Link {
    fn parse(content: &[u8]) -> Self {
        if content.is_empty() {
            // registry:2 leaves empty links behind when power fails.
            return Self::Damaged("it is empty".to_owned());
        }
        match layout::parse_link(content) {
            Ok(digest) => Self::Points(digest),
            Err(error) => Self::Damaged(error.to_string()),
        }
    }
}

/// Reads a link tolerantly: one that cannot be read is damaged.
pub(crate) async fn read(storage: &dyn Storage, key: &Key) -> Link {
    match find(storage, key).await {
        Ok(link) => link,
        Err(error) => Link::Damaged(error.to_string()),
    }
}

/// As [`read()`], for a reader to which it matters whether the link or the way to it is damaged.
///
/// # Errors
///
/// Errors of the store, such as a lack of the right to read the link.
pub(crate) async fn find(storage: &dyn Storage, key: &Key) -> Result<Link> {
    Ok(find_version(storage, key).await?.0)
}

/// As [`find`], with the version of the link, where there is one that the store can tell.
///
/// # Errors
///
/// As [`find`].
pub(crate) async fn find_version(storage: &dyn Storage, key: &Key) -> Result<(Link, Option<Version>)> {
    match storage.read(key, layout::LINK_LIMIT).await {
        Ok(object) => Ok((Link::parse(&object.bytes), object.stat.version)),
        Err(error) => match error.kind() {
            ErrorKind::NotFound => Ok((Link::Absent, None)),
            ErrorKind::TooLarge | ErrorKind::Damaged => Ok((Link::Damaged(error.to_string()), None)),
            _ => Err(error),
        },
    }
}

/// How many digests are compared with what a listing tells of a link. More of them cost more than to read it.
const MOST_COMPARED: usize = 256;

/// The fingerprint of a link to `digest`.
pub(crate) fn fingerprint(digest: &Digest) -> Fingerprint {
    Fingerprint::of(&layout::link_content(digest))
}

/// At which of `candidates` a link points, as far as its `version` in a listing tells. Some buckets tell nothing.
pub(crate) fn told<'a>(
    version: Option<&Version>,
    candidates: impl IntoIterator<Item = &'a Digest>,
) -> Option<Digest> {
    let told = version.and_then(Version::fingerprint)?;
    let mut candidates = candidates.into_iter().take(MOST_COMPARED);
    candidates.find(|digest| fingerprint(digest) == told).copied()
}

/// The links that requests read: strictly, and remembered as long as the tree has not changed.
#[derive(Debug)]
pub(crate) struct Links {
    storage: Arc<dyn Storage>,
    cache: Cache<Key, Remembered>,
    requests: AtomicU64,
    hits: AtomicU64,
}

/// A link as it was when it was read last.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    version: Version,
    /// The digest that it held.
    pub(crate) digest: Digest,
}

/// How often links were looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkLookups {
    /// Number of lookups.
    pub requests: u64,
    /// Number of lookups that a remembered and unchanged link answered.
    pub hits: u64,
}

impl Links {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            cache: Cache::with_weighter(FEW, CAPACITY, UnitWeighter),
            requests: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }
    }

    pub(crate) fn lookups(&self) -> LinkLookups {
        LinkLookups {
            hits: self.hits.load(Relaxed),
            requests: self.requests.load(Relaxed),
        }
    }

    /// The digest that the link at `key` holds, `None` when there is no link, or a damaged one: pushing again writes it
    /// anew.
    ///
    /// A remembered link counts only after the tree says that it still is the same file, so a change by another
    /// process shows at once.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn target(&self, key: &Key) -> Result<Option<Digest>> {
        Ok(self.look_up(key).await?.map(|(digest, _)| digest))
    }

    /// When the link at `key` was written; `None`: there is none.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn since(&self, key: &Key) -> Result<Option<SystemTime>> {
        match self.storage.stat(key).await {
            Ok(stat) => Ok(Some(stat.modified)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the link at `key` was when it was read last: a guess, with which nothing can be answered.
    pub(crate) fn remembered(&self, key: &Key) -> Option<Remembered> {
        self.cache.get(key)
    }

    /// The digest that the link at `key` holds if it is of `version`, as far as that is remembered.
    pub(crate) fn remembered_as(&self, key: &Key, version: &Version) -> Option<Digest> {
        let remembered = self.cache.get(key)?;
        remembered
            .version
            .has_content_of(version)
            .then_some(remembered.digest)
    }

    /// As [`target`](Self::target), with the version of the link, if the store can promise that it stands for that content.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn look_up(&self, key: &Key) -> Result<Option<(Digest, Option<Version>)>> {
        self.compare(key, self.remembered(key)).await
    }

    /// As [`target`](Self::target), where the link was `remembered`.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn still(&self, key: &Key, remembered: Option<Remembered>) -> Result<Option<Digest>> {
        Ok(self.compare(key, remembered).await?.map(|(digest, _)| digest))
    }

    async fn compare(
        &self,
        key: &Key,
        remembered: Option<Remembered>,
    ) -> Result<Option<(Digest, Option<Version>)>> {
        self.requests.fetch_add(1, Relaxed);
        let read = match &remembered {
            Some(Remembered { version, .. }) => {
                self.storage.read_unless(key, layout::LINK_LIMIT, version).await
            }
            None => self.storage.read(key, layout::LINK_LIMIT).await.map(Some),
        };
        match read {
            Ok(Some(object)) => Ok(self.keep(key, object)),
            Ok(None) => {
                self.hits.fetch_add(1, Relaxed);
                Ok(remembered.map(|Remembered { version, digest }| (digest, Some(version))))
            }
            Err(error) if error.is_not_found() => {
                if remembered.is_some() {
                    self.cache.remove(key);
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The link at `key` as it is, with its version where the store can tell one.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn observe(&self, key: &Key) -> Result<Option<(Option<Digest>, Option<Version>)>> {
        match self.storage.read(key, layout::LINK_LIMIT).await {
            Ok(object) => {
                let version = object.stat.version.clone();
                Ok(Some((self.keep(key, object).map(|(digest, _)| digest), version)))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers a link that was read. The digest that it holds, if it is not damaged.
    fn keep(&self, key: &Key, object: Object) -> Option<(Digest, Option<Version>)> {
        match Link::parse(&object.bytes) {
            Link::Points(digest) => {
                if let Some(version) = object.stat.version.clone() {
                    self.cache.insert(key.clone(), Remembered { version, digest });
                }
                Some((digest, object.stat.version))
            }
            Link::Absent => None,
            Link::Damaged(error) => {
                tracing::warn!(storage.key = %key, %error, "a link does not hold a digest; it is treated as absent");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_points_or_is_damaged() {
        let digest = Digest::sha256_of(b"a");
        assert_eq!(
            Link::parse(format!(" {digest}\n").as_bytes()),
            Link::Points(digest)
        );
        assert_eq!(Link::parse(b""), Link::Damaged("it is empty".to_owned()));
        assert!(matches!(Link::parse(b"sha256:12"), Link::Damaged(_)));
        assert!(matches!(Link::parse(b"\xff"), Link::Damaged(_)));
    }
}
