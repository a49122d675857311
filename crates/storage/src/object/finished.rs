//! The end of an upload: hashed, put together, at the key of its blob.

use async_trait::async_trait;
use bytes::Bytes;
use tracing::Instrument as _;
use wharf_oci::{Algorithm, Digest};

use super::{
    copy::assemble,
    growth::{Growth, Target},
    hashes::Hashes,
    parts,
    purge::remove,
    session::Session,
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
    /// Where the session has gathered them.
    Gathered,
    /// In memory, all of them.
    Whole(Bytes),
    /// In the objects of the upload, and these after them.
    Objects(Bytes),
    /// In the parts of a multipart upload at the key of the blob.
    Blob,
}

impl ObjectFinished {
    /// The upload with what the session has added, which counts if it is not provisional.
    pub(super) async fn of(mut session: Session, also: Option<Algorithm>) -> Result<Self> {
        if !session.is_provisional {
            session.keep().await?;
        }
        let growth = session.grown()?;
        growth.hash_tail().await?;
        let size = growth.size;
        let (sha256, computed) = growth.hashes.clone().finish();
        let mut finished = Self {
            session,
            content: Content::Gathered,
            size,
            sha256,
            also: computed,
        };
        finished.compute(also).await?;
        Ok(finished)
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
        self.stage().await?;
        let mut hashes = Hashes::new(Some(also));
        let objects = self.objects()?;
        let last = match &self.content {
            Content::Whole(bytes) => bytes.clone(),
            Content::Objects(last) => {
                parts::hash(&self.session.bucket, &objects, &mut hashes).await?;
                last.clone()
            }
            Content::Gathered | Content::Blob => {
                let dir = &self.session.dir;
                let context = format!("compute a digest that was not announced for upload `{dir}`");
                return Err(Error::new(ErrorKind::Other, context));
            }
        };
        hashes.update(last).await?;
        let (sha256, found) = hashes.finish();
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

    /// All that can be done before the bytes appear at their key: those that are still to be sent are.
    async fn stage(&mut self) -> Result<()> {
        let Content::Gathered = self.content else {
            return Ok(());
        };
        let growth = self.session.grown()?;
        if let Err(error) = growth.conclude().await {
            return Err(self.session.explained(error).await);
        }
        let (last, _) = growth.take_tail();
        self.content = match growth.target {
            Target::Blob(_) => Content::Blob,
            Target::Nowhere | Target::Object(..) if growth.objects.is_empty() => Content::Whole(last),
            Target::Nowhere | Target::Object(..) => Content::Objects(last),
        };
        Ok(())
    }

    /// The objects of the upload, with their sizes.
    fn objects(&mut self) -> Result<Vec<(Key, u64)>> {
        let dir = self.session.dir.clone();
        let objects = &self.session.grown()?.objects;
        let keyed = objects
            .iter()
            .map(|object| (layout::object_upload_data(&dir, object.name), object.size));
        Ok(keyed.collect())
    }

    async fn put_at(&mut self, key: &Key) -> Result<()> {
        self.stage().await?;
        let objects = self.objects()?;
        let sha256 = self.sha256;
        let session = &mut self.session;
        match &self.content {
            Content::Whole(bytes) => session.bucket.put(key, bytes.clone()).await,
            Content::Objects(last) => {
                assemble(&session.bucket, &objects, last.clone(), key, Some(&sha256)).await
            }
            Content::Blob => complete(session.grown()?, key, &sha256).await,
            Content::Gathered => Err(Error::new(
                ErrorKind::Other,
                "publish an upload that is not staged",
            )),
        }
    }

    async fn try_publish(&mut self, key: &Key, then: &[Put]) -> Result<()> {
        self.put_at(key).await?;
        let session = &mut self.session;
        if let Content::Blob = self.content {
            // Completed: there is nothing to abort any more.
            session.grown()?.target = Target::Nowhere;
            session.state.head.open = None;
        }
        session.bucket.publish(then).await?;
        let made = session.take_back_parts().await;
        let (bucket, dir) = (&session.bucket, &session.dir);
        if let Err(error) = remove(bucket, dir, &session.state.head, made).await {
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
        let made = self.session.take_back_parts().await;
        let session = self.session;
        let removed = remove(&session.bucket, &session.dir, &session.state.head, made).await;
        session.forget();
        removed
    }
}

/// Completes the blob at the key to which its parts were sent.
async fn complete(growth: &mut Growth, key: &Key, sha256: &Digest) -> Result<()> {
    match &mut growth.target {
        Target::Blob(parts) if parts.key == *key => parts.complete_blob(sha256).await,
        Target::Blob(parts) => {
            let context = format!(
                "publish at `{key}` an upload that was announced for `{}`",
                parts.key
            );
            Err(Error::new(ErrorKind::Other, context))
        }
        Target::Nowhere | Target::Object(..) => Err(Error::new(
            ErrorKind::Other,
            "complete a blob of no multipart upload",
        )),
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
