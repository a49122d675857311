//! Manifests: read byte for byte, checked when they are pushed, published after all that they name.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use wharf_oci::{Algorithm, Descriptor, Digest, ManifestView, Reference, RepoName, Tag};
use wharf_storage::{ErrorKind, Key, Put, layout};

use crate::{
    error::{Error, MissingReference, ReferenceRole, Result},
    events::{Caller, EventKind},
    precondition::{Checked, Precondition},
    registry::Registry,
    tree::{manifest::StoredManifest, parallel::in_parallel},
};

/// A manifest of more bytes is stored before any lock is taken, so that the lock is not held while much is synced.
/// Smaller ones share the syncs of their pointers, which on most disks halves what a push costs.
const LARGE: usize = 64 << 10;

/// A manifest to store, as a client sends it.
#[derive(Debug, Clone, Copy)]
pub struct ManifestPush<'a> {
    /// Tag that is to point at it, or its digest.
    pub reference: &'a Reference,
    /// Further tags that are to point at it.
    pub tags: &'a [Tag],
    /// Media type that the client names.
    pub content_type: Option<&'a str>,
    /// Bytes of the manifest.
    pub bytes: &'a Bytes,
    /// What must be true of `reference` for anything to be changed.
    pub condition: &'a Precondition,
}

/// Outcome of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedManifest {
    /// Digest of the manifest.
    pub digest: Digest,
    /// Digest of the manifest that it refers to, if it has a `subject`.
    pub subject: Option<Digest>,
}

impl Registry {
    /// The manifest that `reference` names in `name`.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`]; errors of the store.
    pub async fn manifest(&self, name: &RepoName, reference: &Reference) -> Result<Arc<StoredManifest>> {
        let unknown = || Error::ManifestUnknown {
            name: name.clone(),
            reference: reference.to_string(),
            hint: None,
        };
        let digest = match reference {
            Reference::Tag(tag) => {
                let link = self.tree.links.target(&layout::tag_link(name, tag)).await?;
                link.ok_or_else(unknown)?
            }
            Reference::Digest(digest) => *digest,
        };
        self.revision(name, &digest).await?.ok_or_else(unknown)
    }

    /// The manifest `digest` of `name`, `None` when the repository does not have it.
    async fn revision(&self, name: &RepoName, digest: &Digest) -> Result<Option<Arc<StoredManifest>>> {
        if self.has_revision(name, digest).await? {
            Ok(self.tree.manifests.load(digest).await?)
        } else {
            Ok(None)
        }
    }

    /// Whether `name` has the link of the manifest `digest`.
    pub(crate) async fn has_revision(&self, name: &RepoName, digest: &Digest) -> Result<bool> {
        let link = layout::revision_link(name, digest);
        Ok(self.tree.links.target(&link).await?.is_some())
    }

    /// Reports that `caller` is sent the manifest `manifest` of `name`, for which it asked by `reference`. The surface
    /// decides what counts as a pull: the client may know the manifest already, or not take its type.
    pub fn pulled_manifest(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        reference: &Reference,
        manifest: &Arc<StoredManifest>,
    ) {
        self.subscribers
            .pulled(caller, name, || EventKind::ManifestPulled {
                manifest: Arc::clone(manifest),
                tag: reference.tag().cloned(),
            });
    }

    /// Stores a manifest in `name`, durably, and points its tags at it.
    ///
    /// All that it names must be there already, except its `subject` (spec: "Pushing Manifests with Subject").
    ///
    /// # Errors
    ///
    /// [`Error::ManifestTooLarge`], [`Error::ManifestInvalid`], [`Error::DigestMismatch`] when the reference is the digest of
    /// other bytes, [`Error::ManifestReferencesUnknown`] with all that is missing, [`Error::PreconditionFailed`]; errors of
    /// the store.
    pub async fn put_manifest(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        push: ManifestPush<'_>,
    ) -> Result<PushedManifest> {
        let ManifestPush {
            reference,
            tags,
            content_type,
            bytes,
            condition: _,
        } = push;
        let limit = self.options.manifest_limit;
        if bytes.len() > limit {
            return Err(Error::ManifestTooLarge { limit });
        }
        let view =
            ManifestView::parse_pushed(content_type, bytes).map_err(|error| Error::ManifestInvalid {
                reason: error.to_string(),
            })?;
        let digest = pushed_digest(reference, bytes)?;
        self.options.url_rules.check(&view)?;
        self.publish_manifest(name, &digest, &view, push).await?;
        let manifest = self.tree.manifests.remember(StoredManifest {
            digest,
            bytes: bytes.clone(),
            media_type: view.media_type.into(),
        });
        let pushed = || pushes(&manifest, reference.tag().into_iter().chain(tags));
        self.subscribers.changed(caller, name, pushed).await;
        Ok(PushedManifest {
            digest,
            subject: view.subject.map(|subject| subject.digest),
        })
    }

    /// Checks what a manifest refers to, and stores it with its pointers.
    ///
    /// The shared lock on all that it names, and on itself, is held from the check until the pointers are durable, so
    /// nothing of it can be removed in between. Bytes that were stored before the lock was taken may have been
    /// collected since, because nothing pointed at them; then they are stored again with their pointers.
    async fn publish_manifest(
        &self,
        name: &RepoName,
        digest: &Digest,
        view: &ManifestView,
        push: ManifestPush<'_>,
    ) -> Result<()> {
        let bytes = push.bytes;
        let references = references(view);
        let blob = layout::blob(digest);
        let is_large = bytes.len() > LARGE;
        if is_large {
            self.require_references(name, &references).await?;
            let put = Put::new(blob.clone(), bytes.clone());
            self.storage.publish(&[put]).await?;
        }
        let named = references.iter().map(|(_, descriptor)| descriptor.digest);
        let digests: Vec<Digest> = named.chain([*digest]).collect();
        let lock = self.locks.lock_shared(&digests).await?;
        self.require_references(name, &references).await?;
        let is_stored = is_large && self.storage.stat(&blob).await.is_ok();
        let tags = lock.lock_tags(name, all_tags(push.reference, push.tags)).await?;
        let checked = self
            .check_precondition(name, push.reference, push.condition)
            .await?;
        let bytes = (!is_stored).then(|| bytes.clone());
        let published = lock
            .publish_manifest(digest, bytes, &tags, push.reference, &checked)
            .await;
        match published {
            // A writer that does not take our locks was first.
            Err(Error::Storage(error)) if error.kind() == ErrorKind::Precondition => {
                Err(self.overtaken(name, push.reference).await?)
            }
            other => other,
        }
    }

    /// Checks the condition of a push. To be called under the locks of what it writes, which keep every other request out that
    /// takes the same locks; what comes back keeps out writers that do not, such as another process over the same bucket.
    ///
    /// # Errors
    ///
    /// [`Error::PreconditionFailed`]; errors of the store.
    async fn check_precondition(
        &self,
        name: &RepoName,
        reference: &Reference,
        condition: &Precondition,
    ) -> Result<Checked> {
        if condition.is_none() {
            return Ok(Checked::Unconditional);
        }
        let link = pointer(name, reference);
        // Before the content, so that a change in between makes the write fail, and not the check wrong.
        let checked = match self.storage.stat(&link).await {
            Ok(stat) => stat.version.map_or(Checked::Unconditional, Checked::Version),
            Err(error) if error.is_not_found() => Checked::Absent,
            Err(error) => return Err(error.into()),
        };
        let current = match &checked {
            Checked::Absent => None,
            _ => self.tree.links.target(&link).await?,
        };
        if condition.holds(current.as_ref()) {
            Ok(checked)
        } else {
            Err(failed(name, reference, current))
        }
    }

    /// The error of a push whose condition held when it was checked, and no longer when it was written.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    async fn overtaken(&self, name: &RepoName, reference: &Reference) -> Result<Error> {
        let current = self.tree.links.target(&pointer(name, reference)).await?;
        Ok(failed(name, reference, current))
    }

    /// Checks that `name` has everything in `references`; names all that is missing at once.
    async fn require_references(
        &self,
        name: &RepoName,
        references: &[(ReferenceRole, &Descriptor)],
    ) -> Result<()> {
        let checks = references
            .iter()
            .map(|(role, descriptor)| self.missing_reference(name, *role, descriptor));
        let missing: Vec<MissingReference> = in_parallel(checks).await?.into_iter().flatten().collect();
        if missing.is_empty() {
            Ok(())
        } else {
            Err(Error::ManifestReferencesUnknown(missing))
        }
    }

    /// What is missing when `name` does not have what a manifest refers to, and has to.
    async fn missing_reference(
        &self,
        name: &RepoName,
        role: ReferenceRole,
        descriptor: &Descriptor,
    ) -> Result<Option<MissingReference>> {
        let is_optional = self.options.allow_missing_references
            || (role == ReferenceRole::Layer && descriptor.is_foreign() && self.options.allow_foreign_layers)
            || (role == ReferenceRole::Manifest && !self.options.required_children.include(descriptor));
        if is_optional {
            return Ok(None);
        }
        let found = match role {
            ReferenceRole::Manifest => self.find_child(name, descriptor).await?,
            ReferenceRole::Config | ReferenceRole::Layer => self.find_blob(name, descriptor).await?,
        };
        Ok(found.missing().map(|damaged| MissingReference {
            digest: descriptor.digest,
            role,
            damaged,
        }))
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

/// The link that a push by `reference` writes last.
fn pointer(name: &RepoName, reference: &Reference) -> Key {
    match reference {
        Reference::Tag(tag) => layout::tag_link(name, tag),
        Reference::Digest(digest) => layout::revision_link(name, digest),
    }
}

fn failed(name: &RepoName, reference: &Reference, current: Option<Digest>) -> Error {
    Error::PreconditionFailed {
        reference: format!("{name}{}{reference}", reference.tag().map_or("@", |_| ":")),
        current,
    }
}

/// State of what a manifest refers to.
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

/// The events of a push: one for each tag, in the order in which the client named them, or one without a tag.
fn pushes<'a>(manifest: &Arc<StoredManifest>, tags: impl Iterator<Item = &'a Tag>) -> Vec<EventKind> {
    let mut seen = HashSet::new();
    let mut tags: Vec<Option<Tag>> = tags.filter(|tag| seen.insert(*tag)).cloned().map(Some).collect();
    if tags.is_empty() {
        tags.push(None);
    }
    let pushed = |tag| EventKind::ManifestPushed {
        manifest: Arc::clone(manifest),
        tag,
    };
    tags.into_iter().map(pushed).collect()
}

/// The tags that a push points at its manifest, each once.
fn all_tags(reference: &Reference, tags: &[Tag]) -> Vec<Tag> {
    let mut tags = tags.to_vec();
    if let Reference::Tag(tag) = reference {
        tags.push(tag.clone());
    }
    tags.sort_unstable();
    tags.dedup();
    tags
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

/// Everything that a manifest needs in its repository, each digest once.
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
    let mut seen = HashSet::new();
    config
        .chain(layers)
        .chain(children)
        .filter(|(_, descriptor)| seen.insert(descriptor.digest))
        .collect()
}
