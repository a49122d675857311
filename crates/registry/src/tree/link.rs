//! Links: small files that hold the digest that a repository, a tag or a history points at.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::Digest;
use wharf_storage::{Key, Result, Storage, Version, layout};

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
    match storage.read(key, layout::LINK_LIMIT).await {
        Ok(object) => Link::parse(&object.bytes),
        Err(error) if error.is_not_found() => Link::Absent,
        Err(error) => Link::Damaged(error.to_string()),
    }
}

/// The links that requests read: strictly, and remembered as long as the tree has not changed.
#[derive(Debug)]
pub(crate) struct Links {
    storage: Arc<dyn Storage>,
    cache: Cache<Key, (Version, Digest)>,
    requests: AtomicU64,
    hits: AtomicU64,
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

    /// The digest that the link at `key` holds if it is of `version`, as far as that is remembered.
    pub(crate) fn remembered(&self, key: &Key, version: &Version) -> Option<Digest> {
        let (remembered, digest) = self.cache.get(key)?;
        (remembered == *version).then_some(digest)
    }

    /// As [`target`](Self::target), with the version of the link, if the store can promise that it stands for that content.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn look_up(&self, key: &Key) -> Result<Option<(Digest, Option<Version>)>> {
        self.requests.fetch_add(1, Relaxed);
        if let Some((version, digest)) = self.cache.get(key) {
            match self.storage.stat(key).await {
                Ok(stat) if stat.version.as_ref() == Some(&version) => {
                    self.hits.fetch_add(1, Relaxed);
                    return Ok(Some((digest, Some(version))));
                }
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    self.cache.remove(key);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        let object = match self.storage.read(key, layout::LINK_LIMIT).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        match Link::parse(&object.bytes) {
            Link::Points(digest) => {
                if let Some(version) = &object.stat.version {
                    self.cache.insert(key.clone(), (version.clone(), digest));
                }
                Ok(Some((digest, object.stat.version)))
            }
            Link::Absent => Ok(None),
            Link::Damaged(error) => {
                tracing::warn!(storage.key = %key, %error, "a link does not hold a digest; it is treated as absent");
                Ok(None)
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
