//! What is remembered of the descriptions of images.

use quick_cache::sync::Cache;

/// How many descriptions are remembered: with their longest texts half a megabyte.
const REMEMBERED: usize = 500;

/// The descriptions of images, by the digests of their manifests, so that they never go stale; empty where there is none. They are for
/// visitors who see a tag at the manifest.
#[derive(Debug)]
pub(super) struct Descriptions(Cache<String, String>);

impl Default for Descriptions {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl Descriptions {
    /// The description of the image `digest`, if it is remembered.
    pub(super) fn get(&self, digest: &str) -> Option<String> {
        self.0.get(digest)
    }

    pub(super) fn insert(&self, digest: String, text: String) {
        self.0.insert(digest, text);
    }
}
