//! What the engine asks of a store: the traits of `object_store`, and what those do not have.

use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use object_store::{
    Error, MultipartId, ObjectMeta, ObjectStore, Result,
    multipart::{MultipartStore, PartId},
    path::Path,
};

/// A store of objects.
///
/// A put, a copy and the completion of a multipart upload are each atomic, and durable when acknowledged. A completed
/// multipart upload consists of exactly the parts that the completion names: a part that was written again since then
/// makes it fail.
#[async_trait]
pub trait Store: ObjectStore + MultipartStore {
    /// The first `most` objects below the directory `prefix` whose keys are greater than `after`, sorted by the bytes of
    /// their keys. Fewer only if there are no more. Objects that no [`Path`] can name are left out.
    ///
    /// # Errors
    ///
    /// Those of [`ObjectStore::list`].
    async fn scan(&self, prefix: &Path, after: Option<&Path>, most: usize) -> Result<Vec<ObjectMeta>> {
        let listed = match after {
            Some(after) => self.list_with_offset(Some(prefix), after),
            None => self.list(Some(prefix)),
        };
        listed.take(most).try_collect().await
    }

    /// Copies bytes of an object into a part of a multipart upload, without sending them through this process.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupported`] where the store cannot; the caller then reads and writes.
    async fn copy_part(&self, copy: &PartCopy<'_>) -> Result<PartId> {
        let _ = copy;
        Err(unsupported("copying into a part"))
    }

    /// The multipart uploads below the directory `prefix` that are neither completed nor aborted.
    ///
    /// # Errors
    ///
    /// [`Error::NotSupported`] where the store cannot list them.
    async fn open_multiparts(&self, prefix: &Path) -> Result<Vec<OpenMultipart>> {
        let _ = prefix;
        Err(unsupported("listing multipart uploads"))
    }

    /// A URL under which a client reads from the store itself; `None` where the store has none.
    ///
    /// # Errors
    ///
    /// When the store's credentials cannot be obtained.
    async fn sign(&self, get: &SignedGet<'_>) -> Result<Option<String>> {
        let _ = get;
        Ok(None)
    }

    /// Removes the object at `path`, unless it is `until` or later by the clock of the store when it takes up the request: a
    /// store of S3 refuses a presigned request that has expired.
    ///
    /// # Errors
    ///
    /// [`Error::Precondition`] when it is too late; [`Error::NotSupported`] where the store takes requests at any time.
    async fn delete_until(&self, path: &Path, until: SystemTime) -> Result<()> {
        let _ = (path, until);
        Err(unsupported("requests that expire"))
    }

    /// What the store honours, as far as it is known.
    fn abilities(&self) -> Abilities {
        Abilities::default()
    }
}

/// A copy of a range of an object into a part of a multipart upload.
#[derive(Debug, Clone)]
pub struct PartCopy<'a> {
    /// The object to copy from
    pub from: &'a Path,
    /// Its bytes
    pub range: Range<u64>,
    /// The object that the multipart upload is to become
    pub to: &'a Path,
    /// The multipart upload
    pub id: &'a MultipartId,
    /// Number of the part, from 0
    pub part: usize,
}

/// A multipart upload that is neither completed nor aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenMultipart {
    /// The object that it is to become
    pub path: Path,
    /// What the store calls it
    pub id: MultipartId,
    /// When it was begun
    pub begun: SystemTime,
}

/// A request that a client is to make to the store.
#[derive(Debug, Clone)]
pub struct SignedGet<'a> {
    /// The object
    pub path: &'a Path,
    /// How long the URL is to be valid
    pub ttl: Duration,
}

/// What a store honours. Safety rests on none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Whether it refuses a put whose condition does not hold
    pub conditions: bool,
    /// Whether the entity tag of an object that one put wrote is the MD5 of its content
    pub e_tag_is_md5: bool,
}

impl Default for Abilities {
    fn default() -> Self {
        Self {
            conditions: true,
            e_tag_is_md5: false,
        }
    }
}

fn unsupported(what: &str) -> Error {
    Error::NotSupported {
        source: format!("this store does not support {what}").into(),
    }
}

/// A slow store, for the tests of other crates: only the operations of `object_store` are slow.
#[cfg(feature = "testing")]
impl<T: Store> Store for object_store::throttle::ThrottledStore<T> {}
