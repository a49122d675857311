//! The parts of a multipart upload: sent one after the other, completed exactly as they were sent.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{MultipartId, multipart::PartId, path::Path};
use tokio::task::JoinHandle;
use wharf_oci::Digest;

use super::{Bucket, blob::Pieces, error::failed, hashes::Hashes};
use crate::{Error, ErrorKind, Key, Result};

/// A multipart upload that a request adds parts to.
///
/// The object appears at its key when [`complete`](Self::complete) succeeds and not before.
pub(super) struct Parts {
    bucket: Arc<Bucket>,
    pub(super) key: Key,
    path: Path,
    pub(super) id: MultipartId,
    sent: Vec<PartId>,
    /// The part on its way; the next one fills up meanwhile.
    sending: Option<JoinHandle<object_store::Result<PartId>>>,
}

impl Parts {
    pub(super) async fn create(bucket: &Arc<Bucket>, key: &Key) -> Result<Self> {
        let created = bucket.store.create_multipart(&bucket.path(key)).await;
        let id = created.map_err(|error| failed(format!("start writing `{key}`"), error))?;
        Ok(Self::resume(bucket, key, id, &[]))
    }

    /// Goes on after the parts that the store calls `sent`.
    pub(super) fn resume(bucket: &Arc<Bucket>, key: &Key, id: MultipartId, sent: &[String]) -> Self {
        let sent = sent.iter().map(|part| PartId {
            content_id: part.clone(),
        });
        Self {
            bucket: Arc::clone(bucket),
            key: key.clone(),
            path: bucket.path(key),
            id,
            sent: sent.collect(),
            sending: None,
        }
    }

    /// What the store calls the parts. All must be [settled](Self::settle).
    pub(super) fn names(&self) -> Vec<String> {
        self.sent.iter().map(|part| part.content_id.clone()).collect()
    }

    /// Begins to send the next part, once the part before it is in the store.
    pub(super) async fn send(&mut self, bytes: Bytes) -> Result<()> {
        self.settle().await?;
        let most = self.bucket.limits.parts;
        if self.sent.len() >= most {
            let context = format!(
                "write `{}`: the store takes {most} parts, and no more; announce the length of the whole, so that they can be larger",
                self.key
            );
            return Err(Error::new(ErrorKind::TooLarge, context));
        }
        let (store, path) = (Arc::clone(&self.bucket.store), self.path.clone());
        let (id, number) = (self.id.clone(), self.sent.len());
        // The store keeps a part in a buffer of its own, if another upload does not need it.
        let spare = self.bucket.spare(bytes.len());
        let must_wait = spare.is_none();
        self.sending = Some(tokio::spawn(async move {
            let part = store.put_part(&path, &id, number, bytes.into()).await;
            drop(spare);
            part
        }));
        if must_wait { self.settle().await } else { Ok(()) }
    }

    /// Waits for the part on its way.
    pub(super) async fn settle(&mut self) -> Result<()> {
        let Some(sending) = self.sending.take() else {
            return Ok(());
        };
        let context = || format!("write a part of `{}`", self.key);
        match sending.await {
            Ok(Ok(part)) => {
                self.sent.push(part);
                Ok(())
            }
            Ok(Err(error)) => Err(failed(context(), error)),
            Err(error) => Err(Error::with_source(ErrorKind::Other, context(), error)),
        }
    }

    /// Makes the parts the object, which has `size` bytes of the digest `sha256`.
    ///
    /// The answer may get lost, and a client library that tries again finds nothing to complete. Then only the object
    /// tells: it counts if its bytes are those.
    pub(super) async fn complete(&mut self, size: u64, sha256: &Digest) -> Result<()> {
        self.settle().await?;
        let parts = self.sent.clone();
        let completed = self.bucket.store.complete_multipart(&self.path, &self.id, parts);
        let Err(error) = completed.await else {
            return Ok(());
        };
        match self.has_become(size, sha256).await {
            Ok(true) => {
                abort(&self.bucket, &self.path, &self.id).await;
                Ok(())
            }
            Ok(false) | Err(_) => Err(failed(format!("complete `{}`", self.key), error)),
        }
    }

    /// Gives up what was sent. A failure to do so is for the log: a purge does it later.
    pub(super) async fn abort(mut self) {
        // A part that arrives after the abort could stay for ever.
        drop(self.settle().await);
        abort(&self.bucket, &self.path, &self.id).await;
    }

    async fn has_become(&self, size: u64, sha256: &Digest) -> Result<bool> {
        if self.bucket.head(&self.key).await?.size != size {
            return Ok(false);
        }
        let (found, _) = hash(&self.bucket, &self.key, size, Hashes::new(None)).await?;
        Ok(found == *sha256)
    }
}

/// The digests of the object at `key`.
pub(super) async fn hash(
    bucket: &Bucket,
    key: &Key,
    size: u64,
    mut hashes: Hashes,
) -> Result<(Digest, Option<Digest>)> {
    let mut pieces = Pieces::of(bucket, key, size).await?;
    while let Some(piece) = pieces.next().await? {
        hashes.update(piece).await?;
    }
    Ok(hashes.finish())
}

/// Aborts a multipart upload, if there still is one.
pub(super) async fn abort(bucket: &Bucket, path: &Path, id: &MultipartId) {
    match bucket.store.abort_multipart(path, id).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => {
            tracing::warn!(%path, %error, "could not abort a multipart upload; its parts stay until a purge");
        }
    }
}
