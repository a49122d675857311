//! The end of an upload: sealed, completed, at the key of its blob.

use async_trait::async_trait;
use bytes::Bytes;
use tracing::Instrument as _;
use wharf_oci::{Algorithm, Digest};

use super::{
    copy::copy,
    hashes::Hashes,
    parts::{self, Parts},
    purge::remove,
    session::{Session, Target},
    state::Sealed,
};
use crate::{Error, ErrorKind, Finished, Key, Put, Result, layout};

/// An upload whose bytes have come, with known digests.
pub(super) struct ObjectFinished {
    session: Session,
    content: Content,
    size: u64,
    sha256: Digest,
    also: Option<Digest>,
}

/// Where the bytes are.
enum Content {
    /// In memory, all of them.
    Whole(Bytes),
    /// In the parts of the session's multipart upload; these last ones are to become one.
    Parts(Bytes),
    /// In the parts that the state of the upload names as all, maybe completed.
    Sealed,
    /// In one object of the upload.
    Staged,
    /// Nowhere: they are not those that another request has sealed.
    Foreign,
}

impl ObjectFinished {
    /// The upload with what the session has added, which counts if it is not provisional.
    pub(super) async fn of(mut session: Session, also: Option<Algorithm>) -> Result<Self> {
        if !session.is_provisional {
            session.keep().await?;
        }
        let mut finished = if session.state.head.sealed.is_some() {
            Self::of_sealed(session).await?
        } else {
            Self::of_open(session).await?
        };
        finished.compute(also).await?;
        Ok(finished)
    }

    async fn of_sealed(mut session: Session) -> Result<Self> {
        let sealed = session.state.head.sealed.clone().ok_or_else(no_seal)?;
        let (mut size, mut sha256, mut content) = (sealed.size, sealed.sha256, Content::Sealed);
        session.settle().await?;
        if let Some(growth) = session.growth.take() {
            let (found, _) = growth.hashes.finish();
            if (growth.size, found) != (size, sha256) {
                (size, sha256, content) = (growth.size, found, Content::Foreign);
            }
        }
        Ok(Self {
            session,
            content,
            size,
            sha256,
            also: None,
        })
    }

    async fn of_open(mut session: Session) -> Result<Self> {
        let added = session.settle().await?;
        let tail = added.unwrap_or_else(|| session.state.tail.clone());
        let head = &session.state.head;
        let (size, hashes) = match session.growth.take() {
            Some(growth) => (growth.size, growth.hashes),
            None => (head.size, Hashes::from_sha256(head.hasher(&session.dir)?)),
        };
        if let (Target::Nowhere, Some(staging)) = (&session.target, &head.staging)
            && !staging.parts.is_empty()
        {
            let key = layout::object_upload_data(&session.dir, staging.name);
            let parts = Parts::resume(&session.bucket, &key, staging.id.clone(), &staging.parts);
            session.target = Target::Staging(parts);
        }
        let content = match session.target {
            Target::Staging(_) | Target::Direct(_) => Content::Parts(tail),
            Target::Nowhere | Target::Sealed => Content::Whole(tail),
        };
        let (sha256, also) = hashes.finish();
        Ok(Self {
            session,
            content,
            size,
            sha256,
            also,
        })
    }

    /// Computes the digest that was asked for beside SHA-256, from the bytes as they lie in the store.
    async fn compute(&mut self, also: Option<Algorithm>) -> Result<()> {
        let Some(also) = also.filter(|also| *also != Algorithm::Sha256) else {
            self.also = None;
            return Ok(());
        };
        if self.also.is_some_and(|found| found.algorithm() == also) {
            return Ok(());
        }
        let mut hashes = Hashes::new(Some(also));
        let (sha256, found) = match (&self.content, &self.session.target) {
            (Content::Whole(bytes), _) => {
                hashes.update(bytes.clone()).await?;
                hashes.finish()
            }
            (Content::Foreign, _) | (_, Target::Direct(_)) => {
                let context = format!(
                    "compute a digest that was not announced for upload `{}`",
                    self.session.dir
                );
                return Err(Error::new(ErrorKind::Other, context));
            }
            (Content::Parts(_) | Content::Sealed | Content::Staged, _) => {
                self.stage().await?;
                let key = self.staged_key()?;
                parts::hash(&self.session.bucket, &key, self.size, hashes).await?
            }
        };
        if sha256 != self.sha256 {
            let context = format!(
                "read upload `{}`: it has the digest {sha256}, not {}",
                self.session.dir, self.sha256
            );
            return Err(Error::new(ErrorKind::Damaged, context));
        }
        self.also = found;
        Ok(())
    }

    /// All that can be done before the bytes appear at their key: the last part is sent; in the directory of the upload,
    /// the parts become one object.
    async fn stage(&mut self) -> Result<()> {
        if let Content::Parts(last) = &mut self.content {
            let last = std::mem::take(last);
            let (Target::Staging(parts) | Target::Direct(parts)) = &mut self.session.target else {
                return Err(no_seal());
            };
            if !last.is_empty() {
                parts.send(last).await?;
            }
            parts.settle().await?;
            if let Target::Direct(_) = self.session.target {
                return Ok(());
            }
            self.seal().await?;
        }
        if let Content::Sealed = self.content {
            self.sealed_parts()?.complete(self.size, &self.sha256).await?;
            self.content = Content::Staged;
        }
        Ok(())
    }

    /// From here on no other request can add to the upload: one that read the state before fails to replace it, one that
    /// reads it from now on sees the seal.
    async fn seal(&mut self) -> Result<()> {
        let Target::Staging(parts) = &self.session.target else {
            return Err(no_seal());
        };
        let mut state = self.session.state.clone();
        if state.head.size == self.size {
            // Nothing can be taken back, and the tail is in the last part.
            let hasher = state.head.hasher(&self.session.dir)?;
            state.set_end(self.size, &hasher, Bytes::new());
        }
        state.head.lease = None;
        state.head.sealed = Some(Sealed {
            size: self.size,
            sha256: self.sha256,
            parts: parts.names(),
        });
        self.session.write(state).await?;
        self.session.target = Target::Sealed;
        self.content = Content::Sealed;
        Ok(())
    }

    fn sealed_parts(&self) -> Result<Parts> {
        let head = &self.session.state.head;
        match (&head.staging, &head.sealed) {
            (Some(staging), Some(sealed)) => {
                let key = layout::object_upload_data(&self.session.dir, staging.name);
                let id = staging.id.clone();
                Ok(Parts::resume(&self.session.bucket, &key, id, &sealed.parts))
            }
            _ => Err(no_seal()),
        }
    }

    fn staged_key(&self) -> Result<Key> {
        let staging = self.session.state.head.staging.as_ref().ok_or_else(no_seal)?;
        Ok(layout::object_upload_data(&self.session.dir, staging.name))
    }

    async fn put_at(&mut self, key: &Key) -> Result<()> {
        self.stage().await?;
        let bucket = &self.session.bucket;
        match (&self.content, &mut self.session.target) {
            (Content::Whole(bytes), _) => bucket.put(key, bytes.clone()).await,
            (_, Target::Direct(parts)) if parts.key == *key => parts.complete(self.size, &self.sha256).await,
            (_, Target::Direct(parts)) => {
                let context = format!(
                    "publish at `{key}` an upload that was announced for `{}`",
                    parts.key
                );
                Err(Error::new(ErrorKind::Other, context))
            }
            (Content::Foreign, _) => {
                let context = format!(
                    "publish upload `{}`, which another request publishes with other bytes",
                    self.session.dir
                );
                Err(Error::new(ErrorKind::Busy, context))
            }
            (Content::Parts(_) | Content::Sealed | Content::Staged, _) => {
                copy(bucket, &self.staged_key()?, key, self.size).await
            }
        }
    }

    async fn try_publish(&mut self, key: &Key, then: &[Put]) -> Result<()> {
        self.put_at(key).await?;
        let session = &mut self.session;
        if let Target::Direct(_) = session.target {
            // Completed: there is nothing to abort any more.
            session.target = Target::Nowhere;
            session.state.head.direct = None;
        }
        session.bucket.publish(then).await?;
        let (bucket, dir) = (&session.bucket, &session.dir);
        let is_staged = matches!(self.content, Content::Staged);
        if let Err(error) = remove(bucket, dir, &session.state.head, is_staged).await {
            tracing::warn!(upload = %dir, %error, "could not remove a published upload; a purge will");
        }
        Ok(())
    }

    async fn publish_at(mut self, key: &Key, then: &[Put]) -> Result<()> {
        let published = self.try_publish(key, then).await;
        if published.is_err() {
            self.session.take_back().await;
        }
        self.session.forget();
        published
    }

    async fn remove(mut self) -> Result<()> {
        self.session.take_back_parts().await;
        let is_staged = matches!(self.content, Content::Staged);
        let session = self.session;
        let removed = remove(&session.bucket, &session.dir, &session.state.head, is_staged).await;
        session.forget();
        removed
    }
}

#[async_trait]
impl Finished for ObjectFinished {
    fn size(&self) -> u64 {
        self.size
    }

    fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        [Some(self.sha256), self.also]
            .into_iter()
            .flatten()
            .find(|digest| digest.algorithm() == algorithm)
    }

    async fn prepare(&mut self) -> Result<()> {
        self.stage().await
    }

    async fn publish(self: Box<Self>, key: &Key, then: &[Put]) -> Result<()> {
        let (key, then) = (key.clone(), then.to_vec());
        run(async move { self.publish_at(&key, &then).await }).await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        run(Self::remove(*self)).await
    }
}

/// Runs `work` in a task of its own, to its end, whether or not the caller stays to see it.
pub(super) async fn run<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    match tokio::spawn(work.in_current_span()).await {
        Ok(result) => result,
        Err(error) => Err(Error::with_source(ErrorKind::Other, "work on an upload", error)),
    }
}

fn no_seal() -> Error {
    Error::new(ErrorKind::Damaged, "end an upload whose state names no parts")
}
