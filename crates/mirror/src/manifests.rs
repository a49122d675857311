//! Manifests of a mirror: by tag, as fresh as the operator wants; by digest, once for ever.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use wharf_client::upstream::{Manifest, passing_on};
use wharf_oci::{Reference, RepoName};
use wharf_registry::{Error as RegistryError, ManifestPush, Precondition, StoredManifest};

use crate::{
    error::{Error, Failure, Result, Trouble},
    known::{Known, Outcome},
    mirror::{Mirror, Mirrored},
    numbers::Counters,
};

/// How long it is remembered that the upstream does not have something, or refuses it.
pub(crate) const NEGATIVE: Duration = Duration::from_secs(5);

/// A manifest of a mirror.
#[derive(Debug, Clone)]
pub struct FoundManifest {
    /// The manifest.
    pub manifest: Arc<StoredManifest>,
    /// Why the upstream could not be asked whether it still is the one; `None`: it is.
    pub stale: Option<String>,
}

impl FoundManifest {
    fn fresh(manifest: Arc<StoredManifest>) -> Self {
        Self {
            manifest,
            stale: None,
        }
    }
}

impl Mirrored {
    /// The manifest that `reference` names: the stored one, if it need not be asked for or the upstream fails, or else that of the
    /// upstream, which is stored.
    ///
    /// # Errors
    ///
    /// [`RegistryError::ManifestUnknown`] when the upstream does not have it; [`Error::Upstream`] when the upstream fails and it is not
    /// stored; errors of the store.
    pub async fn manifest(&self, reference: &Reference) -> Result<FoundManifest> {
        let counters = &self.mirror.manifests;
        Counters::add(&counters.requests, 1);
        if !self.is_allowed {
            return Err(self.unknown_manifest(&reference.to_string()));
        }
        let found = passing_on(self.via.clone(), self.find(reference)).await;
        if let Ok(FoundManifest { stale: Some(_), .. }) = &found {
            Counters::add(&counters.stale, 1);
        }
        found
    }

    async fn find(&self, reference: &Reference) -> Result<FoundManifest> {
        let arrived = Instant::now();
        let stored = self.stored(reference).await?;
        if let (Reference::Digest(_), Some(stored)) = (reference, &stored) {
            return Ok(self.hit(stored));
        }
        if !self.is_asked() {
            let stored = stored.ok_or_else(|| self.unknown_manifest(&reference.to_string()))?;
            return Ok(self.hit(&stored));
        }
        // A request that waits for this one may have the turn.
        if self.is_loop {
            return stored.map_or(Err(Failure::Loop.into()), |stored| Ok(self.hit(&stored)));
        }
        let key = Known::key(&self.name, &reference.to_string());
        if let Some(found) = self.remembered(&key, reference, None, stored.as_ref()) {
            return found;
        }
        let _turn = self.mirror.known.turn(&key).await;
        // The request that had the turn before has stored what the upstream said.
        let stored = self.stored(reference).await?;
        if let (Reference::Digest(_), Some(stored)) = (reference, &stored) {
            return Ok(self.hit(stored));
        }
        if let Some(found) = self.remembered(&key, reference, Some(arrived), stored.as_ref()) {
            return found;
        }
        let asked = Instant::now();
        let known = &self.mirror.known;
        match self.ask(reference, stored.as_ref()).await {
            Ok(Some(manifest)) => {
                known.note(&key, asked, Outcome::Names(manifest.digest));
                Ok(FoundManifest::fresh(manifest))
            }
            Ok(None) => {
                known.note(&key, asked, Outcome::Gone);
                self.gone(reference, stored)
            }
            Err(Error::Upstream(failure)) => {
                known.note(&key, asked, Outcome::Failed(failure.clone()));
                self.failed(&key, failure, stored)
            }
            Err(error @ Error::Registry(_)) => Err(error),
        }
    }

    /// The answer by what the upstream said before, if that is recent enough, or if it was said after this request had `arrived`.
    fn remembered(
        &self,
        key: &str,
        reference: &Reference,
        arrived: Option<Instant>,
        stored: Option<&Arc<StoredManifest>>,
    ) -> Option<Result<FoundManifest>> {
        let seen = self.mirror.known.seen(key)?;
        let age = seen.asked.elapsed();
        let is_for_this = arrived.is_some_and(|arrived| arrived <= seen.asked);
        match seen.outcome {
            // Whatever the tag names here: it may have been moved by hand since, and is then asked for again.
            Outcome::Names(digest) if is_for_this || age < self.mirror.options.fresh => {
                let stored = stored.filter(|stored| stored.digest == digest)?;
                Some(Ok(self.hit(stored)))
            }
            Outcome::Gone if is_for_this || age < NEGATIVE => Some(self.gone(reference, stored.cloned())),
            Outcome::Failed(failure)
                if is_for_this || failure.trouble() == Trouble::Denied && age < NEGATIVE =>
            {
                Some(self.failed(key, failure, stored.cloned()))
            }
            Outcome::Names(_) | Outcome::Gone | Outcome::Failed(_) => None,
        }
    }

    fn hit(&self, stored: &Arc<StoredManifest>) -> FoundManifest {
        Counters::add(&self.mirror.manifests.hits, 1);
        FoundManifest::fresh(Arc::clone(stored))
    }

    /// The upstream has no such manifest.
    fn gone(&self, reference: &Reference, stored: Option<Arc<StoredManifest>>) -> Result<FoundManifest> {
        match stored.filter(|_| self.mirror.options.keeps_gone) {
            Some(manifest) => Ok(FoundManifest {
                manifest,
                stale: Some(format!(
                    "`{}` does not have it any more",
                    self.mirror.upstream.origin()
                )),
            }),
            None => Err(self.unknown_manifest(&reference.to_string())),
        }
    }

    /// The upstream failed.
    fn failed(
        &self,
        key: &str,
        failure: Failure,
        stored: Option<Arc<StoredManifest>>,
    ) -> Result<FoundManifest> {
        let may_be_stale = |limit: Duration| self.mirror.known.answered(key).elapsed() <= limit;
        match stored.filter(|_| self.mirror.options.stale.is_none_or(may_be_stale)) {
            Some(manifest) => Ok(FoundManifest {
                manifest,
                stale: Some(failure.to_string()),
            }),
            None => Err(failure.into()),
        }
    }

    async fn stored(&self, reference: &Reference) -> Result<Option<Arc<StoredManifest>>> {
        match self.mirror.registry.manifest(&self.name, reference).await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(RegistryError::ManifestUnknown { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Asks the upstream, and stores what it has; `None`: it has none. Of a tag it is asked first where it points, which costs next to
    /// nothing, also where requests are counted; often the manifest is stored already.
    async fn ask(
        &self,
        reference: &Reference,
        stored: Option<&Arc<StoredManifest>>,
    ) -> Result<Option<Arc<StoredManifest>>> {
        let mirror = &self.mirror;
        if let Reference::Tag(_) = reference {
            let head = mirror.said(self.asks()?.head_manifest(&self.remote, reference).await)?;
            let Some(head) = head else {
                return Ok(None);
            };
            if let Some(stored) = stored.filter(|stored| head.digest == Some(stored.digest)) {
                return Ok(Some(Arc::clone(stored)));
            }
            // By its digest: the tag may point elsewhere by now. Should the manifest be gone with that, the tag is asked for again.
            if let Some(digest) = head.digest {
                let digest = Reference::Digest(digest);
                if let Some(known) = self.stored(&digest).await? {
                    let (media_type, bytes) = (known.media_type.to_string(), known.bytes.clone());
                    let manifest = Manifest {
                        media_type,
                        digest: known.digest,
                        bytes,
                    };
                    return self.store(reference, manifest).await.map(Some);
                }
                if let Some(manifest) = self.fetch(&digest).await? {
                    return self.store(reference, manifest).await.map(Some);
                }
            }
        }
        match self.fetch(reference).await? {
            Some(manifest) => self.store(reference, manifest).await.map(Some),
            None => Ok(None),
        }
    }

    async fn fetch(&self, reference: &Reference) -> Result<Option<Manifest>> {
        let counters = &self.mirror.manifests;
        Counters::add(&counters.misses, 1);
        let manifest = self.asks()?.manifest(&self.remote, reference).await;
        let manifest = self.mirror.said(manifest)?;
        if let Some(manifest) = &manifest {
            Counters::add(&counters.pulled_bytes, manifest.bytes.len() as u64);
        }
        Ok(manifest)
    }

    /// Stores a manifest of the upstream, also if the client leaves meanwhile. A store that fails keeps it from no client.
    async fn store(&self, reference: &Reference, manifest: Manifest) -> Result<Arc<StoredManifest>> {
        let (mirror, name, reference) = (Arc::clone(&self.mirror), self.name.clone(), reference.clone());
        let stored = tokio::spawn(async move { put(&mirror, &name, &reference, manifest).await });
        match stored.await {
            Ok(stored) => stored,
            Err(error) => Err(RegistryError::Storage(wharf_storage::Error::with_source(
                wharf_storage::ErrorKind::Other,
                "store a manifest of a mirror",
                error,
            ))
            .into()),
        }
    }
}

async fn put(
    mirror: &Mirror,
    name: &RepoName,
    reference: &Reference,
    manifest: Manifest,
) -> Result<Arc<StoredManifest>> {
    let push = ManifestPush {
        reference,
        tags: &[],
        content_type: Some(&manifest.media_type),
        bytes: &manifest.bytes,
        condition: &Precondition::default(),
        creates_only: false,
    };
    let registry = &mirror.registry;
    match registry.put_manifest(&mirror.origin, name, push).await {
        Ok(pushed) => Ok(registry.manifest(name, &Reference::Digest(pushed.digest)).await?),
        Err(error @ (RegistryError::ManifestInvalid { .. } | RegistryError::ManifestTooLarge { .. })) => {
            let failure = Failure::WrongBytes {
                origin: mirror.upstream.origin(),
                reason: error.to_string(),
            };
            Err(failure.into())
        }
        Err(error) => {
            tracing::warn!(repository = %name, %reference, %error, "a manifest of a mirror could not be stored; the client got it");
            Ok(Arc::new(StoredManifest {
                digest: manifest.digest,
                bytes: manifest.bytes,
                media_type: manifest.media_type.into(),
            }))
        }
    }
}
