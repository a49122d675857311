//! Blobs as a repository sees them: whether it has one, reading, mounting, unlinking.

use std::{collections::HashSet, ops::Range};

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use quick_cache::{UnitWeighter, sync::Cache};
use wharf_oci::{Algorithm, Digest, Hasher, RepoName};
use wharf_storage::{Blob, ByteStream, ErrorKind, Put, Version, layout};

use crate::{Error, Registry, Result};

/// A blob that a repository has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// The digest that the client knows it by.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// A blob opened for reading; it stays readable to its end whatever is deleted meanwhile.
pub struct OpenBlob {
    /// What it is.
    pub info: BlobInfo,
    blob: Box<dyn Blob>,
}

impl OpenBlob {
    /// The bytes of `range`, which must lie within the blob.
    pub fn stream(self, range: Range<u64>) -> ByteStream {
        self.blob.stream(range)
    }
}

impl std::fmt::Debug for OpenBlob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenBlob")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// Blobs whose bytes were found to be wrong. They count as absent until they are pushed again, so that
/// clients, which ask before they push, do push them and so heal them (invariant I4).
///
/// The set is a hint, not a truth: it may be lost, and it is bounded.
#[derive(Debug)]
pub(crate) struct DamagedBlobs {
    damaged: Mutex<HashSet<Digest>>,
    /// Blobs that were read whole and found right, with the version that was read.
    verified: Cache<Digest, Version>,
}

impl DamagedBlobs {
    const CAPACITY: usize = 4096;

    pub(crate) fn new() -> Self {
        Self {
            damaged: Mutex::default(),
            verified: Cache::with_weighter(crate::FEW, Self::CAPACITY as u64, UnitWeighter),
        }
    }

    fn contains(&self, digest: &Digest) -> bool {
        self.damaged.lock().contains(digest)
    }

    pub(crate) fn insert(&self, digest: Digest) {
        let mut damaged = self.damaged.lock();
        if damaged.len() < Self::CAPACITY {
            damaged.insert(digest);
        }
    }

    pub(crate) fn healed(&self, digest: &Digest) {
        self.damaged.lock().remove(digest);
    }
}

impl Registry {
    /// Whether `name` has the blob `digest`, and its size.
    pub async fn blob(&self, name: &RepoName, digest: &Digest) -> Result<BlobInfo> {
        let stored = self.stored_blob(name, digest).await?;
        let stat = self
            .storage
            .stat(&layout::blob(&stored))
            .await
            .map_err(|error| unknown(error, digest))?;
        present(&stored, stat.size)
            .then_some(BlobInfo {
                digest: *digest,
                size: stat.size,
            })
            .ok_or(Error::BlobUnknown { digest: *digest })
    }

    /// Opens the blob `digest` of `name`.
    pub async fn open_blob(&self, name: &RepoName, digest: &Digest) -> Result<OpenBlob> {
        let stored = self.stored_blob(name, digest).await?;
        let blob = self
            .storage
            .open(&layout::blob(&stored))
            .await
            .map_err(|error| unknown(error, digest))?;
        let size = blob.stat().size;
        if !present(&stored, size) {
            return Err(Error::BlobUnknown { digest: *digest });
        }
        Ok(OpenBlob {
            info: BlobInfo {
                digest: *digest,
                size,
            },
            blob,
        })
    }

    /// Takes the blob `digest` out of `name`. Other repositories keep it; its bytes stay until they are collected.
    pub async fn delete_blob(&self, name: &RepoName, digest: &Digest) -> Result<()> {
        self.require_delete()?;
        let _lock = self.locks.take_away(digest).await;
        self.storage
            .remove(&layout::layer_link(name, digest), &layout::layers(name))
            .await
            .map_err(|error| unknown(error, digest))
    }

    /// Lets `name` read the blob `digest` of repository `from`, or, without `from`, of any repository. `None` when
    /// there is no such blob: the client has to push it.
    pub async fn mount_blob(
        &self,
        name: &RepoName,
        digest: &Digest,
        from: Option<&RepoName>,
    ) -> Result<Option<BlobInfo>> {
        let _lock = self.locks.rely_on(std::iter::once(*digest)).await;
        let stored = match from {
            Some(from) => match self.stored_blob(from, digest).await {
                Ok(stored) => stored,
                Err(Error::BlobUnknown { .. }) => return Ok(None),
                Err(error) => return Err(error),
            },
            None => *digest,
        };
        let size = match self.storage.stat(&layout::blob(&stored)).await {
            Ok(stat) if present(&stored, stat.size) && !self.damaged.contains(&stored) => stat.size,
            Ok(_) => return Ok(None),
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let link = Put::new(layout::layer_link(name, digest), layout::link_content(&stored));
        self.storage.publish(&[link]).await?;
        Ok(Some(BlobInfo {
            digest: *digest,
            size,
        }))
    }

    /// Whether the bytes stored under `digest` are really its bytes. What is found wrong counts as absent from then
    /// on; what is found right is not read again while its file is the same.
    pub(crate) async fn is_sound(&self, digest: &Digest) -> Result<bool> {
        let version = self.storage.stat(&layout::blob(digest)).await?.version;
        if version.is_some() && self.damaged.verified.get(digest) == version {
            return Ok(true);
        }
        let sound = self.rehash(digest).await? == *digest;
        if let (true, Some(version)) = (sound, version) {
            self.damaged.verified.insert(*digest, version);
        }
        if !sound {
            tracing::error!(blob.digest = %digest, "the stored bytes of a blob are damaged; it counts as absent until it is pushed again");
            self.damaged.insert(*digest);
        }
        Ok(sound)
    }

    /// The digest of what is stored under `digest`.
    async fn rehash(&self, digest: &Digest) -> Result<Digest> {
        let blob = self.storage.open(&layout::blob(digest)).await?;
        let size = blob.stat().size;
        let mut stream = blob.stream(0..size);
        let mut hasher = Hasher::new(digest.algorithm());
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => hasher.update(&piece),
                Err(error) if error.kind() == ErrorKind::Damaged => break,
                Err(error) => return Err(error.into()),
            }
            tokio::task::yield_now().await;
        }
        Ok(hasher.finish())
    }

    /// The digest under which the bytes of blob `digest` of `name` are stored: its own, or, in a tree that
    /// registry:2 wrote, the SHA-256 that the link of a SHA-512 names.
    async fn stored_blob(&self, name: &RepoName, digest: &Digest) -> Result<Digest> {
        match self.link(&layout::layer_link(name, digest)).await? {
            Some(stored) if !self.damaged.contains(&stored) => Ok(stored),
            Some(_) | None => Err(Error::BlobUnknown { digest: *digest }),
        }
    }

    pub(crate) fn require_delete(&self) -> Result<()> {
        if self.options.delete_enabled {
            Ok(())
        } else {
            Err(Error::DeleteDisabled)
        }
    }
}

/// A file of no bytes is what a crash of an older registry leaves; only the empty blob is truly empty.
fn present(stored: &Digest, size: u64) -> bool {
    size > 0 || *stored == Digest::of(stored.algorithm(), b"")
}

fn unknown(error: wharf_storage::Error, digest: &Digest) -> Error {
    if error.is_not_found() {
        Error::BlobUnknown { digest: *digest }
    } else {
        error.into()
    }
}

/// The algorithm to ask the store for beside SHA-256, which it always has.
pub(crate) fn extra_algorithm(digest: &Digest) -> Option<Algorithm> {
    match digest.algorithm() {
        Algorithm::Sha256 => None,
        Algorithm::Sha512 => Some(Algorithm::Sha512),
    }
}
