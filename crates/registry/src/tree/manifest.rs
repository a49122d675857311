//! Stored manifests: their bytes, checked against their digest, and the facts that are read in them.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};
use wharf_oci::{Algorithm, Descriptor, Digest, ManifestKind, ManifestView, media_type};
use wharf_storage::{ErrorKind, Result, Storage, layout};

use crate::cache::FEW;

/// How many bytes of manifests are kept in memory. Manifests are immutable under their digest, so what is kept
/// never goes stale; whether a repository may read one is asked of the tree each time.
const BYTES_IN_MEMORY: u64 = 16 << 20;

/// How many bytes of facts are kept in memory, estimated: those of some 10,000 images.
const FACTS_IN_MEMORY: u64 = 16 << 20;

/// The largest manifest that is read. Other registries may have accepted larger ones than wharf does.
const READ_LIMIT: u64 = 64 << 20;

/// A manifest as it was pushed.
#[derive(Debug)]
pub struct StoredManifest {
    /// Digest of `bytes`.
    pub digest: Digest,
    /// Exactly the bytes that were pushed.
    pub bytes: Bytes,
    /// Media type that `bytes` name; registry:2's layout stores none.
    pub media_type: Box<str>,
}

/// The facts in the bytes of a manifest. They hold for its digest, in every repository.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The configuration of an image.
    pub(crate) config: Option<Digest>,
    /// The layers of an image, or the blobs of an artifact.
    pub(crate) layers: Box<[Digest]>,
    /// The children of an index.
    pub(crate) children: Box<[Digest]>,
    /// The entries of an index that are blobs by their media type, as in BuildKit's cache. A manifest of a type that only
    /// its client knows may be among them.
    pub(crate) listed_blobs: Box<[Digest]>,
    /// The manifest that it refers to.
    pub(crate) subject: Option<Digest>,
    /// Every digest in the text of a manifest of an unknown type, or of one that names nothing in its fields.
    pub(crate) mentioned: Box<[Digest]>,
    /// Its entry in the list of referrers of its subject, if it has one.
    pub(crate) referrer: Option<Box<Descriptor>>,
}

/// The result of a tolerant lookup of a manifest.
#[derive(Debug)]
pub(crate) enum Stored {
    /// The bytes of the manifest are not stored.
    Absent,
    /// The references of the manifest cannot be read; the text says why.
    Unreadable(String),
    /// The facts of the manifest.
    Understood(Arc<Facts>),
}

impl Facts {
    /// The digests of blobs that it needs: config, layers, entries of an index that are blobs, and every digest that an
    /// unknown type mentions.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Digest> {
        let fields = self.config.iter().chain(&self.layers);
        fields.chain(&self.listed_blobs).chain(&self.mentioned)
    }

    /// The digests of all entries of an index.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Digest> {
        self.children.iter().chain(&self.listed_blobs)
    }

    /// Every digest that it names in any role.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Digest> {
        self.children.iter().chain(self.blobs()).chain(&self.subject)
    }

    fn new(digest: &Digest, view: &ManifestView, bytes: &[u8]) -> Self {
        let digest_of = |descriptor: &Descriptor| descriptor.digest;
        let config = view.config.as_ref().map(digest_of);
        let layers: Box<[Digest]> = view.layers.iter().map(digest_of).collect();
        let children: Box<[Digest]> = view.children().map(digest_of).collect();
        let blobs = view.manifests.iter().filter(|entry| entry.is_blob());
        let listed_blobs: Box<[Digest]> = blobs.map(digest_of).collect();
        // An unknown type may name what it needs in any way; and an image or an index that names nothing at
        // all may be spelled in a way that only other programs understand.
        let names_nothing = config.is_none() && layers.is_empty() && view.manifests.is_empty();
        let mentioned = if view.kind == ManifestKind::Unknown || names_nothing {
            mentioned(bytes)
        } else {
            Vec::new()
        };
        let subject = view.subject.as_ref().map(|subject| subject.digest);
        let referrer = subject.map(|_| Box::new(view.descriptor(*digest, bytes.len() as u64)));
        Self {
            config,
            layers,
            children,
            listed_blobs,
            subject,
            mentioned: mentioned.into(),
            referrer,
        }
    }

    fn weight(&self) -> u64 {
        let digests = self.layers.len() + self.entries().count() + self.mentioned.len();
        let annotations = |descriptor: &Descriptor| -> usize {
            let pairs = descriptor.annotations.iter().flatten();
            pairs.map(|(key, value)| 64 + key.len() + value.len()).sum()
        };
        let referrer = self
            .referrer
            .as_ref()
            .map_or(0, |referrer| 512 + annotations(referrer));
        (size_of::<Self>() + 128 + digests * size_of::<Digest>() + referrer) as u64
    }
}

/// Every digest that stands anywhere in `text`.
fn mentioned(text: &[u8]) -> Vec<Digest> {
    let mut found = Vec::new();
    for algorithm in Algorithm::ALL {
        let (name, length) = (algorithm.as_str().as_bytes(), algorithm.hex_len());
        for (start, window) in text.windows(name.len() + 1 + length).enumerate() {
            // The colon is the rarest character of the prefix.
            if window[name.len()] != b':' || !window.starts_with(name) {
                continue;
            }
            let goes_on = text.get(start + window.len()).is_some_and(u8::is_ascii_hexdigit);
            let digest = std::str::from_utf8(window).ok().map(str::parse::<Digest>);
            found.extend(digest.and_then(std::result::Result::ok).filter(|_| !goes_on));
        }
    }
    found
}

#[derive(Debug, Clone)]
struct ByMemory;

impl Weighter<Digest, Arc<StoredManifest>> for ByMemory {
    fn weight(&self, _: &Digest, manifest: &Arc<StoredManifest>) -> u64 {
        256 + manifest.bytes.len() as u64
    }
}

impl Weighter<Digest, Arc<Facts>> for ByMemory {
    fn weight(&self, _: &Digest, facts: &Arc<Facts>) -> u64 {
        facts.weight()
    }
}

/// The manifests of a store by digest, whatever repository has them. Bytes that are served, and facts, are cached apart:
/// reading the facts of many manifests does not push out those that clients pull.
#[derive(Debug)]
pub(crate) struct Manifests {
    storage: Arc<dyn Storage>,
    bytes: Cache<Digest, Arc<StoredManifest>, ByMemory>,
    facts: Cache<Digest, Arc<Facts>, ByMemory>,
}

/// Bytes of a manifest as they were found.
enum Found {
    Absent,
    /// The bytes do not have the digest; the number is their size.
    Damaged(usize),
    Whole(Bytes),
}

impl Manifests {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self {
            storage,
            bytes: Cache::with_weighter(FEW, BYTES_IN_MEMORY, ByMemory),
            facts: Cache::with_weighter(FEW, FACTS_IN_MEMORY, ByMemory),
        }
    }

    /// Keeps a manifest that has just been stored.
    pub(crate) fn remember(&self, manifest: StoredManifest) -> Arc<StoredManifest> {
        let manifest = Arc::new(manifest);
        self.bytes.insert(manifest.digest, Arc::clone(&manifest));
        manifest
    }

    /// The manifest `digest`. `None` when it is not stored, or not whole: damaged bytes are never served, and pushing the
    /// manifest again heals them.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn load(&self, digest: &Digest) -> Result<Option<Arc<StoredManifest>>> {
        if let Some(manifest) = self.bytes.get(digest) {
            return Ok(Some(manifest));
        }
        let Some(bytes) = self.whole(digest).await? else {
            return Ok(None);
        };
        let media_type = match ManifestView::parse_stored(&bytes) {
            Ok(view) => {
                self.keep_facts(digest, &view, &bytes);
                view.media_type.into()
            }
            Err(_) => media_type::OCTET_STREAM.into(),
        };
        Ok(Some(self.remember(StoredManifest {
            digest: *digest,
            bytes,
            media_type,
        })))
    }

    /// The facts of the manifest `digest`. `None` when it is not stored, not whole, or no manifest.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn facts(&self, digest: &Digest) -> Result<Option<Arc<Facts>>> {
        if let Some(facts) = self.facts.get(digest) {
            return Ok(Some(facts));
        }
        let bytes = match self.bytes.get(digest) {
            Some(manifest) => Some(manifest.bytes.clone()),
            None => self.whole(digest).await?,
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let view = ManifestView::parse_stored(&bytes).ok();
        Ok(view.map(|view| self.keep_facts(digest, &view, &bytes)))
    }

    /// Looks the manifest `digest` up tolerantly: a failure is part of the answer.
    pub(crate) async fn look_up(&self, digest: &Digest) -> Stored {
        if let Some(facts) = self.facts.get(digest) {
            return Stored::Understood(facts);
        }
        let bytes = match self.find(digest).await {
            Ok(Found::Absent) => return Stored::Absent,
            // A flipped bit may be part of a digest in the manifest.
            Ok(Found::Damaged(size)) => return Stored::Unreadable(format!("its {size} bytes are damaged")),
            Ok(Found::Whole(bytes)) => bytes,
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                return Stored::Unreadable("it is too large to be a manifest".to_owned());
            }
            Err(error) => return Stored::Unreadable(error.to_string()),
        };
        match ManifestView::parse_stored(&bytes) {
            Ok(view) => Stored::Understood(self.keep_facts(digest, &view, &bytes)),
            Err(error) => Stored::Unreadable(error.to_string()),
        }
    }

    /// The bytes of `digest`, if they are there and whole.
    async fn whole(&self, digest: &Digest) -> Result<Option<Bytes>> {
        match self.find(digest).await? {
            Found::Whole(bytes) => Ok(Some(bytes)),
            Found::Absent => Ok(None),
            Found::Damaged(size) => {
                tracing::error!(manifest.digest = %digest, size, "the stored bytes of a manifest are damaged; it counts as absent until it is pushed again");
                Ok(None)
            }
        }
    }

    async fn find(&self, digest: &Digest) -> Result<Found> {
        let bytes = match self.storage.read(&layout::blob(digest), READ_LIMIT).await {
            Ok(object) => object.bytes,
            Err(error) if error.is_not_found() => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        if Digest::of(digest.algorithm(), &bytes) == *digest {
            Ok(Found::Whole(bytes))
        } else {
            Ok(Found::Damaged(bytes.len()))
        }
    }

    fn keep_facts(&self, digest: &Digest, view: &ManifestView, bytes: &[u8]) -> Arc<Facts> {
        let facts = Arc::new(Facts::new(digest, view, bytes));
        self.facts.insert(*digest, Arc::clone(&facts));
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts_of(text: &str) -> Facts {
        let view = ManifestView::parse_stored(text.as_bytes()).unwrap();
        Facts::new(&Digest::sha256_of(text.as_bytes()), &view, text.as_bytes())
    }

    fn blobs_of(text: &str) -> Vec<Digest> {
        facts_of(text).blobs().copied().collect()
    }

    #[test]
    fn a_known_type_names_what_it_needs_in_its_own_fields() {
        let [config, layer, elsewhere] = ["c", "l", "e"].map(|text| Digest::sha256_of(text.as_bytes()));
        let found = facts_of(&format!(
            r#"{{"schemaVersion":2,"config":{{"digest":"{config}"}},"layers":[{{"digest":"{layer}"}}],"annotations":{{"base":"{elsewhere}"}}}}"#
        ));
        assert_eq!(found.blobs().copied().collect::<Vec<_>>(), [config, layer]);
        assert!(found.children.is_empty());
        assert_eq!(found.referrer, None, "it refers to nothing");
    }

    #[test]
    fn the_entries_of_an_index_are_what_their_media_type_says() {
        let digests = ["i", "n", "l", "c"].map(|text| Digest::sha256_of(text.as_bytes()));
        let [image, untyped, layer, cache] = digests;
        let found = facts_of(&format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"{}","digest":"{image}"}},{{"digest":"{untyped}"}},{{"mediaType":"{}","digest":"{layer}"}},{{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"{cache}"}}]}}"#,
            media_type::OCI_INDEX,
            media_type::OCI_MANIFEST,
            media_type::OCI_LAYER_GZIP,
        ));
        assert_eq!(*found.children, [image, untyped]);
        assert_eq!(found.blobs().copied().collect::<Vec<_>>(), [layer, cache]);
        assert_eq!(found.entries().copied().collect::<Vec<_>>(), digests);
    }

    #[test]
    fn an_unknown_type_needs_whatever_it_mentions() {
        let (short, long) = (Digest::sha256_of(b"s"), Digest::of(Algorithm::Sha512, b"l"));
        let found = blobs_of(&format!(
            r#"{{"mediaType":"application/vnd.example+json","parts":{{"a":["{short}"],"{long}":1}},"no":"sha256:{}","longer":"{short}0"}}"#,
            "g".repeat(64)
        ));
        assert_eq!(found, [short, long]);
    }

    #[test]
    fn an_image_in_another_spelling_needs_whatever_it_mentions() {
        let layer = Digest::sha256_of(b"l");
        let found = blobs_of(&format!(
            r#"{{"schemaVersion":2,"Layers":[{{"digest":"{layer}"}}]}}"#
        ));
        assert_eq!(found, [layer]);
    }

    #[test]
    fn schema_1_needs_its_layers() {
        let layer = Digest::sha256_of(b"l");
        let found = blobs_of(&format!(
            r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{layer}"}}]}}"#
        ));
        assert_eq!(found, [layer]);
    }
}
