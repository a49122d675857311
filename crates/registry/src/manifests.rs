//! Manifests: read byte for byte, checked when they are pushed, published after all that they name.

use std::sync::Arc;

use bytes::Bytes;
use quick_cache::{Weighter, sync::Cache};
use wharf_oci::{Algorithm, Descriptor, Digest, ManifestView, Reference, RepoName, Tag, media_type};
use wharf_storage::{Put, layout};

use crate::{Error, MissingReference, ReferenceRole, Registry, Result};

/// How many bytes of manifests are kept in memory. Manifests are immutable under their digest, so what is kept
/// never goes stale; whether a repository may read one is asked of the tree each time.
const CACHE_BYTES: u64 = 16 << 20;

/// The largest manifest that is read. Other registries may have accepted larger ones than we do.
const READ_LIMIT: u64 = 64 << 20;

/// A manifest as it was pushed.
#[derive(Debug)]
pub struct StoredManifest {
    /// Of `bytes`.
    pub digest: Digest,
    /// Exactly what was pushed.
    pub bytes: Bytes,
    /// What `bytes` say they are; registry:2's layout stores no media types.
    pub media_type: Box<str>,
}

/// What became of a pushed manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedManifest {
    /// Its digest.
    pub digest: Digest,
    /// The manifest that it refers to, if it has a `subject`.
    pub subject: Option<Digest>,
}

#[derive(Debug)]
pub(crate) struct ManifestCache(Cache<Digest, Arc<StoredManifest>, ByBytes>);

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Digest, Arc<StoredManifest>> for ByBytes {
    fn weight(&self, _: &Digest, manifest: &Arc<StoredManifest>) -> u64 {
        256 + manifest.bytes.len() as u64
    }
}

impl ManifestCache {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(crate::FEW, CACHE_BYTES, ByBytes))
    }
}

impl Registry {
    /// The manifest that `reference` names in `name`.
    pub async fn manifest(&self, name: &RepoName, reference: &Reference) -> Result<Arc<StoredManifest>> {
        let unknown = || Error::ManifestUnknown {
            name: name.clone(),
            reference: reference.to_string(),
            hint: None,
        };
        let digest = match reference {
            Reference::Tag(tag) => self
                .link(&layout::tag_link(name, tag))
                .await?
                .ok_or_else(unknown)?,
            Reference::Digest(digest) => *digest,
        };
        self.revision(name, &digest).await?.ok_or_else(unknown)
    }

    /// The manifest `digest` of `name`, `None` when the repository does not have it.
    pub(crate) async fn revision(
        &self,
        name: &RepoName,
        digest: &Digest,
    ) -> Result<Option<Arc<StoredManifest>>> {
        if self.link(&layout::revision_link(name, digest)).await?.is_none() {
            return Ok(None);
        }
        self.load_manifest(digest).await
    }

    /// The manifest `digest`, whatever repository has it. `None` when it is not stored, or not whole: damaged
    /// bytes are never served, and pushing the manifest again heals them.
    pub(crate) async fn load_manifest(&self, digest: &Digest) -> Result<Option<Arc<StoredManifest>>> {
        if let Some(manifest) = self.manifests.0.get(digest) {
            return Ok(Some(manifest));
        }
        let bytes = match self.storage.read(&layout::blob(digest), READ_LIMIT).await {
            Ok(object) => object.bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if Digest::of(digest.algorithm(), &bytes) != *digest {
            tracing::error!(manifest.digest = %digest, size = bytes.len(), "the stored bytes of a manifest are damaged; it counts as absent until it is pushed again");
            return Ok(None);
        }
        let media_type = ManifestView::parse_stored(&bytes)
            .map_or_else(|_| media_type::OCTET_STREAM.into(), |view| view.media_type.into());
        Ok(Some(self.remember(StoredManifest {
            digest: *digest,
            bytes,
            media_type,
        })))
    }

    fn remember(&self, manifest: StoredManifest) -> Arc<StoredManifest> {
        let manifest = Arc::new(manifest);
        self.manifests.0.insert(manifest.digest, Arc::clone(&manifest));
        manifest
    }

    /// Stores a manifest in `name`, durably, and points `reference` (if it is a tag) and `tags` at it.
    ///
    /// All that it names must be there already, except its `subject` (spec: "Pushing Manifests with Subject").
    pub async fn put_manifest(
        &self,
        name: &RepoName,
        reference: &Reference,
        content_type: Option<&str>,
        bytes: Bytes,
        tags: &[Tag],
    ) -> Result<PushedManifest> {
        let limit = self.options.manifest_limit;
        if bytes.len() > limit {
            return Err(Error::ManifestTooLarge { limit });
        }
        let view =
            ManifestView::parse_pushed(content_type, &bytes).map_err(|error| Error::ManifestInvalid {
                reason: error.to_string(),
            })?;
        let digest = pushed_digest(reference, &bytes)?;
        let mut tags = tags.to_vec();
        if let Reference::Tag(tag) = reference {
            tags.push(tag.clone());
        }
        tags.sort_unstable();
        tags.dedup();

        self.options.url_rules.check(&view)?;
        let references = references(&view);
        let relied_on = references
            .iter()
            .map(|(_, descriptor)| descriptor.digest)
            .chain([digest]);
        let _digests = self.locks.rely_on(relied_on).await;
        self.require_references(name, &references).await?;
        let _tags = self.locks.tags(name, &tags).await;
        self.storage
            .publish(&puts(name, &digest, bytes.clone(), &tags))
            .await?;
        self.remember(StoredManifest {
            digest,
            bytes,
            media_type: view.media_type.into(),
        });
        Ok(PushedManifest {
            digest,
            subject: view.subject.map(|subject| subject.digest),
        })
    }

    /// Checks that `name` has everything in `references`; names all that is missing at once.
    async fn require_references(
        &self,
        name: &RepoName,
        references: &[(ReferenceRole, &Descriptor)],
    ) -> Result<()> {
        let mut missing = Vec::new();
        for (role, descriptor) in references {
            let tolerated = self.options.allow_missing_references
                || (*role == ReferenceRole::Layer
                    && descriptor.is_foreign()
                    && self.options.allow_foreign_layers)
                || (*role == ReferenceRole::Manifest && !self.options.required_children.include(descriptor));
            if tolerated {
                continue;
            }
            let found = match role {
                ReferenceRole::Manifest => self.find_child(name, descriptor).await?,
                ReferenceRole::Config | ReferenceRole::Layer => self.find_blob(name, descriptor).await?,
            };
            if let Some(damaged) = found.missing() {
                missing.push(MissingReference {
                    digest: descriptor.digest,
                    role: *role,
                    damaged,
                });
            }
        }
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Error::ManifestReferencesUnknown(missing))
        }
    }

    async fn find_child(&self, name: &RepoName, descriptor: &Descriptor) -> Result<Found> {
        Ok(if self.revision(name, &descriptor.digest).await?.is_some() {
            Found::Sound
        } else {
            Found::Absent
        })
    }

    async fn find_blob(&self, name: &RepoName, descriptor: &Descriptor) -> Result<Found> {
        let size = match self.blob(name, &descriptor.digest).await {
            Ok(info) => info.size,
            Err(Error::BlobUnknown { .. }) => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        if size == descriptor.size {
            return Ok(Found::Sound);
        }
        // Either the manifest has the size wrong, which registry:2 accepts, or the stored bytes are not all there.
        if self.is_sound(&descriptor.digest).await? {
            tracing::warn!(blob.digest = %descriptor.digest, blob.size = size, manifest.size = descriptor.size, "a pushed manifest has the size of a blob wrong");
            Ok(Found::Sound)
        } else {
            Ok(Found::Damaged)
        }
    }
}

enum Found {
    Sound,
    Absent,
    Damaged,
}

impl Found {
    /// Whether it is missing, and if so, whether that is because it is damaged.
    fn missing(&self) -> Option<bool> {
        match self {
            Self::Sound => None,
            Self::Absent => Some(false),
            Self::Damaged => Some(true),
        }
    }
}

fn pushed_digest(reference: &Reference, bytes: &[u8]) -> Result<Digest> {
    match reference {
        Reference::Tag(_) => Ok(Digest::of(Algorithm::Sha256, bytes)),
        Reference::Digest(expected) => {
            let actual = Digest::of(expected.algorithm(), bytes);
            let mismatch = Error::DigestMismatch {
                expected: *expected,
                actual,
                size: bytes.len() as u64,
            };
            if actual == *expected {
                Ok(actual)
            } else {
                Err(mismatch)
            }
        }
    }
}

/// All that a manifest needs in its repository, each digest once.
fn references(view: &ManifestView) -> Vec<(ReferenceRole, &Descriptor)> {
    let config = view
        .config
        .iter()
        .map(|descriptor| (ReferenceRole::Config, descriptor));
    let layers = view
        .layers
        .iter()
        .map(|descriptor| (ReferenceRole::Layer, descriptor));
    let children = view
        .manifests
        .iter()
        .map(|descriptor| (ReferenceRole::Manifest, descriptor));
    let mut seen = std::collections::HashSet::new();
    config
        .chain(layers)
        .chain(children)
        .filter(|(_, descriptor)| seen.insert(descriptor.digest))
        .collect()
}

/// What a push writes, in the order that never lets a pointer dangle (invariant I3): bytes, revision, then for
/// each tag its history and the tag itself.
fn puts(name: &RepoName, digest: &Digest, bytes: Bytes, tags: &[Tag]) -> Vec<Put> {
    let link = layout::link_content(digest);
    let mut puts = vec![
        Put::new(layout::blob(digest), bytes),
        Put::new(layout::revision_link(name, digest), link.clone()),
    ];
    for tag in tags {
        puts.push(Put::new(
            layout::tag_history_link(name, tag, digest),
            link.clone(),
        ));
        puts.push(Put::new(layout::tag_link(name, tag), link.clone()));
    }
    puts
}
