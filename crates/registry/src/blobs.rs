//! Blobs as a repository sees them: whether it has one, reading, mounting, unlinking.

use std::{ops::Range, pin::pin, time::Duration};

use futures_util::{StreamExt as _, future::BoxFuture};
use wharf_oci::{Digest, Hasher, RepoName};
use wharf_storage::{Blob, ByteStream, ErrorKind, Key, Stat, Storage, Version, layout};

use crate::{
    error::{Error, Result},
    events::{Caller, EventKind, Pull, Pulled},
    patience::turn,
    registry::Registry,
    tree::parallel::{Ahead, in_background},
};

/// A blob that a repository has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// The digest that the client knows it by.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// The outcome of hashing the stored bytes of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hashed {
    /// Version of the bytes, where the store could tell one.
    pub(crate) version: Option<Version>,
    /// Whether they have the digest of the blob.
    pub(crate) is_sound: bool,
}

/// A read of the bytes at a key.
type Read<T> = for<'a> fn(&'a dyn Storage, &'a Key) -> BoxFuture<'a, wharf_storage::Result<T>>;

/// A blob opened for reading; it stays readable to its end whatever is deleted meanwhile.
pub struct OpenBlob {
    /// Digest and size of the blob.
    pub info: BlobInfo,
    blob: Box<dyn Blob>,
}

impl OpenBlob {
    /// The bytes of `range`, which must lie within the blob.
    pub fn stream(self, range: Range<u64>) -> ByteStream {
        self.blob.stream(range)
    }

    /// The bytes of `range`, which must lie within the blob; other ranges can be read as well.
    pub fn part(&self, range: Range<u64>) -> ByteStream {
        self.blob.part(range)
    }
}

impl std::fmt::Debug for OpenBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBlob")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Whether `name` has the blob `digest`, and its size.
    ///
    /// Clients ask this of what they are about to push. Of a blob that this process has not seen in the repository, the
    /// link is looked up alone: it probably is absent, and then nothing else need be asked.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`] when it does not have the blob, or only damaged bytes of it; errors of the store.
    pub async fn blob(&self, name: &RepoName, digest: &Digest) -> Result<BlobInfo> {
        let link = layout::layer_link(name, digest);
        if self.tree.links.remembered(&link).is_some() {
            return self.named_blob(name, digest).await;
        }
        let (stored, stat) = self.linked_stat_in_turn(name, digest).await?;
        self.info(digest, &stored, &stat)
    }

    /// As [`blob`](Self::blob), of a blob that is probably there.
    async fn named_blob(&self, name: &RepoName, digest: &Digest) -> Result<BlobInfo> {
        let (stored, stat) = self.linked_stat(name, digest).await?;
        self.info(digest, &stored, &stat)
    }

    /// As [`blob`](Self::blob), of a blob that a manifest refers to which is being pushed.
    pub(crate) async fn blob_to_refer_to(&self, name: &RepoName, digest: &Digest) -> Result<BlobInfo> {
        let (stored, stat) = self.linked_stat(name, digest).await?;
        let stat = match stored == *digest {
            true => Some(stat),
            false => self.stat_to_rely_on(&stored).await?,
        };
        self.info(
            digest,
            &stored,
            &stat.ok_or(Error::BlobUnknown { digest: *digest })?,
        )
    }

    /// As [`blob`](Self::blob), for a client that may go on to push what needs the blob: one that the collector is about
    /// to remove counts as absent, and one that it may remove soon is kept for half an hour.
    ///
    /// # Errors
    ///
    /// As [`blob`](Self::blob).
    pub async fn blob_to_rely_on(&self, name: &RepoName, digest: &Digest) -> Result<BlobInfo> {
        let digests = std::slice::from_ref(digest);
        // At once: that a blob is removed between the two looks is found when the manifest is pushed. In one process the
        // digest is noted before the blob is looked for.
        let (reliance, info) =
            futures_util::join!(self.locks.rely_on(name, digests), self.blob(name, digest));
        match info {
            Ok(_) if reliance?.is_swept(digest) => Err(Error::BlobUnknown { digest: *digest }),
            info => info,
        }
    }

    /// Opens the blob `digest` of `name`.
    ///
    /// # Errors
    ///
    /// As [`blob`](Self::blob).
    pub async fn open_blob(&self, name: &RepoName, digest: &Digest) -> Result<OpenBlob> {
        self.opened(name, digest, |storage, key| storage.open(key)).await
    }

    /// As [`open_blob`](Self::open_blob), for a client that wants parts of the blob, or maybe nothing of it. On a bucket, each
    /// range that is read is a request of its own.
    ///
    /// # Errors
    ///
    /// As [`blob`](Self::blob).
    pub async fn open_blob_parts(&self, name: &RepoName, digest: &Digest) -> Result<OpenBlob> {
        self.opened(name, digest, |storage, key| storage.open_parts(key))
            .await
    }

    async fn opened(&self, name: &RepoName, digest: &Digest, open: Read<Box<dyn Blob>>) -> Result<OpenBlob> {
        let (stored, blob) = self.linked(name, digest, open).await?;
        Ok(OpenBlob {
            info: self.info(digest, &stored, &blob.stat())?,
            blob,
        })
    }

    /// Whether `name` has the blob `digest`, its size, and, if it has at least `least` bytes, a URL under which a client reads them
    /// from the store itself, or from a server in front of it, and may begin to for `ttl`; without a URL where the store has none.
    ///
    /// # Errors
    ///
    /// As [`blob`](Self::blob).
    pub async fn blob_elsewhere(
        &self,
        name: &RepoName,
        digest: &Digest,
        least: u64,
        ttl: Duration,
    ) -> Result<(BlobInfo, Option<String>)> {
        let (stored, stat) = self.linked_stat(name, digest).await?;
        let info = self.info(digest, &stored, &stat)?;
        let location = match info.size {
            size if size < least => None,
            _ => {
                let key = layout::blob(&stored);
                self.elsewhere.location(&*self.storage, &key, ttl).await?
            }
        };
        Ok((info, location))
    }

    /// The digest under which the blob `digest` of `name` is stored, and what is stored there.
    async fn linked_stat(&self, name: &RepoName, digest: &Digest) -> Result<(Digest, Stat)> {
        self.linked(name, digest, |storage, key| storage.stat(key)).await
    }

    /// As [`linked_stat`](Self::linked_stat), of a blob that is probably absent: its link is looked up first.
    async fn linked_stat_in_turn(&self, name: &RepoName, digest: &Digest) -> Result<(Digest, Stat)> {
        let stored = self.stored_blob(name, digest).await?;
        let stat = self.storage.stat(&layout::blob(&stored)).await;
        Ok((stored, stat.map_err(|error| blob_unknown(error, digest))?))
    }

    /// Looks the link of `digest` in `name` up, and reads the blob that it names, which is looked at meanwhile.
    async fn linked<T>(&self, name: &RepoName, digest: &Digest, read: Read<T>) -> Result<(Digest, T)> {
        let key = layout::blob(digest);
        let expected = pin!(Some(async { read(&*self.storage, &key).await }));
        let mut expected = Ahead::new(expected);
        let stored = expected.during(self.stored_blob(name, digest)).await?;
        let found = if stored == *digest {
            expected.result().await
        } else {
            read(&*self.storage, &layout::blob(&stored)).await
        };
        Ok((stored, found.map_err(|error| blob_unknown(error, digest))?))
    }

    /// Reports that `caller` is sent the blob `blob` of `name`, or a part of it. The surface decides what counts as a
    /// pull: it may have opened a blob of which it then sends nothing.
    pub fn pulled_blob(&self, caller: &dyn Caller, name: &RepoName, blob: &BlobInfo) {
        self.subscribers.pulled(Pull {
            caller,
            repository: name,
            content: Pulled::Blob {
                digest: &blob.digest,
                size: blob.size,
            },
        });
    }

    /// Lets `name` read the blob `digest` of repository `from`, or, without `from`, of any repository. `None` when
    /// there is no such blob, and `name` does not have it already: the client has to push it.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn mount_blob(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        digest: &Digest,
        from: Option<&RepoName>,
    ) -> Result<Option<BlobInfo>> {
        let Some(blob) = self.link_blob(name, digest, from).await? else {
            return Ok(None);
        };
        let mounted = || {
            vec![EventKind::BlobMounted {
                digest: blob.digest,
                size: blob.size,
                from: from.cloned(),
            }]
        };
        self.subscribers.changed(caller, name, mounted).await;
        Ok(Some(blob))
    }

    /// Lets `name` read the blob `digest`, whose bytes are stored already, in whatever repository they were pushed. `None` when they
    /// are not, when they are known to be damaged, and when the collector is about to remove them: they have to be stored again.
    ///
    /// Whether the caller may know of these bytes is not asked here: that they are stored tells what other repositories have.
    ///
    /// # Races
    ///
    /// This is a mount. The link is written under the shared lock on `digest`, and whether the bytes are stored is
    /// looked up under that lock as well. So no deletion of this process comes in between; a run of the collector either has found no
    /// doom before (it waits for this request, and the link that it then sees, or the grace period of what this
    /// request relied on, keeps the bytes), or has doomed the digest: then the request pins it, and the sweep leaves it alone, or it finds
    /// the flag of the sweep raised, and the bytes count as absent. [`coordination`](crate::coordination) has the whole argument.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when other requests keep it waiting for too long; errors of the store.
    pub async fn link_stored_blob(
        &self,
        caller: &dyn Caller,
        name: &RepoName,
        digest: &Digest,
    ) -> Result<Option<BlobInfo>> {
        self.mount_blob(caller, name, digest, None).await
    }

    /// Size in bytes of the stored blob `digest`, in whatever repository it is; `None` when it is not stored, or known to be
    /// damaged. A hint: without a lock the blob may be gone a moment later.
    ///
    /// # Errors
    ///
    /// Errors of the store.
    pub async fn has_stored_blob(&self, digest: &Digest) -> Result<Option<u64>> {
        match self.storage.stat(&layout::blob(digest)).await {
            Ok(stat) => Ok(self.info(digest, digest, &stat).ok().map(|info| info.size)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the link of the blob `digest` of `name` again, durably, and reports no event. `None` when `name` does not have
    /// the blob.
    ///
    /// For the answer to a repeated request: the link that a read finds may be one whose sync failed, or the link of another
    /// request that has not synced it yet. The write settles whatever is visible before it is acknowledged.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when other requests keep it waiting for too long; errors of the store.
    pub async fn link_blob_again(&self, name: &RepoName, digest: &Digest) -> Result<Option<BlobInfo>> {
        self.link_blob(name, digest, Some(name)).await
    }

    async fn link_blob(
        &self,
        name: &RepoName,
        digest: &Digest,
        from: Option<&RepoName>,
    ) -> Result<Option<BlobInfo>> {
        let lock = self.locks.lock_shared(name, std::slice::from_ref(digest)).await?;
        if lock.is_swept(digest) {
            return Ok(None);
        }
        let found = match from {
            Some(from) => match self.linked_stat(from, digest).await {
                // The client may not know that it was mounted before, and `from` may have lost it since.
                Err(Error::BlobUnknown { .. }) if from != name => {
                    self.linked_stat_in_turn(name, digest).await
                }
                found => found,
            },
            None => {
                let stat = self.storage.stat(&layout::blob(digest)).await;
                stat.map(|stat| (*digest, stat))
                    .map_err(|error| blob_unknown(error, digest))
            }
        };
        let (stored, stat) = match found {
            Ok((stored, stat)) if stored == *digest => (stored, stat),
            Ok((stored, _)) => match self.stat_to_rely_on(&stored).await? {
                Some(stat) => (stored, stat),
                None => return Ok(None),
            },
            Err(Error::BlobUnknown { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(info) = self.info(digest, &stored, &stat) else {
            return Ok(None);
        };
        lock.link_layer(name, digest, &stored).await?;
        Ok(Some(info))
    }

    /// What is stored under `stored`, to which a link of another digest leads, for a request that relies on that digest and
    /// so on these bytes; `None` when they count as absent.
    async fn stat_to_rely_on(&self, stored: &Digest) -> Result<Option<Stat>> {
        if !self.locks.may_rely_on_bytes(stored).await? {
            return Ok(None);
        }
        match self.storage.stat(&layout::blob(stored)).await {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Hashes the bytes stored under `digest`, unless that was done before. Bytes that are found wrong count as absent from
    /// then on; bytes that are found right are not read again while their file is the same.
    ///
    /// This takes as long as reading the blob does: no lock may be held meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::Exhausted`] when too many blobs are being hashed; errors of the store.
    pub(crate) async fn hash_again(&self, digest: &Digest) -> Result<Hashed> {
        // Requests that want the same blob hashed find the result when their turn comes.
        let _turn = turn(&self.budget().hashes).await?;
        let version = self.storage.stat(&layout::blob(digest)).await?.version;
        let is_verified = self.damaged.is_verified(digest, version.as_ref());
        let is_sound = is_verified || self.rehash(digest).await? == *digest;
        if !is_sound {
            tracing::error!(blob.digest = %digest, "the stored bytes of a blob are damaged; it counts as absent until it is pushed again");
        }
        self.damaged.insert(digest, version.clone(), is_sound);
        Ok(Hashed { version, is_sound })
    }

    /// The digest of the bytes that are stored under `digest`.
    async fn rehash(&self, digest: &Digest) -> Result<Digest> {
        let blob = self.storage.open(&layout::blob(digest)).await?;
        let size = blob.stat().size;
        let mut stream = blob.stream(0..size);
        let mut hasher = Hasher::new(digest.algorithm());
        while let Some(piece) = stream.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) if error.kind() == ErrorKind::Damaged => break,
                Err(error) => return Err(error.into()),
            };
            let update = move || {
                hasher.update(&piece);
                hasher
            };
            hasher = in_background(update).await?;
        }
        Ok(hasher.finish())
    }

    /// The digest under which the bytes of blob `digest` of `name` are stored: its own, or, in a tree that
    /// registry:2 wrote, the SHA-256 that the link of a SHA-512 names.
    async fn stored_blob(&self, name: &RepoName, digest: &Digest) -> Result<Digest> {
        let stored = self.tree.links.target(&layout::layer_link(name, digest)).await?;
        stored.ok_or(Error::BlobUnknown { digest: *digest })
    }

    /// What a client may know of the blob `digest`, which the store has under `stored` as `stat` says; unknown when its
    /// bytes are not whole.
    fn info(&self, digest: &Digest, stored: &Digest, stat: &Stat) -> Result<BlobInfo> {
        // A file of no bytes is what a crash of an older registry leaves; only the empty blob is truly empty.
        let is_empty = stat.size == 0 && *stored != Digest::of(stored.algorithm(), b"");
        if is_empty || self.damaged.contains(stored, stat.version.as_ref()) {
            return Err(Error::BlobUnknown { digest: *digest });
        }
        Ok(BlobInfo {
            digest: *digest,
            size: stat.size,
        })
    }
}

pub(crate) fn blob_unknown(error: wharf_storage::Error, digest: &Digest) -> Error {
    if error.is_not_found() {
        Error::BlobUnknown { digest: *digest }
    } else {
        error.into()
    }
}
