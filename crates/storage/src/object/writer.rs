//! Writing one object of any size, hashed as it goes into the store.

use std::{mem, sync::Arc};

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt, path::Path};
use tokio::task::JoinHandle;
use wharf_oci::{Algorithm, Digest, Hasher};

use super::{Bucket, error::failed};
use crate::{Error, ErrorKind, Key, Result};

/// The most bytes that are hashed on an async thread, which takes some 100 µs.
const INLINE: usize = 128 * 1024;

/// An object on its way into the store: one put when it is small, a multipart upload when it is not.
///
/// It appears at its key when [`finish`](Self::finish) succeeds and not before.
pub(super) struct ObjectWriter {
    bucket: Arc<Bucket>,
    key: Key,
    path: Path,
    hashes: Hashes,
    size: u64,
    buffer: Vec<u8>,
    multipart: Option<Box<dyn MultipartUpload>>,
    /// The part on its way; the next one fills up meanwhile.
    sending: Option<JoinHandle<object_store::Result<()>>>,
}

/// What [`ObjectWriter`] wrote.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) size: u64,
    pub(super) sha256: Digest,
    pub(super) also: Option<Digest>,
}

impl ObjectWriter {
    pub(super) fn new(bucket: &Arc<Bucket>, key: &Key, also: Option<Algorithm>) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            key: key.clone(),
            path: bucket.path(key),
            hashes: Hashes::new(also),
            size: 0,
            buffer: Vec::new(),
            multipart: None,
            sending: None,
        }
    }

    /// After an error, only [`abort`](Self::abort) is of use.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        let part_size = self.bucket.limits.part_size;
        while !bytes.is_empty() {
            if self.buffer.len() == part_size {
                self.send_part().await?;
            }
            let taken = bytes.len().min(part_size - self.buffer.len());
            let (now, later) = bytes.split_at(taken);
            self.reserve(taken);
            self.buffer.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Completes the object, if its digest is `expected` or nothing is expected. Otherwise, and after an error, nothing
    /// appears.
    pub(super) async fn finish(mut self, expected: Option<&Digest>) -> Result<Written> {
        let result = self.complete(expected).await;
        if result.is_err() {
            self.abort().await;
        }
        result
    }

    /// Gives up what was written. A failure to do so is for the log: the bucket's lifecycle rules remove the parts later.
    pub(super) async fn abort(mut self) {
        // A part that arrives after the abort could stay for ever.
        drop(self.sent().await);
        if let Some(mut multipart) = self.multipart.take()
            && let Err(error) = multipart.abort().await
        {
            tracing::warn!(key = %self.key, %error, "could not abort a multipart upload; its parts stay in the bucket");
        }
    }

    async fn complete(&mut self, expected: Option<&Digest>) -> Result<Written> {
        if self.multipart.is_none() {
            let whole = self.take_buffer();
            self.hash(whole.clone()).await?;
            let written = self.written(expected)?;
            self.bucket.put(&self.key, whole).await?;
            return Ok(written);
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        self.sent().await?;
        let written = self.written(expected)?;
        if let Some(multipart) = &mut self.multipart {
            multipart
                .complete()
                .await
                .map_err(|error| failed(format!("complete `{}`", self.key), error))?;
        }
        Ok(written)
    }

    fn written(&mut self, expected: Option<&Digest>) -> Result<Written> {
        let (sha256, also) = mem::replace(&mut self.hashes, Hashes::new(None)).finish();
        if let Some(expected) = expected.filter(|expected| **expected != sha256) {
            let context = format!(
                "write `{}`: its bytes have the digest {sha256}, not {expected}",
                self.key
            );
            return Err(Error::new(ErrorKind::Damaged, context));
        }
        Ok(Written {
            size: self.size,
            sha256,
            also,
        })
    }

    /// Sends the buffer as the next part, and hashes it while it is on its way.
    async fn send_part(&mut self) -> Result<()> {
        let part = self.take_buffer();
        self.sent().await?;
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => {
                let started = self.bucket.store.put_multipart(&self.path).await;
                none.insert(started.map_err(|error| failed(format!("start writing `{}`", self.key), error))?)
            }
        };
        self.sending = Some(tokio::spawn(multipart.put_part(part.clone().into())));
        self.hash(part).await
    }

    /// Waits for the part on its way.
    async fn sent(&mut self) -> Result<()> {
        let Some(sending) = self.sending.take() else {
            return Ok(());
        };
        match sending.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(format!("write a part of `{}`", self.key), error)),
            Err(error) => Err(Error::with_source(
                ErrorKind::Other,
                format!("write a part of `{}`", self.key),
                error,
            )),
        }
    }

    async fn hash(&mut self, bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        self.hashes = mem::replace(&mut self.hashes, Hashes::new(None))
            .update(bytes)
            .await?;
        Ok(())
    }

    /// Exactly as large as its content: a store in memory keeps the allocation.
    fn take_buffer(&mut self) -> Bytes {
        Bytes::from(mem::take(&mut self.buffer).into_boxed_slice())
    }

    /// Doubles the buffer like `Vec` does, but never beyond a part.
    fn reserve(&mut self, more: usize) {
        let needed = self.buffer.len() + more;
        if needed > self.buffer.capacity() {
            let wanted = needed
                .max(2 * self.buffer.capacity())
                .min(self.bucket.limits.part_size);
            self.buffer.reserve_exact(wanted - self.buffer.len());
        }
    }
}

/// SHA-256, and perhaps another one, of the same bytes.
pub(super) struct Hashes {
    sha256: Hasher,
    also: Option<Hasher>,
}

impl Hashes {
    pub(super) fn new(also: Option<Algorithm>) -> Self {
        let also = also.filter(|also| *also != Algorithm::Sha256);
        Self {
            sha256: Hasher::new(Algorithm::Sha256),
            also: also.map(Hasher::new),
        }
    }

    /// Much is hashed on a blocking thread.
    pub(super) async fn update(mut self, bytes: Bytes) -> Result<Self> {
        if bytes.len() <= INLINE {
            self.update_now(&bytes);
            return Ok(self);
        }
        let hashing = tokio::task::spawn_blocking(move || {
            self.update_now(&bytes);
            self
        });
        hashing
            .await
            .map_err(|error| Error::with_source(ErrorKind::Other, "hash", error))
    }

    pub(super) fn finish(self) -> (Digest, Option<Digest>) {
        (self.sha256.finish(), self.also.map(Hasher::finish))
    }

    fn update_now(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(also) = &mut self.also {
            also.update(bytes);
        }
    }
}
