//! Uploads: from a session that grows, over requests and restarts, to a blob that is durable.

use std::{
    future::ready,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use uuid::Uuid;
use wharf_oci::{Algorithm, Digest, RepoName, UploadId, UploadIdError};
use wharf_storage::{Announced, ErrorKind, Follow, ListedUpload, Upload, layout::UploadKey};

use crate::{
    blobs::BlobInfo,
    error::{Error, Result},
    events::{Caller, EventKind},
    registry::Registry,
};

/// Exclusive hold of an upload by one request.
///
/// Dropping it keeps what was written, unless that is [provisional](Self::write_provisionally): the client may ask how
/// far it came, and go on.
pub struct UploadSession {
    registry: Arc<Registry>,
    key: UploadKey,
    upload: Box<dyn Upload>,
}

impl Registry {
    /// Starts an upload into `name`.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn start_upload(&self, name: &RepoName) -> Result<UploadId> {
        let id = Uuid::new_v4()
            .to_string()
            .parse()
            .map_err(|error: UploadIdError| {
                wharf_storage::Error::with_source(ErrorKind::Other, "name a new upload", error)
            })?;
        let key = UploadKey {
            repository: name.clone(),
            id,
        };
        self.storage.create_upload(&key).await?;
        Ok(key.id)
    }

    /// How many bytes the upload has.
    ///
    /// # Errors
    ///
    /// [`Error::UploadUnknown`]; errors of the store.
    pub async fn upload_size(&self, name: &RepoName, id: &UploadId) -> Result<u64> {
        self.storage
            .upload_size(&key(name, id))
            .await
            .map_err(|error| upload_error(error, id))
    }

    /// Opens the upload for one request, exclusively.
    ///
    /// # Errors
    ///
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`] while another request holds it; errors of the store.
    pub async fn open_upload(self: &Arc<Self>, name: &RepoName, id: &UploadId) -> Result<UploadSession> {
        let key = key(name, id);
        let upload = self
            .storage
            .open_upload(&key)
            .await
            .map_err(|error| upload_error(error, id))?;
        Ok(UploadSession {
            registry: Arc::clone(self),
            key,
            upload,
        })
    }

    /// Ends the upload and forgets its bytes.
    ///
    /// # Errors
    ///
    /// As [`open_upload`](Self::open_upload).
    pub async fn cancel_upload(self: &Arc<Self>, name: &RepoName, id: &UploadId) -> Result<()> {
        self.open_upload(name, id).await?.discard().await
    }

    /// Removes the uploads that no request has touched for `age`; never one that a request holds (invariant I6).
    /// Returns how many uploads were removed. One that cannot be removed is logged and does not keep the others.
    ///
    /// # Errors
    ///
    /// When the uploads cannot be listed.
    pub async fn purge_uploads(&self, age: Duration) -> Result<u64> {
        let untouched_since = before(age);
        let mut purged = 0;
        let mut uploads = self.untouched_uploads(untouched_since).await?;
        while let Some(upload) = uploads.try_next().await? {
            match self.storage.remove_upload(&upload, untouched_since).await {
                Ok(()) => purged += u64::from(!upload.is_remnant()),
                // A request holds it, has gone on with it, or has ended it since it was listed.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Busy | ErrorKind::Precondition | ErrorKind::NotFound
                    ) => {}
                Err(error) => {
                    let (repository, upload) = (upload.repository(), upload.id());
                    tracing::warn!(repository, upload, %error, "could not forget an unfinished upload");
                }
            }
        }
        Ok(purged)
    }

    /// Returns how many uploads [`purge_uploads`](Self::purge_uploads) would remove. Each of them is named in the log.
    ///
    /// # Errors
    ///
    /// When the uploads cannot be listed.
    pub async fn abandoned_uploads(&self, age: Duration) -> Result<u64> {
        let mut abandoned = 0;
        let mut uploads = self.untouched_uploads(before(age)).await?;
        while let Some(upload) = uploads.try_next().await? {
            let (repository, id) = (upload.repository(), upload.id());
            tracing::info!(repository, upload = id, "would forget an unfinished upload");
            abandoned += u64::from(!upload.is_remnant());
        }
        Ok(abandoned)
    }

    /// The uploads that are not held and were last touched before `since`, as they are found.
    async fn untouched_uploads(
        &self,
        since: SystemTime,
    ) -> Result<impl Stream<Item = wharf_storage::Result<ListedUpload>> + Unpin + Send> {
        let listed = self.storage.list_uploads().await?;
        Ok(listed.try_filter(move |upload| ready(!upload.is_held() && upload.touched() < since)))
    }
}

fn before(age: Duration) -> SystemTime {
    SystemTime::now()
        .checked_sub(age)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

impl UploadSession {
    /// How many bytes the upload has so far.
    pub fn size(&self) -> u64 {
        self.upload.size()
    }

    /// Makes the request all or nothing: if it does not [finish](Self::finish) the upload, whatever the reason, the
    /// upload is as it was before. To be called before the first write.
    pub fn write_provisionally(&mut self) {
        self.upload.write_provisionally();
    }

    /// Says what is coming, for the store to prepare for. To be called before the first write. An upload whose digest was
    /// announced can be [finished](Self::finish) as that blob alone.
    pub fn announce(&mut self, announced: Announced) {
        self.upload.announce(announced);
    }

    /// A reader of what this request writes, while it writes it; `None` where the store has none.
    pub fn follow(&self) -> Option<Box<dyn Follow>> {
        self.upload.follow()
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::TooManyChunks`]; errors of the store. One of an earlier write may show here.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let written = self.upload.write(bytes).await;
        written.map_err(|error| upload_error(error, &self.key.id))
    }

    /// Lets the upload go; the next request goes on from the size returned.
    ///
    /// # Errors
    ///
    /// [`Error::UploadBusy`] when a request of another process appended meanwhile, [`Error::UploadUnknown`] when one ended the
    /// upload; errors of the store.
    pub async fn suspend(self) -> Result<u64> {
        let suspended = self.upload.suspend().await;
        suspended.map_err(|error| upload_error(error, &self.key.id))
    }

    /// Ends the upload as the blob `expected` of its repository: durable when this returns. When the bytes have
    /// another digest nothing is stored, and the upload is gone.
    ///
    /// # Errors
    ///
    /// [`Error::DigestMismatch`]; [`Error::UploadUnknown`] and [`Error::UploadBusy`] when a request of another process was
    /// first; [`Error::Busy`] when other requests, or the collector, keep it waiting for too long; errors of the store.
    pub async fn finish(self, caller: &dyn Caller, expected: &Digest) -> Result<BlobInfo> {
        let Self {
            registry,
            key,
            upload,
        } = self;
        // Another process may have finished it meanwhile.
        let lost = |error| upload_error(error, &key.id);
        let mut finished = upload.finish(extra_algorithm(expected)).await.map_err(lost)?;
        let size = finished.size();
        let actual = finished.digest(expected.algorithm()).ok_or_else(|| {
            wharf_storage::Error::new(
                ErrorKind::Other,
                "the store did not compute the digest that it was asked for",
            )
        })?;
        if actual != *expected {
            finished.discard().await?;
            return Err(Error::DigestMismatch {
                expected: *expected,
                actual,
                size,
            });
        }
        // Many bytes are synced before the lock is taken, which then covers the rename and the link.
        finished.prepare().await?;
        let name = &key.repository;
        let lock = registry
            .locks
            .lock_to_store(name, &actual, std::slice::from_ref(&actual))
            .await?;
        lock.publish_blob(name, &actual, finished).await.map_err(lost)?;
        drop(lock);
        registry.damaged.healed(&actual);
        let pushed = || vec![EventKind::BlobPushed { digest: actual, size }];
        registry.subscribers.changed(caller, name, pushed).await;
        Ok(BlobInfo { digest: actual, size })
    }

    /// Ends the upload and forgets its bytes.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn discard(self) -> Result<()> {
        Ok(self.upload.discard().await?)
    }
}

impl std::fmt::Debug for UploadSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UploadSession")
            .field("key", &self.key)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

fn key(name: &RepoName, id: &UploadId) -> UploadKey {
    UploadKey {
        repository: name.clone(),
        id: id.clone(),
    }
}

fn upload_error(error: wharf_storage::Error, id: &UploadId) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::UploadUnknown { id: id.clone() },
        ErrorKind::Busy => Error::UploadBusy { id: id.clone() },
        ErrorKind::TooLarge => Error::TooManyChunks { id: id.clone() },
        _ => error.into(),
    }
}

/// The algorithm to ask the store for beside SHA-256, which it always has.
fn extra_algorithm(digest: &Digest) -> Option<Algorithm> {
    match digest.algorithm() {
        Algorithm::Sha256 => None,
        Algorithm::Sha512 => Some(Algorithm::Sha512),
    }
}
