//! Stored manifests: their bytes, checked against their digest, and the facts that are read in them.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};
use wharf_budget::Share;
use wharf_oci::{
    Algorithm, ArtifactKind, Descriptor, Digest, ManifestKind, ManifestView, Platform, media_type,
};
use wharf_storage::{ErrorKind, Storage, layout};

use super::parallel::in_turn;
use crate::{
    cache::FEW,
    error::Result,
    patience::{PATIENCE, turn},
};

/// The largest manifest that is hashed and parsed on an async thread, which takes less than half a millisecond. Larger
/// ones, which are rare, go to other threads, a few at a time.
pub(crate) const INLINE: usize = 64 << 10;

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
    /// Media type that its bytes name.
    pub(crate) media_type: Box<str>,
    /// What it is to its users, as far as its own bytes tell.
    pub(crate) kind: ArtifactKind,
    /// The configuration of an image.
    pub(crate) config: Option<Digest>,
    /// The layers of an image, or the blobs of an artifact; each once.
    pub(crate) layers: Box<[Digest]>,
    /// The children of an index; each once.
    pub(crate) children: Box<[Digest]>,
    /// What each of the children is for.
    pub(crate) purposes: Box<[Purpose]>,
    /// The entries of an index that are blobs by their media type, as in BuildKit's cache. A manifest of a type that only
    /// its client knows may be among them.
    pub(crate) listed_blobs: Box<[Digest]>,
    /// The manifest that it refers to.
    pub(crate) subject: Option<Digest>,
    /// Every digest in the text of a manifest of an unknown type, or of one that names nothing in its fields.
    pub(crate) mentioned: Box<[Digest]>,
    /// Bytes of the manifest itself.
    size: u64,
    /// Whether it states the sizes of all that it names. Those of schema 1 state none.
    pub(crate) states_sizes: bool,
    /// The sizes in bytes that the manifest states of its configuration, its layers and the entries that are blobs.
    sizes: Box<[u64]>,
    /// Its entry in the list of referrers of its subject, if it has one.
    pub(crate) referrer: Option<Box<Descriptor>>,
}

/// What an index says that a child is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Machines of this platform, such as `linux/arm64/v8`.
    Platform(Box<str>),
    /// To attest how another child was built.
    Attestation,
    /// The index does not say.
    Unsaid,
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

/// The result of a look at the bytes of a manifest, by a reader that wants more of it than its [`Facts`].
#[derive(Debug)]
pub(crate) enum Viewed<T> {
    /// The bytes of the manifest are not stored.
    Absent,
    /// The bytes do not have the digest.
    Damaged,
    /// The bytes have the digest, and are no manifest; the text says why.
    NoManifest(String),
    /// What the reader took from the manifest.
    Understood(T),
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
        let layers = distinct(view.layers.iter());
        let children = distinct(view.children());
        let listed_blobs = distinct(view.manifests.iter().filter(|entry| entry.is_blob()));
        let sized = view.config.iter().chain(layers.iter().copied());
        let sized = sized.chain(listed_blobs.iter().copied());
        let states_its_sizes = sized.clone().all(states_size);
        let sizes = sized.map(|blob| blob.size).collect();
        let purposes = children.iter().map(|child| Purpose::of(child)).collect();
        let [layers, children, listed_blobs] = [layers, children, listed_blobs]
            .map(|descriptors| descriptors.into_iter().map(digest_of).collect::<Box<[Digest]>>());
        // An unknown type may name what it needs in any way; and an image or an index that names nothing at
        // all may be spelled in a way that only other programs understand.
        let names_nothing = config.is_none() && layers.is_empty() && view.manifests.is_empty();
        let mentioned = if view.kind == ManifestKind::Unknown || names_nothing {
            each_once(mentioned(bytes).into_iter())
        } else {
            Box::default()
        };
        let states_sizes = states_its_sizes && mentioned.is_empty();
        let subject = view.subject.as_ref().map(|subject| subject.digest);
        let referrer = subject.map(|_| Box::new(view.descriptor(*digest, bytes.len() as u64)));
        Self {
            media_type: view.media_type.as_str().into(),
            kind: ArtifactKind::of(view),
            config,
            layers,
            children,
            purposes,
            listed_blobs,
            subject,
            mentioned,
            size: bytes.len() as u64,
            states_sizes,
            sizes,
            referrer,
        }
    }

    /// What it is to its users, where its children are of these `kinds`: an index that says nothing of itself is what they are.
    pub(crate) fn kind_among(&self, mut kinds: impl Iterator<Item = ArtifactKind>) -> ArtifactKind {
        if self.kind != ArtifactKind::Image || self.children.is_empty() {
            return self.kind;
        }
        let first = kinds.next().unwrap_or(ArtifactKind::Image);
        // An image has attestations among its children.
        match kinds.any(|kind| kind == ArtifactKind::Image) {
            true => ArtifactKind::Image,
            false => first,
        }
    }

    /// Bytes of the manifest itself.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The blobs that its fields name, each with the size that the manifest states.
    pub(crate) fn sized_blobs(&self) -> impl Iterator<Item = (&Digest, u64)> {
        let fields = self.config.iter().chain(&self.layers).chain(&self.listed_blobs);
        fields.zip(self.sizes.iter().copied())
    }

    /// Estimated size in bytes of its entry in a list of referrers, never much too small; 0 if it has none.
    pub(crate) fn entry_size(&self) -> usize {
        let annotations = |descriptor: &Descriptor| -> usize {
            let pairs = descriptor.annotations.iter().flatten();
            pairs.map(|(key, value)| key.len() + value.len() + 8).sum()
        };
        self.referrer
            .as_deref()
            .map_or(0, |referrer| 512 + annotations(referrer))
    }

    /// Its size in memory in bytes, estimated.
    pub(crate) fn weight(&self) -> u64 {
        let digests = self.layers.len() + self.entries().count() + self.mentioned.len();
        let pairs = self
            .referrer
            .as_deref()
            .and_then(|referrer| referrer.annotations.as_ref());
        let referrer = self.entry_size() + 64 * pairs.map_or(0, std::collections::BTreeMap::len);
        let platforms = self.purposes.iter().map(Purpose::weight).sum::<usize>();
        let texts = self.media_type.len() + platforms + 8 * self.sizes.len();
        (size_of::<Self>() + 128 + digests * size_of::<Digest>() + texts + referrer) as u64
    }
}

/// The annotation of a child that BuildKit made for another one.
const BUILDKIT_REFERENCE: &str = "vnd.docker.reference.type";

impl Purpose {
    fn of(child: &Descriptor) -> Self {
        let annotations = child.annotations.as_ref();
        if annotations.is_some_and(|annotations| annotations.contains_key(BUILDKIT_REFERENCE)) {
            return Self::Attestation;
        }
        match child.platform.as_ref().and_then(Platform::name) {
            Some(platform) => Self::Platform(platform.into()),
            None => Self::Unsaid,
        }
    }

    fn weight(&self) -> usize {
        let text = match self {
            Self::Platform(platform) => platform.len() + 16,
            Self::Attestation | Self::Unsaid => 0,
        };
        size_of::<Self>() + text
    }
}

/// Whether a descriptor states how large its blob is: one that leaves that out has 0, which is the size of nothing but the empty blob.
fn states_size(blob: &Descriptor) -> bool {
    blob.size > 0 || blob.digest == Digest::of(blob.digest.algorithm(), b"")
}

/// The descriptors without those of a digest that occurs before.
fn distinct<'a>(descriptors: impl Iterator<Item = &'a Descriptor>) -> Vec<&'a Descriptor> {
    let mut seen = HashSet::new();
    descriptors
        .filter(|descriptor| seen.insert(descriptor.digest))
        .collect()
}

/// Each of `digests` once, where it occurs first.
fn each_once(digests: impl Iterator<Item = Digest>) -> Box<[Digest]> {
    let mut seen = HashSet::new();
    digests.filter(|digest| seen.insert(*digest)).collect()
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
    /// Large manifests that are being read.
    large_reads: Share,
    bytes: Cache<Digest, Arc<StoredManifest>, ByMemory>,
    facts: Cache<Digest, Arc<Facts>, ByMemory>,
}

/// What a look at a manifest that reads little says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It is not stored, or not whole.
    Absent,
    /// It is stored, and whole.
    Whole,
    /// It is stored, and so large that its bytes take long to read and to check.
    Large,
}

/// A manifest as it was found.
enum Found {
    Absent,
    /// The bytes do not have the digest; the number is their size.
    Damaged(usize),
    Whole(Bytes, Understood),
}

/// What the bytes of a manifest say; `Err` with the reason where they are no manifest.
type Understood = Result<(Box<str>, Arc<Facts>), String>;

fn understand(digest: &Digest, bytes: &[u8]) -> Understood {
    match ManifestView::parse_stored(bytes) {
        Ok(view) => {
            let facts = Arc::new(Facts::new(digest, &view, bytes));
            Ok((view.media_type.into(), facts))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn examine(digest: &Digest, bytes: Bytes) -> Found {
    if Digest::of(digest.algorithm(), &bytes) != *digest {
        return Found::Damaged(bytes.len());
    }
    let understood = understand(digest, &bytes);
    Found::Whole(bytes, understood)
}

fn log_damage(digest: &Digest, size: usize) {
    tracing::error!(manifest.digest = %digest, size, "the stored bytes of a manifest are damaged; it counts as absent until it is pushed again");
}

impl Manifests {
    /// Reads `storage`; large manifests as `large_reads` permits.
    pub(crate) fn new(storage: Arc<dyn Storage>, large_reads: Share) -> Self {
        Self {
            storage,
            large_reads,
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
        let found = self.find(digest, PATIENCE).await?;
        Ok(self.keep(digest, found))
    }

    /// Keeps what was found of the manifest `digest`, if it is whole; damage is logged.
    fn keep(&self, digest: &Digest, found: Found) -> Option<Arc<StoredManifest>> {
        let (bytes, understood) = match found {
            Found::Whole(bytes, understood) => (bytes, understood),
            Found::Damaged(size) => {
                log_damage(digest, size);
                return None;
            }
            Found::Absent => return None,
        };
        let media_type = match understood {
            Ok((media_type, facts)) => {
                self.facts.insert(*digest, facts);
                media_type
            }
            Err(_no_manifest) => media_type::OCTET_STREAM.into(),
        };
        Some(self.remember(StoredManifest {
            digest: *digest,
            bytes,
            media_type,
        }))
    }

    /// Whether the manifest `digest` is stored whole, as far as that can be told without reading much: a request may ask
    /// under a lock.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn presence(&self, digest: &Digest) -> Result<Presence> {
        if self.bytes.get(digest).is_some() {
            return Ok(Presence::Whole);
        }
        let Some(found) = self.find_small(digest).await? else {
            return Ok(Presence::Large);
        };
        let loaded = self.keep(digest, found);
        Ok(loaded.map_or(Presence::Absent, |_| Presence::Whole))
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
        let understood = match self.bytes.get(digest) {
            Some(manifest) => self.understand(manifest).await?,
            None => match self.find_strictly(digest).await? {
                Found::Whole(_, understood) => understood,
                Found::Absent | Found::Damaged(_) => return Ok(None),
            },
        };
        let Ok((_, facts)) = understood else {
            return Ok(None);
        };
        self.facts.insert(*digest, Arc::clone(&facts));
        Ok(Some(facts))
    }

    /// Looks the manifest `digest` up tolerantly: a failure is part of the answer.
    pub(crate) async fn look_up(&self, digest: &Digest) -> Stored {
        match self.within(digest, Duration::MAX).await {
            Ok(stored) => stored,
            Err(error) => Stored::Unreadable(error.to_string()),
        }
    }

    /// As [`look_up`](Self::look_up), for a request that shows what is damaged: it fails with the store, and does not wait for long.
    /// On a directory, what is remembered of a manifest counts only while its file is there in its size.
    ///
    /// # Errors
    ///
    /// Errors of the store; [`Error::Exhausted`](crate::Error::Exhausted) when too many large manifests are being read.
    pub(crate) async fn look_up_soon(&self, digest: &Digest) -> Result<Stored> {
        if !self.storage.is_shared() {
            self.look_again(digest).await?;
        }
        self.within(digest, PATIENCE).await
    }

    /// Forgets what is remembered of the manifest `digest` if it is not stored any more, or not in its size.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn look_again(&self, digest: &Digest) -> Result<()> {
        let Some(facts) = self.facts.get(digest) else {
            return Ok(());
        };
        let is_here = match self.storage.stat(&layout::blob(digest)).await {
            Ok(stat) => stat.size == facts.size,
            Err(error) if error.is_not_found() => false,
            Err(error) => return Err(error.into()),
        };
        if !is_here {
            self.facts.remove(digest);
            self.bytes.remove(digest);
        }
        Ok(())
    }

    async fn within(&self, digest: &Digest, patience: Duration) -> Result<Stored> {
        if let Some(facts) = self.facts.get(digest) {
            return Ok(Stored::Understood(facts));
        }
        Ok(match self.find(digest, patience).await {
            Ok(Found::Absent) => Stored::Absent,
            // A flipped bit may be part of a digest in the manifest.
            Ok(Found::Damaged(size)) => Stored::Unreadable(format!("its {size} bytes are damaged")),
            Ok(Found::Whole(_, Ok((_, facts)))) => {
                self.facts.insert(*digest, Arc::clone(&facts));
                Stored::Understood(facts)
            }
            Ok(Found::Whole(_, Err(why))) => Stored::Unreadable(why),
            Err(error) => match error.storage_kind() {
                Some(ErrorKind::TooLarge) => {
                    Stored::Unreadable("it is too large to be a manifest".to_owned())
                }
                Some(ErrorKind::Damaged) => Stored::Unreadable(error.to_string()),
                _ => return Err(error),
            },
        })
    }

    /// Lets `read` look at the manifest `digest` tolerantly, whatever is remembered of it.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn view<T: Send + 'static>(
        &self,
        digest: &Digest,
        read: fn(&ManifestView) -> T,
    ) -> Result<Viewed<T>> {
        self.view_within(digest, Duration::MAX, read).await
    }

    /// As [`view`](Self::view), for a request, which does not wait for long.
    ///
    /// # Errors
    ///
    /// Errors of the store; [`Error::Exhausted`](crate::Error::Exhausted) when too many large manifests are being read.
    pub(crate) async fn view_soon<T: Send + 'static>(
        &self,
        digest: &Digest,
        read: fn(&ManifestView) -> T,
    ) -> Result<Viewed<T>> {
        self.view_within(digest, PATIENCE, read).await
    }

    async fn view_within<T: Send + 'static>(
        &self,
        digest: &Digest,
        patience: Duration,
        read: fn(&ManifestView) -> T,
    ) -> Result<Viewed<T>> {
        let bytes = match self.find(digest, patience).await {
            Ok(Found::Whole(bytes, Ok(_))) => bytes,
            Ok(Found::Whole(_, Err(why))) => return Ok(Viewed::NoManifest(why)),
            Ok(Found::Damaged(_)) => return Ok(Viewed::Damaged),
            Ok(Found::Absent) => return Ok(Viewed::Absent),
            Err(error) => {
                return match error.storage_kind() {
                    Some(ErrorKind::TooLarge) => {
                        Ok(Viewed::NoManifest("it is too large to be a manifest".to_owned()))
                    }
                    Some(ErrorKind::Damaged) => Ok(Viewed::Damaged),
                    _ => Err(error),
                };
            }
        };
        let is_small = bytes.len() <= INLINE;
        let view = move || match ManifestView::parse_stored(&bytes) {
            Ok(view) => Viewed::Understood(read(&view)),
            Err(error) => Viewed::NoManifest(error.to_string()),
        };
        Ok(if is_small {
            view()
        } else {
            in_turn((), view).await?
        })
    }

    /// What is stored under `digest`; damage is logged.
    async fn find_strictly(&self, digest: &Digest) -> Result<Found> {
        let found = self.find(digest, PATIENCE).await?;
        if let Found::Damaged(size) = found {
            log_damage(digest, size);
        }
        Ok(found)
    }

    async fn find(&self, digest: &Digest, patience: Duration) -> Result<Found> {
        if let Some(found) = self.find_small(digest).await? {
            return Ok(found);
        }
        let (key, digest) = (layout::blob(digest), *digest);
        // Taken before the bytes are read, so that no more of them than these are in memory.
        let turn = self.large_reads.wait(1, patience).await?;
        let bytes = match self.storage.read(&key, READ_LIMIT).await {
            Ok(object) => object.bytes,
            Err(error) if error.is_not_found() => return Ok(Found::Absent),
            Err(error) => return Err(error.into()),
        };
        Ok(in_turn(turn, move || examine(&digest, bytes)).await?)
    }

    /// As [`find`](Self::find), but `None` if the manifest is large.
    async fn find_small(&self, digest: &Digest) -> Result<Option<Found>> {
        match self.storage.read(&layout::blob(digest), INLINE as u64).await {
            Ok(object) => Ok(Some(examine(digest, object.bytes))),
            Err(error) if error.is_not_found() => Ok(Some(Found::Absent)),
            Err(error) if error.kind() == ErrorKind::TooLarge => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What the bytes of a manifest in memory say.
    async fn understand(&self, manifest: Arc<StoredManifest>) -> Result<Understood> {
        if manifest.bytes.len() <= INLINE {
            return Ok(understand(&manifest.digest, &manifest.bytes));
        }
        let turn = turn(&self.large_reads).await?;
        Ok(in_turn(turn, move || understand(&manifest.digest, &manifest.bytes)).await?)
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
