//! The parts of a multipart upload: sent one after the other, completed exactly as they were sent.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{MultipartId, multipart::PartId, path::Path};
use tokio::task::JoinHandle;
use wharf_oci::Digest;

use super::{Bucket, blob::Pieces, error::failed, hashes::Hashes, room::Room};
use crate::{Error, ErrorKind, Key, Result};

/// A multipart upload that a request adds parts to.
///
/// The object appears at its key when [`complete`](Self::complete) succeeds and not before.
pub(super) struct Parts {
    bucket: Arc<Bucket>,
    pub(super) key: Key,
    path: Path,
    pub(super) id: MultipartId,
    /// Bytes of all parts.
    pub(super) size: u64,
    sent: Vec<PartId>,
    /// The part on its way; the next one fills up meanwhile.
    sending: Option<JoinHandle<object_store::Result<PartId>>>,
}

impl Parts {
    pub(super) async fn create(bucket: &Arc<Bucket>, key: &Key) -> Result<Self> {
        let created = bucket.store.create_multipart(&bucket.path(key)).await;
        let id = created.map_err(|error| failed(format!("start writing `{key}`"), error))?;
        Ok(Self {
            bucket: Arc::clone(bucket),
            key: key.clone(),
            path: bucket.path(key),
            id,
            size: 0,
            sent: Vec::new(),
            sending: None,
        })
    }

    /// Begins to send the next part, once the part before it is in the store. `room` is what the part takes in memory, until it is
    /// in the store.
    pub(super) async fn send(&mut self, bytes: Bytes, room: Option<Arc<Room>>) -> Result<()> {
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
        self.size += bytes.len() as u64;
        self.sending = Some(tokio::spawn(async move {
            let part = store.put_part(&path, &id, number, bytes.into()).await;
            drop(room);
            part
        }));
        Ok(())
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

    /// Makes the parts the object at the key of a blob, which has the digest `sha256`.
    ///
    /// The answer may get lost, and a client library that tries again finds nothing to complete. Then only the object
    /// tells: it counts if its bytes are those.
    pub(super) async fn complete_blob(&mut self, sha256: &Digest) -> Result<()> {
        match self.complete().await {
            Err(_) if is_blob(&self.bucket, &self.key, self.size, sha256).await => {
                self.abort_rest().await;
                Ok(())
            }
            completed => completed,
        }
    }

    /// Makes the parts the object at a key that no other request knows. When the answer gets lost, an object of
    /// that size is the one.
    pub(super) async fn complete_staged(&mut self) -> Result<()> {
        match self.complete().await {
            Err(_) if self.is_of_that_size().await => {
                self.abort_rest().await;
                Ok(())
            }
            completed => completed,
        }
    }

    async fn complete(&mut self) -> Result<()> {
        self.settle().await?;
        let parts = self.sent.clone();
        let completed = self
            .bucket
            .store
            .complete_multipart(&self.path, &self.id, parts)
            .await;
        completed
            .map(drop)
            .map_err(|error| failed(format!("complete `{}`", self.key), error))
    }

    async fn is_of_that_size(&self) -> bool {
        let found = self.bucket.head(&self.key).await;
        found.is_ok_and(|found| found.size == self.size)
    }

    async fn abort_rest(&self) {
        abort(&self.bucket, &self.path, &self.id).await;
    }

    /// Gives up what was sent. A failure to do so is for the log: a purge does it later.
    pub(super) async fn abort(mut self) {
        // A part that arrives after the abort could stay for ever.
        drop(self.settle().await);
        abort(&self.bucket, &self.path, &self.id).await;
    }
}

/// Hashes the bytes of `objects`, one after the other.
pub(super) async fn hash(bucket: &Bucket, objects: &[(Key, u64)], hashes: &mut Hashes) -> Result<()> {
    for (key, size) in objects {
        let mut pieces = Pieces::of(bucket, key, *size).await?;
        while let Some(piece) = pieces.next().await? {
            hashes.update(piece).await?;
        }
    }
    Ok(())
}

/// Whether the object at `key` has those bytes.
pub(super) async fn is_blob(bucket: &Bucket, key: &Key, size: u64, sha256: &Digest) -> bool {
    if !bucket.head(key).await.is_ok_and(|found| found.size == size) {
        return false;
    }
    let mut hashes = Hashes::new(None);
    let hashed = hash(bucket, &[(key.clone(), size)], &mut hashes).await;
    hashed.is_ok() && hashes.finish().0 == *sha256
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
