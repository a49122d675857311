//! What a link points at: read from the tree, or remembered while the tree has not changed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::Digest;
use wharf_storage::{Key, Result, Storage, Version, layout};

use crate::Registry;

/// How many links are remembered, about 300 bytes each.
const CAPACITY: u64 = 16 * 1024;

#[derive(Debug)]
pub(crate) struct LinkCache {
    cache: Cache<Key, (Version, Digest)>,
    requests: AtomicU64,
    hits: AtomicU64,
}

/// How often links were looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkLookups {
    /// In all.
    pub requests: u64,
    /// Of them, those that were remembered and had not changed.
    pub hits: u64,
}

impl LinkCache {
    pub(crate) fn new() -> Self {
        Self {
            cache: Cache::with_weighter(crate::FEW, CAPACITY, UnitWeighter),
            requests: AtomicU64::new(0),
            hits: AtomicU64::new(0),
        }
    }
}

impl Registry {
    /// How often links were looked up so far. Lookups that end meanwhile may be in one number and not in the other.
    pub fn link_lookups(&self) -> LinkLookups {
        LinkLookups {
            hits: self.links.hits.load(Relaxed),
            requests: self.links.requests.load(Relaxed),
        }
    }

    /// The digest that the link at `key` holds, `None` when there is no link or it holds none.
    ///
    /// A remembered link is believed only after the tree says that it still is the same file, so a change
    /// behind our back shows at once.
    pub(crate) async fn link(&self, key: &Key) -> Result<Option<Digest>> {
        let storage: &dyn Storage = &*self.storage;
        self.links.requests.fetch_add(1, Relaxed);
        if let Some((version, digest)) = self.links.cache.get(key) {
            match storage.stat(key).await {
                Ok(stat) if stat.version == Some(version) => {
                    self.links.hits.fetch_add(1, Relaxed);
                    return Ok(Some(digest));
                }
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    self.links.cache.remove(key);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        let object = match storage.read(key, layout::LINK_LIMIT).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        match layout::parse_link(&object.bytes) {
            Ok(digest) => {
                if let Some(version) = object.stat.version {
                    self.links.cache.insert(key.clone(), (version, digest));
                }
                Ok(Some(digest))
            }
            Err(error) => {
                // registry:2 leaves empty links behind when power fails. What they meant is unknown;
                // pushing again writes them anew.
                tracing::warn!(storage.key = %key, %error, "a link does not hold a digest; it is treated as absent");
                Ok(None)
            }
        }
    }
}
