//! Manifests: read byte for byte, checked when they are pushed, published after all that they name.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
};

use bytes::Bytes;
use tokio::try_join;
use wharf_oci::{Algorithm, Descriptor, Digest, ManifestView, Reference, RepoName, Tag};
use wharf_storage::{ErrorKind, Put, layout};

use crate::{
    blobs::Hashed,
    conditions::Conditions,
    error::{Error, MissingReference, ReferenceRole, Result},
    events::{Caller, EventKind, Pull, Pulled},
    locks::{Past, Shared, TagsLocked},
    patience::turn,
    precondition::{Observed, Precondition},
    registry::Registry,
    rules::UrlRules,
    tree::{
        manifest::{INLINE, Presence, StoredManifest},
        parallel::{Ahead, in_parallel, in_turn},
    },
};

/// A manifest of more bytes is stored before any lock is taken, so that the lock is not held while much is synced.
/// Smaller ones share the syncs of their pointers, which on most disks halves what a push costs.
const LARGE: usize = 64 << 10;

/// How often a push begins anew because blobs that it had to hash were replaced meanwhile.
const ATTEMPTS: usize = 4;

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
    /// Whether tags may be created, and none moved to another manifest.
    pub creates_only: bool,
}

/// A manifest that may be published: all that it names is there, and stays there, and its tags are locked.
pub struct PreparedManifest {
    manifest: StoredManifest,
    subject: Option<Digest>,
    /// Tags in the order in which the client named them.
    tags: Vec<Tag>,
    /// Whether the bytes of the manifest are stored already.
    is_stored: bool,
    /// What must be true of its pointers.
    conditions: Conditions,
    /// What these named when that was checked.
    observed: Observed,
    /// What it needs and other processes may remove meanwhile.
    looked_up: Vec<(ReferenceRole, Descriptor)>,
    digests: Shared,
    tag_locks: TagsLocked,
    /// What it had before it was deleted.
    past: Past,
}

impl PreparedManifest {
    /// This manifest, with the pointers and times that it had before it was deleted.
    pub(crate) fn of_the_past(self, past: Past) -> Self {
        Self { past, ..self }
    }
}

impl std::fmt::Debug for PreparedManifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PreparedManifest")
            .field("digest", &self.manifest.digest)
            .field("tags", &self.tags)
            .finish_non_exhaustive()
    }
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
        let found = match reference {
            Reference::Tag(tag) => self.tagged(name, tag).await?,
            Reference::Digest(digest) => self.revision(name, digest).await?,
        };
        found.ok_or_else(unknown)
    }

    /// The manifest at which `tag` of `name` points. While the tag is looked up, that at which it pointed before is
    /// looked up as well: mostly it still is the one.
    async fn tagged(&self, name: &RepoName, tag: &Tag) -> Result<Option<Arc<StoredManifest>>> {
        let (links, key) = (&self.tree.links, layout::tag_link(name, tag));
        let Some(remembered) = links.remembered(&key) else {
            return match links.target(&key).await? {
                Some(digest) => self.revision(name, &digest).await,
                None => Ok(None),
            };
        };
        let before = remembered.digest;
        let expected = pin!(Some(self.revision(name, &before)));
        let mut expected = Ahead::new(expected);
        let Some(digest) = expected.during(links.still(&key, Some(remembered))).await? else {
            return Ok(None);
        };
        if digest == before {
            // What was absent may have come with the tag, after it was looked for.
            if let Ok(Some(manifest)) = expected.result().await {
                return Ok(Some(manifest));
            }
        } else {
            // It may hold a share of the memory for large manifests, for which the next read may have to wait.
            drop(expected);
        }
        self.revision(name, &digest).await
    }

    /// The manifest `digest` of `name`, `None` when the repository does not have it.
    async fn revision(&self, name: &RepoName, digest: &Digest) -> Result<Option<Arc<StoredManifest>>> {
        let manifest = pin!(Some(self.tree.manifests.load(digest)));
        let mut manifest = Ahead::new(manifest);
        if manifest.during(self.has_revision(name, digest)).await? {
            Ok(manifest.result().await?)
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
        self.subscribers.pulled(Pull {
            caller,
            repository: name,
            content: Pulled::Manifest {
                manifest,
                tag: reference.tag(),
            },
        });
    }

    /// Stores a manifest in `name`, durably, and points its tags at it.
    ///
    /// All that it names must be there already, except its `subject` (spec: "Pushing Manifests with Subject").
    ///
    /// # Errors
    ///
    /// [`Error::ManifestTooLarge`], [`Error::ManifestInvalid`], [`Error::DigestMismatch`] when the reference is the digest of
    /// other bytes, [`Error::ManifestReferencesUnknown`] with all that is missing, [`Error::PreconditionFailed`], [`Error::TagExists`],
    /// [`Error::Busy`] and [`Error::Exhausted`] when other requests keep it waiting for too long; errors of the store.
    pub async fn put_manifest(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        push: ManifestPush<'_>,
    ) -> Result<PushedManifest> {
        let prepared = self.prepare_manifest(name, push).await?;
        self.publish_manifest(caller, prepared).await
    }

    /// Checks a manifest to store in `name`, and waits for the locks under which it may be published.
    ///
    /// A request that is dropped meanwhile has changed nothing that a client can see, and leaves the queues in which it
    /// waits: clients that hang up leave no work behind.
    ///
    /// # Errors
    ///
    /// As [`put_manifest`](Self::put_manifest).
    pub async fn prepare_manifest(
        &self,
        name: &RepoName,
        push: ManifestPush<'_>,
    ) -> Result<PreparedManifest> {
        let ManifestPush {
            reference,
            tags,
            content_type,
            bytes,
            condition,
            creates_only,
        } = push;
        let limit = self.options.manifest_limit;
        if bytes.len() > limit {
            return Err(Error::ManifestTooLarge { limit });
        }
        let (checked, _turn) = if bytes.len() > INLINE {
            let turn = Arc::new(turn(&self.budget().large_pushes).await?);
            let (rules, reference) = (self.options.url_rules.clone(), reference.clone());
            let (content_type, bytes) = (content_type.map(str::to_owned), bytes.clone());
            let check = move || check(&rules, &reference, content_type.as_deref(), &bytes);
            (in_turn(Arc::clone(&turn), check).await??, Some(turn))
        } else {
            let checked = check(&self.options.url_rules, reference, content_type, bytes)?;
            (checked, None)
        };
        let all_tags = all_tags(reference, tags);
        let conditions = Conditions {
            reference: reference.clone(),
            condition: condition.clone(),
            new_tags: if creates_only {
                all_tags.clone()
            } else {
                Vec::new()
            },
        };
        let (is_stored, digests, tag_locks) = self.lock_manifest(name, &checked, bytes, all_tags).await?;
        let observed = self.check_conditions(name, &checked.digest, &conditions).await?;
        Ok(PreparedManifest {
            manifest: StoredManifest {
                digest: checked.digest,
                bytes: bytes.clone(),
                media_type: checked.media_type,
            },
            subject: checked.subject,
            tags: reference.tag().into_iter().chain(tags).cloned().collect(),
            is_stored,
            conditions,
            observed,
            looked_up: match self.must_look_again() {
                true => checked.references,
                false => Vec::new(),
            },
            digests,
            tag_locks,
            past: Past::default(),
        })
    }

    /// Stores a manifest that was prepared, durably, with its pointers, and brings the fallback tag of its subject up to
    /// date. Runs to its end once it has begun: a caller that may be dropped spawns it.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] and [`Error::Exhausted`] when other requests keep the fallback tag from being written; then the manifest is
    /// stored, and the same push again ends well. Errors of the store.
    pub async fn publish_manifest(
        &self,
        caller: &dyn Caller,
        mut prepared: PreparedManifest,
    ) -> Result<PushedManifest> {
        let (name, subject) = (prepared.tag_locks.name().clone(), prepared.subject);
        let tags = std::mem::take(&mut prepared.tags);
        let mut looked_up = std::mem::take(&mut prepared.looked_up);
        let manifest = self.publish_silently(prepared).await?;
        looked_up.retain(|(role, descriptor)| !self.options.is_optional(&name, *role, descriptor));
        if self.must_look_again() {
            let own = [(ReferenceRole::Manifest, own_descriptor(&manifest))];
            try_join!(
                self.restore_links(&name, &looked_up),
                self.restore_links(&name, &own),
                self.restore_entries(&name, &manifest.digest, &tags),
            )?;
        }
        let pushed = || pushes(&manifest, &tags);
        self.subscribers.changed(caller, &name, pushed).await;
        self.update_fallback_tags(&name, subject.as_ref(), &tags).await?;
        Ok(PushedManifest {
            digest: manifest.digest,
            subject,
        })
    }

    /// Stores a manifest that was prepared, durably, with its pointers, and reports no event.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub(crate) async fn publish_silently(&self, prepared: PreparedManifest) -> Result<Arc<StoredManifest>> {
        let PreparedManifest {
            manifest,
            is_stored,
            conditions,
            observed,
            digests,
            tag_locks,
            past,
            ..
        } = prepared;
        let digest = manifest.digest;
        let bytes = (!is_stored).then(|| manifest.bytes.clone());
        let published = digests
            .publish_manifest(&digest, bytes, &tag_locks, &observed, &past)
            .await;
        match published {
            // A writer that does not take our locks was first.
            Err(Error::Storage(error)) if error.kind() == ErrorKind::Precondition => {
                return Err(self.overtaken(tag_locks.name(), &digest, &conditions).await?);
            }
            other => other?,
        }
        Ok(self.tree.manifests.remember(manifest))
    }

    /// Checks what a manifest refers to, and locks it and its tags. Answers, with the locks, whether the bytes of the
    /// manifest are stored already.
    ///
    /// The shared lock on all that it names, and on itself, is held from the check until the pointers are durable, so
    /// nothing of it can be removed in between. Bytes that were stored before the lock was taken may have been
    /// collected since, because nothing pointed at them; then they are stored again with their pointers.
    async fn lock_manifest(
        &self,
        name: &RepoName,
        checked: &Checked,
        bytes: &Bytes,
        tags: Vec<Tag>,
    ) -> Result<(bool, Shared, TagsLocked)> {
        let Checked {
            digest, references, ..
        } = checked;
        let blob = layout::blob(digest);
        let is_large = bytes.len() > LARGE;
        let mut hashed = HashMap::new();
        if is_large {
            let unsure = self.require_references(name, references, &hashed, None).await?;
            self.hash_all(unsure, &mut hashed).await?;
            let put = Put::new(blob.clone(), bytes.clone());
            self.storage.publish(&[put]).await?;
        }
        let named = references.iter().map(|(_, descriptor)| descriptor.digest);
        let digests: Vec<Digest> = named.chain([*digest]).collect();
        let lock = self
            .lock_references(name, digest, &digests, references, hashed)
            .await?;
        let is_stored = is_large && self.storage.stat(&blob).await.is_ok();
        let tags = lock.lock_tags(name, tags).await?;
        Ok((is_stored, lock, tags))
    }

    /// Locks `digests`, of which the push stores `own`, and checks under the lock that `name` has everything in `references`.
    ///
    /// A blob that has to be hashed first is hashed without the lock, under which it would keep others from their work
    /// for as long as reading it takes. It may have been replaced when the lock is taken again: then it is hashed again.
    async fn lock_references(
        &self,
        name: &RepoName,
        own: &Digest,
        digests: &[Digest],
        references: &[(ReferenceRole, Descriptor)],
        mut hashed: HashMap<Digest, Hashed>,
    ) -> Result<Shared> {
        for _ in 0..ATTEMPTS {
            let lock = self.locks.lock_to_store(name, own, digests).await?;
            let unsure = self
                .require_references(name, references, &hashed, Some(&lock))
                .await?;
            if unsure.is_empty() {
                return Ok(lock);
            }
            drop(lock);
            self.hash_all(unsure, &mut hashed).await?;
        }
        Err(Error::Busy {
            reason: "blobs that the manifest names are being replaced again and again",
        })
    }

    async fn hash_all(&self, unsure: Vec<Digest>, hashed: &mut HashMap<Digest, Hashed>) -> Result<()> {
        for digest in unsure {
            hashed.insert(digest, self.hash_again(&digest).await?);
        }
        Ok(())
    }

    /// Checks that `name` has everything in `references`; names all that is missing at once. Returns the blobs of which
    /// only their bytes can tell, and which are not `hashed` yet. Only what is found under a `lock` stays.
    async fn require_references(
        &self,
        name: &RepoName,
        references: &[(ReferenceRole, Descriptor)],
        hashed: &HashMap<Digest, Hashed>,
        lock: Option<&Shared>,
    ) -> Result<Vec<Digest>> {
        let checks = references
            .iter()
            .map(|(role, descriptor)| self.find_reference(name, *role, descriptor, hashed, lock));
        let found: Vec<Found> = in_parallel(checks).await?;
        let (mut missing, mut unsure) = (Vec::new(), Vec::new());
        for ((role, descriptor), found) in references.iter().zip(found) {
            let (digest, role) = (descriptor.digest, *role);
            let mut is_missing = |damaged| {
                missing.push(MissingReference {
                    digest,
                    role,
                    damaged,
                    is_foreign: descriptor.is_foreign(),
                });
            };
            match found {
                Found::Sound => {}
                Found::Absent => is_missing(false),
                Found::Damaged => is_missing(true),
                Found::Unsure => unsure.push(digest),
            }
        }
        if missing.is_empty() {
            Ok(unsure)
        } else {
            Err(Error::ManifestReferencesUnknown(missing))
        }
    }

    /// Finds what a manifest of `name` refers to; what need not be there counts as sound.
    async fn find_reference(
        &self,
        name: &RepoName,
        role: ReferenceRole,
        descriptor: &Descriptor,
        hashed: &HashMap<Digest, Hashed>,
        lock: Option<&Shared>,
    ) -> Result<Found> {
        if self.options.is_optional(name, role, descriptor) {
            return Ok(Found::Sound);
        }
        if lock.is_some_and(|lock| lock.is_swept(&descriptor.digest)) {
            return Ok(Found::Absent);
        }
        match role {
            // Without a media type it may be either.
            ReferenceRole::Manifest => match self.find_child(name, descriptor, hashed).await? {
                Found::Absent if descriptor.media_type.is_empty() => {
                    self.find_blob(name, descriptor, hashed).await
                }
                found => Ok(found),
            },
            ReferenceRole::Config | ReferenceRole::Layer => self.find_blob(name, descriptor, hashed).await,
            // A manifest of a type that only its client knows is an entry of that type, too.
            ReferenceRole::ListedBlob => match self.find_blob(name, descriptor, hashed).await? {
                Found::Absent => self.find_child(name, descriptor, hashed).await,
                found => Ok(found),
            },
        }
    }

    /// A large manifest is hashed without the lock, as a blob of an unexpected size is: reading many of them takes long.
    async fn find_child(
        &self,
        name: &RepoName,
        descriptor: &Descriptor,
        hashed: &HashMap<Digest, Hashed>,
    ) -> Result<Found> {
        let digest = &descriptor.digest;
        let presence = pin!(Some(self.tree.manifests.presence(digest)));
        let mut presence = Ahead::new(presence);
        if !presence.during(self.has_revision(name, digest)).await? {
            return Ok(Found::Absent);
        }
        match presence.result().await? {
            Presence::Absent => return Ok(Found::Absent),
            Presence::Whole => return Ok(Found::Sound),
            Presence::Large => {}
        }
        let version = match self.storage.stat(&layout::blob(digest)).await {
            Ok(stat) => stat.version,
            Err(error) if error.is_not_found() => return Ok(Found::Absent),
            Err(error) => return Err(error.into()),
        };
        Ok(match hashed.get(digest) {
            Some(hashed) if hashed.version == version && hashed.is_sound => Found::Sound,
            Some(hashed) if hashed.version == version => Found::Absent,
            _ if self.damaged.is_verified(digest, version.as_ref()) => Found::Sound,
            _ => Found::Unsure,
        })
    }

    async fn find_blob(
        &self,
        name: &RepoName,
        descriptor: &Descriptor,
        hashed: &HashMap<Digest, Hashed>,
    ) -> Result<Found> {
        let digest = &descriptor.digest;
        let hashed = hashed.get(digest);
        let size = match self.blob_to_refer_to(name, digest).await {
            Ok(info) => info.size,
            Err(Error::BlobUnknown { .. }) if hashed.is_some_and(|hashed| !hashed.is_sound) => {
                return Ok(Found::Damaged);
            }
            Err(Error::BlobUnknown { .. }) => return Ok(Found::Absent),
            Err(error) => return Err(error),
        };
        if size == descriptor.size {
            return Ok(Found::Sound);
        }
        // Either the manifest has the size wrong or leaves it out, which registry:2 accepts, or the stored bytes are not
        // all there.
        let version = self.storage.stat(&layout::blob(digest)).await?.version;
        let is_hashed = hashed.is_some_and(|hashed| hashed.is_sound && hashed.version == version);
        if !is_hashed && !self.damaged.is_verified(digest, version.as_ref()) {
            return Ok(Found::Unsure);
        }
        // A size that the manifest leaves out reads as 0, and is in the log already.
        if descriptor.size > 0 {
            tracing::warn!(blob.digest = %digest, blob.size = size, manifest.size = descriptor.size, "a pushed manifest has the size of a blob wrong");
        }
        Ok(Found::Sound)
    }
}

/// What an index would say of `manifest`.
fn own_descriptor(manifest: &StoredManifest) -> Descriptor {
    Descriptor {
        media_type: manifest.media_type.to_string(),
        digest: manifest.digest,
        size: manifest.bytes.len() as u64,
        artifact_type: None,
        annotations: None,
        urls: Vec::new(),
        platform: None,
    }
}

/// The facts of a pushed manifest that decide whether it is accepted.
struct Checked {
    digest: Digest,
    media_type: Box<str>,
    subject: Option<Digest>,
    /// Everything that it needs in its repository, each digest once.
    references: Vec<(ReferenceRole, Descriptor)>,
}

/// Checks the bytes of a pushed manifest alone. Takes long if they are many.
fn check(
    rules: &UrlRules,
    reference: &Reference,
    content_type: Option<&str>,
    bytes: &[u8],
) -> Result<Checked> {
    let view = ManifestView::parse_pushed(content_type, bytes).map_err(|error| Error::ManifestInvalid {
        reason: error.to_string(),
    })?;
    let digest = pushed_digest(reference, bytes)?;
    if !view.omissions.is_empty() {
        tracing::warn!(
            manifest.digest = %digest,
            manifest.missing = %view.omissions,
            "the descriptors of a pushed manifest leave out media types or sizes; the content is checked by its digest"
        );
    }
    rules.check(&view)?;
    Ok(Checked {
        digest,
        subject: view.subject.as_ref().map(|subject| subject.digest),
        media_type: view.media_type.as_str().into(),
        references: references(view),
    })
}

/// State of what a manifest refers to.
enum Found {
    Sound,
    Absent,
    Damaged,
    /// A blob that must be hashed to know.
    Unsure,
}

/// The events of a push: one for each tag, in the order in which the client named them, or one without a tag.
fn pushes(manifest: &Arc<StoredManifest>, tags: &[Tag]) -> Vec<EventKind> {
    let mut seen = HashSet::new();
    let mut tags: Vec<Option<Tag>> = tags
        .iter()
        .filter(|tag| seen.insert(*tag))
        .cloned()
        .map(Some)
        .collect();
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
fn references(view: ManifestView) -> Vec<(ReferenceRole, Descriptor)> {
    let with = |role| move |descriptor| (role, descriptor);
    let config = view.config.into_iter().map(with(ReferenceRole::Config));
    let layers = view.layers.into_iter().map(with(ReferenceRole::Layer));
    let entries = view
        .manifests
        .into_iter()
        .map(|descriptor| match descriptor.is_blob() {
            true => (ReferenceRole::ListedBlob, descriptor),
            false => (ReferenceRole::Manifest, descriptor),
        });
    let mut seen = HashSet::new();
    config
        .chain(layers)
        .chain(entries)
        .filter(|(_, descriptor)| seen.insert(descriptor.digest))
        .collect()
}
