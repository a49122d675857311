//! What a link points at: read from the tree, or remembered while the tree has not changed.

use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::Digest;
use wharf_storage::{Key, Result, Storage, Version, layout};

use crate::Registry;

/// How many links are remembered, about 300 bytes each.
const CAPACITY: u64 = 16 * 1024;

#[derive(Debug)]
pub(crate) struct LinkCache(Cache<Key, (Version, Digest)>);

impl LinkCache {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(crate::FEW, CAPACITY, UnitWeighter))
    }
}

impl Registry {
    /// The digest that the link at `key` holds, `None` when there is no link or it holds none.
    ///
    /// A remembered link is believed only after the tree says that it still is the same file, so a change
    /// behind our back shows at once.
    pub(crate) async fn link(&self, key: &Key) -> Result<Option<Digest>> {
        let storage: &dyn Storage = &*self.storage;
        if let Some((version, digest)) = self.links.0.get(key) {
            match storage.stat(key).await {
                Ok(stat) if stat.version == Some(version) => return Ok(Some(digest)),
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    self.links.0.remove(key);
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
                    self.links.0.insert(key.clone(), (version, digest));
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
